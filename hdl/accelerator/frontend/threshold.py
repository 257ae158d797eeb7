"""The pruning threshold as the hidden state compares with it."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hdl.common.arith import FP32
from hdl.common.component import Component

THRESHOLD_BITS = 31
THRESHOLD_LIMIT = 1 << 30
THRESHOLD_LATENCY = 3


class Threshold(Component):
    """``units`` is min(ceil(th 2^24), 2^30) of the fp32 threshold ``bits``, THRESHOLD_LATENCY cycles later; 0 for any
    that is not positive."""

    def __init__(self) -> None:
        super().__init__({"bits": In(32), "units": Out(THRESHOLD_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        single = data.View(FP32, self.bits)
        biased, fraction = single.exponent, single.fraction
        significand = Signal(24)
        shift = Signal(signed(9))
        negative = Signal()
        # The value is significand * 2^-shift in units of 2^-24, subnormals having the exponent 1.
        m.d.sync += [
            significand.eq(Cat(fraction, biased.any())),
            shift.eq(126 - Mux(biased.any(), biased, 1)),
            negative.eq(single.sign),
        ]
        positive = Signal()
        large = Signal()
        whole = Signal()
        left = Signal(THRESHOLD_BITS)
        right = Signal(24)
        more = Signal()
        m.d.sync += [
            positive.eq(~negative & significand.any()),
            large.eq(shift <= -7),
            whole.eq(shift <= 0),
            left.eq(significand << (-shift)[:3]),
            right.eq(Mux(shift >= 24, 0, significand >> shift[:5])),
            more.eq((shift >= 24) | (significand & ~(Const((1 << 24) - 1, 24) << shift[:5])).any()),
        ]
        with m.If(~positive):
            m.d.sync += self.units.eq(0)
        with m.Elif(large):
            m.d.sync += self.units.eq(THRESHOLD_LIMIT)
        with m.Else():
            m.d.sync += self.units.eq(Mux(whole, left, right + more))
        return m
