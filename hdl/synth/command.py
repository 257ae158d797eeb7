"""What ``python -m hdl.build --synth`` and ``--timing`` do and print."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hdl.synth.flow import Design, Synthesis, content, placed, synthesize
from hdl.synth.liberty import LibertyError, load
from hdl.synth.place import Placement
from hdl.synth.targets import ECP5, GENERIC, TARGETS, Target, with_cells
from hdl.synth.timing import Path as TimingPath
from software.cli import UserError

FOLDER = Path("build") / "synth"
DEPTH = 3
"""Levels of the hierarchy that the table shows; the JSON has all."""


def target_of(name: str, liberty: Path | None = None) -> Target:
    """The target of that name, made of a library's cells where one is given. Raises UserError."""
    if name not in TARGETS:
        raise UserError(f"no target {name!r} of --synth; there are: {', '.join(TARGETS)}")
    if liberty is None:
        return TARGETS[name]
    if TARGETS[name] is not GENERIC:
        raise UserError(f"--liberty is for --synth {GENERIC.name} alone, not {name}")
    try:
        return with_cells(load(liberty))
    except LibertyError as error:
        raise UserError(str(error)) from None


def report(design: Design, preset: str, target: Target | None, timing: bool, seed: int | None) -> dict[str, Any]:
    """Synthesize, place when there is a seed, and print; returns the report as JSON has it.

    target: None for --timing alone. Raises UserError.
    """
    device = target or ECP5
    if seed is not None and device is not ECP5:
        raise UserError(f"--place is for {ECP5.name} alone, not {device.name}")
    if timing and not device.timings:
        raise UserError(f"--timing has delays of {ECP5.name} alone, not of {device.name}")
    folder = FOLDER / f"{design.module}_{preset}_{device.name}"
    with Console(stderr=True).status(f"synthesizing {design.module} for {device.device}") as status:
        found = synthesize(design, device, folder, status.update)
        placements = [] if seed is None else [placed(found, seed, status.update)]
    console = Console(soft_wrap=True)
    if target:
        console.print(_area_table(found, target))
        if target.note:
            console.print(target.note)
    if found.paths:
        _print_paths(console, found.paths, device)
    for placement in placements:
        _print_placement(console, placement)
    print(f"in {folder}: {found.tool}, netlist.json, yosys.log")
    return content(design, device, found, placements, preset)


def _area_table(found: Synthesis, target: Target) -> Table:
    table = Table(title=f"{target.device}: what each unit takes with all in it", title_justify="left")
    table.add_column("unit")
    shown = [name for name in target.columns if getattr(found.area[""], name)]
    for name in shown:
        table.add_column(target.columns[name], justify="right")
    for unit, area in found.area.items():
        if unit.count(".") < DEPTH:
            name = "  " * (unit.count(".") + 1) + unit.rpartition(".")[2] if unit else "all"
            table.add_row(name, *(f"{round(getattr(area, column)):,}" for column in shown))
    return table


def _print_paths(console: Console, paths: tuple[TimingPath, ...], target: Target) -> None:
    slowest = paths[0].ns
    close = f" (placements were within {target.error:g} %)" if target.error else ""
    console.print(f"\n{1000 / slowest:.1f} MHz estimated for {target.device}, not placed{close}; the slowest paths:")
    for path in paths:
        console.print(f"  {path.ns:6.2f} ns  {path.levels:3} levels  {path}", highlight=False)


def _print_placement(console: Console, placement: Placement) -> None:
    used = ", ".join(f"{used:,} of {available:,} {kind}" for kind, (used, available) in placement.utilization.items())
    console.print(f"\n{placement.fmax} MHz placed and routed, seed {placement.seed}; {used}; the slowest path:")
    console.print(f"  {placement.path.ns:6.2f} ns  {placement.path.levels:3} levels  {placement.path}", highlight=False)
