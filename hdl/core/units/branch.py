"""Where an instruction goes that does not go to the next one."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.decoder import Unit

__all__ = ["Branch"]


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
        # the comparison settles last, so one gate is behind it: where signs differ, less is not less_unsigned
        signs_differ = Signal()
        negate = Signal()
        holds = Signal()
        m.d.comb += [
            signs_differ.eq(self.less ^ self.less_unsigned),
            negate.eq(self.funct3[0] ^ (self.funct3[2] & ~self.funct3[1] & signs_differ)),
            holds.eq(Mux(self.funct3[2], self.less_unsigned, self.equal) ^ negate),
        ]
        m.d.comb += self.target.eq(Mux(self.unit == Unit.JALR, self.indirect & ~1, self.direct))
        with m.Switch(self.unit):
            with m.Case(Unit.BRANCH):
                m.d.comb += self.taken.eq(holds)
            with m.Case(Unit.JAL, Unit.JALR):
                m.d.comb += self.taken.eq(1)
        return m
