"""What Verilator's models count: points of many runs added up, by kind and module.

The file is Verilator's own, for ``verilator_coverage``: a line for each point, its attributes and how often it was
reached. A point is a line or the arm of a branch that was run, or a bit that changed.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sim.protocol.base import EngineError

_FILE = "\x01f\x02"
HEAD = "# SystemC::Coverage-3"
WHOLE = "# whole"
"""The last line, by which the harness says that nothing is missing."""


@dataclass(frozen=True)
class ModuleCoverage:
    """Points of a module: how many there are, and how many were reached, of lines (with branches) and of toggles."""

    module: str
    lines: int
    lines_hit: int
    toggles: int
    toggles_hit: int


def _attributes(point: str) -> dict[str, str]:
    return dict(field.split("\x02", 1) for field in point.split("\x01") if field)


class Coverage:
    """Counts of points, over all runs that were added."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.runs = 0

    def add(self, text: str) -> None:
        """A run's file. Raises EngineError when it is not whole."""
        lines = text.splitlines()
        if lines[:1] != [HEAD] or lines[-1:] != [WHOLE]:
            raise EngineError("the simulator's coverage file is truncated")
        for line in lines[1:-1]:
            point, _, count = line.removeprefix("C '").rpartition("' ")
            self.counts[point] += int(count)
        self.runs += 1

    def modules(self) -> list[ModuleCoverage]:
        """By module, in the order of their names."""
        found: dict[str, list[int]] = {}
        for point, count in self.counts.items():
            kind, _, module = _attributes(point)["page"].partition("/")
            at = 2 * (kind == "v_toggle")
            totals = found.setdefault(module, [0] * 4)
            totals[at] += 1
            totals[at + 1] += count > 0
        return [ModuleCoverage(module, *found[module]) for module in sorted(found)]

    def text(self, verilog: str) -> str:
        """Verilator's file, in which the source is called ``verilog``."""
        return "\n".join([HEAD, *_renamed(self.counts.items(), verilog)]) + "\n"


def _renamed(points: Iterable[tuple[str, int]], verilog: str) -> Iterable[str]:
    for point, count in points:
        old = _FILE + _attributes(point)["f"] + "\x01"
        yield f"C '{point.replace(old, _FILE + verilog + chr(1), 1)}' {count}"
