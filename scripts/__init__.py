"""Makes the generated pages, headers and lists."""

from software.door import quiet_imports

quiet_imports()
