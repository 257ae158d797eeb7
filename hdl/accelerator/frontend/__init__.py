"""The RoCC side: commands, registers and checks, the life of a run, faults, counters and responses."""
