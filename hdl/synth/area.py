"""What a netlist takes, unit by unit."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields

from hdl.synth.netlist import Netlist, unit


@dataclass(frozen=True)
class Area:
    """Primitives of each kind.

    lut: look-up tables, of four inputs (ECP5) or up to six (7 series); carry: carry chains' cells, of two or four bits;
    lutram: RAMs made of look-up tables; ff: flip-flops; mult: multipliers; bram: block RAMs, of 18 kbit.
    """

    lut: int = 0
    carry: int = 0
    lutram: int = 0
    ff: int = 0
    mult: int = 0
    bram: int = 0

    def __add__(self, other: "Area") -> "Area":
        return Area(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def asdict(self) -> dict[str, int]:
        return asdict(self)


def areas(netlist: Netlist, weights: Mapping[str, Area], units: Collection[str]) -> dict[str, Area]:
    """Area of each unit with all below it, by hierarchical name, "" the whole design; the wrapper is left out.

    weights: what a primitive of each kind takes; others take nothing. units: the names that are modules; what is named
    deeper counts for the module around it.
    """
    own: dict[str, Counter[str]] = defaultdict(Counter)
    for cell in netlist.cells:
        if not cell.name.startswith("/"):
            at = unit(cell.name)
            while at and at not in units:
                at = at.rpartition(".")[0]
            own[at][cell.kind] += 1
    total: dict[str, Area] = defaultdict(Area)
    for name, kinds in own.items():
        here = Area()
        for kind, count in kinds.items():
            taken = weights.get(kind, Area())
            here += Area(*(count * getattr(taken, f.name) for f in fields(Area)))
        at = name
        while True:
            total[at] += here
            if not at:
                break
            at = at.rpartition(".")[0]
    return dict(sorted(total.items()))
