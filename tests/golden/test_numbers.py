from fractions import Fraction

import numpy as np
import pytest

from golden import numbers
from golden.tables import TANH
from tests.golden import scalar

FINITE = np.array([b for b in range(1 << 16) if b >> 10 & 31 != 31], dtype=np.uint16)
EDGES = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x1000, 0x13FF, 0x9400]


def test_fp16_bits_are_read_as_the_format_defines() -> None:
    units = numbers.q24_of_fp16(numbers.fp16_from_bits(FINITE))
    assert units.tolist() == [int(scalar.half(b) * 2**24) for b in FINITE.tolist()]


@pytest.mark.parametrize("n", [1, 4, 10, 20])
def test_rhu_rounds_half_up_for_both_signs(n: int) -> None:
    v = [*range(-70, 70), (1 << 51) + (1 << n >> 1), -(1 << 51) - (1 << n >> 1)]
    assert numbers.rhu(v, n).tolist() == [scalar.round_half_up(Fraction(k, 2**n)) for k in v]


def test_products_are_exact_then_rounded() -> None:
    rng = np.random.default_rng(11)
    w = np.concatenate([np.repeat(EDGES, len(EDGES)), rng.choice(FINITE, 4000)]).astype(np.uint16)
    x = np.concatenate([np.tile(EDGES, len(EDGES)), rng.choice(FINITE, 4000)]).astype(np.uint16)
    found = numbers.products(numbers.fp16_from_bits(w), numbers.fp16_from_bits(x))
    expected = [
        scalar.round_half_up(scalar.half(a) * scalar.half(b) * 2**20)
        for a, b in zip(w.tolist(), x.tolist(), strict=True)
    ]
    assert found.tolist() == expected


def test_products_meet_ties_of_both_signs() -> None:
    # 2^-21 is half a unit: +1/2 rounds to 1, -1/2 to 0
    assert numbers.products(np.float16(2.0**-11), np.float16(2.0**-10)).item() == 1
    assert numbers.products(np.float16(-(2.0**-11)), np.float16(2.0**-10)).item() == 0
    assert numbers.products(np.float16(-3 * 2.0**-11), np.float16(2.0**-10)).item() == -1


def test_bias_is_rounded_half_up_and_limited() -> None:
    inside = FINITE[(FINITE & 0x7FFF) < 0x6800]
    found = numbers.bias_q20(numbers.fp16_from_bits(inside))
    assert found.tolist() == [scalar.round_half_up(scalar.half(b) * 2**20) for b in inside.tolist()]
    assert np.abs(found).max() < 1 << 31
    limits = np.array([2047, -2047, 2048, -2048, np.inf, np.nan], dtype=np.float16)
    assert numbers.bias_valid(limits).tolist() == [True, True, False, False, False, False]


def test_x_is_converted_once_to_nearest_even() -> None:
    ties = [1 + 2.0**-11, 1 + 3 * 2.0**-11, 2.0**-25, 3 * 2.0**-25, 65519.0, 65520.0, 1e-10, -0.0]
    found = numbers.to_fp16(np.array(ties, dtype=np.float32))
    assert found[:6].tolist() == [1.0, 1 + 2.0**-9, 0.0, 2.0**-23, 65504.0, np.inf]
    rng = np.random.default_rng(12)
    bits = rng.integers(0, 2**32, 3000, dtype=np.uint32)
    x = bits.view(np.float32)
    inside = np.abs(x) < 65520
    expected = [scalar.to_half_bits(scalar.single(b)) & 0x7FFF for b in bits[inside].tolist()]
    assert (numbers.fp16_bits(numbers.to_fp16(x[inside])) & 0x7FFF).tolist() == expected
    assert not np.isfinite(numbers.to_fp16(x[~inside])).any()


def test_h_is_rounded_to_nearest_even_and_zero_is_positive() -> None:
    rng = np.random.default_rng(13)
    v = np.concatenate([np.arange(-3000, 3000), rng.integers(-(1 << 20), (1 << 20) + 1, 3000), [1 << 20]])
    found = numbers.fp16_bits(numbers.fp16_of_q20(v)).tolist()
    assert found == [scalar.to_half_bits(Fraction(k, 2**20)) for k in v.tolist()]
    assert numbers.fp16_bits(numbers.fp16_of_q20([0])).tolist() == [0]


def spread(n: int) -> np.ndarray:
    rng = np.random.default_rng(14)
    near = np.concatenate([np.arange(k - 40, k + 40) for k in (0, 1 << 14, 1 << 22, (1 << 23) - 1, 1 << 30)])
    near = np.concatenate([near, -near, [(1 << 31) - 1, -(1 << 31)]])
    return np.concatenate([near, rng.integers(-(1 << 23), 1 << 23, n), rng.integers(-(1 << 31), 1 << 31, n)])


def test_tanh_and_sigmoid_are_the_formulas() -> None:
    cell = scalar.Cell([[]] * 16, [[]] * 16, [0] * 16, list(TANH))
    z = spread(4000)
    assert numbers.tanh(z).tolist() == [cell.tanh(k) for k in z.tolist()]
    assert numbers.sigmoid(z).tolist() == [cell.sigmoid(k) for k in z.tolist()]


