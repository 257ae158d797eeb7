"""What a netlist takes, unit by unit."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hdl.synth.netlist import Netlist, unit


@dataclass(frozen=True)
class Area:
    """Primitives of each kind.

    lut: look-up tables, of four inputs (ECP5) or up to six (7 series); carry: carry chains' cells, of two or four bits;
    lutram: look-up tables that are RAM (7 series), or RAMs of 16 rows of four bits made of them (ECP5); ff: flip-flops;
    mult: multipliers; bram: block RAMs, of 18 kbit; bram36: of 36 kbit; gates: cells of combinational logic; nand2: the
    same in two-input NANDs; area: of cells, in the library's unit; bits: of memories, as the sources have them, tables
    with contents among them.
    """

    lut: int = 0
    carry: int = 0
    lutram: int = 0
    ff: int = 0
    mult: int = 0
    bram: int = 0
    bram36: int = 0
    gates: int = 0
    nand2: float = 0
    area: float = 0
    bits: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: int) -> "Area":
        return Area(*(getattr(self, f.name) * times for f in fields(self)))

    def asdict(self) -> dict[str, float]:
        # sums of a library's decimal fractions
        return {name: round(value, 3) for name, value in asdict(self).items()}


def of_cells(netlist: Netlist, units: Collection[str]) -> dict[str, Counter[str]]:
    """Primitives of each unit of a flat netlist by kind, its own alone; the wrapper's are left out.

    units: the names that are modules; what is named deeper counts for the module around it.
    """
    own: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in netlist.cells:
        if not cell.name.startswith("/"):
            at = unit(cell.name)
            while at and at not in units:
                at = at.rpartition(".")[0]
            own[at][cell.kind] += 1
    return own


def of_modules(content: Mapping[str, Any], top: str) -> dict[str, Counter[str]]:
    """The same of a netlist with its hierarchy, as yosys writes it in JSON: by module, whose names are the units'.

    A module of another name, as of a memory, counts for the units that have it.
    """
    modules = content["modules"]
    kinds = {name: Counter(cell["type"] for cell in module["cells"].values()) for name, module in modules.items()}

    def cells(name: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for kind, count in kinds[name].items():
            if kind not in kinds:
                found[kind] += count
            elif not kind.startswith(f"{top}."):
                for inner, each in cells(kind).items():
                    found[inner] += count * each
        return found

    return {
        name.removeprefix(top).removeprefix("."): cells(name)
        for name in kinds
        if name == top or name.startswith(f"{top}.")
    }


def areas(
    own: Mapping[str, Counter[str]], weights: Mapping[str, Area], bits: Mapping[str, int] | None = None
) -> dict[str, Area]:
    """Area of each unit with all below it, by hierarchical name, "" the whole design.

    own: primitives of each unit; weights: what one of each kind takes, others take nothing; bits: of a unit's memories.
    """
    total: dict[str, Area] = defaultdict(Area)
    bits = bits or {}
    for name in [*own, *(bits.keys() - own.keys())]:
        here = Area(bits=bits.get(name, 0))
        for kind, count in own.get(name, {}).items():
            here += weights.get(kind, Area()) * count
        at = name
        while True:
            total[at] += here
            if not at:
                break
            at = at.rpartition(".")[0]
    return dict(sorted(total.items()))
