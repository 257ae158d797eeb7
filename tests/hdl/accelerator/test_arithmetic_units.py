"""The RTL's arithmetic against golden's, piece by piece; the random values' seed is in the test's name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from amaranth import Module, Signal, Value, signed
from amaranth.sim import Simulator

from golden import numbers
from hdl.accelerator.frontend.threshold import THRESHOLD_LATENCY, Threshold
from hdl.accelerator.multiplier import Multiplier
from hdl.accelerator.vector.activation import ACTIVATION_LATENCY, Activation
from hdl.common import arith

INTERESTING_FP16 = np.array(
    [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x83FF, 0x3BFF, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x0200, 0x6800],
    dtype=np.uint16,
)


def evaluate(m: Module, signal: Signal, values: np.ndarray, outputs: list[Value]) -> list[list[int]]:
    """Every output for every value of one input, through combinational logic."""
    results: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for value in values:
            ctx.set(signal, int(value))
            await ctx.delay(1e-9)
            results.append([ctx.get(output) for output in outputs])

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return results


def pipeline(dut: Any, inputs: list[dict[str, int]], outputs: list[str], latency: int) -> list[list[int]]:
    """Outputs ``latency`` cycles after each input, one input a cycle."""
    results: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for cycle in range(len(inputs) + latency):
            for name, value in inputs[min(cycle, len(inputs) - 1)].items():
                ctx.set(getattr(dut, name), value)
            if cycle >= latency:
                results.append([ctx.get(getattr(dut, name)) for name in outputs])
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return results


def random_fp16(rng: np.random.Generator, count: int) -> np.ndarray:
    """Finite fp16 bits of all magnitudes, the interesting ones first."""
    bits = rng.integers(0, 1 << 16, count).astype(np.uint16)
    bits[: len(INTERESTING_FP16)] = INTERESTING_FP16
    bits[(bits & 0x7C00) == 0x7C00] &= 0xBFFF
    return bits


def random_fp32(rng: np.random.Generator, count: int) -> np.ndarray:
    """fp32 bits around everything that fp16 rounds: ties, subnormals, the largest, infinities, NaN."""
    bits = rng.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
    near = slice(0, count // 2)
    exponents = rng.integers(95, 146, count // 2).astype(np.uint32)
    bits[near] = bits[near] & np.uint32(0x807FFFFF) | exponents << np.uint32(23)
    ties = slice(0, count // 4)
    bits[ties] = bits[ties] & np.uint32(0xFFFFE000) | np.uint32(0x1000)
    edges = [0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x477FE000, 0x477FEFFF, 0x477FF000, 0x33000000]
    bits[: len(edges)] = edges
    return bits


@pytest.mark.parametrize("seed", [1])
def test_fp32_is_rounded_to_fp16(seed: int) -> None:
    bits = random_fp32(np.random.default_rng(seed), 3000)
    m = Module()
    value = Signal(32)
    half = arith.Fp16FromFp32(m, value, "x")
    found = np.array(evaluate(m, value, bits, [half.bits, half.inexact, half.overflow]))
    singles = bits.view(np.float32)
    with np.errstate(over="ignore"):
        expected = singles.astype(np.float16)
    overflow = ~np.isfinite(expected)
    assert (found[:, 2].astype(bool) == overflow).all()
    assert (found[~overflow, 0] == expected.view(np.uint16)[~overflow]).all()
    inexact = expected.astype(np.float32) != singles
    assert (found[~overflow, 1].astype(bool) == inexact[~overflow]).all()


def test_every_fp16_value_becomes_its_fp32() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)[::7]
    bits = np.concatenate([bits[(bits & 0x7C00) != 0x7C00], np.arange(0x0401, dtype=np.uint16)])
    m = Module()
    value = Signal(16)
    out = Signal(32)
    m.d.comb += out.eq(arith.fp16_to_fp32(m, value, "h"))
    found = np.array(evaluate(m, value, bits, [out]), dtype=np.uint32)[:, 0]
    assert (found == bits.view(np.float16).astype(np.float32).view(np.uint32)).all()


@pytest.mark.parametrize("seed", [2])
def test_h_is_rounded_to_fp16(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.concatenate([np.arange(4200), 2**20 - np.arange(1200), rng.integers(0, 2**20 + 1, 2000)])
    m = Module()
    value = Signal(21)
    out = Signal(15)
    m.d.comb += out.eq(arith.fp16_from_q20_magnitude(m, value, "h"))
    found = np.array(evaluate(m, value, values, [out]))[:, 0]
    assert (found == numbers.fp16_of_q20(values).view(np.uint16)).all()


@pytest.mark.parametrize("seed", [3])
def test_bias_and_magnitude(seed: int) -> None:
    bits = random_fp16(np.random.default_rng(seed), 3000)
    half = bits.view(np.float16)
    m = Module()
    value = Signal(16)
    q20 = Signal(signed(32))
    q24 = Signal(25)
    m.d.comb += [q20.eq(arith.fp16_to_q20(value)), q24.eq(arith.fp16_magnitude(value))]
    found = np.array(evaluate(m, value, bits, [q20, q24]))
    usable = np.abs(half) < 2048
    assert (found[usable, 0] == numbers.bias_q20(half)[usable]).all()
    small = np.abs(half) <= 1
    assert (found[small, 1] == np.abs(numbers.q24_of_fp16(half))[small]).all()


@pytest.mark.parametrize("seed", [4])
def test_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    special = [0.0, -0.0, -1.0, np.inf, -np.inf, 1e-45, 2.0**-24, 2.0**-25, 0.3, 0.8, 1.0, 63.9, 64.0, 64.1, 1e30]
    values = np.array([*special, *(rng.random(1500) * 2), *np.exp2(rng.uniform(-30, 8, 1500))], dtype=np.float32)
    rows = [{"bits": int(bits)} for bits in values.view(np.uint32)]
    found = np.array(pipeline(Threshold(), rows, ["units"], THRESHOLD_LATENCY))[:, 0]
    assert found.tolist() == [numbers.threshold_q24(float(v)) for v in values]


@pytest.mark.parametrize("seed", [5])
def test_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_fp16(rng, 4000), rng.permutation(random_fp16(rng, 4000))
    # half of them of the size of weights and inputs, where the rounding is
    a[2000:] = (rng.normal(size=2000) * 0.1).astype(np.float16).view(np.uint16)
    b[2000:] = rng.normal(size=2000).astype(np.float16).view(np.uint16)
    # half a unit exactly, above and below zero; the ends of the range, and the first values past them
    odd = np.arange(1, 401, 2) * 2.0**-10
    half = np.where(rng.random(odd.size) < 0.5, 2.0**-11, -(2.0**-11))
    ends = np.array([[32, -64], [32, 64], [-32, 64], [-32, -64], [32.03125, -64], [31.984375, 64], [31.984375, -64]])
    a = np.concatenate([a, odd.astype(np.float16).view(np.uint16), ends[:, 0].astype(np.float16).view(np.uint16)])
    b = np.concatenate([b, half.astype(np.float16).view(np.uint16), ends[:, 1].astype(np.float16).view(np.uint16)])
    rows = [{"a": int(x), "b": int(y)} for x, y in zip(a, b, strict=True)]
    found = np.array(pipeline(Multiplier(), rows, ["product", "overflow"], 2))
    exact = numbers.products(a.view(np.float16), b.view(np.float16))
    assert (found[:, 0] == numbers.wrap32(exact)).all()
    assert (found[:, 1].astype(bool) == (exact != numbers.wrap32(exact))).all()
    assert 50 < found[:, 1].sum() < 2000


@pytest.mark.parametrize(("seed", "sigmoid", "golden"), [(6, 0, numbers.tanh), (7, 1, numbers.sigmoid)])
def test_activation(seed: int, sigmoid: int, golden: Callable[[np.ndarray], np.ndarray]) -> None:
    rng = np.random.default_rng(seed)
    edges = [0, 1, -1, 2**23 - 1, 2**23, -(2**23), 2**24, 2**31 - 1, -(2**31), 16383, 16384, -16384]
    z = np.array([*edges, *(rng.normal(size=2000) * 2**21), *rng.integers(-(2**31), 2**31, 300)], dtype=np.int64)
    rows = [{"z": int(v) >> sigmoid, "sigmoid": sigmoid} for v in z]
    found = np.array(pipeline(Activation(), rows, ["y"], ACTIVATION_LATENCY))[:, 0]
    assert (found == golden(z)).all()


@pytest.mark.parametrize("bits", [1, 5, 20])
def test_rounding_and_saturation(bits: int) -> None:
    values = np.array([0, 1, -1, 2**30, -(2**30), 2**33, -(2**33), *range(-70, 70)], dtype=np.int64)
    m = Module()
    value = Signal(signed(40))
    rounded = Signal(signed(40))
    limited = Signal(signed(32))
    m.d.comb += [rounded.eq(arith.round_half_up(value, bits)), limited.eq(arith.saturate(value, 32))]
    found = np.array(evaluate(m, value, values, [rounded, limited]))
    assert (found[:, 0] == numbers.rhu(values, bits)).all()
    assert (found[:, 1] == numbers.saturate32(values)).all()


def test_bad_widths_are_named() -> None:
    with pytest.raises(ValueError, match="bits must be at least 1, not 0"):
        arith.round_half_up(Signal(4), 0)
    with pytest.raises(ValueError, match="same width, not 4 and 5 bits"):
        arith.add_wrapping(Signal(signed(4)), Signal(signed(5)))
    with pytest.raises(ValueError, match="16 bits, not 17"):
        arith.Fp16(Signal(17))
