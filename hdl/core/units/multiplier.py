"""Multiplication in two pipelined stages."""

from amaranth import C, Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.units.alu import sign_extend

__all__ = ["Multiplier"]


Half = tuple[Value, Value]
"""32 bits and a sign as two signed numbers of 17 bits, the lower one first: what one multiplier of an FPGA takes."""


def _parts(operand: Value, sign: Value) -> tuple[Half, Half]:
    """The lower and the upper half of 64 bits; ``sign`` is the upper one's."""
    low, middle_low, middle_high, high = (operand.word_select(i, 16) for i in range(4))
    zero = C(0, 1)
    return (
        (Cat(low, zero).as_signed(), Cat(middle_low, zero).as_signed()),
        (Cat(middle_high, zero).as_signed(), Cat(high, sign).as_signed()),
    )


def _product(a: Half, b: Half) -> Value:
    """Of two halves. Outer and inner partial products meet in one sum of three, hence one carry chain."""
    outer = Cat((a[0] * b[0])[:32], a[1] * b[1]).as_signed()
    return outer + (a[1] * b[0] << 16) + (a[0] * b[1] << 16)


class Multiplier(Component):
    """64 x 64 bits: operands ``a`` and ``b`` in one cycle, the result in the next, one multiplication per cycle.

    ``funct3`` selects MUL 0, MULH 1, MULHSU 2, MULHU 3; ``word`` MULW. ``result`` belongs to the operands of the last
    cycle in which ``enable`` was high.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "enable": In(1),
                "funct3": In(3),
                "word": In(1),
                "a": In(64),
                "b": In(64),
                "result": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # MULHU takes both as unsigned, MULHSU the second
        a_low, a_high = _parts(self.a, self.a[63] & (self.funct3[:2] != 3))
        b_low, b_high = _parts(self.b, self.b[63] & ~self.funct3[1])
        low = Signal(64)
        cross_a = Signal(65)
        cross_b = Signal(65)
        high = Signal(64)
        word = Signal()
        upper = Signal()
        with m.If(self.enable):
            m.d.sync += [
                low.eq(_product(a_low, b_low)),
                cross_a.eq(_product(a_high, b_low)),
                cross_b.eq(_product(a_low, b_high)),
                high.eq(_product(a_high, b_high)),
                word.eq(self.word),
                upper.eq(self.funct3[:2] != 0),
            ]
        # bits 127:32 of the product in one sum, so that one carry chain is in the way of all of them
        above = Signal(96)
        m.d.comb += above.eq(Cat(low[32:], high).as_signed() + cross_a.as_signed() + cross_b.as_signed())
        with m.If(word):
            m.d.comb += self.result.eq(sign_extend(low[:32]))
        with m.Elif(upper):
            m.d.comb += self.result.eq(above[32:])
        with m.Else():
            m.d.comb += self.result.eq(Cat(low[:32], above[:32]))
        return m
