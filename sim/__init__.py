"""Simulators, runs and reports."""

from software.door import quiet_imports

quiet_imports()
