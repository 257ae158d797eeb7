"""Multiplication in two pipelined stages."""

from amaranth import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.units.alu import sign_extend

__all__ = ["Multiplier"]


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
        a_high = Cat(self.a[32:], self.a[63] & (self.funct3[:2] != 3)).as_signed()
        b_high = Cat(self.b[32:], self.b[63] & ~self.funct3[1]).as_signed()
        low = Signal(64)
        cross_a = Signal(65)
        cross_b = Signal(65)
        high = Signal(64)
        word = Signal()
        upper = Signal()
        with m.If(self.enable):
            m.d.sync += [
                low.eq(self.a[:32] * self.b[:32]),
                cross_a.eq(a_high * Cat(self.b[:32], 0).as_signed()),
                cross_b.eq(b_high * Cat(self.a[:32], 0).as_signed()),
                high.eq(a_high * b_high),
                word.eq(self.word),
                upper.eq(self.funct3[:2] != 0),
            ]
        # the middle partial products are signed 65-bit numbers; their sum with the carry of the low one needs 67 bits
        middle = Signal(67)
        m.d.comb += middle.eq(cross_a.as_signed() + cross_b.as_signed() + low[32:])
        with m.If(word):
            m.d.comb += self.result.eq(sign_extend(low[:32]))
        with m.Elif(upper):
            m.d.comb += self.result.eq(high.as_signed() + middle[32:].as_signed())
        with m.Else():
            m.d.comb += self.result.eq(Cat(low[:32], middle[:32]))
        return m
