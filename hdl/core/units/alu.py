"""Integer arithmetic of one cycle: RV64I's operations, and the comparison that branches use."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import enum
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component

__all__ = ["Alu", "AluOp", "sign_extend"]


class AluOp(enum.Enum, shape=4):
    """``{alternative, funct3}`` of the R-type instructions, so that decoding is wiring."""

    ADD = 0
    SLL = 1
    SLT = 2
    SLTU = 3
    XOR = 4
    SRL = 5
    OR = 6
    AND = 7
    SUB = 8
    SRA = 13


def sign_extend(value, bits: int = 64):
    """``value`` with its top bit repeated up to ``bits``."""
    return Cat(value, value[-1].replicate(bits - len(value)))


class Alu(Component):
    """Combinational. ``result``: ``op`` of ``a`` and ``b``; ``word``: of their low 32 bits, sign-extended (the -W
    instructions). ``equal``, ``less``, ``less_unsigned``: how ``a`` compares with ``b``, all 64 bits, whatever ``op``.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "op": In(AluOp),
                "word": In(1),
                "a": In(64),
                "b": In(64),
                "result": Out(64),
                "equal": Out(1),
                "less": Out(1),
                "less_unsigned": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        full = Signal(64)
        amount = Signal(6)
        operand = Signal(64)
        fill = Signal()
        m.d.comb += [
            self.equal.eq(self.a == self.b),
            self.less.eq(self.a.as_signed() < self.b.as_signed()),
            self.less_unsigned.eq(self.a < self.b),
            amount.eq(Mux(self.word, self.b[:5], self.b[:6])),
            operand.eq(self.a),
            # right shifts of a word take their sign or zero from bit 31
            fill.eq(self.a[31] & (self.op == AluOp.SRA)),
        ]
        with m.If(self.word):
            m.d.comb += operand.eq(Cat(self.a[:32], fill.replicate(32)))
        with m.Switch(self.op):
            with m.Case(AluOp.ADD):
                m.d.comb += full.eq(self.a + self.b)
            with m.Case(AluOp.SUB):
                m.d.comb += full.eq(self.a - self.b)
            with m.Case(AluOp.SLL):
                m.d.comb += full.eq(self.a << amount)
            with m.Case(AluOp.SLT):
                m.d.comb += full.eq(self.less)
            with m.Case(AluOp.SLTU):
                m.d.comb += full.eq(self.less_unsigned)
            with m.Case(AluOp.XOR):
                m.d.comb += full.eq(self.a ^ self.b)
            with m.Case(AluOp.SRL):
                m.d.comb += full.eq(operand >> amount)
            with m.Case(AluOp.SRA):
                m.d.comb += full.eq(operand.as_signed() >> amount)
            with m.Case(AluOp.OR):
                m.d.comb += full.eq(self.a | self.b)
            with m.Case(AluOp.AND):
                m.d.comb += full.eq(self.a & self.b)
        m.d.comb += self.result.eq(Mux(self.word, sign_extend(full[:32]), full))
        return m
