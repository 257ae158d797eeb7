"""Simulators: what is built and cached, the file protocol of compiled ones, and one engine each."""
