"""Hidden units in other places: the same answers, bit for bit, in fewer words."""

import re
from dataclasses import replace

import numpy as np
import pytest

from software.checkpoint import MNIST_DIGITS, Checkpoint, LayerWeights, load_checkpoint, load_digits
from software.cli import UserError
from software.tuning.balance import balanced
from software.tuning.networks import NETWORKS, for_digits
from software.tuning.schedule_choice import ScheduleChoice
from software.weight_formats import FormatChoice

FEW = 3000
CHOICES = [FormatChoice("stream16", "stream16", unit=1), FormatChoice("stream8", "stream8", unit=1)]


def uneven(seed: int, hidden: int = 16, units: int = 12) -> Checkpoint:
    """Two layers, of 9 inputs; units mod 4 and mod 8 have quite different numbers of weights."""
    rng = np.random.default_rng(seed)

    def matrix(size: int, columns: int) -> np.ndarray:
        dense = 0.1 + 0.8 * (np.arange(size) % 4 == 1)
        values = rng.normal(size=(4, size, columns)) * (rng.random((4, size, columns)) < dense[:, None])
        return (np.rint(values * 1024 / 4) / 1024).astype(np.float16).reshape(4 * size, columns)

    lower = LayerWeights(
        matrix(hidden, 9), matrix(hidden, hidden), (rng.normal(size=4 * hidden) / 4).astype(np.float16), 0.05
    )
    upper = LayerWeights(
        matrix(units, hidden), matrix(units, units), (rng.normal(size=4 * units) / 4).astype(np.float16), 0.1
    )
    out = rng.normal(size=(5, units)).astype(np.float32)
    return Checkpoint((lower, upper), out, np.zeros(5, np.float32), {})


def run(network: Checkpoint, formats: FormatChoice, schedule: ScheduleChoice, x: np.ndarray) -> list[np.ndarray]:
    rows = []
    for layer in network.layers:
        result = schedule.layer(formats.pack(layer.w, layer.u, layer.b)).run(x, layer.threshold)
        x = result.h_pruned
        rows.append(x[..., : layer.hidden])
    return rows


@pytest.mark.parametrize("formats", CHOICES, ids=["stream-16", "stream-8"])
@pytest.mark.parametrize(
    "schedule",
    [ScheduleChoice(), ScheduleChoice(delta=True), ScheduleChoice(schedule="events", delta=True)],
    ids=["kept", "changes", "events"],
)
def test_h_is_the_same_in_another_order(formats: FormatChoice, schedule: ScheduleChoice) -> None:
    network = uneven(1)
    found = balanced(network, formats, swaps=FEW)
    assert found.after < 0.9 * found.before
    assert all(sorted(order) == list(range(len(order))) for order in found.orders)
    x = (np.random.default_rng(3).integers(-64, 64, (2, 7, 9)) / 64).astype(np.float32)
    before, after = (run(each, formats, schedule, x) for each in (network, found.checkpoint))
    for old, new, order in zip(before, after, found.orders, strict=True):
        assert (new == old[..., order]).all() and (new != old).any()
    assert (found.checkpoint.out_w == network.out_w[:, found.orders[1]]).all()


@pytest.mark.parametrize("hidden", [12, 16, 10])
def test_streams_of_every_gate_are_counted_where_they_are(hidden: int) -> None:
    """With 12 units, or 10 padded to them, the gates begin at rows 0, 12, 24, 36: not all in the same of 8 streams."""
    network = uneven(2, hidden=hidden, units=hidden)
    found = balanced(network, CHOICES[1], swaps=FEW)
    again = balanced(found.checkpoint, CHOICES[1], swaps=FEW)
    assert again.before == found.after < found.before
    assert again.after <= found.after


def test_columns_that_are_loaded_count() -> None:
    """What no run loads may be as uneven as it will."""
    network = uneven(4)
    layer = network.layers[0]
    nothing, often = np.zeros(9), np.ones(layer.hidden)
    found = balanced(
        replace(network, layers=(layer,), out_w=network.out_w[:, :1].repeat(16, axis=1)),
        CHOICES[0],
        [(nothing, often)],
        swaps=FEW,
    )
    even = found.checkpoint.layers[0]
    before, after = (CHOICES[0].pack(each.w, each.u, each.b) for each in (layer, even))
    assert len(after.u.words) < len(before.u.words)


def test_what_is_even_stays_as_it_is() -> None:
    network = uneven(1)
    even = balanced(network, CHOICES[0], swaps=FEW).checkpoint
    full = replace(
        even, layers=tuple(replace(one, w=np.ones_like(one.w), u=np.ones_like(one.u)) for one in even.layers)
    )
    found = balanced(full, CHOICES[0], swaps=10)
    assert found.before == found.after and all((order == np.arange(len(order))).all() for order in found.orders)


def test_blocks_of_four_units_stay_together() -> None:
    text = "--balance needs stream formats that are given, with --unit 1: others take 4 units of h together"
    for wrong in ({"unit": 4}, {"w": "esell"}, {"w": None, "u": None, "unit": 4}):
        with pytest.raises(UserError, match=re.escape(text)):
            FormatChoice(**({"w": "stream16", "u": "stream16", "unit": 1, "balance": True} | wrong))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="where U's units have one column"):
        balanced(uneven(1), FormatChoice("stream16", "stream16"))


def test_a_network_is_balanced_where_it_meets_its_digits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained to be even, so nothing is left to do; and the answers are those of before."""
    monkeypatch.setattr("software.tuning.balance.SWAPS", 100)
    network, digits = NETWORKS["delta"], load_digits(MNIST_DIGITS)
    formats = network.formats_of(None, None, None, None, balance=True)
    assert formats.balance
    plain, x = for_digits(load_checkpoint(network.path), digits, network.schedule, network.formats)
    even, same_x = for_digits(load_checkpoint(network.path), digits, network.schedule, formats)
    assert (x == same_x).all()
    assert re.search(r"units in other places: [\d,]+ words of W and U instead of [\d,]+\n", capsys.readouterr().err)
    answers = []
    for trained in (plain, even):
        rows = run(trained, network.schedule.formats(network.formats), network.schedule, x[:5])
        answers.append(trained.logits(rows[-1][:, -1]).argmax(axis=1))
    assert (answers[0] == answers[1]).all()
