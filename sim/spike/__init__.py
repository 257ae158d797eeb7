"""Spike: the reference simulator, and the twin of the whole system on it."""
