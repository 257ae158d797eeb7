"""``python -m sim.regress``: named regressions of random layers on the emitted Verilog (cocotb and Icarus).

``make regress`` passes ``SIM`` (engine, default icarus), ``SEED`` (of all layers) and ``TEST`` (a part of a name) on.
Prints a table with the seeds and, for each failure, the line that runs it again; writes build/regress.xml (JUnit).
Exit codes: 0 all passed, 1 something failed, 2 nothing could be run.
"""

import json
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.table import Table

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from golden.isa import Format, Schedule
from golden.settings import Configuration
from sim.engines import registry
from sim.layers.random_layer import RandomLayer, Traits, check, generate
from sim.options import JsonOption
from sim.protocol.base import EngineError
from sim.protocol.timing import MemoryTiming
from software.cli import UserError, check_outputs, run, write_all
from software.options import ConfigOption, SetOption, accelerator_if_asked

Asked = Configuration[AcceleratorConfig] | None
"""The configuration on which all regressions run; None: each on one of its own."""
SMALL = "tiny"
"""The preset that --config and --set change where none is named."""
SIZE = 24
"""X and H at most: Icarus simulates some two thousand cycles a second."""

REGRESSIONS: dict[str, Traits] = {
    "plain": Traits(max_size=SIZE, max_steps=5, density=0.6, threshold=0.3, timing=MemoryTiming(), split=False),
    "dense": Traits(max_size=SIZE, max_steps=4, density=1.0, threshold=0.0, split=False),
    "empty": Traits(max_size=SIZE, max_steps=4, density=0.0),
    "prune-all": Traits(max_size=SIZE, max_steps=5, threshold=float("inf")),
    "slow-memory": Traits(max_size=16, max_steps=4, timing=MemoryTiming(latency=60, stall_permille=300, seed=5)),
    "fast-memory": Traits(max_size=SIZE, max_steps=5, timing=MemoryTiming(latency=1)),
    "any-order": Traits(max_size=SIZE, max_steps=4, timing=MemoryTiming(4, 30, "random", 200, 6)),
    "split": Traits(max_size=SIZE, max_steps=6, split=True),
    "state": Traits(max_size=SIZE, max_steps=4, state=True),
    "two-pes": Traits(max_size=SIZE, max_steps=5, n_pe=2),
    "four-pes": Traits(max_size=SIZE, max_steps=8, n_pe=4),
    "five-pes": Traits(max_size=SIZE, max_steps=12, n_pe=5),
    "list": Traits(max_size=SIZE, max_steps=8, n_pe=3, full=True, schedule=Schedule.LIST, x_skip=False),
    "x-skip": Traits(max_size=SIZE, max_steps=8, n_pe=3, full=True, schedule=Schedule.LIST, x_skip=True),
    "streams": Traits(max_size=SIZE, max_steps=5, n_pe=3, full=True, formats=(Format.STREAM16, Format.STREAM8)),
}


@dataclass(frozen=True)
class Outcome:
    """How one regression went."""

    case: RandomLayer
    problems: list[str]
    cycles: int
    seconds: float


def select(name: str) -> dict[str, Traits]:
    """The regressions whose name contains ``name``. Raises UserError when there is none."""
    chosen = {key: traits for key, traits in REGRESSIONS.items() if name in key}
    if not chosen:
        raise UserError(f"no regression {name!r}; there are: {', '.join(REGRESSIONS)}")
    return chosen


def on(asked: Asked, name: str) -> dict[str, Traits]:
    """``select`` for one configuration, where there is one: those of another number of PEs are left out, and those of a
    schedule or format that it has not.

    Raises UserError when none is left.
    """
    chosen = select(name)
    if asked is None:
        return chosen
    n_pe = asked.config.n_pe
    if not (sized := {key: traits for key, traits in chosen.items() if traits.n_pe in (None, n_pe)}):
        raise UserError(f"{', '.join(chosen)} has another number of PEs than {asked.name}, {n_pe}")
    if left_out := chosen.keys() - sized.keys():
        print(f"left out, of another number of PEs: {', '.join(sorted(left_out))}")
    if not (fitting := {key: traits for key, traits in sized.items() if traits.fits(asked.config)}):
        raise UserError(f"{', '.join(sized)} has a schedule or format that {asked.name} has not")
    if left_out := sized.keys() - fitting.keys():
        print(f"left out, of a schedule or format that is not built: {', '.join(sorted(left_out))}")
    return fitting


def rerun_line(sim: str, outcome: Outcome, asked: Asked = None) -> str:
    """The command that runs one case again."""
    if asked is not None:
        options = " ".join(asked.options)
        return f"python -m sim.regress --sim {sim} --test {outcome.case.name} --seed {outcome.case.seed} {options}"
    return f"make regress SIM={sim} TEST={outcome.case.name} SEED={outcome.case.seed}"


