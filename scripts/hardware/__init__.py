"""Area, clock and cycles of every preset: measured, kept in docs/hardware.json, shown in the pages."""
