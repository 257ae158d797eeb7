"""``python -m sim.run digit``: a digit's run cycle by cycle, as a page to zoom in.

Exit codes: 0 everything agreed with golden and with the counters, 1 something did not, 2 the run could not be made.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from sim.commands.story import BUILD, Story, Trace, Window, finish, golden_of, tell, traces_of, where_of
from sim.digits.network import whole_test_set
from sim.layers.plan import call_of
from sim.options import JsonOption, LatencyOption, NFuseOfNetworkOption, PresetOption
from sim.report.timeline_page import digit_view
from sim.results.result import InputRun
from software.checkpoint import MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError, check_outputs
from software.options import ConfigOption, ImagesOption, OtherCheckpointOption, SetOption, accelerator, check_fits
from software.tuning.networks import NetworkOption, for_digits, network_of
from software.tuning.schedule_choice import (
    BestOption,
    DeltaOption,
    GroupsOption,
    HFp16Option,
    ScheduleOfNetworkOption,
    XFormatOption,
    XSkipOption,
    XThresholdOption,
    plan_layers,
    tell_plans,
)
from software.weight_formats import BalanceOption, GapBitsOption, UFormatOption, UnitOfNetworkOption, WFormatOption


def run_digit(
    digit: Annotated[int, typer.Argument(metavar="[N]", help="Which of the digits, from 0.")] = 0,
    network_name: NetworkOption = None,
    checkpoint: OtherCheckpointOption = None,
    images: ImagesOption = MNIST_DIGITS,
    n_fuse: NFuseOfNetworkOption = None,
    schedule: ScheduleOfNetworkOption = None,
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
    unit: UnitOfNetworkOption = None,
    balance: BalanceOption = False,
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
      python -m sim.run digit 4 --best
    """
    shipped = network_of(network_name, checkpoint)
    choice = shipped.schedule_of(n_fuse, schedule, groups, x_skip, best, delta, x_threshold, x_format, h_fp16)
    formats = shipped.formats_of(w_format, u_format, gap_bits, unit, best, balance)
    out = out or BUILD / f"digit-{digit}.html"
    where = where_of(accelerator(preset, config, settings, shipped.preset), latency, window)
    choice.check(where.config)
    started = time.monotonic()
    try:
        known = load_digits(images)
        network, inputs = for_digits(load_checkpoint(shipped.path), known, choice, formats)
    except ValueError as error:
        raise UserError(str(error)) from None
    if not 0 <= digit < len(known.labels):
        raise UserError(f"DIGIT must be in 0..{len(known.labels) - 1} (all that {images} holds), not {digit}")
    x = inputs[digit]
    if network.layers[0].inputs != x.shape[1]:
        raise UserError(f"layer 1 takes {network.layers[0].inputs} inputs, an image row has {x.shape[1]}")
    check_fits([layer.shape(len(x)) for layer in network.layers], len(x), where.asked)
    traces = traces_of(trace, len(network.layers))
    for path in (out, json, *traces):
        check_outputs(path)
    try:
        layers = plan_layers(network.layers, x, formats, choice, where.config)
    except ValueError as error:
        raise UserError(str(error)) from None
    tell_plans(formats, choice, layers)
    story, golden_x = Story(), x
    for number, layer in enumerate(layers, 1):
        packed, threshold = layer.packed, layer.threshold
        golden = golden_of(layer, x, f"layer {number}")
        tell(story, f"layer {number}", call_of(layer.plan, packed, x, threshold), golden, where)
        golden_x = layer.golden(golden_x).h_pruned
        x = story.records[-1].rtl.h
    logits, label = network.logits(x[-1]), int(known.labels[digit])
    golden_answer = int(network.logits(golden_x[-1]).argmax())
    view = digit_view(known.images[digit], label, logits, golden_answer, whole_test_set(network, layers))
    if view.prediction != view.golden:
        story.problems.append(f"the answer is {view.prediction}, golden's {view.golden}")
    record_ = InputRun(digit, not story.problems, story.runs, label, view.prediction, view.golden)
    finish(story, where, f"Image {digit}, a {label}", "mnist", record_, view, started, 1, (out, json, traces))
