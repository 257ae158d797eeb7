"""``python -m sim.sweep SPEC.toml``: a design-space sweep on the cycle models or on the RTL. docs/sweep.md.

Exit codes: 0 every point has a row, 1 some failed, 2 the sweep could not be made, 130 interrupted.
"""

import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from sim.sweep.axes import MODEL
from sim.sweep.output import csv_bytes, front_table, json_bytes, parquet_bytes, pyarrow
from sim.sweep.pareto import picture
from sim.sweep.point import Failure, Row, evaluate, identity, model_version, verilog_sha256
from sim.sweep.pool import dask, local
from sim.sweep.spec import Point, Spec, load_spec
from sim.sweep.store import Store, opened
from software.cli import Interrupted, UserError, check_outputs, write_all
from software.options import ConfigOption, SetOption, accelerator_if_asked
from software.progress import bars

OUT = Path("build") / "sweep"
_LINES = 40
"""Of the printed front; the files hold all of it."""
_REASONS = 20
"""Failures that are printed."""


def _each(executor: Executor, work: dict[Any, tuple[Any, ...]], done: Callable[[Any, Any], None]) -> None:
    """Call ``work`` (function and arguments, by key), and ``done`` with key and result as each one ends."""
    futures: dict[Future[Any], Any] = {executor.submit(*call): key for key, call in work.items()}
    for future in as_completed(futures):
        try:
            result = future.result()
        except (BrokenExecutor, CancelledError):
            raise UserError(
                "those who computed points are gone: a process was killed, perhaps for want of memory, or the "
                "scheduler stopped; finished points are kept, and the same command goes on"
            ) from None
        except Exception as error:
            # Dask gives up on a point whose workers died
            result = Failure(f"{type(error).__name__}: {error}")
        done(futures.pop(future), result)


def _keys(
    executor: Executor, points: tuple[Point, ...], bar: Progress
) -> tuple[dict[Point, str], dict[Point, str | Failure | None]]:
    """The key of each point, and the checksum of its Verilog; a simulator's points need theirs emitted first."""
    designs = dict.fromkeys((point.engine, point.config) for point in points if point.engine != MODEL)
    sums: dict[tuple[str, AcceleratorConfig], str | Failure] = {}
    if designs:
        task = bar.add_task("Verilog", total=len(designs))

        def emitted(design: tuple[str, AcceleratorConfig], result: str | Failure) -> None:
            sums[design] = result
            bar.advance(task)

        _each(executor, {design: (verilog_sha256, *design) for design in designs}, emitted)
        bar.remove_task(task)
    found = {point: sums.get((point.engine, point.config)) for point in points}
    return {point: point.key(identity(point, str(sum_))) for point, sum_ in found.items()}, found


def _ordered(points: list[Point]) -> list[Point]:
    """One point of each layer's data first, so that processes do not wait for each other's; the largest layers lead."""
    seen: dict[Any, int] = {}
    rank = {}
    for point in points:
        data = point.shape, point.w_sparsity, point.u_sparsity, point.h_sparsity, point.seed
        rank[point] = seen[data] = seen.get(data, -1) + 1
    return sorted(points, key=lambda point: (rank[point] > 0, -point.shape.rows * (point.shape.x + point.shape.h)))


def sweep(spec: Spec, store: Store, executor: Executor) -> tuple[list[Row], dict[Point, Failure]]:
    """Compute what the store does not have. Rows in the spec's order, and why points have none."""
    with bars() as bar:
        keys, sums = _keys(executor, spec.points, bar)
        missing = [point for point in spec.points if store.row(keys[point]) is None]
        have = len(spec.points) - len(missing)
        if have:
            bar.console.print(f"{have} of {len(spec.points)} points are there from before", highlight=False)
        task = bar.add_task("points", total=len(spec.points), completed=have)

        def finished(point: Point, result: Row | Failure) -> None:
            store.add(keys[point], result)
            bar.advance(task)

        work = {}
        for point in _ordered(missing):
            checksum = sums[point]
            if isinstance(checksum, Failure):
                finished(point, checksum)
            else:
                work[point] = (evaluate, point, model_version(), checksum)
        _each(executor, work, finished)
    results = {point: store.results[keys[point]] for point in spec.points}
    rows = [result for result in results.values() if isinstance(result, Row)]
    return rows, {point: result for point, result in results.items() if isinstance(result, Failure)}


