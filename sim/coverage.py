"""``python -m sim.coverage``: which lines of the emitted Verilog run, and which of its bits change, under given jobs.

The jobs are the regressions of ``sim.regress`` on the accelerator, or programs on the core or the SoC. Writes
coverage.dat (Verilator's), the Verilog that it speaks of, and summary.json.
Exit codes: 0 all jobs ran and were right, 1 one did not, 2 nothing could be run.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig, SocConfig
from hdl.build import TOPS
from sim.engines import build_cache, designs
from sim.engines.compiled import Compiled, CompiledAccelerator, CompiledCore, CompiledSoc
from sim.engines.verilator.coverage import Coverage, ModuleCoverage
from sim.layers.random_layer import CONFIGS, Traits, check, generate
from sim.protocol import elf
from sim.protocol.base import Design
from sim.protocol.core import DESIGN as CORE
from sim.protocol.core import ProgramJob
from sim.protocol.soc import SocJob
from sim.regress import select
from software.cli import UserError, check_outputs, run, write_all
from software.options import ConfigOption, SetOption, accelerator
from software.progress import steps

SCHEMA = "elstm.coverage/1"
SMALL = "tiny"
"""The usual preset."""
MAX_CYCLES = 10**7
"""Of a program; a model that counts takes a few thousand cycles a second."""

Job = Callable[[], list[str]]
"""Runs; gives what was wrong."""


def _percent(hit: int, points: int) -> str:
    return f"{hit:,} of {points:,} ({100 * hit / points:.1f} %)" if points else "-"


def summary(modules: list[ModuleCoverage]) -> Table:
    """One row a module, and one for all."""
    table = Table(header_style="bold")
    for name in ("module", "lines", "toggles"):
        table.add_column(name, justify="left" if name == "module" else "right")
    total = ModuleCoverage(
        "all", *(sum(values) for values in zip(*(list(asdict(m).values())[1:] for m in modules), strict=True))
    )
    for m in [*modules, total]:
        table.add_row(m.module, _percent(m.lines_hit, m.lines), _percent(m.toggles_hit, m.toggles))
    return table


def _program(engine: CompiledCore | CompiledSoc, design: Design, path: Path) -> list[str]:
    """Run a program; what was wrong."""
    try:
        program = elf.load(path)
    except elf.ElfError as error:
        raise UserError(str(error)) from None
    outcome: Any
    if isinstance(engine, CompiledCore):
        job = ProgramJob((program.ram,), program.tohost, program.fromhost, max_cycles=MAX_CYCLES)
        outcome = engine.run(design, job)
    else:
        outcome = engine.run(design, SocJob.of(program, max_cycles=MAX_CYCLES))
    reason = outcome.reason()
    return [reason] if reason else [f"exit code {outcome.exit_code}"] if outcome.exit_code else []


def _accelerator(
    counted: Coverage, config: AcceleratorConfig, test: str, seed: int
) -> tuple[Design, list[tuple[str, Job]]]:
    """The regressions, all on one configuration: models of different designs have different points."""
    engine = CompiledAccelerator("verilator", counted.add)

    def job(name: str, traits: Traits) -> Job:
        # a number of PEs, so that no seed draws one
        return lambda: check(generate(seed, name, replace(traits, n_pe=traits.n_pe or 2), config), engine)[0]

    design = Design("accelerator", config)
    return design, [(name, job(name, traits)) for name, traits in select(test).items()]


def _programs(
    counted: Coverage, top: str, config: AcceleratorConfig, files: list[Path]
) -> tuple[Design, list[tuple[str, Job]]]:
    engine: CompiledCore | CompiledSoc
    if top == "core":
        design, engine = CORE, CompiledCore("verilator", counted.add)
    else:
        design, engine = Design("soc", SocConfig(config)), CompiledSoc("verilator", counted.add)
    return design, [(str(path), partial(_program, engine, design, path)) for path in files]


def main(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[ELF]...", help="Programs, for --top core and soc.")
    ] = None,
    top: Annotated[str, typer.Option(metavar="NAME", help=f"What is measured: {', '.join(TOPS)}.")] = "accelerator",
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Accelerator: {', '.join(ACCELERATOR_PRESETS)}.", show_default=SMALL),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    n_pe: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            max=len(CONFIGS) + 1,
            help="Of the accelerator alone the configuration that the random layers have with so many PEs.",
            show_default="3",
        ),
    ] = None,
    test: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Of the regressions those whose name contains this.", show_default="all"),
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the regressions.")] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the files go.")] = Path(
        "build/coverage"
    ),
) -> None:
    """Count which lines of the emitted Verilog run and which bits change, by module, with Verilator.

    On the accelerator alone the jobs are the regressions of sim.regress, on the core and the SoC they are programs.

    \b
    Examples:
      python -m sim.coverage --test plain
      python -m sim.coverage --top core build/firmware/sort.elf
    """
    if top not in TOPS:
        raise UserError(f"no top {top!r}; there are: {', '.join(TOPS)}")
    if bool(files) != (top != "accelerator"):
        raise UserError("programs are for --top core and --top soc, which need one or more")
    if top == "core" and (config or settings):
        raise UserError("--config and --set are of the accelerator, --top core has none")
    if n_pe is not None and (config or settings):
        raise UserError(f"--n-pe {n_pe} is a whole configuration: without --config and --set, or --set n_pe={n_pe}")
    asked = accelerator(preset, config, settings, SMALL)
    counted = Coverage()
    if top == "accelerator":
        plain = not (preset or config or settings)
        design, jobs = _accelerator(counted, CONFIGS[(n_pe or 3) - 2] if plain or n_pe else asked.config, test, seed)
    else:
        design, jobs = _programs(counted, top, asked.config, files or [])
    if missing := Compiled("verilator").missing():
        raise UserError(f"coverage: {missing}")
    verilog = f"{designs.module_name(design)}.v"
    paths = [out / name for name in (verilog, "coverage.dat", "summary.json")]
    check_outputs(*paths)
    problems = []
    with steps(len(jobs)) as step:
        for name, job in jobs:
            step(name)
            problems += [f"{name}: {problem}" for problem in job()]
    modules = counted.modules()
    Console().print(summary(modules))
    content = {"schema": SCHEMA, "top": top, "runs": counted.runs, "problems": problems}
    content |= {"config": asdict(design.config)}
    content |= {"modules": [asdict(module) for module in modules]}
    contents = (
        build_cache.verilog(design).read_bytes(), counted.text(verilog).encode(), json.dumps(content, indent=1).encode()
    )  # fmt: skip
    write_all(dict(zip(paths, contents, strict=True)))
    for path in paths:
        print(f"wrote {path}")
    if problems:
        print(*problems, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    run(main)
