"""Stage M: wait for memory or the multiplier, then write the register file."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from golden.config import CoreConfig
from hdl.common.component import Component
from hdl.core.pipeline import BypassSignature, Executed, FaultSignature, WriteSignature
from hdl.core.tracer import FinishedSignature
from hdl.core.units.load_lanes import LoadLanes

__all__ = ["Finish"]


class Finish(Component):
    """One instruction at a time.

    ``start``: ``executed`` comes from X, in a cycle in which there is ``room``.
    ``product``: the multiplier's, in the cycle after ``start``. ``resp_valid``, ``resp_data``, ``resp_error``: the data
    bus's (`hdl.core.bus`). ``fault``: the instruction traps here and now, the only one that does. ``bypass``: the
    register that it will write; ``write``: it does. ``retired``: minstret counts one. ``trace``: with ``cfg.rvfi``.
    """

    def __init__(self, cfg: CoreConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "start": In(1),
                "executed": In(Executed),
                "product": In(64),
                "resp_valid": In(1),
                "resp_data": In(64),
                "resp_error": In(1),
                "room": Out(1),
                "fault": Out(FaultSignature()),
                "bypass": Out(BypassSignature()),
                "write": Out(WriteSignature()),
                "retired": Out(1),
                **({"trace": Out(FinishedSignature())} if cfg.rvfi else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.load = load = LoadLanes()
        valid = Signal()
        held: Any = Signal(Executed)
        done = Signal()
        result = Signal(64)
        fault, write = self.fault, self.write
        m.d.comb += [
            done.eq(valid & (~held.memory | self.resp_valid)),
            fault.raised.eq(valid & held.memory & self.resp_valid & self.resp_error),
            fault.load.eq(held.load),
            fault.pc.eq(held.pc),
            fault.address.eq(held.address),
            self.room.eq(~valid | (done & ~fault.raised)),
            load.offset.eq(held.address[:3]),
            load.funct3.eq(held.funct3),
            load.lanes.eq(self.resp_data),
            result.eq(Mux(held.load, load.value, Mux(held.multiply, self.product, held.value))),
            self.bypass.writes.eq(valid & held.write_rd),
            self.bypass.rd.eq(held.rd),
            self.bypass.known.eq(done),
            self.bypass.value.eq(result),
            write.en.eq(done & ~fault.raised & held.write_rd),
            write.rd.eq(held.rd),
            write.value.eq(result),
            self.retired.eq(done & ~fault.raised & ~held.trapped & ~held.uncounted),
        ]
        if self.cfg.rvfi:
            m.d.comb += [
                self.trace.finish.eq(done),
                self.trace.fault.eq(fault.raised),
                self.trace.rd_addr.eq(Mux(write.en, held.rd, 0)),
                self.trace.rd_wdata.eq(Mux(write.en, result, 0)),
                self.trace.mem_rdata.eq(self.resp_data),
            ]
        with m.If(done):
            m.d.sync += valid.eq(0)
        with m.If(self.start):
            m.d.sync += valid.eq(1)
        # start settles late and decides on one bit alone
        with m.If(~valid | done):
            m.d.sync += held.eq(self.executed)
        return m