def main(
    spec: Annotated[Path, typer.Argument(help="What to sweep, TOML.", metavar="SPEC.toml")],
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help=f"Folder of everything; default {OUT}/NAME.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1024, help="Processes on this machine; default one a processor."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers compute instead: tcp://HOST:8786."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Accelerator from which points start: {', '.join(ACCELERATOR_PRESETS)}.",
            show_default="the file's",
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the points that are there.")] = False,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Rows; default sweep.csv in the folder.")] = None,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="The same rows as Parquet.")] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Everything, with all counters of RTL runs.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Picture, PNG; default pareto.png in the folder.")
    ] = None,
) -> int:
    """Sweep the design space: cycles, memory bits and MACs of every combination of N_pe, slots, N_fuse, sparsity,
    memory and layer that SPEC.toml lists, by the word-level model or on the RTL, and which designs are worth having.

    Every finished point is kept in the folder at once. After Ctrl-C, a crash or a changed file the same command
    computes what is missing, and tries again what failed. RTL runs are compared with golden, bit for bit; a difference
    is a failure. docs/sweep.md says what a file may hold, and how to use many machines. A file of 24 combinations:

    \b
      [grid]
      layer = ["mnist-l1", "mnist-l2"]
      n_pe = [2, 3, 4]
      slots = [8, 12, 16, 24]

    \b
    Examples:
      python -m sim.sweep docs/examples/sweep.toml --workers 2
      python -m sim.sweep docs/examples/sweep-rtl.toml --json build/rtl.json --parquet build/rtl.parquet
    """
    if workers is not None and scheduler is not None:
        raise UserError("--workers and --scheduler both say where to compute: choose one")
    chosen = load_spec(spec, accelerator_if_asked(preset, config, settings))
    folder = out or OUT / chosen.name
    csv, plot = csv or folder / "sweep.csv", plot or folder / "pareto.png"
    outputs = [path for path in (csv, parquet, json, plot) if path is not None]
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise UserError("--csv, --parquet, --json and --plot must name different files")
    if plot.suffix.lower() != ".png":
        raise UserError(f"--plot must name a .png file, not {plot}")
    if parquet is not None:
        pyarrow()
    console = Console(stderr=True)
    with opened(folder, fresh) as store:
        for path in outputs:
            check_outputs(path)
        if store.damaged:
            console.print(f"{folder}: {store.damaged} damaged lines count as never written", highlight=False)
        pool: AbstractContextManager[Executor] = dask(scheduler) if scheduler else local(workers or os.cpu_count() or 1)
        try:
            with pool as executor:
                rows, failures = sweep(chosen, store, executor)
        except KeyboardInterrupt:
            raise Interrupted(f"finished points are in {folder}") from None
    files = {csv: csv_bytes(rows)}
    if parquet is not None:
        files[parquet] = parquet_bytes(rows)
    if json is not None:
        files[json] = json_bytes(chosen.name, rows, failures)
    if rows:
        files[plot] = picture(rows, f"{chosen.name}: {len(rows)} points")
    write_all(files)
    _report(chosen, rows, failures)
    for path in files:
        print(f"wrote {path}")
    return 1 if failures else 0


def _report(spec: Spec, rows: list[Row], failures: dict[Point, Failure]) -> None:
    """Print the front, what was left out, and what failed."""
    console = Console()
    table, lines = front_table(rows, _LINES)
    if rows:
        console.print(table)
    text = [f"... and {lines - _LINES} more on the front"] if lines > _LINES else []
    for reason, count in spec.left_out.items():
        text.append(f"left out {count} combinations: {reason}")
    checked = sum(row.exact is True for row in rows)
    text.append(
        f"{len(rows)} of {len(spec.points)} points, {lines} of them on a front; "
        + (f"{checked} on the RTL, bit-exact in every h" if checked else "by the word-level model")
    )
    for point, failure in list(failures.items())[:_REASONS]:
        text.append(f"failed: {point.text}: {failure.reason}")
    if len(failures) > _REASONS:
        text.append(f"... and {len(failures) - _REASONS} more failed")
    for line in text:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
