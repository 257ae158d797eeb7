"""The answers to commands."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from golden import isa
from golden.isa import Counter
from hdl.common.component import Component
from hdl.common.struct import struct
from hdl.rocc import InstructionLayout, ResponseSignature


class Responses(Component):
    """Answers each command that wants one: COUNTER with its counter, the others with the status word after them.

    ``accept``: a command is taken, which has the instruction word ``inst`` and in ``rs1`` the number of a counter;
    ``counter``: it is COUNTER. From the next cycle on ``read`` asks for that counter, ``index``, until ``valid`` comes
    with its ``value``; ``status`` is the status word. ``free``: the last answer is out of the way, so that answers on
    ``resp`` stay in order.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "accept": In(1),
                "inst": In(InstructionLayout),
                "rs1": In(64),
                "counter": In(1),
                "index": Out(range(max(Counter) + 2)),
                "read": Out(1),
                "valid": In(1),
                "value": In(64),
                "status": In(struct(isa.STATUS_LAYOUT)),
                "free": Out(1),
                "resp": Out(ResponseSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        resp = self.resp
        responding = Signal()
        rd = Signal(5)
        is_counter = Signal()
        answered = Signal()
        m.d.comb += [
            self.free.eq(~responding & ~resp.valid),
            self.read.eq(responding & is_counter),
            answered.eq(responding & (self.valid | ~is_counter)),
        ]
        with m.If(answered):
            m.d.sync += responding.eq(0)
        with m.If(self.accept):
            m.d.sync += [
                responding.eq(self.inst.xd),
                rd.eq(self.inst.rd),
                is_counter.eq(self.counter),
                self.index.eq(Mux(self.rs1 > max(Counter), max(Counter) + 1, self.rs1)),
            ]
        with m.If(answered):
            m.d.sync += [
                resp.valid.eq(1),
                resp.rd.eq(rd),
                resp.data.eq(Mux(is_counter, self.value, self.status.as_value())),
            ]
        with m.Elif(resp.ready):
            m.d.sync += resp.valid.eq(0)
        return m
