"""Placement and routing on ECP5 by nextpnr, and what it says of the result."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdl.synth.netlist import original
from hdl.synth.timing import Path as TimingPath
from hdl.synth.timing import register
from hdl.synth.tools import NEXTPNR_ECP5, run
from hdl.synth.wrapper import INSTANCE
from software.cli import UserError

TARGET_MHZ = 60
"""What the placer aims at: it leaves alone what is faster."""


@dataclass(frozen=True)
class Placement:
    """fmax in MHz, the slowest path, utilization: (used, available) of each kind of resource; seed: of the placer."""

    seed: int
    fmax: float
    path: TimingPath
    utilization: dict[str, tuple[int, int]]


def place(netlist: Path, seed: int, progress: Callable[[str], None] | None = None) -> Placement:
    """Place and route the netlist in JSON on the largest ECP5 with general logic alone, speed grade 6.

    Raises UserError when it does not fit.
    """
    folder = netlist.parent
    report = folder / f"placed-{seed}.json"
    arguments = [
        "--85k", "--speed", "6", "--package", "CABGA756", "--json", netlist.name, "--report", report.name,
        "--freq", str(TARGET_MHZ), "--timing-allow-fail", "--lpf-allow-unconstrained", "--seed", str(seed),
    ]  # fmt: skip
    run(NEXTPNR_ECP5, arguments, folder, folder / f"placed-{seed}.log", progress)
    return placement(json.loads(report.read_text()), seed)


def placement(report: Mapping[str, Any], seed: int) -> Placement:
    """What nextpnr's report says. Raises UserError when there is no clock in it."""
    if not report["fmax"]:
        raise UserError("nextpnr reports no clock: the design has no path between registers")
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    inside = [p for p in report["critical_paths"] if "<async>" not in (p["from"], p["to"])]
    steps = max(inside, key=lambda p: sum(step["delay"] for step in p["path"]))["path"]
    through: list[str] = []
    levels = 0
    for step in steps:
        levels += step["type"] == "logic" and step["delay"] > 0
        name = original((step.get("net") or "").removeprefix(f"{INSTANCE}.").partition("[")[0])
        if name and name not in through:
            through.append(name)
    start, end = (
        register(steps[at][way]["cell"].removeprefix(f"{INSTANCE}.")) for at, way in ((0, "from"), (-1, "to"))
    )
    total = round(sum(step["delay"] for step in steps), 2)
    names = tuple(name for name in through if name not in (start, end))
    used = {kind: (row["used"], row["available"]) for kind, row in report["utilization"].items() if row["used"]}
    return Placement(seed, round(fmax, 1), TimingPath(start, names, end, total, levels), used)
