"""What ``sim.run digit`` and ``sim.run timeline`` share: runs recorded cycle by cycle, told as a page."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from golden.config import AcceleratorConfig
from golden.isa import ERROR_MEANINGS, Error
from golden.layer import LayerResult
from golden.settings import Configuration
from sim.engines.build_cache import verilog_sha256
from sim.layers.float_check import float_checks
from sim.layers.jobs import LayerCall, RunFailed
from sim.layers.record import layer_run, predicted
from sim.options import window as window_of
from sim.protocol.base import Design, EngineError
from sim.protocol.timing import MemoryTiming
from sim.report.page import files_of
from sim.report.timeline import LONGEST, Recorded, check_window, record, to_bytes
from sim.report.timeline_page import DigitView, LayerView, View, facts_of, layer_view, page, sends_view
from sim.results.environment import command, versions
from sim.results.result import InputRun, LayerRun, RunResult
from software.cli import UserError, write_all
from software.progress import bars
from software.provenance import commit
from software.tuning.schedule_choice import PlannedLayer

BUILD = Path("build")


@dataclass(frozen=True)
class Where:
    """On what runs are made."""

    asked: Configuration[AcceleratorConfig]
    timing: MemoryTiming
    window: tuple[int, int] | None

    @property
    def config(self) -> AcceleratorConfig:
        return self.asked.config


@dataclass
class Story:
    """What a page tells, layer by layer."""

    records: list[Recorded] = field(default_factory=list)
    runs: list[LayerRun] = field(default_factory=list)
    views: list[LayerView] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def kept_after(golden: LayerResult) -> NDArray[np.bool_]:
    """(T, H / u): which units of h_t step t + 1 may use; of the last step, what is not pruned."""
    units = golden.kept.shape[1]
    last = (golden.h[-1] == golden.h_pruned[-1]).reshape(1, units, -1).all(axis=2)
    return np.concatenate((golden.kept[1:], last))


def tell(story: Story, title: str, call: LayerCall, golden: LayerResult, where: Where) -> None:
    """Run one layer and add it to the story, with its progress. Raises EngineError, UserError.

    golden: the result of this one sequence.
    """
    estimate = predicted(call, golden, where.config).word.cycles
    with bars() as bar:
        task = bar.add_task(title, total=estimate)
        try:
            recorded = record(
                title, call, golden, where.config, where.timing, where.window,
                lambda cycles: bar.update(task, completed=min(cycles, estimate)),
            )  # fmt: skip
        except RunFailed as failure:
            raise EngineError(f"{title}: {failure}") from None
    check = float_checks(call.packed, np.asarray(call.x)[None], call.threshold, golden.batch(), call.delta)[0]
    run = layer_run(title, call, golden, recorded.rtl, recorded.verdict, where.config, check)
    story.records.append(recorded)
    story.runs.append(run)
    story.problems += [*recorded.verdict.problems, *recorded.problems]
    if call.delta:
        sends = sends_view(run, golden, np.asarray(call.x), call.state)
        story.views.append(layer_view(run, recorded.timeline, recorded.rtl.h, None, sends))
    else:
        story.views.append(layer_view(run, recorded.timeline, recorded.rtl.h, kept_after(golden)))


def golden_of(layer: PlannedLayer, x: NDArray[np.float32], name: str) -> LayerResult:
    """Golden's result of one sequence x (T, X). Raises UserError when golden says that the layer stops."""
    result = layer.golden(x[None])
    if result.error != Error.NONE:
        raise UserError(f"{name} stops: {ERROR_MEANINGS[result.error]}")
    return result.sequence(0)


def finish(
    story: Story,
    where: Where,
    title: str,
    kind: str,
    inputs: InputRun,
    digit: DigitView | None,
    started: float,
    seed: int,
    files: tuple[Path, Path | None, list[Path]],
) -> None:
    """Page, JSON and timelines, all or none; then the table. Exit code 1 when something disagreed."""  # fmt: skip
    out, json_path, traces = files
    cycles = sum(recorded.rtl.raw.cycles for recorded in story.records)
    simulating = sum(recorded.rtl.raw.wall_seconds for recorded in story.records)
    result = RunResult(
        kind=kind, exact=not story.problems, engine="native", system="accelerator", preset=where.asked.name,
        config=where.config.as_dict(), verilog_sha256=verilog_sha256(Design("accelerator", where.config)), seed=seed,
        commit=commit(), command=command("sim.run"), versions=versions(), inputs=[inputs], simulated_cycles=cycles,
        wall_seconds=time.monotonic() - started, cycles_per_second=cycles / simulating if simulating else 0.0,
        notes=story.problems,
    )  # fmt: skip
    values = sum(run.t * run.h for run in story.runs)
    # Of a part of a run the counters, which are of all of it, say nothing
    sums = "; the cycles drawn add up to the counters" if all(recorded.whole for recorded in story.records) else ""
    verdict = story.problems[0] if story.problems else f"bit-exact: all {values:,} values of h{sums}"
    view = View(title, not story.problems, verdict, story.problems, digit, tuple(story.views), facts_of(result))
    written = {out: page(view).encode()} | files_of(result, json_path, None)
    for path, recorded in zip(traces, story.records, strict=False):
        written[path] = to_bytes(recorded.timeline)
    write_all(written)
    console = Console()
    console.print(verdict, style="green" if not story.problems else "bold red", soft_wrap=True, highlight=False)
    console.print(table_of(story))
    for path in written:
        print(f"wrote {path}")
    if story.problems:
        raise typer.Exit(1)


def table_of(story: Story) -> Table:
    """Of each layer and unit the share of the cycles drawn in each state."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in ("layer", "unit", "share of the cycles"):
        table.add_column(name)
    for view in story.views:
        title = view.title
        for track in view.timeline["tracks"]:
            shares = ", ".join(f"{s['name']} {s['share']:.1%}" for s in track["states"] if s["cycles"])
            table.add_row(title, track["name"], shares)
            title = ""
    return table


def where_of(asked: Configuration[AcceleratorConfig], latency: int, window: str | None) -> Where:
    """Of the options of a command. Raises UserError."""
    try:
        cycles = check_window(*window_of(window, "--window")) if window else None
        return Where(asked, MemoryTiming(latency), cycles)
    except ValueError as error:
        raise UserError(str(error)) from None


def traces_of(trace: Path | None, layers: int) -> list[Path]:
    """Files of the timelines: as named for one layer, with the layer's number before the ending for several."""
    if trace is None:
        return []
    return [trace if layers == 1 else trace.with_stem(f"{trace.stem}-l{n}") for n in range(1, layers + 1)]


Window = Annotated[
    str | None,
    typer.Option(metavar="FIRST:LAST", help=f"Cycles to draw, at most {LONGEST:,}; else the run, or its beginning."),
]
Trace = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write the timeline, .npz, for sim.report --timeline; for each layer with -l1, -l2."
    ),
]
