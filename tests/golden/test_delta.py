"""DELTA and events against the rules in plain Python, and what they promise: no drift, exact splits, one result."""

import itertools
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.formats import Parameters
from golden.isa import Error, Format
from golden.layer import Layer, PackedLayer, pack_layer
from golden.recurrence import Held, State
from golden.reference import deviation, reference
from golden.sends import of_grid, rounded_to_grid, sends
from golden.spmv import Matrix
from golden.tables import TANH
from tests.golden import scalar
from tests.golden.scalar_delta import DeltaCell
from tests.golden.test_layer import bits, inputs, weights


def packed_in(unit: int, seed: int, x: int, h: int, density: float = 0.5, scale: float = 1.0) -> PackedLayer:
    """Random weights on the grid, in units of ``unit`` columns; stream-16 rounds nothing more of them."""
    w, u, b = weights(x, h, seed, density, scale)
    w, u = (rounded_to_grid((np.round(a * 16) / 16).astype(np.float16)) for a in (w, u))
    if unit == 4:
        return pack_layer(w, u, b)
    one = Parameters(unit_cols=1)
    return pack_layer(w, u, b, Format.STREAM16, Format.STREAM16, one, one)


@pytest.mark.parametrize("events", [False, True], ids=["delta", "events"])
@pytest.mark.parametrize("unit", [4, 1])
@pytest.mark.parametrize("seed", range(4))
def test_a_run_is_the_scalar_one_bit_for_bit(seed: int, unit: int, events: bool) -> None:
    rng = np.random.default_rng(seed)
    x, h, steps = int(rng.integers(1, 4)) * 4, int(rng.integers(1, 3)) * 4, 6
    packed = packed_in(unit, seed, x, h, scale=float(rng.choice([0.5, 3])))
    data = np.clip(inputs((steps, x), seed) / 2, -1, 1).astype(np.float32)
    data[2] = data[1]
    threshold, x_threshold = np.float32(rng.choice([-1, 0, 0.05, 0.3])), np.float32(rng.choice([0, 0.1]))
    layer = Layer(packed, delta=True, events=events)
    result = layer.run(data, float(threshold), x_threshold=float(x_threshold))
    assert (result.error, result.overflow, result.rows) == (Error.NONE, "none", steps)
    w, u = (dense_of(layer, name) for name in ("w", "u"))
    cell = DeltaCell(scalar.Cell(bits(w), bits(u), bits(packed.bias), list(TANH)), unit, unit, events)
    th, x_th = (int(value.view(np.uint32)) for value in (threshold, x_threshold))
    for t in range(steps):
        added, x_added = cell.step(bits(data[t].astype(np.float16)), th, x_th)
        assert result.kept[t].tolist() == [any(added[k : k + unit]) for k in range(0, h, unit)]
        if events:
            assert result.x_sent[t].tolist() == [any(x_added[k : k + unit]) for k in range(0, x, unit)]
        assert bits(result.h[t].astype(np.float16)) == cell.h
        assert result.c[t].tolist() == cell.c
        assert (result.h_pruned[t] * 1024).tolist() == cell.row(th)
    held = result.state.held
    assert held is not None
    assert (held.h.tolist(), held.sums.tolist()) == (cell.held, cell.sums)
    if events:
        assert held.x is not None and held.x.tolist() == cell.x_held


def dense_of(layer: Layer, name: str) -> Any:
    """The weights as the hardware reads them, fp16 (rows, cols)."""
    matrix: Matrix = getattr(layer, name)
    return matrix.dense().astype(np.float16)


def one_of(state: State, n: int) -> State:
    """That of one of N sequences."""
    held = state.held
    assert held is not None
    return State(state.h[n], state.c[n], Held(held.h[n], held.sums[n], None if held.x is None else held.x[n]))


@pytest.mark.parametrize(
    ("unit", "rounds"), [(1, 1), *(pytest.param(unit, 50, marks=pytest.mark.slow) for unit in (4, 1))]
)
def test_sums_do_not_drift(unit: int, rounds: int) -> None:
    """After 2,000, or a hundred thousand, steps they are still U times what is held, to the bit."""
    packed = packed_in(unit, 3, 4, 8)
    layer = Layer(packed, delta=True)
    rng = np.random.default_rng(unit)
    state, steps = None, 2000
    for _ in range(rounds):
        result = layer.run(rng.standard_normal((steps, 4)).astype(np.float32), 0.1, state)
        assert result.error == Error.NONE
        state = result.state
    assert state is not None and state.held is not None
    exact = layer.u.dense() @ (state.held.h / 1024) * 2**20
    assert state.held.sums.tolist() == exact.tolist()
    assert 0 < result.kept.mean() < 1


