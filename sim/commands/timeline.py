"""``python -m sim.run digit`` and ``... timeline``: a run cycle by cycle, as a page to zoom in.

Exit codes: 0 everything agreed with golden and with the counters, 1 something did not, 2 the run could not be made.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.cycles import CELL_FUSION
from golden.isa import ERROR_MEANINGS, Error
from golden.layer import Layer, LayerResult, PackedLayer, pack_layer
from golden.settings import Configuration
from sim.digits.network import whole_test_set
from sim.engines.build_cache import verilog_sha256
from sim.figure10.rows import SCHEMES, runs_of
from sim.layers.float_check import float_checks
from sim.layers.inputs import STEPS, load_x, random_x
from sim.layers.jobs import LayerCall, RunFailed
from sim.layers.plan import FLAGS, BestOption, GroupsOption, ScheduleChoice, ScheduleOption, XSkipOption, plan_line
from sim.layers.record import RunWords, layer_run, predicted
from sim.layers.table2 import LAYERS, random_case
from sim.options import (
    JsonOption,
    LatencyOption,
    NFuseOption,
    PresetOption,
)
from sim.options import window as window_of
from sim.protocol.base import Design, EngineError
from sim.protocol.timing import MemoryTiming
from sim.report.page import files_of
from sim.report.timeline import LONGEST, Recorded, check_window, record, to_bytes
from sim.report.timeline_page import DigitView, LayerView, View, digit_view, facts_of, layer_view, page
from sim.results.environment import command, versions
from sim.results.result import InputRun, LayerRun, RunResult
from software.checkpoint import (
    MNIST_CHECKPOINT,
    MNIST_DIGITS,
    CheckpointError,
    load_checkpoint,
    load_digits,
    load_layers,
)
from software.cli import UserError, check_outputs, write_all
from software.options import CheckpointOption, ConfigOption, ImagesOption, SetOption, accelerator, check_fits
from software.progress import bars
from software.provenance import commit
from software.weight_formats import (
    ESELL,
    FormatChoice,
    GapBitsOption,
    UFormatOption,
    UnitOption,
    WFormatOption,
    check_built,
)

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
    check = float_checks(call.packed, np.asarray(call.x)[None], call.threshold, golden.batch())[0]
    run = layer_run(title, call, golden, recorded.rtl, recorded.verdict, where.config, check)
    story.records.append(recorded)
    story.runs.append(run)
    story.problems += [*recorded.verdict.problems, *recorded.problems]
    story.views.append(layer_view(run, recorded.timeline, recorded.rtl.h, kept_after(golden)))


def golden_of(packed: PackedLayer, x: NDArray[np.float32], threshold: float, name: str) -> LayerResult:
    """Golden's result of one sequence x (T, X). Raises UserError when golden says that the layer stops."""
    result = Layer(packed).run(x[None], threshold)
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


def _where(asked: Configuration[AcceleratorConfig], latency: int, window: str | None) -> Where:
    try:
        cycles = check_window(*window_of(window, "--window")) if window else None
        return Where(asked, MemoryTiming(latency), cycles)
    except ValueError as error:
        raise UserError(str(error)) from None


def _traces(trace: Path | None, layers: int) -> list[Path]:
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


