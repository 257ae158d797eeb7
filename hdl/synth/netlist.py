"""A mapped netlist, as yosys writes it in JSON: cells, the bits between them, and names for both."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Bit = int
"""A wire of one bit, by the number that yosys gave it; constants are left out."""

_MADE = re.compile(
    r"_(LUT[1-6]|CCU2C|PFUMX|L6MUX21|TRELLIS_FF|TRELLIS_DPR16X4|MULT18X18D|DP16KD|CARRY4|MUXF[78]|FD[RSCP]E|DSP48E1|"
    r"RAMB\d+E1|RAM\d+[A-Z]\d*|SRL16E|\$_\w+_)(_.*)?$"
)
"""What yosys puts behind a public name to name a cell or wire that it made for it."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A primitive of the target.

    name: hierarchical; kind: the primitive; pins: the bits at each port, None where a constant is; outputs: names of
    the ports that drive; parameters: as yosys writes them.
    """

    name: str
    kind: str
    pins: dict[str, tuple[Bit | None, ...]]
    outputs: frozenset[str]
    parameters: dict[str, str]

    def driven(self) -> Iterator[tuple[str, Bit]]:
        """Bits that the cell drives, with the port's name."""
        return ((port, bit) for port in self.outputs for bit in self.pins[port] if bit is not None)

    def read(self) -> Iterator[tuple[str, Bit]]:
        """Bits that the cell reads, with the port's name."""
        return ((p, bit) for p, bits in self.pins.items() if p not in self.outputs for bit in bits if bit is not None)


@dataclass(frozen=True, eq=False)
class Netlist:
    """Cells, and a name for every bit, both without the wrapper's prefix. inside: the prefix that was taken off."""

    cells: tuple[Cell, ...]
    names: dict[Bit, str]


def original(name: str) -> str:
    """The designer's name from which the name of a cell or wire was made; "" when there is none."""
    name = _MADE.sub("", name)
    parts = [part for part in name.split(".") if not part.startswith("$")]
    return ".".join(parts)


def unit(name: str) -> str:
    """The hierarchical name of the module that a cell belongs to, "" for the top."""
    return _MADE.sub("", name).rpartition(".")[0]


def read(content: dict[str, Any], top: str, instance: str) -> Netlist:
    """The netlist of the flattened module ``top``, of which ``instance`` is the design and the rest its wrapper.

    Cells and wires of the wrapper keep their names behind a ``/``.
    """
    module = content["modules"][top]
    prefix = f"{instance}."

    def inside(name: str) -> str:
        return name.removeprefix(prefix) if name.startswith(prefix) else f"/{name}"

    names: dict[Bit, str] = {}
    for name, net in module["netnames"].items():
        here = inside(name)
        bits = net["bits"]
        for index, bit in enumerate(bits):
            if isinstance(bit, int):
                text = here if len(bits) == 1 else f"{here}[{index + net.get('offset', 0)}]"
                if bit not in names or _rank(text) < _rank(names[bit]):
                    names[bit] = text
    cells = []
    for name, cell in module["cells"].items():
        pins = {
            port: tuple(bit if isinstance(bit, int) else None for bit in bits)
            for port, bits in cell["connections"].items()
        }
        outputs = frozenset(port for port, direction in cell["port_directions"].items() if direction == "output")
        cells.append(Cell(inside(name), cell["type"], pins, outputs, cell["parameters"]))
    return Netlist(tuple(cells), names)


def _rank(name: str) -> tuple[bool, bool, int, int]:
    """Of the names of one wire the designer's comes first, then the one nearest to where it is made: the deepest."""
    return name.startswith("/"), bool(_MADE.search(name)) or "$" in name, -name.count("."), len(name)
