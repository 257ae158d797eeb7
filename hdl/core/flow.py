"""What takes the flow of instructions elsewhere: branches and jumps, and the exceptions of the instruction in X."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.csr import Cause
from hdl.core.decode import Unit

__all__ = ["Branch", "Exceptions"]


class Branch(Component):
    """Combinational: whether a branch or jump is ``taken``, and its ``target``, in bytes.

    ``unit`` and ``funct3`` are the instruction's; ``equal``, ``less``, ``less_unsigned``: how its operands compare;
    ``direct``: pc + immediate; ``indirect``: rs1 + immediate, for JALR, which clears bit 0.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "unit": In(Unit),
                "funct3": In(3),
                "equal": In(1),
                "less": In(1),
                "less_unsigned": In(1),
                "direct": In(64),
                "indirect": In(64),
                "taken": Out(1),
                "target": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        holds = Signal()
        with m.Switch(self.funct3[1:]):
            with m.Case(0):
                m.d.comb += holds.eq(self.equal)
            with m.Case(2):
                m.d.comb += holds.eq(self.less)
            with m.Case(3):
                m.d.comb += holds.eq(self.less_unsigned)
        m.d.comb += self.target.eq(Mux(self.unit == Unit.JALR, self.indirect & ~1, self.direct))
        with m.Switch(self.unit):
            with m.Case(Unit.BRANCH):
                m.d.comb += self.taken.eq(holds ^ self.funct3[0])
            with m.Case(Unit.JAL, Unit.JALR):
                m.d.comb += self.taken.eq(1)
        return m


class Exceptions(Component):
    """Combinational: ``raised``, with ``cause`` and ``tval`` as mcause and mtval get them, of the highest priority.

    ``unit``, ``insn`` and ``pc`` are the instruction's. ``fetch_error``: its fetch was answered with an error;
    ``illegal``: it is not defined, or its CSR access is not allowed; ``taken``: it goes to ``target``; ``misaligned``:
    ``address``, in bytes, is no multiple of its access's size.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "unit": In(Unit),
                "insn": In(32),
                "pc": In(64),
                "fetch_error": In(1),
                "illegal": In(1),
                "taken": In(1),
                "target": In(64),
                "misaligned": In(1),
                "address": In(64),
                "raised": Out(1),
                "cause": Out(4),
                "tval": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # in falling priority: a later assignment of the same signal wins
        for condition, cause, tval in reversed(
            (
                (self.fetch_error, Cause.FETCH_ACCESS, self.pc),
                (self.illegal, Cause.ILLEGAL, self.insn),
                (self.unit == Unit.EBREAK, Cause.BREAKPOINT, self.pc),
                (self.unit == Unit.ECALL, Cause.ECALL_M, 0),
                (self.taken & self.target[1], Cause.FETCH_MISALIGNED, self.target),
                ((self.unit == Unit.LOAD) & self.misaligned, Cause.LOAD_MISALIGNED, self.address),
                ((self.unit == Unit.STORE) & self.misaligned, Cause.STORE_MISALIGNED, self.address),
            )
        ):
            with m.If(condition):
                m.d.comb += [self.raised.eq(1), self.cause.eq(cause), self.tval.eq(tval)]
        return m
