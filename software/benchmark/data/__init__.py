"""Texts and digits: where they come from, how they are read."""
