"""``python -m hdl.synth.budget``: no path may be longer than the project says, by the estimate without placement.

The numbers are in budget.toml beside this file. Exit codes: 0 all is within, 1 a path is too long, 2 it cannot be told.
"""

import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from golden.config import ACCELERATOR_PRESETS
from hdl.build import TOPS, emitted
from hdl.synth.command import FOLDER
from hdl.synth.flow import PATHS, Design, Synthesis, synthesize
from hdl.synth.targets import ECP5
from software.cli import UserError, check_outputs, run, write_all
from software.options import read_toml

FILE = Path(__file__).with_name("budget.toml")
SCHEMA = "elstm.budget/1"
KEYS = ("top", "preset", "unit", "max_ns", "arguments")


@dataclass(frozen=True)
class Limit:
    """What a design may take: a preset of a top, with ``arguments`` for fields of it, or a unit
    ("package.module:Class") that is a component of its own, made with ``arguments`` beside its configuration."""

    design: str
    preset: str
    max_ns: float
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        given = (f"{name}={value}" for name, value in self.arguments.items())
        return " ".join(filter(None, (self.design.rpartition(":")[2], self.preset, *given)))

    def emit(self) -> Design:
        """The design as it is synthesized. Raises UserError."""
        if self.design in TOPS:
            top = TOPS[self.design]
            try:
                config = replace(top.presets[self.preset], **self.arguments)
            except (TypeError, ValueError) as error:
                raise UserError(f"{self.design} {self.preset}: {error}") from None
            return emitted(top.elaborate(config), top.module, config)
        package, _, name = self.design.partition(":")
        try:
            component = getattr(importlib.import_module(package), name)
        except (ImportError, AttributeError, ValueError):
            raise UserError(f"no unit {self.design!r}: must be package.module:Class") from None
        given = (ACCELERATOR_PRESETS["tiny"],) if "cfg" in inspect.signature(component).parameters else ()
        try:
            return emitted(component(*given, **self.arguments), f"elstm_{name.lower()}", None)
        except (TypeError, ValueError) as error:
            raise UserError(f"{name} cannot be emitted alone: {error}") from None


def load(path: Path) -> list[Limit]:
    """The limits of a file. Raises UserError."""
    content = read_toml(path)
    rows = content.get("budget")
    if set(content) != {"budget"} or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: must be tables [[budget]] and nothing else")
    return [_limit(row, f"{path}: budget {number}") for number, row in enumerate(rows, 1)]


def _limit(row: dict[str, Any], where: str) -> Limit:
    if unknown := [key for key in row if key not in KEYS]:
        raise UserError(f"{where}: no key {unknown[0]!r}; there are: {', '.join(KEYS)}")
    if ("top" in row) == ("unit" in row) or ("unit" in row and "preset" in row):
        raise UserError(f"{where}: needs a top and perhaps its preset, or a unit")
    texts = {key: row.get(key, "default") for key in ("top", "unit", "preset")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise UserError(f"{where}: {key} must be a name, not {text!r}")
    most = row.get("max_ns")
    if not isinstance(most, int | float) or isinstance(most, bool) or not 0 < most < 1e6:
        raise UserError(f"{where}: max_ns must be a number of ns above 0, not {most!r}")
    arguments = row.get("arguments", {})
    if not isinstance(arguments, dict):
        raise UserError(f"{where}: arguments must be a table, not {arguments!r}")
    if "unit" in row:
        return Limit(texts["unit"], "", float(most), arguments)
    if texts["top"] not in TOPS:
        raise UserError(f"{where}: no top {texts['top']!r}; there are: {', '.join(TOPS)}")
    presets = TOPS[texts["top"]].presets
    if texts["preset"] not in presets:
        raise UserError(f"{where}: no preset {texts['preset']!r} of {texts['top']}; there are: {', '.join(presets)}")
    return Limit(texts["top"], texts["preset"], float(most), arguments)


def check(limit: Limit, found: Synthesis) -> list[str]:
    """A line for each path that is too long."""
    over = [path for path in found.paths if path.ns > limit.max_ns]
    lines = [f"{limit.name}: {path.ns:.2f} ns, {limit.max_ns:g} are allowed: {path}" for path in over]
    if len(over) == PATHS:
        lines.append(f"{limit.name}: these are the {PATHS} slowest; more may be too long")
    return lines


def main(
    file: Annotated[
        Path, typer.Option(metavar="FILE", help="Another budget.", show_default="hdl/synth/budget.toml")
    ] = FILE,
    only: Annotated[
        str, typer.Option(metavar="TEXT", help="Designs whose name contains this.", show_default="all")
    ] = "",
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write limits, areas and paths as JSON.")
    ] = None,
) -> int:
    """Estimate the slowest paths of the designs in the budget; exit code 1 when one is longer than allowed.

    What was synthesized once is kept in build/synth.

    \b
    Examples:
      python -m hdl.synth.budget
      python -m hdl.synth.budget --only core
    """
    check_outputs(json_path)
    limits = [limit for limit in load(file) if only in limit.name]
    if not limits:
        raise UserError(f"{file} has no design {only!r}")
    problems: list[str] = []
    rows = []
    for limit in limits:
        with Console(stderr=True).status(f"elaborating {limit.name}") as status:
            design = limit.emit()
            given = "".join(f"_{name}_{value}" for name, value in limit.arguments.items()).lower()
            folder = FOLDER / f"{design.module}_{limit.preset or 'alone'}{given}_{ECP5.name}"
            found = synthesize(design, ECP5, folder, status.update)
        if not found.paths:
            raise UserError(f"{limit.name} has no path between registers")
        problems += check(limit, found)
        slowest = found.paths[0].ns
        print(f"{limit.name}: {slowest:.2f} ns of {limit.max_ns:g}, {1000 / slowest:.1f} MHz estimated", flush=True)
        paths = [{"ns": path.ns, "levels": path.levels, "path": str(path)} for path in found.paths]
        area = found.area[""].asdict()
        rows.append({"design": limit.name, "max_ns": limit.max_ns, "area": area, "paths": paths})
    for problem in problems:
        print(problem)
    if json_path:
        content = {"schema": SCHEMA, "within": not problems, "designs": rows}
        write_all({json_path: json.dumps(content, indent=1).encode() + b"\n"})
        print(f"wrote {json_path}")
    return 1 if problems else 0


if __name__ == "__main__":
    run(main)
