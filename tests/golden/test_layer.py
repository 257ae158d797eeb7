import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.formats import esell
from golden.isa import Error
from golden.layer import Layer, LayerResult, PackedLayer, pack_layer, run
from golden.recurrence import State
from golden.tables import TANH
from tests.golden import scalar


def weights(
    x: int, h: int, seed: int, density: float = 0.6, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((4 * h, x)) * scale * (rng.random((4 * h, x)) < density)
    u = rng.standard_normal((4 * h, h)) * scale * (rng.random((4 * h, h)) < density)
    return w.astype(np.float16), u.astype(np.float16), (rng.standard_normal(4 * h) * scale).astype(np.float16)


def inputs(shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed + 1000)
    return (rng.standard_normal(shape) * (rng.random(shape) < 0.7)).astype(np.float32)


def bits(a: np.ndarray) -> list:
    return numbers.fp16_bits(a).tolist()


def assert_same(a: LayerResult, b: LayerResult, part: slice = slice(None)) -> None:
    for name in ("h", "h_pruned", "c", "kept"):
        assert np.array_equal(getattr(a, name), getattr(b, name)[..., part, :]), name


@pytest.mark.parametrize("seed", range(10))
def test_layer_is_the_scalar_one_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, h, steps = int(rng.integers(1, 4)) * 4, int(rng.integers(1, 4)) * 4, 5
    w, u, b = weights(x, h, seed, density=float(rng.choice([0.2, 0.6, 1.0])), scale=float(rng.choice([0.3, 1, 6])))
    data = inputs((steps, x), seed)
    threshold = np.float32(rng.choice([0, 0.3, 0.8, 2]))
    state = State(
        numbers.fp16_of_q20(rng.integers(-(1 << 20), 1 << 20, h)).astype(np.float32),
        rng.integers(-(1 << 23), 1 << 23, h).astype(np.int32),
    )
    packed = pack_layer(w, u, b)
    result = run(packed, data, float(threshold), state)
    assert (result.error, result.overflow, result.rows) == (Error.NONE, "none", steps)
    cell = scalar.Cell(bits(w), bits(u), bits(b), list(TANH))
    at, c = bits(state.h.astype(np.float16)), state.c.tolist()
    loaded = 0
    for t in range(steps):
        keep = cell.keep(at, int(threshold.view(np.uint32)))
        loaded += sum(n for n, k in zip(packed.u.offsets.tolist(), keep, strict=True) if k)
        at, c = cell.step(bits(data[t].astype(np.float16)), at, c, keep)
        dropped = [v if cell.keep(at, int(threshold.view(np.uint32)))[i // 4] else 0 for i, v in enumerate(at)]
        assert result.kept[t].tolist() == keep
        assert bits(result.h[t].astype(np.float16)) == at
        assert bits(result.h_pruned[t].astype(np.float16)) == dropped
        assert result.c[t].tolist() == c
    assert result.u_words_loaded == loaded
    assert result.kept_blocks == result.kept.sum()
    assert (result.w_words, result.u_words) == (len(packed.w.words), len(packed.u.words))
    assert np.array_equal(result.state.h, result.h[-1]) and np.array_equal(result.state.c, result.c[-1])
    assert result.h.dtype == result.h_pruned.dtype == np.float32 and result.c.dtype == np.int32


@pytest.mark.parametrize("split", [1, 4, 6])
def test_a_sequence_in_two_calls_gives_the_bits_of_one(split: int) -> None:
    layer = Layer(pack_layer(*weights(12, 16, 3)))
    x = inputs((7, 12), 3)
    whole = layer.run(x, 0.5)
    first = layer.run(x[:split], 0.5)
    second = layer.run(x[split:], 0.5, State.from_bytes(first.state.to_bytes()))
    assert_same(first, whole, slice(None, split))
    assert_same(second, whole, slice(split, None))
    assert second.state.to_bytes() == whole.state.to_bytes()
    assert first.u_words_loaded + second.u_words_loaded == whole.u_words_loaded


def test_state_bytes_are_h_then_c() -> None:
    state = State(np.array([1, -0.5, 0, 0], np.float32), np.array([1, -1, 0, 2], np.int32))
    assert state.to_bytes() == np.array([1, -0.5, 0, 0], "<f4").tobytes() + np.array([1, -1, 0, 2], "<i4").tobytes()
    with pytest.raises(ValueError, match="8 bytes a unit, not 12 bytes"):
        State.from_bytes(bytes(12))
    with pytest.raises(ValueError, match=re.escape("one sequence's, not shape (2, 4)")):
        State.zeros(2, 4).to_bytes()
    with pytest.raises(TypeError, match="h float32 and c int32 of one shape, not float64"):
        State(np.zeros(4), np.zeros(4, np.int32))  # type: ignore[arg-type]


def test_many_sequences_are_each_alone() -> None:
    layer = Layer(pack_layer(*weights(28, 32, 4)))
    x = inputs((37, 6, 28), 4)
    batch = layer.run(x, 0.4)
    assert batch.h.shape == (37, 6, 32) and batch.kept.shape == (37, 6, 8) and batch.kept_blocks.shape == (37,)
    for n in range(37):
        alone = layer.run(x[n], 0.4)
        for name in ("h", "h_pruned", "c", "kept", "u_words_loaded", "kept_blocks"):
            assert np.array_equal(getattr(alone, name), getattr(batch, name)[n]), name
    again = layer.run(x[:, 3:], 0.4, layer.run(x[:, :3], 0.4).state)
    assert np.array_equal(again.h, batch.h[:, 3:])


@pytest.mark.parametrize(("x", "h"), [(5, 6), (3, 1), (27, 10), (8, 7)])
def test_padding_changes_nothing(x: int, h: int) -> None:
    w, u, b = weights(x, h, x)
    data = inputs((6, x), x)
    result = run(pack_layer(w, u, b), data, 0.0)
    width, height = -(-x // 4) * 4, -(-h // 4) * 4

    def by_gate(a: np.ndarray, columns: int) -> np.ndarray:
        out = np.zeros((4, height, columns), dtype=np.float16)
        out[:, :h, : a.shape[1]] = a.reshape(4, h, -1)
        return out.reshape(4 * height, columns)

    padded_b = by_gate(b[:, None], 1).ravel()
    big = run(pack_layer(by_gate(w, width), by_gate(u, height), padded_b), np.pad(data, ((0, 0), (0, width - x))), 0.0)
    assert_same(result, big)
    assert not result.h[:, h:].any() and not result.c[:, h:].any()
    # The logical layer, unit by unit
    cell = scalar.Cell(bits(w), bits(u), bits(b), list(TANH))
    at, c = [0] * h, [0] * h
    for t in range(6):
        at, c = cell.step(bits(data[t].astype(np.float16)), at, c, [True] * height)
        assert bits(result.h[t, :h].astype(np.float16)) == at


def test_threshold_extremes() -> None:
    layer = Layer(pack_layer(*weights(8, 16, 6)))
    x = inputs((5, 8), 6)
    for keep_all in (0.0, -0.0, -1.0, -np.inf):
        result = layer.run(x, keep_all)
        assert result.kept.all() and result.u_words_loaded == 5 * result.u_words
    none = layer.run(x, np.inf)
    assert not none.kept.any() and none.u_words_loaded == 0
    assert not none.h_pruned.any() and none.h.any()
    tiny = layer.run(x, 1e-40)
    assert not tiny.kept[0].any(), "zeros are dropped by any positive threshold"
    nan = layer.run(x, np.nan)
    assert (nan.error, nan.rows) == (Error.BAD_THRESHOLD, 0)
    assert np.isnan(nan.h).all()


def test_zero_h_is_positive() -> None:
    result = run(
        pack_layer(np.zeros((16, 4), np.float16), np.zeros((16, 4), np.float16), np.zeros(16, np.float16)),
        np.zeros((2, 4), np.float32),
        0.0,
    )
    assert bits(result.h.astype(np.float16)) == [[0] * 4] * 2


def example() -> tuple[PackedLayer, np.ndarray]:
    return pack_layer(*weights(8, 16, 7, density=0.9)), inputs((6, 8), 7)


def set_word(packed: PackedLayer, which: str, index: int, value: int) -> PackedLayer:
    matrix: esell.Packed = getattr(packed, which)
    words = matrix.words.copy()
    words[index] = np.uint64(value)
    changed: dict[str, Any] = {which: dataclasses.replace(matrix, words=words)}
    return dataclasses.replace(packed, **changed)


def test_bad_weights_in_w() -> None:
    packed, x = example()
    result = run(set_word(packed, "w", 1, 0x7C00), x, 0.0)
    assert (result.error, result.errors, result.rows) == (Error.BAD_WEIGHT, {Error.BAD_WEIGHT}, 0)
    result = run(set_word(packed, "w", 0, 7), x, 0.0)
    assert (result.error, result.rows) == (Error.BAD_FORMAT, 0)
    assert np.isnan(result.h).all() and not result.kept.any()


def test_words_before_a_malformed_head_may_also_be_reported() -> None:
    packed, x = example()
    head = int(packed.w.words[0])
    second = 1 + (head & 7) + (head >> 32 & 7)
    both = set_word(set_word(packed, "w", 1, 0x7E00), "w", second, 5)
    assert run(both, x, 0.0).errors == {Error.BAD_FORMAT, Error.BAD_WEIGHT}


@pytest.mark.parametrize(("value", "error"), [(0xFC00, Error.BAD_WEIGHT), (None, Error.BAD_FORMAT)])
def test_a_fault_in_u_counts_when_its_column_is_loaded(value: int | None, error: Error) -> None:
    packed, x = example()
    good = run(packed, x, 1.2)
    column = next(k for k in range(4) if good.kept[1:, k].any())
    step = int(np.flatnonzero(good.kept[:, column])[0])
    start = int(packed.u.offsets[:column].sum())
    bad = set_word(packed, "u", start, 1 << 31) if value is None else set_word(packed, "u", start + 1, value)
    result = run(bad, x, 1.2)
    assert (result.error, result.rows) == (error, step)
    assert np.array_equal(result.h[:step], good.h[:step]) and np.isnan(result.h[step:]).all()
    assert run(bad, x, np.inf).error == Error.NONE, "nothing of U is loaded"
    assert run(bad, x, 0.0).rows == 0


def test_an_offset_that_disagrees() -> None:
    packed, x = example()
    offsets = packed.u.offsets.copy()
    offsets[1] += 1
    bad = dataclasses.replace(packed, u=dataclasses.replace(packed.u, offsets=offsets))
    assert run(bad, x, 0.0).errors >= {Error.BAD_FORMAT}


@pytest.mark.parametrize("value", [2048, -2048, np.inf, np.nan])
def test_bad_bias(value: float) -> None:
    packed, x = example()
    bias = packed.bias.copy()
    bias[3] = value
    assert run(dataclasses.replace(packed, bias=bias), x, 0.0).errors == {Error.BAD_BIAS}


@pytest.mark.parametrize("value", [65520.0, -1e30, np.inf, np.nan])
def test_bad_x_ends_at_its_step(value: float) -> None:
    packed, x = example()
    good = run(packed, x, 0.0)
    x[4, 2] = value
    result = run(packed, x, 0.0)
    assert (result.error, result.rows) == (Error.BAD_X, 4)
    assert np.array_equal(result.h[:4], good.h[:4])
    x[4, 2] = 65519
    assert run(packed, x, 0.0).error != Error.BAD_X


@pytest.mark.parametrize("value", [1.0005, np.nan, np.inf, 2.0**-25])
def test_bad_state(value: float) -> None:
    packed, x = example()
    state = State.zeros(16)
    state.h[5] = value
    result = run(packed, x, 0.0, state)
    assert (result.errors, result.rows) == ({Error.BAD_STATE}, 0)


def overflow_case(bias: float, *terms: float) -> LayerResult:
    """Gate row 0 sums bias and the terms."""
    w = np.zeros((16, 4), dtype=np.float16)
    w[0, : len(terms)] = 1
    b = np.zeros(16, dtype=np.float16)
    b[0] = bias
    x = np.zeros((2, 4), dtype=np.float32)
    x[1, : len(terms)] = terms
    return run(pack_layer(w, np.zeros((16, 4), dtype=np.float16), b), x, 0.0)


@pytest.mark.parametrize(
    ("bias", "terms", "overflow"),
    [
        (2047, (0.5,), "none"),
        (2047, (0.5, 0.25, 0.25), "must"),
        (2047, (1,), "must"),
        (-2047, (-1,), "may"),  # the sum is -2^31, which int32 holds
        (-2047, (-1, -0.001), "must"),
        (2047, (-2000,), "may"),
        (0, (2047, 1, -1), "may"),
        (0, (2048,), "must"),  # the product alone
        (0, (2048, -100), "must"),  # although the sum fits
        (0, (-2048,), "may"),
        (0, (1024, -1023.5), "none"),
        (0, (1024, -1024), "may"),
        (0, (40000, -40000), "must"),
    ],
)
def test_overflow_classes(bias: float, terms: tuple[float, ...], overflow: str) -> None:
    result = overflow_case(bias, *terms)
    assert result.overflow == overflow
    assert result.rows == (1 if overflow == "must" else 2)
    assert result.errors == ({Error.ACC_OVERFLOW} if overflow == "must" else set())


def two_faults(fault: Error) -> LayerResult:
    """Sums of W x that overflow in step 1, of U s(h) in step 0, and one other fault."""
    w, u = np.zeros((16, 8), np.float16), np.zeros((16, 8), np.float16)
    w[3, 0], u[:, 0] = 60000, 60000
    b, x = np.zeros(16, np.float16), np.zeros((3, 8), np.float32)
    x[1, 0] = 60000
    state = State.zeros(4)
    u = u[:, :4]
    match fault:
        case Error.BAD_BIAS:
            b[0] = np.inf
        case Error.BAD_WEIGHT:
            w[0, 7] = np.nan
        case Error.BAD_X:
            x[2, 5] = np.inf
        case Error.BAD_STATE:
            state.h[2] = 2
        case Error.BAD_FORMAT:
            packed = pack_layer(w, u, b)
            packed.w.words[-1] |= np.uint64(1 << 31)
            return run(packed, x, 0.0, state)
    return run(pack_layer(w, u, b), x, 0.0, state)


@pytest.mark.parametrize(
    "fault", [Error.BAD_BIAS, Error.BAD_WEIGHT, Error.BAD_X, Error.BAD_STATE, Error.BAD_FORMAT], ids=lambda e: e.name
)
def test_an_overflow_beside_another_fault_applies_too(fault: Error) -> None:
    """The hardware works on several arrays at once: which of two faults it meets first is its own affair."""
    result = two_faults(fault)
    assert result.errors == {fault, Error.ACC_OVERFLOW}
    assert result.error == fault
    # a fault does not make an overflow out of sums that fit
    packed, x = example()
    packed.bias[0] = np.inf
    assert run(packed, x, 0.0).errors == {Error.BAD_BIAS}


@pytest.mark.parametrize("h", [0.0, 1.0])
def test_an_overflow_of_the_step_that_a_bad_column_of_u_ends_applies_if_its_sums_are_touched(h: float) -> None:
    u = np.zeros((32, 8), np.float16)
    u[0, 0], u[0, 1], u[0, 4] = 60000, 60000, np.inf
    state = State(np.array([h, h, 0, 0, 1, 0, 0, 0], np.float32), np.zeros(8, np.int32))
    result = run(
        pack_layer(np.zeros((32, 4), np.float16), u, np.zeros(32, np.float16)), np.zeros((1, 4), np.float32), 0.5, state
    )
    assert result.errors == ({Error.BAD_WEIGHT, Error.ACC_OVERFLOW} if h else {Error.BAD_WEIGHT})


def test_one_sequence_near_the_limit_leaves_the_others_exact() -> None:
    w, u, b = weights(8, 16, 9)
    layer = Layer(pack_layer(w, u, b))
    x = inputs((5, 3, 8), 9)
    x[2, 1, 0] = 300
    batch = layer.run(x, 0.3)
    assert batch.overflow == "none" and batch.error == Error.NONE
    x[2, 1, 0] = 60000
    assert layer.run(x, 0.3).overflow == "must"
    others = layer.run(x[[0, 1, 3, 4]], 0.3)
    assert np.array_equal(others.h, batch.h[[0, 1, 3, 4]])


@pytest.mark.parametrize("seed", range(4))
def test_the_slow_way_gives_the_fast_ways_bits(seed: int) -> None:
    # A huge x that meets only zero weights sends every step through the checked sums
    w, u, b = weights(12, 16, seed)
    w[:, 11] = 0
    w[0, 10] = 0
    x = inputs((6, 12), seed)
    x[:, 11] = 0
    layer = Layer(pack_layer(w, u, b))
    fast = layer.run(x, 0.3)
    layer.w.col_max[:] = 1e9
    layer.w.row_max = 1e9
    slow = layer.run(x, 0.3)
    assert slow.overflow == "none"
    assert_same(fast, slow)


@pytest.mark.parametrize(
    ("w", "u", "b", "text"),
    [
        ((16, 8), (16, 4), (12,), "b must have shape (16,), not (12,)"),
        ((12, 8), (16, 4), (16,), "w must have 4H = 16 rows (u has H = 4 columns), not 12"),
        ((16, 8), (12, 4), (16,), "u must have 4H = 16 rows, not 12"),
        ((16,), (16, 4), (16,), "w must have two dimensions, not shape (16,)"),
        ((16, 8), (16, 4), (16, 1), "b must have one dimension, not shape (16, 1)"),
        ((16, 0), (16, 4), (16,), "w must have two dimensions, not shape (16, 0)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(w: tuple, u: tuple, b: tuple, text: str) -> None:
    arrays = [np.zeros(s, dtype=np.float16) for s in (w, u, b)]
    with pytest.raises(ValueError, match=re.escape(text)):
        pack_layer(arrays[0], arrays[1], arrays[2])


def test_wrong_types_and_x_shapes_are_named() -> None:
    with pytest.raises(TypeError, match="u must be float16, not float32"):
        pack_layer(np.zeros((16, 8), np.float16), np.zeros((16, 4), np.float32), np.zeros(16, np.float16))
    packed, x = example()
    with pytest.raises(TypeError, match="x must be float32, not float64"):
        run(packed, x.astype(np.float64), 0.0)
    with pytest.raises(ValueError, match=re.escape("x must have shape (T, 8) or (N, T, 8), not (6, 7)")):
        run(packed, x[:, :7], 0.0)
    with pytest.raises(ValueError, match=re.escape("state must have shape (16,) or (1, 16), not (12,)")):
        run(packed, x, 0.0, State.zeros(12))
