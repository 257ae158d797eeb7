"""C programs for the core."""
