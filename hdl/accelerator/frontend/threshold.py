"""The pruning threshold as the hidden state compares with it."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from hdl.common.arith import FP32

THRESHOLD_LIMIT = 1 << 30


def threshold_units(m: Module, bits: Value) -> Value:
    """min(ceil(th 2^24), 2^30) of an fp32 threshold; 0 for any that is not positive."""
    single = data.View(FP32, bits)
    biased, fraction, sign = single.exponent, single.fraction, single.sign
    significand = Cat(fraction, biased.any())
    # The value is significand * 2^(exponent - 126) in units of 2^-24, subnormals having the exponent 1.
    exponent = Mux(biased.any(), biased, 1)
    left = Signal(31)
    right = Signal(25)
    shift = Signal(8)
    lost = Signal(24)
    m.d.comb += [
        shift.eq(126 - exponent),
        left.eq(significand << (exponent - 126)[:3]),
        lost.eq(significand & ~(Const((1 << 24) - 1, 24) << shift[:5])),
        right.eq(Mux(shift >= 24, significand.any(), (significand >> shift[:5]) + lost.any())),
    ]
    magnitude = Mux(exponent >= 133, THRESHOLD_LIMIT, Mux(exponent >= 126, left, right))
    return Mux(sign | ~(biased.any() | fraction.any()), 0, magnitude)
