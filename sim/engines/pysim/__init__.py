"""Amaranth's own simulator."""
