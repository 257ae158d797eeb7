"""Static timing of a netlist that is not placed: levels, and an estimate in nanoseconds.

Delays of primitives are the target's; a wire takes what wires with so many sinks take in placements (`WireModel`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log2

from hdl.synth.netlist import Bit, Cell, Netlist, original


@dataclass(frozen=True)
class Arc:
    """From an input to an output of a primitive in ``delay`` ns; ports are given without their index."""

    source: str
    target: str
    delay: float


@dataclass(frozen=True)
class Timing:
    """Delays of a kind of primitive, ns.

    arcs: from inputs to outputs of the same cycle; launch: from the clock to an output port; setup: of an input port
    before the clock; inner: ports whose wires are part of the primitive and take no time, nor are they a level of
    logic.
    """

    arcs: tuple[Arc, ...] = ()
    launch: Mapping[str, float] | None = None
    setup: Mapping[str, float] | None = None
    inner: frozenset[str] = frozenset()


@dataclass(frozen=True)
class WireModel:
    """ns of a wire: ``base`` and ``per_doubling`` for each doubling of its sinks."""

    base: float
    per_doubling: float

    def __call__(self, sinks: int) -> float:
        return self.base + self.per_doubling * log2(max(1, sinks))


@dataclass(frozen=True)
class Path:
    """A longest path: from a register (or input) through designer's names to a register (or output); ns, levels."""

    start: str
    through: tuple[str, ...]
    end: str
    ns: float
    levels: int

    def __str__(self) -> str:
        return " -> ".join((self.start, *self.through, self.end))


def base(port: str) -> str:
    """A port's name without its index, as arcs have it: A3 -> A."""
    return port.rstrip("0123456789")


def register(name: str) -> str:
    """The name of a register or RAM without the index of its bit, or of the block that is part of it."""
    return re.sub(r"(\.\d+)+$", "", original(name.partition("[")[0])) or name


def _named(netlist: Netlist, cell: Cell) -> str:
    """The name of a register or RAM: of a register where its output is made, which may be a port above as well."""
    outputs = [bit for _, bit in cell.driven()]
    name = original(netlist.names.get(outputs[0], "").partition("[")[0]) if len(outputs) == 1 else ""
    return name or register(cell.name)


def slowest(netlist: Netlist, timings: Mapping[str, Timing], wire: WireModel, count: int = 10) -> list[Path]:
    """The ``count`` longest paths that end in different registers, the longest first; the wrapper's own left out.

    Raises ValueError for a combinational loop.
    """
    sinks: dict[Bit, int] = defaultdict(int)
    for cell in netlist.cells:
        for _, bit in cell.read():
            sinks[bit] += 1
    arrival, came_from, order = _arrivals(netlist, timings, wire, sinks)
    ends: dict[str, tuple[float, Bit, str]] = {}
    for cell in netlist.cells:
        setup = timings.get(cell.kind, Timing()).setup
        if not setup or cell.name.startswith("/"):
            continue
        for port, bit in cell.read():
            if base(port) in setup and bit in arrival:
                total = arrival[bit] + wire(sinks[bit]) + setup[base(port)]
                name = _named(netlist, cell)
                # registers of an array, queue_0 and queue_1, are one end
                key = re.sub(r"\d+", "", name)
                if total > ends.get(key, (0.0, 0, ""))[0]:
                    ends[key] = total, bit, name
    longest = sorted(ends.values(), reverse=True)[:count]
    return [_path(netlist, came_from, order, bit, name, total) for total, bit, name in longest]


def _arrivals(
    netlist: Netlist, timings: Mapping[str, Timing], wire: WireModel, sinks: Mapping[Bit, int]
) -> tuple[dict[Bit, float], dict[Bit, tuple[Bit | None, Cell]], dict[Bit, int]]:
    """When each bit settles, from which bit through which cell, and behind how many levels."""
    arrival: dict[Bit, float] = {}
    came_from: dict[Bit, tuple[Bit | None, Cell]] = {}
    levels: dict[Bit, int] = {}
    # arcs of every bit that is read, and how many bits each driven bit waits for
    users: dict[Bit, list[tuple[Cell, Arc, Bit, float]]] = defaultdict(list)
    waits: dict[Bit, int] = defaultdict(int)
    for cell in netlist.cells:
        timing = timings.get(cell.kind, Timing())
        driven: dict[str, list[Bit]] = defaultdict(list)
        for port, bit in cell.driven():
            driven[base(port)].append(bit)
            driven[port].append(bit)
        for port, launch in (timing.launch or {}).items():
            for bit in driven.get(port, ()):
                arrival[bit], came_from[bit], levels[bit] = launch, (None, cell), 0
        for port, bit in cell.read():
            for arc in timing.arcs:
                if arc.source in (port, base(port)):
                    for out in set(driven.get(arc.target, ())):
                        wait = 0.0 if port in timing.inner else wire(sinks[bit])
                        users[bit].append((cell, arc, out, wait))
                        waits[out] += 1
    ready = [bit for bit in set(users) | set(arrival) if not waits[bit]]
    while ready:
        bit = ready.pop()
        at = arrival.get(bit)
        for cell, arc, out, wait in users.pop(bit, ()):
            if at is not None and at + wait + arc.delay > arrival.get(out, -1.0):
                arrival[out] = at + wait + arc.delay
                came_from[out] = bit, cell
                levels[out] = levels[bit] + (wait > 0)
            waits[out] -= 1
            if not waits[out]:
                ready.append(out)
    if users:
        names = sorted({netlist.names.get(bit, "?") for bit in users})
        raise ValueError(f"combinational loop through {', '.join(names[:5])}")
    return arrival, came_from, levels


def _path(
    netlist: Netlist,
    came_from: Mapping[Bit, tuple[Bit | None, Cell]],
    levels: Mapping[Bit, int],
    last: Bit,
    end: str,
    total: float,
) -> Path:
    through: list[str] = []
    bit: Bit | None = last
    start = ""
    while bit is not None:
        before, cell = came_from[bit]
        if before is None:
            start = _named(netlist, cell)
        elif (name := original(netlist.names.get(bit, "").partition("[")[0])) and name not in through:
            through.append(name)
        bit = before
    return Path(start, tuple(n for n in reversed(through) if n not in (start, end)), end, round(total, 2), levels[last])


def pairs(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """From where to where, for comparing two reports."""
    return [(path.start, path.end) for path in paths]