def junit(sim: str, outcomes: list[Outcome], asked: Asked = None) -> bytes:
    """JUnit XML, one test case for each regression."""
    failures = sum(bool(o.problems) for o in outcomes)
    seconds = f"{sum(o.seconds for o in outcomes):.3f}"
    suite = ElementTree.Element(
        "testsuite", name="regress", tests=str(len(outcomes)), failures=str(failures), errors="0", time=seconds
    )
    for o in outcomes:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"regress.{sim}", name=o.case.name, time=f"{o.seconds:.3f}"
        )
        if o.problems:
            failure = ElementTree.SubElement(case, "failure", message=o.problems[0])
            failure.text = "\n".join([*o.problems, rerun_line(sim, o, asked)])
        ElementTree.SubElement(case, "system-out").text = o.case.text
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)


def as_json(sim: str, outcomes: list[Outcome]) -> bytes:
    """The same as JSON."""
    tests = [
        {"name": o.case.name, "seed": o.case.seed, "passed": not o.problems, "cycles": o.cycles,
         "seconds": round(o.seconds, 3), "layer": o.case.text, "problems": o.problems,
         "config": o.case.config.as_dict()}
        for o in outcomes
    ]  # fmt: skip
    content = {"schema": "elstm.regress/1", "engine": sim, "passed": all(t["passed"] for t in tests), "tests": tests}
    return json.dumps(content, indent=1).encode() + b"\n"


def _one(sim: str, name: str, seed: int, traits: Traits, asked: Asked) -> Outcome:
    case = generate(seed, name, traits, asked.config if asked else None)
    start = time.monotonic()
    try:
        problems, cycles = check(case, registry.get("accelerator", sim))
    except EngineError as error:
        problems, cycles = [f"the engine failed: {error}"], 0
    except Exception:
        # One broken test must not hide the others' results.
        problems, cycles = [traceback.format_exc()], 0
    return Outcome(case, problems, cycles, time.monotonic() - start)


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(header_style="bold")
    for column in ("test", "seed", "result", "cycles", "seconds", "layer"):
        table.add_column(column, justify="right" if column in ("seed", "cycles", "seconds") else "left")
    for o in outcomes:
        result = "[red]FAILED[/red]" if o.problems else "passed"
        what = o.case.text.partition(": ")[2]
        table.add_row(o.case.name, str(o.case.seed), result, f"{o.cycles:,}", f"{o.seconds:.1f}", what)
    return table


def main(
    sim: Annotated[
        str,
        typer.Option(
            "--engine",
            "--sim",
            metavar="NAME",
            envvar="SIM",
            help=f"Simulator: {', '.join(registry.names('accelerator'))}.",
        ),
    ] = "icarus",
    seed: Annotated[int, typer.Option(metavar="N", envvar="SEED", min=0, help="Of every layer.")] = 1,
    test: Annotated[
        str,
        typer.Option(metavar="TEXT", envvar="TEST", help="Only those whose name contains this.", show_default="all"),
    ] = "",
    xml: Annotated[Path, typer.Option(metavar="FILE", help="JUnit result.")] = Path("build") / "regress.xml",
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Run all on this accelerator: {', '.join(ACCELERATOR_PRESETS)}.",
            show_default=f"a small one each; {SMALL} with --config or --set",
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    json_path: JsonOption = None,
) -> None:
    """Run named regressions of random layers, by default on the emitted Verilog under cocotb and Icarus.

    A table shows results and seeds, and for each failure the line that runs it again; the exit code is then 1.

    \b
    Examples:
      python -m sim.regress
      python -m sim.regress --engine native --test split --seed 3
      python -m sim.regress --engine native --set n_pe=4 --set slots=18
      make regress TEST=any-order SEED=7
    """
    asked = accelerator_if_asked(preset, config, settings, SMALL)
    chosen = on(asked, test)
    try:
        registry.get("accelerator", sim)
    except EngineError as error:
        raise UserError(str(error)) from None
    for path in (xml, json_path):
        check_outputs(path)
    console = Console()
    outcomes = []
    for name, traits in chosen.items():
        outcomes.append(_one(sim, name, seed, traits, asked))
        print(f"{name}: {'FAILED' if outcomes[-1].problems else 'passed'}", flush=True)
    console.print(_table(outcomes))
    files = {xml: junit(sim, outcomes, asked)}
    if json_path:
        files[json_path] = as_json(sim, outcomes)
    write_all(files)
    failed = [o for o in outcomes if o.problems]
    for o in failed:
        print(f"\n{o.case.text}", *o.problems[:5], rerun_line(sim, o, asked), sep="\n")
    print(f"\n{len(outcomes) - len(failed)} of {len(outcomes)} passed on {sim}")
    for path in files:
        print(f"wrote {path}")
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    run(main)
