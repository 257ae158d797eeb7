"""One fp16 multiplier of a PE: exact products, rounded once to Q12.20."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hdl.common.arith import Fp16
from hdl.common.component import Component


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
        exponent = Signal(6)
        negative = Signal()
        m.d.sync += [
            magnitude.eq(a.significand * b.significand),
            exponent.eq(a.exponent + b.exponent),
            negative.eq(a.sign ^ b.sign),
        ]
        # The product is value * 2^(exponent - 50), in units of 2^-20 value * 2^(exponent - 30).
        value = Signal(signed(23))
        to_left = Signal()
        left_shift = Signal(5)
        right_shift = Signal(5)
        shifted = Signal(signed(54))
        # One bit more than the result keeps the bit that decides the rounding.
        doubled = Signal(signed(23))
        m.d.comb += [
            value.eq(Mux(negative, -magnitude, magnitude)),
            to_left.eq(exponent >= 30),
            left_shift.eq(Mux(to_left, exponent - 30, 0)),
            right_shift.eq(Mux(to_left, 0, 29 - exponent)),
            shifted.eq(value << left_shift),
            doubled.eq(value >> right_shift),
        ]
        m.d.sync += [
            self.product.eq(Mux(to_left, shifted[:32].as_signed(), (doubled + 1) >> 1)),
            self.overflow.eq(to_left & shifted[31:].any() & ~shifted[31:].all()),
        ]
        return m
