"""Hosts, memories and devices in Python, for simulators that run in it."""
