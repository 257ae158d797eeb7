"""A sweep that takes no time, and what one leaves in its folder."""

import csv
from pathlib import Path

SMALL = """
[grid]
layer = { x = 16, h = 24, t = 9 }
w_sparsity = 0.3
u_sparsity = [0.4, 0.5]
h_sparsity = [0, 0.4]
preset = "tiny"
n_pe = [2, 3, 4]
slots = [6, 12]
"""
"""24 points; its name is "small" to the fixture ``sweep_command``."""


def lines(folder: str = "build/sweep/small") -> list[bytes]:
    """The store, line by line."""
    return (Path(folder) / "points.jsonl").read_bytes().splitlines(keepends=True)


def rows_of(path: str = "build/sweep/small/sweep.csv") -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))
