"""What is measured of a design, by the project's own commands, and the file that keeps it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from software.cli import UserError, write_all
from software.provenance import commit
from software.tuning.networks import PAPER

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "hardware.json"
SCHEMA = "elstm.hardware/1"
WORK = Path("build") / "hardware"
DIGITS = 10
"""The first of MNIST's test digits, whose mean is shown."""
UNITS = 3
"""Levels of the hierarchy that are kept."""
TARGET = "ecp5"

Row = dict[str, Any]
"""A design as the file has it: rtl, the checksum of what its sources emit now, and what was measured, each with the
checksum of what that was measured on."""


class Failure(Exception):
    """A command that did not do what it is for; its last line."""


@dataclass(frozen=True)
class Measured:
    """A top with a preset. sizes: of its accelerator, None for a core."""

    top: str
    preset: str
    sizes: AcceleratorConfig | None

    @property
    def name(self) -> str:
        return f"{self.top} {self.preset}"

    @property
    def runs_digits(self) -> bool:
        """Whether the shipped MNIST network fits: rows of 28, two layers of 128."""
        return self.sizes is not None and self.sizes.max_x >= 128 and self.sizes.max_h >= 128

    @property
    def network(self) -> str:
        """The shipped network whose digits it runs: by events one that is trained for changes."""
        return "delta" if self.sizes is not None and self.sizes.events else PAPER


DESIGNS = (
    Measured("core", "default", None),
    *sorted(
        (Measured("accelerator", name, sizes) for name, sizes in ACCELERATOR_PRESETS.items()),
        key=lambda design: design.sizes.n_pe * design.sizes.max_h if design.sizes else 0,
    ),
    *(Measured("soc", name, ACCELERATOR_PRESETS[name]) for name in ("event", "default")),
)
"""In the order in which they are measured: what takes least first."""


def load(path: Path = FILE) -> dict[str, Row]:
    """Rows by `Measured.name`; none where there is no file. Raises UserError."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    if content.get("schema") != SCHEMA:
        raise UserError(f"{path}: schema must be {SCHEMA!r}, not {content.get('schema')!r}")
    return {f"{row['top']} {row['preset']}": row for row in content["designs"]}


def save(rows: dict[str, Row], path: Path = FILE) -> None:
    """Keep rows, in the order of DESIGNS."""
    content = {"schema": SCHEMA, "designs": [rows[d.name] for d in DESIGNS if d.name in rows]}
    write_all({path: json.dumps(content, indent=1).encode() + b"\n"})


def call(module: str, *words: str) -> None:
    """Run a command of the project. Raises Failure."""
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()
        raise Failure(f"{module} {' '.join(words)}: {said[-1].removeprefix('error: ')}")


def build(design: Measured, *options: str) -> dict[str, Any]:
    """The JSON of ``hdl.build`` with these options. Raises Failure."""
    WORK.mkdir(parents=True, exist_ok=True)
    base = WORK / f"{design.top}_{design.preset}"
    verilog, result = base.with_suffix(".v"), base.with_suffix(".json")
    words = ("--top", design.top, "--preset", design.preset, "-o", str(verilog), "--json", str(result), *options)
    call("hdl.build", *words)
    found: dict[str, Any] = json.loads(result.read_text())
    # what follows the head, which has the project's version
    body = re.search(r"(?m)^// sha256 of all that follows this line: (\w{64})$", verilog.read_text())
    assert body
    return found | {"rtl": body[1]}


def emit(design: Measured, row: Row) -> None:
    """What the sources are now. Raises Failure."""
    found = build(design)
    row |= {"top": design.top, "preset": design.preset, **{k: found[k] for k in ("rtl", "config", *BITS)}}


BITS = ("register_bits", "memory_bits")


def synthesize(design: Measured, row: Row, seeds: Sequence[int]) -> None:
    """Area and estimated paths, and a placement with each seed. Raises Failure."""
    placements = [p for p in row.get("placements", ()) if p["rtl"] == row["rtl"] and p["seed"] not in seeds]
    runs: list[tuple[str, ...]] = [("--place", "--seed", str(seed)) for seed in seeds]
    for options in runs or [()]:
        found = build(design, "--synth", TARGET, "--timing", *options)
        result = found["synthesis"]
        placements += [{"rtl": found["rtl"], **placement} for placement in result["placements"]]
        row["synthesis"] = {
            "rtl": found["rtl"],
            "commit": commit(),
            "device": result["device"],
            "yosys": result["yosys"],
            "columns": result["columns"],
            "available": result["available"],
            "area": {unit: area for unit, area in result["area"].items() if unit.count(".") < UNITS - 1},
            "estimated_paths": result["estimated_paths"],
        }
    row["placements"] = sorted(placements, key=lambda placement: placement["seed"])


def map_gates(design: Measured, row: Row) -> None:
    """Area in gates. Raises Failure."""
    found = build(design, "--synth", "generic")
    row["gates"] = {"rtl": found["rtl"], "commit": commit(), **found["synthesis"]["area"][""]}


def run_digits(design: Measured, row: Row) -> None:
    """Cycles of both layers, the mean of DIGITS digits. Raises Failure."""
    path = WORK / f"{design.top}_{design.preset}_digits.json"
    what = ("mnist", "--network", design.network, "--system", design.top, "--preset", design.preset)
    call("sim.run", *what, "--digits", str(DIGITS), "--json", str(path))
    found = json.loads(path.read_text())
    layers = [[layer["cycles"] for layer in run["layers"]] for run in found["inputs"]]
    row["cycles"] = {
        "rtl": row["rtl"],
        "commit": commit(),
        "digits": len(layers),
        "layers": [round(sum(each) / len(layers)) for each in zip(*layers, strict=True)],
        "program": found["versions"].get("riscv_compiler"),
    }


def fits(row: Row) -> str:
    """Of what the synthesized design takes more than the device has; "" when it fits."""
    area, available, titles = (row["synthesis"][key] for key in ("area", "available", "columns"))
    # a carry cell takes the place of two look-up tables, a RAM of 16 rows of four
    whole = area[""]
    used = whole | {"lut": whole["lut"] + 2 * whole["carry"] + 4 * whole["lutram"]}
    return ", ".join(
        f"{used[kind]:,} of {most:,} {titles[kind]}" for kind, most in available.items() if used[kind] > most
    )


def missing(design: Measured, row: Row, seeds: Sequence[int]) -> list[tuple[str, Callable[[], None]]]:
    """What is to be measured, or again, in words and as calls; of what is in ``row`` nothing else is out of date."""
    todo: list[tuple[str, Callable[[], None]]] = []
    current = row.get("synthesis", {}).get("rtl") == row["rtl"]
    if not current:
        todo.append(("synthesis", lambda: synthesize(design, row, ())))
    if row.get("gates", {}).get("rtl") != row["rtl"]:
        todo.append(("gates", lambda: map_gates(design, row)))
    if design.runs_digits and row.get("cycles", {}).get("rtl") != row["rtl"]:
        todo.append((f"{DIGITS} digits", lambda: run_digits(design, row)))
    placed = {p["seed"] for p in row.get("placements", ()) if p["rtl"] == row["rtl"]}
    wanted = [seed for seed in seeds if seed not in placed]
    if wanted and not (current and fits(row)):
        todo.append((f"placement, seed {', '.join(map(str, wanted))}", lambda: _place(design, row, wanted)))
    return todo


def _place(design: Measured, row: Row, seeds: Sequence[int]) -> None:
    if not fits(row):
        synthesize(design, row, seeds)
