"""The shipped networks: what a command line leaves to them, what they answer, weights on the grid, images as bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from golden.config import ACCELERATOR_PRESETS, preset
from golden.isa import Format, InputFormat, Schedule
from golden.layer import Layer
from golden.memory import x_bytes
from golden.sends import GRID_BITS
from sim.digits.network import whole_test_set
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError
from software.tuning.networks import NETWORKS, for_digits, network_of
from software.tuning.plan import Plan
from software.tuning.schedule_choice import ScheduleChoice, plan_layers, run_of
from software.weight_formats import ALL_ESELL, FormatChoice

BYTES = ScheduleChoice(x_format=InputFormat.UINT8)
BY_EVENTS = ("delta", "tiny", "smallest")


def test_paper_is_what_runs_without_a_word() -> None:
    paper = network_of(None)
    assert (paper.path, paper.preset) == (MNIST_CHECKPOINT, "default")
    assert paper.schedule_of() == ScheduleChoice() and paper.formats_of(None, None, None, None) == ALL_ESELL
    assert network_of(None, MNIST_DIGITS) == replace(paper, path=MNIST_DIGITS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_suits_its_preset(name: str) -> None:
    network = network_of(name)
    config = ACCELERATOR_PRESETS[network.preset]
    network.schedule_of().check(config)
    assert network.path.is_file() and network.about
    # as the command line gives it, and as the registry says it
    assert (network.schedule_of(), network.formats_of(None, None, None, None)) == (network.schedule, network.formats)


def test_what_is_said_counts_before_what_the_network_has() -> None:
    delta = network_of("delta")
    listed = delta.schedule_of(schedule="list")
    assert (listed.schedule, listed.delta, listed.x_format, listed.h_fp16) == ("list", True, InputFormat.FP16, True)
    assert delta.schedule_of(schedule="list", delta=False, x_format="fp32", h_fp16=False) == ScheduleChoice(
        schedule="list"
    )
    assert delta.schedule_of(x_threshold=0.25).x_threshold == 0.25 and delta.schedule_of(n_fuse=2).n_fuse == 2
    assert network_of("sparse90").schedule_of().x_skip
    assert not network_of("sparse90").schedule_of(schedule="cell-fusion").x_skip
    assert not network_of("sparse90").schedule_of(best=True).x_skip
    assert delta.formats_of(None, "stream8", None, None) == FormatChoice("stream16", "stream8", unit=1)
    assert delta.formats_of("esell", "esell", None, None) == ALL_ESELL
    assert delta.formats_of(None, None, 5, 4) == FormatChoice("stream16", "stream16", 5, 4)
    assert network_of("paper").formats_of(None, None, None, None, best=True).open
    assert delta.formats_of(None, None, None, None, best=True) == delta.formats


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delta": False}, "--schedule events sends changes: --no-delta must be left out"),
        ({"x_format": "fp8"}, "--x-format must be fp32, fp16, uint8, not 'fp8'"),
        ({"x_threshold": float("nan")}, "--x-threshold must be a number, not nan"),
        ({"schedule": "list", "x_threshold": 0.5}, "--x-threshold is for --schedule events, not list"),
        ({"groups": "3"}, "--groups is for --schedule list, not events"),
    ],
)
def test_what_does_not_go_together_is_named(options: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        network_of("delta").schedule_of(**options)  # type: ignore[arg-type]


def test_networks_that_there_are_not() -> None:
    with pytest.raises(UserError, match="no network 'large'; there are: paper, sparse90, delta, tiny, smallest"):
        network_of("large")
    with pytest.raises(UserError, match="--network and --checkpoint both give the network: choose one"):
        network_of("tiny", MNIST_DIGITS)


@pytest.mark.parametrize(
    ("name", "switch", "text"),
    [
        ("default", {}, "--schedule events is not built with events=false, which has: cell-fusion, list"),
        ("event", {"schedule": "list"}, "--schedule list is not built with events=true, which has: events"),
        ("tiny", {"schedule": "cell-fusion"}, "--delta is not built with delta=false"),
        ("tiny", {"schedule": "cell-fusion", "delta": False}, "--h-fp16 is not built with delta=false"),
        (
            "tiny",
            {"schedule": "cell-fusion", "delta": False, "h_fp16": False},
            "--x-format fp16 is not built with this configuration: fp32",
        ),
    ],
)
def test_a_build_says_what_it_has_not(name: str, switch: dict[str, object], text: str) -> None:
    with pytest.raises(UserError, match=text):
        network_of("delta").schedule_of(**switch).check(replace(preset(name), delta=name == "event"))  # type: ignore[arg-type]


def test_pixels_as_bytes_are_made_up_for_by_w() -> None:
    checkpoint, digits = load_checkpoint(network_of("delta").path), load_digits(MNIST_DIGITS)
    same, x = for_digits(checkpoint, digits, ScheduleChoice(x_format=InputFormat.FP16), ALL_ESELL)
    assert same is checkpoint and x.max() == 1
    scaled, x = for_digits(checkpoint, digits, BYTES, ALL_ESELL)
    assert (x * 256 == digits.images).all() and scaled.layers[1] is checkpoint.layers[1]
    ratio = (
        scaled.layers[0].w.astype(float)[checkpoint.layers[0].w != 0]
        / checkpoint.layers[0].w[checkpoint.layers[0].w != 0]
    )
    assert np.abs(ratio - 256 / 255).max() < 2**-9 and (scaled.layers[0].u == checkpoint.layers[0].u).all()
    large = replace(checkpoint.layers[0], w=np.full_like(checkpoint.layers[0].w, 65504))
    with pytest.raises(ValueError, match="W of layer 1 times 256/255, for x as uint8, is too large for fp16"):
        for_digits(replace(checkpoint, layers=(large, checkpoint.layers[1])), digits, BYTES, ALL_ESELL)


@pytest.mark.parametrize("name", ["stream16", "stream8", "esell", "auto"])
def test_weights_that_changes_meet_are_on_the_grid(name: str) -> None:
    """U where changes of h are sent, by events W too; of a build's other runs the weights stay as they are."""
    rng = np.random.default_rng(6)
    w, u = ((rng.normal(size=(64, n)) * (rng.random((64, n)) < 0.2)).astype(np.float16) for n in (8, 16))
    b = np.zeros(64, np.float16)
    formats = FormatChoice(name, name)
    for choice, on_grid in (
        (ScheduleChoice(), (False, False)),
        (ScheduleChoice(delta=True), (False, True)),
        (ScheduleChoice(schedule="events", delta=True), (True, True)),
    ):
        layer = Layer(choice.formats(formats).pack(w, u, b))
        found = tuple(bool((np.ldexp(m.dense(), GRID_BITS) % 1 == 0).all()) for m in (layer.w, layer.u))
        assert found == on_grid, choice


