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
    instructions); ``left``: ``op``, if a shift, is SLL, which the decoder knows in time. Whatever ``op`` and ``word``:
    ``sum`` is ``a + b``; ``equal``, ``less``, ``less_unsigned``: how ``a`` compares with ``b``, all 64 bits.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "op": In(AluOp),
                "word": In(1),
                "left": In(1),
                "a": In(64),
                "b": In(64),
                "result": Out(64),
                "sum": Out(64),
                "equal": Out(1),
                "less": Out(1),
                "less_unsigned": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # one subtraction serves SUB and every comparison; its borrow is the unsigned one, and where signs differ the
        # signed one is the opposite
        difference = Signal(65)
        m.d.comb += [
            self.sum.eq(self.a + self.b),
            difference.eq(self.a - self.b),
            self.equal.eq(self.a == self.b),
            self.less_unsigned.eq(difference[64]),
            self.less.eq(difference[64] ^ self.a[63] ^ self.b[63]),
        ]

        # one shifter, to the right, serves all shifts: SLL turns its operand and its result round
        amount = Signal(6)
        operand = Signal(64)
        fill = Signal()
        shifted = Signal(64)
        m.d.comb += [
            amount.eq(Mux(self.word, self.b[:5], self.b[:6])),
            # bit 3 of op is set for SRA, and for SUB, whose shift is not looked at
            fill.eq(Mux(self.word, self.a[31], self.a[63]) & self.op.as_value()[3]),
            # right shifts of a word take their sign or zero from bit 31
            operand.eq(Mux(self.word, Cat(self.a[:32], fill.replicate(32)), self.a)),
            shifted.eq(Cat(Mux(self.left, self.a[::-1], operand), fill).as_signed() >> amount),
        ]

        # sum and difference settle last, so they are chosen last
        other = Signal(64)
        full = Signal(64)
        with m.Switch(self.op):
            with m.Case(AluOp.SLT):
                m.d.comb += other.eq(self.less)
            with m.Case(AluOp.SLTU):
                m.d.comb += other.eq(self.less_unsigned)
            with m.Case(AluOp.XOR):
                m.d.comb += other.eq(self.a ^ self.b)
            with m.Case(AluOp.OR):
                m.d.comb += other.eq(self.a | self.b)
            with m.Case(AluOp.AND):
                m.d.comb += other.eq(self.a & self.b)
            with m.Default():
                m.d.comb += other.eq(Mux(self.left, shifted[::-1], shifted))
        with m.Switch(self.op):
            with m.Case(AluOp.ADD):
                m.d.comb += full.eq(self.sum)
            with m.Case(AluOp.SUB):
                m.d.comb += full.eq(difference)
            with m.Default():
                m.d.comb += full.eq(other)
        m.d.comb += self.result.eq(Mux(self.word, sign_extend(full[:32]), full))
        return m
