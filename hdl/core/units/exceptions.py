"""Exceptions of the instruction in X: which of them counts, and what the trap says."""

from amaranth import Cat, Module
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.csr_file import Cause
from hdl.core.decoder import Unit

__all__ = ["Exceptions"]


class Exceptions(Component):
    """Combinational: ``raised``, with ``cause`` and ``tval`` as mcause and mtval get them, of the highest priority.

    ``unit``, ``insn`` and ``pc`` are the instruction's. ``fetch_error``: its fetch was answered with an error;
    ``illegal``: it is not defined, or its CSR access is not allowed; ``taken``: it is a branch or jump and goes to
    ``target``; ``misaligned``: ``address``, in bytes, is no multiple of its access's size.
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
        jumps = Cat(self.unit == unit for unit in (Unit.BRANCH, Unit.JAL, Unit.JALR)).any()
        # In falling priority: a later assignment of the same signal wins. What addresses decide settles late; it says
        # whether there is an exception, which one follows from the unit alone.
        for possible, condition, cause, tval in reversed(
            (
                (self.fetch_error, 1, Cause.FETCH_ACCESS, self.pc),
                (self.illegal, 1, Cause.ILLEGAL, self.insn),
                (self.unit == Unit.EBREAK, 1, Cause.BREAKPOINT, self.pc),
                (self.unit == Unit.ECALL, 1, Cause.ECALL_M, 0),
                (jumps, self.taken & self.target[1], Cause.FETCH_MISALIGNED, self.target),
                (self.unit == Unit.LOAD, self.misaligned, Cause.LOAD_MISALIGNED, self.address),
                (self.unit == Unit.STORE, self.misaligned, Cause.STORE_MISALIGNED, self.address),
            )
        ):
            with m.If(possible):
                m.d.comb += [self.raised.eq(condition), self.cause.eq(cause), self.tval.eq(tval)]
        return m