def test_grid_is_asked_for_by_itself() -> None:
    assert FormatChoice.of(None, None, None, 4, grid=True) == FormatChoice(u_grid=True)


@pytest.mark.parametrize("name", BY_EVENTS)
def test_networks_by_events_answer_what_their_accuracy_says(name: str) -> None:
    """98.6 to 99.2 % of all digits, here of the first 100; planned as commands plan them."""
    network, digits = network_of(name), load_digits(MNIST_DIGITS)
    trained, x = for_digits(load_checkpoint(network.path), digits, network.schedule, network.formats)
    planned = plan_layers(trained.layers, x[0], network.formats, network.schedule, preset(network.preset))
    upper, lower = Plan(3, Schedule.EVENTS, delta=True, h_fp16=True), planned[0].plan
    assert planned[1].plan == replace(upper, x_format=InputFormat.FP16)
    assert lower == replace(upper, x_format=InputFormat.UINT8)
    x_bytes(planned[0].packed, x, InputFormat.UINT8)
    for layer in planned:
        assert layer.packed.u.parameters.unit_cols == layer.packed.w.parameters.unit_cols == 1
        x = layer.golden(x).h_pruned
        half = x.astype(np.float16)
        assert (half == x).all(), "rows as fp16, and the x of the layer above"
    right = (trained.logits(x[:, -1]).argmax(axis=1) == digits.labels).sum()
    assert right >= 99
    said = whole_test_set(trained, planned)
    assert said["tested_inputs"] == 10_000 and said["tested_accuracy"] > 0.986
    plain = [replace(layer, plan=Plan()) for layer in planned]
    assert whole_test_set(trained, plain) == {}, "of another run it says nothing"
    assert json.loads(json.dumps(run_of(planned))) == trained.meta["golden"]["run"]
    assert "outside of this project" in trained.meta["imported"]["about"]


def test_best_of_a_build_by_events_is_events() -> None:
    network, digits = network_of("delta"), load_digits(MNIST_DIGITS)
    choice, formats = network.schedule_of(best=True), network.formats_of(None, None, None, None, best=True)
    trained, x = for_digits(load_checkpoint(network.path), digits, choice, formats)
    planned = plan_layers(trained.layers[:1], x[0], formats, choice, preset("event"))
    assert planned[0].plan.events and planned[0].plan.delta
    assert planned[0].packed.u.format == Format.STREAM16
