"""The W x path."""
