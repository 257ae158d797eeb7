"""``python -m sim.run timeline``: a layer's run cycle by cycle, as a page to zoom in.

Exit codes: 0 everything agreed with golden and with the counters, 1 something did not, 2 the run could not be made.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.cycles import CELL_FUSION
from golden.isa import Flags
from golden.layer import LayerResult
from sim.commands.story import BUILD, Story, Trace, Where, Window, finish, golden_of, tell, traces_of, where_of
from sim.figure10.rows import SCHEMES, runs_of
from sim.layers.inputs import STEPS, load_x, random_x
from sim.layers.jobs import LayerCall
from sim.layers.plan import FLAGS, call_of
from sim.layers.table2 import LAYERS, PaperLayer, random_cases
from sim.layers.words import RunWords
from sim.options import JsonOption, LatencyOption, PresetOption
from sim.results.result import InputRun
from software.checkpoint import CheckpointError, load_layers
from software.cli import UserError, check_outputs
from software.options import ConfigOption, SetOption, accelerator, check_fits
from software.tuning.plan import Plan, plan_line
from software.tuning.schedule_choice import (
    BestOption,
    GroupsOption,
    ScheduleChoice,
    ScheduleOption,
    XSkipOption,
    plan_layers,
)
from software.weight_formats import (
    FormatChoice,
    GapBitsOption,
    UFormatOption,
    UnitOption,
    WFormatOption,
    check_built,
    formats_line,
)


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
    w_format: WFormatOption = None,
    u_format: UFormatOption = None,
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
    formats = FormatChoice.of(w_format, u_format, gap_bits, unit, best)
    where = where_of(accelerator(preset, config, settings), latency, window)
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
            call, golden = of_table(LAYERS[source], scheme, seed, formats, choice, where.config)
        except ValueError as error:
            raise UserError(str(error)) from None
        title = f"{LAYERS[source].title}, {scheme}"
    else:
        call, golden = of_checkpoint(Path(source), layer, scheme, x, steps, seed, where, formats, choice)
        title = f"layer {layer} of {Path(source).name}, {scheme}"
    if n_fuse is not None:
        call = replace(call, n_fuse=n_fuse)
    if not choice.plain:
        title = f"{title}, {plan_line(Plan(call.n_fuse, call.schedule, call.groups, bool(call.flags & Flags.X_SKIP)))}"
    if formats.open:
        title = f"{title}, {formats_line(call.packed)}"
    story = Story()
    tell(story, title, call, golden, where)
    record_ = InputRun(0, not story.problems, story.runs)
    finish(story, where, title, "layers", record_, None, started, seed, (out, json, traces_of(trace, 1)))


def of_table(
    layer: PaperLayer, scheme: str, seed: int, formats: FormatChoice, choice: ScheduleChoice, config: AcceleratorConfig
) -> tuple[LayerCall, LayerResult]:
    """A layer of the paper with random data. Raises ValueError where it does not fit."""
    found = []
    for case in random_cases(layer, seed, formats, config.formats):
        check_built([case.packed], config.formats)
        made = runs_of(case, (scheme,), config)[0]
        if choice.plain:
            return made.call, made.golden
        plan, cycles = choice.planned(case.packed, case.x, made.golden, config)
        found.append((cycles, call_of(plan, case.packed, case.x, case.threshold), made.golden))
    return min(found, key=lambda one: one[0])[1:]


def of_checkpoint(
    path: Path,
    number: int,
    scheme: str,
    x: Path | None,
    steps: int | None,
    seed: int,
    where: Where,
    formats: FormatChoice,
    choice: ScheduleChoice,
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
    check_fits([layer.shape(len(values)) for layer in weights[:number]], len(values), where.asked)
    try:
        *below, layer = plan_layers(weights[:number], values, formats, choice, where.config)
    except ValueError as error:
        raise UserError(str(error)) from None
    for n, lower in enumerate(below, 1):
        values = golden_of(lower, values, f"layer {n}").h_pruned
    threshold = 0.0 if scheme == "original" else layer.threshold
    golden = golden_of(replace(layer, threshold=threshold), values, f"layer {number}")
    if not choice.plain:
        return call_of(layer.plan, layer.packed, values, threshold), golden
    call = LayerCall(layer.packed, values, threshold, 1, FLAGS)
    if scheme == "fused":
        call = replace(call, n_fuse=RunWords.of(call, golden).best_n_fuse(where.config))
    return call, golden
