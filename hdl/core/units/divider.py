"""Division in at most 32 steps."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.units.alu import sign_extend

__all__ = ["Divider"]


class Divider(Component):
    """Restoring division, two quotient bits per cycle: 32 steps, 16 for the -W instructions, plus one to load.

    ``funct3`` selects DIV 4, DIVU 5, REM 6, REMU 7 of ``a`` by ``b``; ``word`` their -W forms. While ``enable`` is high
    with steady operands the division runs; ``done`` comes with ``result``. Dropping ``enable`` for a cycle ends or
    abandons it.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "enable": In(1),
                "funct3": In(3),
                "word": In(1),
                "a": In(64),
                "b": In(64),
                "done": Out(1),
                "result": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        signed = ~self.funct3[0]
        a = Signal(64)
        b = Signal(64)
        a_sign = Signal()
        b_sign = Signal()
        m.d.comb += [
            a_sign.eq(self.a[31] & signed),
            b_sign.eq(self.b[31] & signed),
            a.eq(Mux(self.word, Cat(self.a[:32], a_sign.replicate(32)), self.a)),
            b.eq(Mux(self.word, Cat(self.b[:32], b_sign.replicate(32)), self.b)),
        ]
        a_negative, b_negative = a[63] & signed, b[63] & signed
        magnitude = Signal(64)
        m.d.comb += magnitude.eq(Mux(a_negative, -a, a))

        running = Signal()
        steps = Signal(range(33))
        divisor = Signal(64)
        quotient = Signal(64)
        remainder = Signal(64)
        negate_quotient = Signal()
        negate_remainder = Signal()
        m.d.comb += self.done.eq(running & (steps == 0))
        left: Value = remainder
        bits: list[Value] = []
        for i in range(2):
            shifted = Signal(65, name=f"shifted_{i}")
            difference = Signal(66, name=f"difference_{i}")
            m.d.comb += [shifted.eq(Cat(quotient[63 - i], left)), difference.eq(shifted - divisor)]
            left = Mux(difference[65], shifted[:64], difference[:64])
            bits.insert(0, ~difference[65])
        # enable, which settles late, decides on one bit alone: what is loaded before a division means nothing
        m.d.sync += running.eq(self.enable)
        with m.If(~running):
            m.d.sync += [
                steps.eq(Mux(self.word, 16, 32)),
                remainder.eq(0),
                quotient.eq(Mux(self.word, magnitude << 32, magnitude)),
                divisor.eq(Mux(b_negative, -b, b)),
                # dividing by zero gives all ones, whatever the sign of the dividend
                negate_quotient.eq((a_negative ^ b_negative) & (b != 0)),
                negate_remainder.eq(a_negative),
            ]
        with m.Elif(steps != 0):
            m.d.sync += [
                steps.eq(steps - 1),
                quotient.eq(Cat(*bits, quotient[:62])),
                remainder.eq(left),
            ]
        full = Signal(64)
        with m.If(self.funct3[1]):
            m.d.comb += full.eq(Mux(negate_remainder, -remainder, remainder))
        with m.Else():
            m.d.comb += full.eq(Mux(negate_quotient, -quotient, quotient))
        m.d.comb += self.result.eq(Mux(self.word, sign_extend(full[:32]), full))
        return m
