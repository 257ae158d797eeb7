"""What designs are synthesized for: the flow, what a primitive takes, and how fast it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hdl.synth.area import Area
from hdl.synth.liberty import Library
from hdl.synth.timing import Arc, Timing, WireModel

MEMORY = "memory bits"
CELLS = "cells.lib"
"""A library beside the sources, where tools that see relative names only find it."""


@dataclass(frozen=True)
class Target:
    """A family of devices.

    name: on the command line; device: in words; flow: commands for yosys after the sources are read, ``{top}`` standing
    for the top module; weights: area of each primitive; timings: its delays in ns; wire: what a wire takes in an
    estimate; error: how far such estimates were from placements, in percent, None where nobody compared; available:
    what the device has; columns: fields of Area that say something of it, with what they are called there;
    hierarchical: units stay modules, nothing is optimized across them; files: what the flow reads beside the sources,
    by name; note: what a reader of the table must know.
    """

    name: str
    device: str
    flow: str
    weights: Mapping[str, Area]
    columns: Mapping[str, str]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    wire: WireModel = field(default_factory=lambda: WireModel(0.0, 0.0))
    error: float | None = None
    available: Area | None = None
    hierarchical: bool = False
    note: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


def _from(ports: str, target: str, delay: float) -> tuple[Arc, ...]:
    return tuple(Arc(port, target, delay) for port in ports.split())


ECP5 = Target(
    "ecp5",
    "Lattice ECP5-85, speed 6",
    "synth_ecp5 -top {top}",
    {
        "LUT4": Area(lut=1),
        "CCU2C": Area(carry=1),
        "TRELLIS_FF": Area(ff=1),
        "TRELLIS_DPR16X4": Area(lutram=1),
        "MULT18X18D": Area(mult=1),
        "DP16KD": Area(bram=1),
    },
    {
        "lut": "LUT4",
        "carry": "CCU2C",
        "lutram": "DPR16X4",
        "ff": "FF",
        "mult": "MULT18",
        "bram": "DP16KD",
        "bits": MEMORY,
    },
    # as nextpnr has them
    {
        "LUT4": Timing(_from("A B C D", "Z", 0.236)),
        # a LUT's way to the multiplexers beside it needs no wire
        "PFUMX": Timing((*_from("ALUT BLUT", "Z", 0.165), Arc("C0", "Z", 0.256)), inner=frozenset({"ALUT", "BLUT"})),
        "L6MUX21": Timing((*_from("D0 D1", "Z", 0.242), Arc("SD", "Z", 0.256)), inner=frozenset({"D0", "D1"})),
        "CCU2C": Timing(
            (
                *_from("A B C D", "COUT", 0.447),
                *_from("A0 B0 C0 D0", "S0", 0.236),
                *_from("A0 B0 C0 D0", "S1", 0.69),
                *_from("A1 B1 C1 D1", "S1", 0.236),
                Arc("CIN", "COUT", 0.071),
                Arc("CIN", "S0", 0.403),
                Arc("CIN", "S1", 0.443),
            ),
            inner=frozenset({"CIN"}),
        ),
        "MULT18X18D": Timing(_from("A B", "P", 3.927)),
        "DP16KD": Timing(
            launch={"DOA": 5.83, "DOB": 5.83},
            setup={port: 0.2 for port in ("ADA", "ADB", "DIA", "DIB", "WEA", "WEB", "CEA", "CEB")},
        ),
        "TRELLIS_FF": Timing(launch={"Q": 0.525}, setup={"DI": 0.0, "M": 0.0, "CE": 0.0, "LSR": 0.2}),
        "TRELLIS_DPR16X4": Timing(
            _from("RAD", "DO", 0.236), launch={"DO": 0.7}, setup={"DI": 0.1, "WAD": 0.1, "WRE": 0.1}
        ),
    },
    WireModel(0.7, 0.2),
    error=23,
    available=Area(lut=83_640, ff=83_640, mult=156, bram=208),
)

XILINX7 = Target(
    "xilinx7",
    "AMD 7 series",
    "synth_xilinx -family xc7 -flatten -top {top}; autoname",
    {
        **{f"LUT{n}": Area(lut=1) for n in range(1, 7)},
        "CARRY4": Area(carry=1),
        "RAM32M": Area(lutram=4),
        "RAM64M": Area(lutram=4),
        "RAM32X1D": Area(lutram=2),
        "RAM64X1D": Area(lutram=2),
        "RAM128X1D": Area(lutram=4),
        "SRL16E": Area(lutram=1),
        **{kind: Area(ff=1) for kind in ("FDRE", "FDSE", "FDCE", "FDPE")},
        "DSP48E1": Area(mult=1),
        "RAMB18E1": Area(bram=1),
        "RAMB36E1": Area(bram36=1),
    },
    {
        "lut": "LUT",
        "carry": "CARRY4",
        "lutram": "LUTRAM",
        "ff": "FF",
        "mult": "DSP48",
        "bram": "RAMB18",
        "bram36": "RAMB36",
        "bits": MEMORY,
    },
)

_GATES = {
    "NOT": 2, "BUF": 4, "NAND": 4, "NOR": 4, "AND": 6, "OR": 6, "ANDNOT": 6, "ORNOT": 6, "AOI3": 6, "OAI3": 6,
    "AOI4": 8, "OAI4": 8, "NMUX": 10, "XOR": 12, "XNOR": 12, "MUX": 12,
}  # fmt: skip
"""Transistors of CMOS gates, as yosys counts them (`stat -tech cmos`)."""
_ABC = "abc -script +strash;ifraig;dc2;strash;&get,-n;&dch,-f;&nf;&put"
"""Without yosys' own fraiging, which takes hours to compare a comparator of 64 bits with another."""
_LOGIC = (
    "synth -top {top} -noshare -run begin:fine; opt -fast -full; techmap; opt -fast; {flops}; "
    # of all of opt what makes no enables and resets again
    "simplemap; opt_expr; opt_merge; opt_clean; {cells}; opt_clean -purge"
)
"""From sources to gates; memories stay memories."""


def _logic(flops: str, cells: str) -> str:
    return _LOGIC.replace("{flops}", flops).replace("{cells}", cells)


GENERIC = Target(
    "generic",
    "generic gates",
    _logic("dfflegalize -cell $_DFF_P_ 01", f"{_ABC} -g AND,OR,NAND,NOR,XOR,XNOR,MUX,AOI3,OAI3,AOI4,OAI4"),
    {f"$_{gate}_": Area(gates=1, nand2=count / 4) for gate, count in _GATES.items()} | {"$_DFF_P_": Area(ff=1)},
    {"gates": "gates", "nand2": "NAND2", "ff": "FF", "bits": MEMORY},
    hierarchical=True,
    note="NAND2: four transistors of gates in CMOS; without flip-flops and memories, which are counted beside them",
)


def with_cells(library: Library) -> Target:
    """`GENERIC` with the cells of a library in place of gates."""
    return replace(
        GENERIC,
        name=f"generic-{library.word}",
        device=f"cells of {library.name}",
        flow=_logic(f"dfflibmap -liberty {CELLS}", f"{_ABC} -liberty {CELLS}"),
        weights={
            cell.name: Area(gates=int(not cell.register), ff=int(cell.register), area=cell.area)
            for cell in library.cells
        },
        columns={"area": "area", "gates": "cells", "ff": "FF", "bits": MEMORY},
        files={CELLS: library.text},
        note="area: as the library says it, flip-flops among it, memories not; no timing is taken from the library",
    )


TARGETS = {target.name: target for target in (ECP5, XILINX7, GENERIC)}
