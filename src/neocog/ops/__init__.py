"""Pure functions on arrays and tensors; no weights, no state."""
