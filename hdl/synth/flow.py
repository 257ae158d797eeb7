"""From Verilog to a report of area and timing, kept so that nothing is done twice."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hdl.synth import netlist as mapped
from hdl.synth.area import Area, areas, of_cells, of_modules
from hdl.synth.place import Placement, place
from hdl.synth.targets import Target
from hdl.synth.timing import Path as TimingPath
from hdl.synth.timing import slowest
from hdl.synth.tools import NEXTPNR_ECP5, YOSYS, run
from hdl.synth.wrapper import INSTANCE, WRAPPER, wrapped
from software.cli import UserError, write_all

SCHEMA = "elstm.synthesis/1"
PATHS = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Design:
    """What is synthesized: Verilog of ``module`` with its ports and the bits of its units' memories, as `hdl.verilog`
    gives them."""

    module: str
    verilog: str
    ports: tuple[tuple[str, str, int], ...]
    memories: Mapping[str, int] = field(default_factory=dict)

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
    top = design.module if target.hierarchical else WRAPPER
    files = {"design.v": design.verilog, **target.files}
    if not target.hierarchical:
        files["wrapper.v"] = wrapped(design.module, design.ports)
    tool = YOSYS.version_text()
    flow = target.flow.format(top=top)
    key = _key(*files.values(), tool, flow)
    netlist, stamp = folder / "netlist.json", folder / "synthesis.key"
    if not (netlist.exists() and stamp.exists() and stamp.read_text() == key):
        folder.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        write_all({folder / name: text.encode() for name, text in files.items()})
        sources = " ".join(name for name in files if name.endswith(".v"))
        script = f"read_verilog {sources}; {flow}; write_json netlist.json"
        try:
            run(YOSYS, ["-p", script], folder, folder / "yosys.log", _passes(say))
        except UserError as error:
            raise _lacking(str(error), target) or error from None
        write_all({stamp: key.encode()})
    say("reading the netlist")
    mapping = json.loads(netlist.read_text())
    if target.hierarchical:
        own = of_modules(mapping, design.module)
        _check_mapped(own, target)
        return Synthesis(areas(own, target.weights, design.memories), (), netlist, tool)
    found = mapped.read(mapping, WRAPPER, INSTANCE)
    paths = tuple(slowest(found, target.timings, target.wire, PATHS)) if target.timings else ()
    return Synthesis(areas(of_cells(found, design.units), target.weights, design.memories), paths, netlist, tool)


def _lacking(error: str, target: Target) -> UserError | None:
    """What a library lacks, of which yosys says the consequence only."""
    if target.files and "legalized" in error:
        return UserError(f"no flip-flop without set and reset among the {target.device}")
    if target.files and "ABC" in error:
        least = "an inverter, a buffer and a gate of two inputs"
        return UserError(f"no gates of the {target.device}: {least} are the least that abc takes")
    return None


def _check_mapped(own: Mapping[str, Mapping[str, int]], target: Target) -> None:
    """Raises UserError when the library lacks what the design needs; memories are not mapped."""
    kinds = {kind for unit in own.values() for kind in unit}
    for kind in sorted(kinds - target.weights.keys()):
        if not kind.startswith("$mem"):
            raise UserError(f"no area of {kind} among the {target.device}")


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
        "columns": target.columns,
        "available": {kind: most for kind, most in target.available.asdict().items() if most}
        if target.available
        else {},
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
