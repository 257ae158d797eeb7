"""``python -m sim.run layer CHECKPOINT``: every LSTM layer of a checkpoint on the bare accelerator, bit for bit.

Any checkpoint will do, with or without an output layer: one from software.benchmark.import_torch, the shipped ones, a
language model's. Exit codes: 0 everything agreed with golden, 1 something did not, 2 the run could not be made.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from golden.config import BLOCK_COLS
from golden.cycles import CELL_FUSION
from golden.isa import ERROR_MEANINGS, Error
from golden.memory import x_bytes
from sim.digits.network import Setup
from sim.engines import registry
from sim.layers.compare import judge
from sim.layers.float_check import float_checks
from sim.layers.inputs import STEPS, load_x, random_x
from sim.layers.jobs import RunFailed, decode, layer_job
from sim.layers.plan import call_of
from sim.layers.record import layer_run
from sim.options import (
    EngineOption,
    JitterOption,
    JsonOption,
    LatencyOption,
    NFuseOption,
    PresetOption,
    ReportOption,
    StallsOption,
)
from sim.protocol.timing import MemoryTiming
from sim.report.page import files_of
from sim.results.environment import command, versions
from sim.results.result import InputRun, RunResult
from software.checkpoint import CheckpointError, load_layers
from software.cli import UserError, check_outputs, write_all
from software.options import ConfigOption, SetOption, accelerator, check_fits
from software.progress import bars
from software.provenance import commit
from software.tuning.schedule_choice import (
    BestOption,
    DeltaOption,
    GroupsOption,
    HFp16Option,
    PlannedLayer,
    ScheduleChoice,
    ScheduleOption,
    XFormatOption,
    XSkipOption,
    XThresholdOption,
    plan_layers,
    tell_plans,
)
from software.weight_formats import FormatChoice, GapBitsOption, UFormatOption, UnitOption, WFormatOption

Float32 = NDArray[np.float32]


def run_layers(
    setup: Setup, layers: Sequence[PlannedLayer], x: Float32, progress: Progress | None = None
) -> tuple[list[InputRun], list[str], int, float]:
    """Every sequence of x (N, T, X) through all layers, each on the pruned h that the RTL stored in the one below.

    Returns the records, what is wrong in words, and the cycles and seconds of simulation. Raises EngineError, and
    UserError when golden says that a layer stops.
    """
    runs = [InputRun(n, True, []) for n in range(len(x))]
    problems: list[str] = []
    cycles, seconds = 0, 0.0
    task = progress.add_task("runs", total=len(x) * len(layers)) if progress else None
    for number, layer in enumerate(layers, 1):
        packed, threshold = layer.packed, layer.threshold
        name, golden = f"L{number}", layer.golden(x)
        if golden.error != Error.NONE:
            raise UserError(f"layer {number} stops: {ERROR_MEANINGS[golden.error]}")
        checks = float_checks(packed, x, threshold, golden, layer.plan.delta)
        below = golden.h_pruned.copy()
        for n, run in enumerate(runs):
            call, expected = call_of(layer.plan, packed, x[n], threshold), golden.sequence(n)
            outcome = setup.engine.run(setup.design, layer_job(call, setup.timing))
            cycles, seconds = cycles + outcome.cycles, seconds + outcome.wall_seconds
            try:
                rtl = decode(call, outcome)
            except RunFailed as failure:
                problems.append(f"sequence {n}: {name}: {failure}")
                run.exact = False
                continue
            verdict = judge(name, call, expected, rtl, setup.config)
            problems += [f"sequence {n}: {problem}" for problem in verdict.problems]
            run.layers.append(layer_run(name, call, expected, rtl, verdict, setup.config, checks[n]))
            run.exact &= verdict.exact
            below[n] = rtl.h
            if progress and task is not None:
                progress.advance(task)
        if problems:
            break
        x = below
    return runs, problems, cycles, seconds


def layers_table(runs: Sequence[InputRun]) -> Table:
    """One row a sequence and layer, so that it fits a terminal of 80 columns."""
    table = Table(header_style="bold")
    for name in ("input", "layer", "X, H, T", "h", "cycles", "word model", "formula"):
        left = name in ("layer", "X, H, T", "h")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "h")
    for run in runs:
        row = [str(run.index)]
        for layer in run.layers:
            counts = [f"{count:,}" for count in (layer.cycles, layer.word_model_cycles)]
            # 0 where the schedule has no such formula
            counts.append(f"{layer.published_model_cycles:,}" if layer.published_model_cycles else "-")
            shape = f"{layer.x}, {layer.h}, {layer.t}"
            verdict = "exact" if layer.exact else "WRONG"
            table.add_row(*row, layer.layer, shape, verdict, *counts)
            row = [""]
    return table


def run_layer(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Any checkpoint with LSTM layers, .npz.")],
    x: Annotated[
        Path | None,
        typer.Option("--x", metavar="FILE", help="Inputs: an .npy of (T, X) or (N, T, X) numbers, X of layer 1."),
    ] = None,
    time_major: Annotated[
        bool, typer.Option("--time-major", help="Three dimensions of --x are (T, N, X), as nn.LSTM has them.")
    ] = False,
    batch_first: Annotated[
        bool, typer.Option("--batch-first", help="They are (N, T, X), which is assumed, and said, without either.")
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option("--random", metavar="T", min=1, help=f"Random inputs of so many steps; {STEPS} without --x."),
    ] = None,
    sequences: Annotated[int, typer.Option(metavar="N", min=1, help="Sequences of random inputs.")] = 1,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Of the inputs and of the memory's random numbers.")
    ] = 1,
    engine: EngineOption = registry.DEFAULT,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    n_fuse: NFuseOption = 3,
    schedule: ScheduleOption = CELL_FUSION.name,
    groups: GroupsOption = None,
    x_skip: XSkipOption = False,
    best: BestOption = False,
    delta: DeltaOption = None,
    x_threshold: XThresholdOption = None,
    x_format: XFormatOption = None,
    h_fp16: HFp16Option = None,
    w_format: WFormatOption = None,
    u_format: UFormatOption = None,
    gap_bits: GapBitsOption = None,
    unit: UnitOption = BLOCK_COLS,
    latency: LatencyOption = 8,
    jitter: JitterOption = 0,
    stalls: StallsOption = 0,
    json: JsonOption = None,
    report: ReportOption = None,
) -> None:
    """Run every LSTM layer of a checkpoint on the bare accelerator, each on the pruned h of the one below.

    Every h of every step is compared with golden; the exit code is 1 when one differs.

    \b
    Examples:
      python -m sim.run layer my.npz --random 10
      python -m sim.run layer my.npz --x inputs.npy --time-major
      python -m sim.run layer my.npz --x inputs.npy --n-fuse 2 --json build/layer.json --report build/layer.html
    """
    if x is not None and steps is not None:
        raise UserError("--x and --random both give the inputs: choose one")
    if time_major and batch_first:
        raise UserError("--time-major and --batch-first exclude each other: choose one")
    if x is not None and sequences != 1:
        raise UserError(f"--sequences is of random inputs, not of --x, and must be left out, not {sequences}")
    if x is None and (time_major or batch_first):
        raise UserError(f"--{'time-major' if time_major else 'batch-first'} is for --x, which is not given")
    for path in (json, report):
        check_outputs(path)
    choice = ScheduleChoice.of(n_fuse, schedule, groups, x_skip, best, delta, x_threshold, x_format, h_fp16)
    asked, formats = accelerator(preset, config, settings), FormatChoice.of(w_format, u_format, gap_bits, unit, best)
    choice.check(asked.config)
    simulator = registry.get("accelerator", engine)
    try:
        weights = load_layers(checkpoint)
        timing = MemoryTiming(latency, jitter, "random" if jitter else "fifo", stalls, seed)
        inputs = weights[0].inputs
        layout = True if time_major else False if batch_first else None
        given = load_x(x, inputs, layout) if x else random_x(sequences, steps or STEPS, inputs, seed)
        check_fits([layer.shape(given.shape[1]) for layer in weights], given.shape[1], asked)
        layers = plan_layers(weights, given[0], formats, choice, asked.config)
    except (CheckpointError, ValueError) as error:
        raise UserError(str(error)) from None
    try:
        x_bytes(layers[0].packed, given, choice.x_format)
    except ValueError as error:
        raise UserError(str(error)) from None
    tell_plans(formats, choice, layers)
    setup = Setup(simulator, asked.config, timing, choice, formats)
    start = time.monotonic()
    with bars() as bar:
        runs, problems, cycles, seconds = run_layers(setup, layers, given, bar)
    result = RunResult(
        kind="layers",
        exact=not problems,
        engine=engine,
        system=setup.design.top,
        preset=asked.name,
        config=asked.config.as_dict(),
        verilog_sha256=setup.engine.verilog_sha256(setup.design),
        seed=seed,
        commit=commit(),
        command=command("sim.run"),
        versions=versions(),
        inputs=runs,
        simulated_cycles=cycles,
        wall_seconds=time.monotonic() - start,
        cycles_per_second=cycles / seconds if seconds else 0.0,
        notes=problems,
    )
    written = files_of(result, json, report)
    write_all(written)
    _report(result)
    for path in written:
        print(f"wrote {path}")
    if problems:
        raise typer.Exit(1)


def _report(result: RunResult) -> None:
    console = Console()
    console.print(layers_table(result.inputs))
    records = [layer for run in result.inputs for layer in run.layers]
    exact = sum(layer.exact for layer in records)
    values = sum(layer.t * layer.h for layer in records)
    error = max((layer.max_abs_error or 0.0 for layer in records), default=0.0)
    dropped = 1 - sum(layer.kept_blocks for layer in records) / max(1, sum(layer.blocks for layer in records))
    console.print(
        f"{exact} of {len(records)} layer runs bit-exact, {values:,} values of h; blocks of h dropped {dropped:.1%}; "
        f"largest difference from float64 {error:.2e}",
        f"{result.engine}, preset {result.preset}, seed {result.seed}, Verilog sha256 {result.verilog_sha256[:16]}, "
        f"commit {result.commit[:12]}",
        sep="\n",
        soft_wrap=True,
    )
    for note in result.notes[:20]:
        console.print(note, soft_wrap=True, highlight=False)
