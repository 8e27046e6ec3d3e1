"""Region proposals: where something may be, found without learning."""
