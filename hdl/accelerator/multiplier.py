"""One fp16 multiplier of a PE: exact products, rounded once to Q12.20."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hdl.common.arith import Fp16, signed_rounded
from hdl.common.component import Component

_COARSE = 4
"""The product moves by less than this, then by a multiple of it: 4 takes the fewest LUTs."""
_MOST = 54
"""A product moves by at most this."""


class Multiplier(Component):
    """``a`` x ``b``, both fp16, as Q12.20, rounded half up, two cycles later.

    ``product`` holds the low 32 bits; ``overflow`` says that the product does not fit them. Inputs must be finite.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "a": In(16),
                "b": In(16),
                "product": Out(signed(32)),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = Fp16(self.a), Fp16(self.b)
        magnitude = Signal(22)
        shift = Signal(6)
        negative = Signal()
        # The product is magnitude * 2^(exponents - 50). It moves left by the exponents less 6, and is then in units of
        # 2^-44: `whole` above 24 bits that only rounding sees. Exponents below 6 wrap to shifts that leave nothing,
        # and nothing is what they round to.
        m.d.sync += [
            magnitude.eq(a.significand * b.significand),
            shift.eq(a.exponent + b.exponent - 6),
            negative.eq(a.sign ^ b.sign),
        ]
        fine = Signal(22 + _COARSE - 1)
        by = Signal(_MOST // _COARSE + 1)
        m.d.comb += [fine.eq(magnitude << shift[:2]), *(by[i].eq(shift[2:] == i) for i in range(len(by)))]

        def any_moved(low: int, high: int) -> Value:
            """Whether a bit of the product is at a place from ``low`` to below ``high``."""
            places = ((max(0, low - _COARSE * i), max(0, high - _COARSE * i)) for i in range(len(by)))
            return reduce(or_, (by[i] & fine[first:end].any() for i, (first, end) in enumerate(places)))

        whole = Signal(32)
        half = Signal()
        rest = Signal()
        m.d.comb += [
            whole.eq(Cat(any_moved(place, place + 1) for place in range(24, 56))),
            half.eq(any_moved(23, 24)),
            rest.eq(any_moved(0, 23)),
        ]
        above = Signal()
        top = Signal()
        below_zero = Signal()
        m.d.sync += [
            self.product.eq(signed_rounded(whole, negative, half, rest)),
            above.eq(any_moved(56, 22 + _MOST)),
            top.eq(whole[31]),
            below_zero.eq(negative),
        ]
        # of the magnitudes with the top bit one fits: that of -2^31
        m.d.comb += self.overflow.eq(above | (top & ~(below_zero & self.product[31])))
        return m
