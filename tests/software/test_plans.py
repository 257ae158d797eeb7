"""Layers packed and planned: what is given stays, what is left to the tuner is the best of all ways by the models."""

from dataclasses import replace

import numpy as np
import pytest

from golden.config import AcceleratorConfig, LayerShape, preset
from golden.cycles import CELL_FUSION, LIST, LayerWords
from golden.isa import Format, Schedule
from golden.layer import Layer, PackedLayer
from software.checkpoint import LayerWeights
from software.cli import UserError
from software.progress import bars
from software.tuning import schedule_choice
from software.tuning.plan import Plan
from software.tuning.schedule_choice import PlannedLayer, ScheduleChoice, plan_layers, roomy, tell_plans
from software.weight_formats import ALL_ESELL, FormatChoice

SEED = 12
FULL = replace(preset("tiny"), group_list=True, stream16=True, stream8=True)
OPEN = FormatChoice.of(None, None, None, 4, best=True)
BEST = ScheduleChoice(best=True)


def sparse(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    return (rng.normal(size=(rows, cols)) / np.sqrt(cols) * (rng.random((rows, cols)) < 0.3)).astype(np.float16)


def network() -> tuple[list[LayerWeights], np.ndarray]:
    """Two layers, of 12 inputs, 32 and 16 units, and an input of 7 steps with columns of zeros."""
    rng = np.random.default_rng(SEED)
    layers = [
        LayerWeights(sparse(rng, 4 * h, x), sparse(rng, 4 * h, h), np.zeros(4 * h, np.float16), 0.2)
        for x, h in ((12, 32), (32, 16))
    ]
    x = rng.normal(size=(7, 12)).astype(np.float32)
    x[:, [1, 5, 6]] = 0
    return layers, x


def cycles(packed: PackedLayer, x: np.ndarray, plan: Plan, config: AcceleratorConfig) -> int:
    """By the model of the plan's schedule."""
    golden = Layer(packed).run(x, 0.2)
    words = LayerWords.of_layer(packed, golden.kept, x if plan.x_skip else None)
    if plan.schedule == Schedule.LIST:
        return LIST.model(words, config, plan.groups).cycles
    return CELL_FUSION.model(words, config, (plan.n_fuse,)).cycles


@pytest.mark.parametrize("built", [("esell", "stream16"), ("stream8",)])
def test_the_best_of_all_formats_that_are_built(built: tuple[str, ...]) -> None:
    switches = {name: name in built for name in ("esell", "stream16", "stream8")}
    config = replace(FULL, **switches)
    layers, x = network()
    for number, one in enumerate(plan_layers(layers, x, OPEN, BEST, config)):
        layer = layers[number]
        choices = [FormatChoice(name, name) for name in built]
        choices += [replace(choice, w_unit=1) for choice in choices if choice.w != "esell"]
        found = {}
        for choice in choices:
            packed = choice.pack(layer.w, layer.u, layer.b)
            (other,) = plan_layers([LayerWeights(layer.w, layer.u, layer.b, 0.2)], x, choice, BEST, config)
            found[choice] = cycles(packed, x, other.plan, config)
        assert cycles(one.packed, x, one.plan, config) == min(found.values()), f"seed {SEED}, layer {number + 1}"
        assert one.packed.u.parameters.unit_cols == 4, "pruning drops h by U's units"
        assert one.packed.w.format in config.formats
        x = Layer(one.packed).run(x, 0.2).h_pruned


def test_a_format_that_is_given_stays() -> None:
    (_, *layers), x = network()
    x = x.repeat(3, axis=1)[:, :32]
    for w, u, wanted in (("stream8", None, Format.STREAM8), ("auto", "esell", Format.ESELL)):
        (one,) = plan_layers(layers, x, FormatChoice.of(w, u, None, 4, best=True), BEST, FULL)
        assert (one.packed.w if u is None else one.packed.u).format == wanted
    (finer,) = plan_layers(layers, x, FormatChoice.of(None, "stream16", 5, 1, best=True), BEST, FULL)
    assert finer.packed.u.parameters.unit_cols == 1 and finer.packed.u.parameters.gap_bits == 5
    with pytest.raises(UserError, match="U of layer 1 is stream-8, .* which the RTL does not read: eSELL"):
        plan_layers(layers, x, FormatChoice.of(None, "stream8", None, 4, best=True), BEST, preset("tiny"))


def test_what_no_format_holds_is_an_error_and_what_one_does_not_is_left_out() -> None:
    layers, x = network()
    layers[0].w[1, 5] = 65504
    # the upper bits of which are not finite
    assert plan_layers(layers, x, OPEN, BEST, replace(FULL, stream8=False))[0].packed.w.format == Format.ESELL
    with pytest.raises(ValueError, match="^layer 1: 65504 in row 1, column 5 becomes infinite in 12 bits .*, in W$"):
        plan_layers(layers, x, OPEN, BEST, replace(FULL, esell=False, stream8=False))
    with pytest.raises(ValueError, match="the formats are left to the tuner"):
        OPEN.pack(layers[0].w, layers[0].u, layers[0].b)


def test_a_layer_that_stops_is_named_where_it_is_searched() -> None:
    layers, x = network()
    layers[1].b[3] = 2048
    given = plan_layers(layers, x, ALL_ESELL, ScheduleChoice(2, "list", (3, 6)), FULL)
    assert [one.plan for one in given] == [Plan(2, Schedule.LIST, (3, 6))] * 2
    with pytest.raises(UserError, match="^layer 2 stops: a bias is not finite"):
        plan_layers(layers, x, ALL_ESELL, ScheduleChoice(2, "list"), FULL)


def test_what_was_chosen_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    layers, _ = network()
    packed = [ALL_ESELL.pack(layer.w, layer.u, layer.b) for layer in layers]
    planned = [PlannedLayer(one, 0.2, Plan(2)) for one in packed]
    tell_plans(ALL_ESELL, ScheduleChoice(2), planned)
    assert capsys.readouterr().out == ""
    tell_plans(OPEN, BEST, planned[:1])
    w, u = (len(matrix.words) for matrix in (packed[0].w, packed[0].u))
    assert capsys.readouterr().out == (
        f"layer 1: W eSELL, {w} words; U eSELL, {u} words\nlayer 1: cell-fusion, N_fuse 2\n"
    )


def test_an_accelerator_to_search_on_holds_the_layers_or_none_does() -> None:
    grown = roomy([LayerShape(4096, 4, 1), LayerShape(4, 2048, 70_000)])
    assert (grown.max_x, grown.max_h, grown.max_t) == (4096, 2048, 70_000)
    with pytest.raises(UserError, match=r"^no accelerator .* holds the layers: max_x must be in 4\.\.8192, not 9000"):
        roomy([LayerShape(9000, 4, 1)])


def test_a_search_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = bars()
    monkeypatch.setattr(schedule_choice, "bars", lambda: shown)
    layers, x = network()
    plan_layers(layers, x, OPEN, BEST, replace(FULL, esell=False, stream8=False))
    assert [(task.description, task.completed, task.total) for task in shown.tasks] == [
        ("layer 1: search", 2, 2),
        ("layer 2: search", 2, 2),
    ]
