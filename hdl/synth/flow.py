"""From Verilog to a report of area and timing, kept so that nothing is done twice."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hdl.synth import netlist as mapped
from hdl.synth.area import Area, areas
from hdl.synth.place import Placement, place
from hdl.synth.targets import Target
from hdl.synth.timing import Path as TimingPath
from hdl.synth.timing import slowest
from hdl.synth.tools import NEXTPNR_ECP5, YOSYS, run
from hdl.synth.wrapper import INSTANCE, WRAPPER, wrapped
from software.cli import write_all

SCHEMA = "elstm.synthesis/1"
PATHS = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Design:
    """What is synthesized: Verilog of ``module`` with its ports, as `hdl.verilog` gives both."""

    module: str
    verilog: str
    ports: tuple[tuple[str, str, int], ...]

    @property
    def units(self) -> frozenset[str]:
        """Hierarchical names of the modules below the top."""
        below = re.findall(rf"(?m)^module \\{self.module}\.(\S+) ", self.verilog)
        return frozenset(below)


@dataclass(frozen=True)
class Synthesis:
    """area: by unit, "" for all; paths: estimated, the slowest first, () where the target has no delays; netlist: of
    yosys, JSON; tool: its version."""

    area: dict[str, Area]
    paths: tuple[TimingPath, ...]
    netlist: Path
    tool: str


def synthesize(design: Design, target: Target, folder: Path, say: Say) -> Synthesis:
    """Synthesize in ``folder``, unless it holds what the same text, tool and flow gave. Raises UserError."""
    wrapper = wrapped(design.module, design.ports)
    tool = YOSYS.version_text()
    flow = target.flow.format(top=WRAPPER)
    key = _key(design.verilog, wrapper, tool, flow)
    netlist, stamp = folder / "netlist.json", folder / "synthesis.key"
    if not (netlist.exists() and stamp.exists() and stamp.read_text() == key):
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        write_all({folder / "design.v": design.verilog.encode(), folder / "wrapper.v": wrapper.encode()})
        script = f"read_verilog design.v wrapper.v; {flow}; write_json netlist.json"
        run(YOSYS, ["-p", script], folder, folder / "yosys.log", _passes(say))
        write_all({stamp: key.encode()})
    say("reading the netlist")
    found = mapped.read(json.loads(netlist.read_text()), WRAPPER, INSTANCE)
    paths = tuple(slowest(found, target.timings, target.wire, PATHS)) if target.timings else ()
    return Synthesis(areas(found, target.weights, design.units), paths, netlist, tool)


def placed(synthesis: Synthesis, seed: int, say: Say) -> Placement:
    """Place a netlist, unless its folder holds what the same netlist, tool and seed gave. Raises UserError."""
    tool = NEXTPNR_ECP5.version_text()
    key = _key(synthesis.netlist.read_text(), tool, str(seed))
    stamp = synthesis.netlist.with_name(f"placement-{seed}.json")
    if stamp.exists() and (kept := json.loads(stamp.read_text()))["key"] == key:
        at = kept["placement"].pop("path")
        path = TimingPath(**(at | {"through": tuple(at["through"])}))
        used = {kind: (row[0], row[1]) for kind, row in kept["placement"].pop("utilization").items()}
        return Placement(**kept["placement"], path=path, utilization=used)
    found = place(synthesis.netlist, seed, lambda line: say(f"placing: {line.removeprefix('Info:').strip()[:60]}"))
    write_all({stamp: json.dumps({"key": key, "tool": tool, "placement": asdict(found)}, indent=1).encode()})
    return found


def content(
    design: Design, target: Target, synthesis: Synthesis, placements: Sequence[Placement], preset: str
) -> dict[str, Any]:
    """The report as JSON has it."""
    return {
        "schema": SCHEMA,
        "module": design.module,
        "preset": preset,
        "target": target.name,
        "device": target.device,
        "verilog_sha256": hashlib.sha256(design.verilog.encode()).hexdigest(),
        "yosys": synthesis.tool,
        "area": {name: area.asdict() for name, area in synthesis.area.items()},
        "estimated_paths": [asdict(path) for path in synthesis.paths],
        "placements": [asdict(placement) for placement in placements],
    }


def _key(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _passes(say: Say) -> Say:
    """Lines of yosys that begin a pass."""

    def line(text: str) -> None:
        if found := re.match(r"\d+(?:\.\d+)*\. Executing (.*)", text):
            say(f"synthesizing: {found[1][:60]}")

    return line
