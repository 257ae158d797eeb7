"""The schema of results, and where they came from."""