@pytest.mark.parametrize("events", [False, True], ids=["delta", "events"])
@pytest.mark.parametrize("unit", [4, 1])
def test_a_split_run_has_the_bits_of_one(unit: int, events: bool) -> None:
    packed = packed_in(unit, 5, 8, 12)
    layer = Layer(packed, delta=True, events=events)
    data = np.clip(inputs((2, 9, 8), 5) / 2, -1, 1).astype(np.float32)
    whole = layer.run(data, 0.2, x_threshold=0.05)
    state, parts = None, []
    for first, last in itertools.pairwise([0, 4, 5, 9]):
        part = layer.run(data[:, first:last], 0.2, state, x_threshold=0.05)
        parts.append(part)
        # through memory and back, one sequence after the other
        inputs_ = 8 if events else None
        states = [State.held_from_bytes(one_of(part.state, n).to_bytes(), 12, inputs_) for n in range(2)]
        state = State(
            np.stack([each.h for each in states]),
            np.stack([each.c for each in states]),
            Held(
                np.stack([each.held.h for each in states if each.held]),
                np.stack([each.held.sums for each in states if each.held]),
                np.stack([each.held.x for each in states if each.held and each.held.x is not None]) if events else None,
            ),
        )
    for name in ("h", "h_pruned", "c", "kept", "x_sent"):
        joined = np.concatenate([getattr(part, name) for part in parts], axis=1)
        assert np.array_equal(joined, getattr(whole, name)), name


def test_events_are_delta_where_all_is_on_the_grid() -> None:
    packed = packed_in(1, 7, 8, 8)
    rng = np.random.default_rng(7)
    data = (rng.integers(-256, 257, (3, 12, 8)) / 256).astype(np.float32)
    delta = Layer(packed, delta=True).run(data, 0.15)
    events = Layer(packed, delta=True, events=True).run(data, 0.15)
    for name in ("h", "h_pruned", "c", "kept"):
        assert np.array_equal(getattr(delta, name), getattr(events, name)), name


@pytest.mark.parametrize("events", [False, True], ids=["delta", "events"])
@pytest.mark.parametrize("unit", [4, 1])
def test_float64_with_the_same_sends_stays_near(unit: int, events: bool) -> None:
    """As near as the grid lets it: half a step of 2^-10 of what is held."""
    packed = packed_in(unit, 11, 8, 12, scale=0.3)
    data = np.clip(inputs((3, 60, 8), 11) / 2, -1, 1).astype(np.float32)
    result = Layer(packed, delta=True, events=events).run(data, 0.1, x_threshold=0.02)
    near = reference(packed, data, 0.1, result.kept, delta=True, x_sent=result.x_sent if events else None)
    found = deviation(result.h, result.kept, near)
    assert found.max_abs < 5e-3 and found.flips == 0
    # whether nothing is held, or x is not what was sent of it, is no rounding
    assert deviation(result.h, result.kept, reference(packed, data, 0.1, result.kept)).max_abs > 0.02
    free = reference(packed, data, 0.1, delta=True)
    assert free.kept.mean() == pytest.approx(result.kept.mean(), abs=0.05)


def test_what_cannot_be_used_is_named() -> None:
    packed = packed_in(1, 1, 4, 4)
    layer, one = Layer(packed, delta=True, events=True), np.zeros((2, 4), np.float32)
    over = one.copy()
    over[1, 2] = 1.5
    result = layer.run(over, 0.1)
    assert (result.error, result.rows) == (Error.BAD_X, 1)
    for name, place in (("h", 1025), ("x", -1025), ("h", 1 << 30), ("x", -(1 << 31))):
        held = Held.zeros(4, inputs=4)
        getattr(held, name)[0] = place
        state = State(np.zeros(4, np.float32), np.zeros(4, np.int32), held)
        assert layer.run(one, 0.1, state).error == Error.BAD_STATE, name
    assert layer.run(one, 0.1, x_threshold=float("nan")).error == Error.BAD_THRESHOLD
    with pytest.raises(ValueError, match=r"the sums must have shape \(16,\) or \(1, 16\), not \(4,\)"):
        layer.run(one, 0.1, State(np.zeros(4, np.float32), np.zeros(4, np.int32), Held(*np.zeros((2, 4), np.int32))))
    with pytest.raises(ValueError, match="they need delta"):
        Layer(packed, events=True)


def test_a_sum_that_leaves_32_bits_is_told() -> None:
    """Of what has been summed before, too: near the limit it may be told, beyond it must."""
    packed = pack_layer(np.zeros((16, 4), np.float16), np.eye(16, 4).astype(np.float16), np.zeros(16, np.float16))
    layer, x = Layer(packed, delta=True), np.zeros((1, 4), np.float32)
    classes = []
    for sums in (0, 2**31 - 2**19, 2**31 - 2**20):
        held = Held(np.zeros(4, np.int32), np.full(16, sums, np.int32))
        held.sums[1:] = 0
        state = State(np.array([0.75, 0, 0, 0], np.float32), np.zeros(4, np.int32), held)
        classes.append(layer.run(x, 0.0, state).overflow)
    assert classes == ["none", "must", "none"]


@pytest.mark.parametrize("cols", [1, 4])
def test_thresholds_are_exact(cols: int) -> None:
    """A unit at the threshold is sent, one 2^-24 below it is not; what rounds to what is held is never sent."""
    threshold = numbers.threshold_q24(0.25)
    values = np.array([[2**22, 0, 0, 0], [2**22 - 1, 0, 0, 0], [2**21 - 1, 0, 0, 0], [2**13 - 1] * 4], np.int64)
    found = sends(values, np.zeros((4, 4), np.int32), threshold, cols)
    assert found.sent[:, 0].tolist() == ([True, False, False, False] if cols == 1 else [True, True, False, False])
    assert not sends(values[3:], np.zeros((1, 4), np.int32), 0, cols).sent.any()
    assert of_grid(found.held).tolist()[0][0] == 0.25
    with pytest.raises(ValueError, match="must be 4 or 1, not 2"):
        sends(values, np.zeros((4, 4), np.int32), 0, 2)