def run_digit(
    digit: Annotated[int, typer.Argument(metavar="[N]", help="Which of the digits, from 0.")] = 0,
    checkpoint: CheckpointOption = MNIST_CHECKPOINT,
    images: ImagesOption = MNIST_DIGITS,
    n_fuse: NFuseOption = 3,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    latency: LatencyOption = 8,
    window: Window = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The page; else build/digit-N.html.")
    ] = None,
    json: JsonOption = None,
    trace: Trace = None,
) -> None:
    """Tell the story of one digit on the RTL as a page: image, answer, hidden state, dropped blocks, every cycle.

    \b
    Examples:
      python -m sim.run digit 4
      python -m sim.run digit 4 --json build/d.json --trace build/d.npz
      python -m sim.report build/d.json --timeline build/d-l1.npz
    """
    out = out or BUILD / f"digit-{digit}.html"
    where = _where(accelerator(preset, config, settings), latency, window)
    started = time.monotonic()
    try:
        network, known = load_checkpoint(checkpoint), load_digits(images)
    except CheckpointError as error:
        raise UserError(str(error)) from None
    if not 0 <= digit < len(known.labels):
        raise UserError(f"DIGIT must be in 0..{len(known.labels) - 1} (all that {images} holds), not {digit}")
    x = known.inputs()[digit]
    if network.layers[0].inputs != x.shape[1]:
        raise UserError(f"layer 1 takes {network.layers[0].inputs} inputs, an image row has {x.shape[1]}")
    layers = [(pack_layer(layer.w, layer.u, layer.b), layer.threshold) for layer in network.layers]
    check_fits([packed for packed, _ in layers], len(x), where.asked)
    traces = _traces(trace, len(layers))
    for path in (out, json, *traces):
        check_outputs(path)
    story, golden_x = Story(), x
    for number, (packed, threshold) in enumerate(layers, 1):
        golden = golden_of(packed, x, threshold, f"layer {number}")
        tell(story, f"layer {number}", LayerCall(packed, x, threshold, n_fuse, FLAGS), golden, where)
        golden_x = Layer(packed).run(golden_x, threshold).h_pruned
        x = story.records[-1].rtl.h
    logits, label = network.logits(x[-1]), int(known.labels[digit])
    golden_answer = int(network.logits(golden_x[-1]).argmax())
    view = digit_view(known.images[digit], label, logits, golden_answer, whole_test_set(network))
    if view.prediction != view.golden:
        story.problems.append(f"the answer is {view.prediction}, golden's {view.golden}")
    record_ = InputRun(digit, not story.problems, story.runs, label, view.prediction, view.golden)
    finish(story, where, f"Image {digit}, a {label}", "mnist", record_, view, started, 1, (out, json, traces))


