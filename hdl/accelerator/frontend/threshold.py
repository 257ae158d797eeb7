"""The pruning threshold as the hidden state compares with it."""

from amaranth import Cat, Const, Module, Mux, Signal, Value

THRESHOLD_LIMIT = 1 << 30


def threshold_units(m: Module, bits: Value) -> Value:
    """min(ceil(th 2^24), 2^30) of an fp32 threshold; 0 for any that is not positive."""
    biased, fraction, sign = bits[23:31], bits[:23], bits[31]
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
    return Mux(sign | ~bits[:31].any(), 0, magnitude)
