"""Command lines, packers and tools. Importing any of the rooms with commands comes by here first."""

from software.door import quiet_imports

quiet_imports()