def test_tanh_and_sigmoid_are_monotone_odd_and_close() -> None:
    z = np.arange(-(9 << 20), 9 << 20, 97)
    t, s = numbers.tanh(z), numbers.sigmoid(z)
    assert (np.diff(t) >= 0).all() and (np.diff(s) >= 0).all()
    assert np.array_equal(numbers.tanh(-z), -t)
    assert np.abs(t / 2**20 - np.tanh(z / 2**20)).max() < 2.8e-5
    assert np.abs(s / 2**20 - 1 / (1 + np.exp(-z / 2**20))).max() < 1.5e-5
    # Every step of 1 where segments meet
    joints = np.concatenate([np.arange(i - 3, i + 4) for i in range(0, 1 << 23, 1 << 14)])
    assert (np.diff(numbers.tanh(joints)) >= 0).all()


def test_wrap_and_saturate() -> None:
    v = [(1 << 31) - 1, 1 << 31, -(1 << 31), -(1 << 31) - 1, 1 << 40]
    assert numbers.wrap32(v).tolist() == [scalar.wrap(k) for k in v]
    assert numbers.saturate32(v).tolist() == [(1 << 31) - 1, (1 << 31) - 1, -(1 << 31), -(1 << 31), (1 << 31) - 1]


def test_c_saturates() -> None:
    wide = (1 << 31) - 1
    z = np.array([[[wide], [wide], [wide], [wide]], [[wide], [wide], [-wide], [wide]]])
    c, h = numbers.gates(z, [[wide], [-(1 << 31)]])
    assert c.ravel().tolist() == [wide, -(1 << 31)]
    assert h.ravel().tolist() == [1.0, -1.0]
    # Just inside: the gates are 1048568 / 2^20, not 1
    c, _ = numbers.gates(z, [[wide - (1 << 20)], [0]])
    assert c.ravel().tolist() == [(1048568 * (wide - (1 << 20)) + 2**19) // 2**20 + 1048552, -1048552]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, 0),
        (-0.0, 0),
        (-1.0, 0),
        (-np.inf, 0),
        (np.inf, 1 << 30),
        (3.4e38, 1 << 30),
        (1e300, 1 << 30),
        (64.0, 1 << 30),
        (63.0, 63 << 24),
        (1e-45, 1),
        (2.0**-24, 1),
        (1.5 * 2.0**-24, 2),
        (0.3, 5033165),
    ],
)
def test_threshold_integers(threshold: float, expected: int) -> None:
    assert numbers.threshold_q24(threshold) == expected


def test_nan_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="the threshold is NaN"):
        numbers.threshold_q24(float("nan"))


@pytest.mark.parametrize(
    ("block", "threshold", "kept"),
    [
        ([0.25, 0.25, 0.25, 0.25], 1.0, True),  # sum == th: kept, as >= says
        ([0.25, -0.25, 0.25, 0.2499], 1.0, False),
        ([0.5, 0, 0, 0], 1.0, True),  # |h| == th/2: kept
        ([-0.5, 0, 0, 0], 1.0, True),
        ([0.4998, 0, 0, 0], 1.0, False),
        ([0, 0, 0, 0], 0.0, True),
        ([0, 0, 0, 0], -0.0, True),
        ([0, 0, 0, 0], -1.0, True),
        ([0, 0, 0, 0], 1e-45, False),
        ([2.0**-24, 0, 0, 0], 1e-45, True),
        ([1, 1, 1, 1], np.inf, False),
        ([1, 1, 1, 1], 4.0, True),
        ([1, 1, 1, 1], np.nextafter(np.float32(4), np.float32(5)), False),
    ],
)
def test_pruning_boundary(block: list[float], threshold: float, kept: bool) -> None:
    assert numbers.keep_blocks(np.array(block, dtype=np.float16), numbers.threshold_q24(threshold)).tolist() == [kept]


@pytest.mark.parametrize("seed", range(3))
def test_pruning_is_the_rule_in_fractions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h = (rng.integers(0, 5, 4000) / 8 * rng.choice([-1, 1], 4000)).astype(np.float16)
    cell = scalar.Cell([], [], [], [])
    for threshold in np.array([0, 2.0**-149, 0.25, 0.3, 0.5, 1, 1.25, np.inf, -1], dtype=np.float32):
        expected = cell.keep(numbers.fp16_bits(h).tolist(), int(threshold.view(np.uint32)))
        assert numbers.keep_blocks(h, numbers.threshold_q24(float(threshold))).tolist() == expected, threshold


def test_state_h_must_be_small_and_exact() -> None:
    values = np.array([0, -0.0, 1, -1, 2.0**-24, 2.0**-25, 0.1, 1.0005, 2, np.inf, np.nan], dtype=np.float32)
    expected = [True, True, True, True, True, False, False, False, False, False, False]
    assert numbers.state_h_valid(values).tolist() == expected
