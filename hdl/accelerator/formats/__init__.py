"""Decoders of the formats of weights."""
