"""The U h path."""
