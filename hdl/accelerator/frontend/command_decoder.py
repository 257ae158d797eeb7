"""What a command is, from its instruction word."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden import isa
from golden.isa import Funct
from hdl.common.component import Component
from hdl.rocc import InstructionLayout

COMMANDS = data.StructLayout({funct.name.lower(): unsigned(1) for funct in Funct})
"""One pulse for each instruction."""
_AT_ONCE = (Funct.COUNTER, Funct.ABORT)
"""Instructions that no run holds up."""


class CommandDecoder(Component):
    """Tells the instructions of the table apart, and from what is none.

    ``inst``: the instruction word of a command; ``waits``: it may not be taken during a run. When it is taken
    (``accept``), either one of ``commands`` pulses, or ``bad``: it is unknown, or lacks an operand that it needs.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "inst": In(InstructionLayout),
                "accept": In(1),
                "waits": Out(1),
                "commands": Out(COMMANDS),
                "bad": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inst = self.inst
        known = Signal()
        with m.Switch(inst.funct):
            for row in isa.INSTRUCTIONS:
                with m.Case(row.funct):
                    needs = [bit for bit, operand in ((inst.xs1, row.rs1), (inst.xs2, row.rs2)) if operand]
                    m.d.comb += known.eq(Cat(*needs).all() if needs else 1)
        good = Signal()
        m.d.comb += [
            good.eq(known & (inst.opcode == isa.CUSTOM_0)),
            self.waits.eq(Cat(inst.funct == row.funct for row in isa.INSTRUCTIONS if row.funct not in _AT_ONCE).any()),
            self.bad.eq(self.accept & ~good),
            *(self.commands[f.name.lower()].eq(self.accept & good & (inst.funct == f)) for f in Funct),
        ]
        return m
