"""Pictures: drawings on images, charts and reports."""