def run_timeline(
    source: Annotated[
        str,
        typer.Argument(
            metavar="LAYER|CHECKPOINT",
            help=f"A layer of the paper with random weights ({', '.join(LAYERS)}), or a checkpoint, .npz.",
        ),
    ],
    scheme: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="original: N_fuse 1, no block of h dropped; sparse: N_fuse 1; fused: the best N_fuse."
        ),
    ] = "fused",
    layer: Annotated[int, typer.Option(metavar="N", min=1, help="Which layer of a checkpoint.")] = 1,
    x: Annotated[
        Path | None, typer.Option("--x", metavar="FILE", help="Inputs of a checkpoint: .npy of (T, X) numbers.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--random", metavar="T", min=1, help=f"Random inputs of a checkpoint, so many steps; {STEPS}."),
    ] = None,
    n_fuse: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Fusion factor of fused, instead of the best.")
    ] = None,
    schedule: ScheduleOption = CELL_FUSION.name,
    groups: GroupsOption = None,
    x_skip: XSkipOption = False,
    best: BestOption = False,
    w_format: WFormatOption = ESELL,
    u_format: UFormatOption = ESELL,
    gap_bits: GapBitsOption = None,
    unit: UnitOption = BLOCK_COLS,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of weights and inputs.")] = 1,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    latency: LatencyOption = 8,
    window: Window = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page; else build/timeline-LAYER-SCHEME.html."),
    ] = None,
    json: JsonOption = None,
    trace: Trace = None,
) -> None:
    """Draw one layer on the RTL cycle by cycle, as a page to zoom in: memory port, every PE, gate unit.

    \b
    Examples:
      python -m sim.run timeline mnist-l2 --scheme original
      python -m sim.run timeline ptb-l1 --window 4000000:4200000
      python -m sim.run timeline my.npz --layer 2 --random 20
      python -m sim.run timeline mnist-l1 --schedule list --groups 6,12 --w-format stream16 --u-format stream16
    """
    if scheme not in SCHEMES:
        raise UserError(f"no scheme {scheme!r}; there are: {', '.join(SCHEMES)}")
    if n_fuse is not None and scheme != "fused":
        raise UserError(f"--n-fuse is for --scheme fused; {scheme} has N_fuse 1")
    choice = ScheduleChoice.of(n_fuse or 3, schedule, groups, x_skip, best)
    if not choice.plain and (scheme != "fused" or n_fuse is not None):
        raise UserError("--schedule list and --best are for --scheme fused without --n-fuse")
    formats = FormatChoice(w_format, u_format, gap_bits, unit)
    where = _where(accelerator(preset, config, settings), latency, window)
    choice.check(where.config)
    name = source if source in LAYERS else f"{Path(source).stem}-l{layer}"
    out = out or BUILD / f"timeline-{name}-{scheme}.html"
    for path in (out, json, trace):
        check_outputs(path)
    started = time.monotonic()
    if source in LAYERS:
        if x is not None or steps is not None or layer != 1:
            raise UserError(f"--x, --random and --layer are for a checkpoint; {source} has the paper's sizes")
        try:
            made = runs_of(random_case(LAYERS[source], seed, formats), (scheme,), where.config)[0]
        except ValueError as error:
            raise UserError(str(error)) from None
        call, golden, title = made.call, made.golden, f"{made.case.layer.title}, {scheme}"
    else:
        call, golden = of_checkpoint(Path(source), layer, scheme, x, steps, seed, where, formats)
        title = f"layer {layer} of {Path(source).name}, {scheme}"
    if n_fuse is not None:
        call = LayerCall(call.packed, call.x, call.threshold, n_fuse, FLAGS)
    if not choice.plain:
        plan = choice.plan(call.packed, call.x, call.threshold, golden, where.config)
        call, title = plan.call(call.packed, call.x, call.threshold), f"{title}, {plan_line(plan)}"
    check_built([call.packed], where.config.formats)
    story = Story()
    tell(story, title, call, golden, where)
    record_ = InputRun(0, not story.problems, story.runs)
    finish(story, where, title, "layers", record_, None, started, seed, (out, json, _traces(trace, 1)))


def of_checkpoint(
    path: Path,
    number: int,
    scheme: str,
    x: Path | None,
    steps: int | None,
    seed: int,
    where: Where,
    formats: FormatChoice,
) -> tuple[LayerCall, LayerResult]:
    """A layer of a checkpoint on what golden has of the layers below, which is what their RTL stores."""
    if x is not None and steps is not None:
        raise UserError("--x and --random both give the inputs: choose one")
    try:
        weights = load_layers(path)
    except CheckpointError as error:
        raise UserError(str(error)) from None
    if number > len(weights):
        raise UserError(f"--layer must be in 1..{len(weights)} (all that {path} has), not {number}")
    inputs = weights[0].inputs
    given = load_x(x, inputs, False) if x else random_x(1, steps or STEPS, inputs, seed)
    if len(given) != 1:
        raise UserError(f"{x}: a timeline is of one sequence, (T, {inputs}), not of {len(given)}")
    values = given[0]
    try:
        packed = [formats.pack(layer.w, layer.u, layer.b) for layer in weights[:number]]
    except ValueError as error:
        raise UserError(str(error)) from None
    check_fits(packed, len(values), where.asked)
    for n, below in enumerate(packed[:-1]):
        values = golden_of(below, values, weights[n].threshold, f"layer {n + 1}").h_pruned
    threshold = 0.0 if scheme == "original" else weights[number - 1].threshold
    golden = golden_of(packed[-1], values, threshold, f"layer {number}")
    call = LayerCall(packed[-1], values, threshold, 1, FLAGS)
    if scheme == "fused":
        call = LayerCall(packed[-1], values, threshold, RunWords.of(call, golden).best_n_fuse(where.config), FLAGS)
    return call, golden
