"""The hardware, in Amaranth."""

from software.door import quiet_imports

quiet_imports()
