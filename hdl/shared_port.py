"""The SoC's one AXI4 port, shared by instruction fetch, the core's data and the accelerator."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hdl.axi4 import FIXED, Axi4Signature
from hdl.common.component import Component
from hdl.core.bus import DataBusSignature
from hdl.core.instruction_cache import LINE_WORDS, LineBusSignature

__all__ = ["SharedPort"]

DATA, FETCH = 0, 1
"""Lower id bits of the core's bursts."""


class SharedPort(Component):
    """Merges what its users ask for, one address of each direction a cycle.

    Parameters:
        addr_bits, id_bits: of the accelerator's port; ``axi`` has one id bit more.

    ``fetch``: lines for the instruction cache; ``data``: the core's loads and stores of RAM; ``accelerator``: an AXI4
    port of its own; ``axi``: the one to memory.

    The highest id bit is 0 for the accelerator, whose own id is below it, and 1 for the core (DATA, FETCH). The core
    comes first: it has at most one line, one load or one store under way, so it cannot keep the accelerator from the
    port, and the accelerator, whatever it has asked for, not the core.
    """

    def __init__(self, addr_bits: int, id_bits: int) -> None:
        super().__init__(
            {
                "fetch": In(LineBusSignature()),
                "data": In(DataBusSignature()),
                "accelerator": In(Axi4Signature(addr_bits, id_bits)),
                "axi": Out(Axi4Signature(addr_bits, id_bits + 1)),
            }
        )
        self._core_id = 1 << id_bits

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fetch, data, accelerator, axi = self.fetch, self.data, self.accelerator, self.axi
        m.d.comb += [getattr(axi, name).eq(value) for name, value in FIXED.items()]

        # Read addresses.
        ar_free = Signal()
        ar_data = Signal()
        ar_fetch = Signal()
        m.d.comb += [
            ar_free.eq(~axi.arvalid | axi.arready),
            ar_data.eq(data.req_valid & ~data.req_write),
            ar_fetch.eq(fetch.req_valid & ~ar_data),
            fetch.req_ready.eq(ar_free & ar_fetch),
            accelerator.arready.eq(ar_free & ~ar_data & ~ar_fetch),
        ]
        with m.If(ar_free):
            m.d.sync += [
                axi.arvalid.eq(ar_data | ar_fetch | accelerator.arvalid),
                axi.arid.eq(accelerator.arid),
                axi.araddr.eq(accelerator.araddr),
                axi.arlen.eq(accelerator.arlen),
            ]
            with m.If(ar_data):
                m.d.sync += [axi.arid.eq(self._core_id | DATA), axi.araddr.eq(data.req_addr & ~7), axi.arlen.eq(0)]
            with m.Elif(ar_fetch):
                m.d.sync += [
                    axi.arid.eq(self._core_id | FETCH),
                    axi.araddr.eq(fetch.req_addr),
                    axi.arlen.eq(LINE_WORDS - 1),
                ]

        # Write addresses, and whose data come in which order: the owner of the first burst in bit 0.
        owners = Signal(2)
        pending = Signal(range(3))
        aw_free = Signal()
        aw_data = Signal()
        push = Signal()
        pop = Signal()
        m.d.comb += [
            aw_free.eq((~axi.awvalid | axi.awready) & (pending != 2)),
            aw_data.eq(data.req_valid & data.req_write),
            accelerator.awready.eq(aw_free & ~aw_data),
            data.req_ready.eq(Mux(data.req_write, aw_free, ar_free)),
            push.eq(aw_free & (aw_data | accelerator.awvalid)),
            pop.eq(axi.wvalid & axi.wready & axi.wlast),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(push):
            m.d.sync += [
                axi.awvalid.eq(1),
                axi.awid.eq(accelerator.awid),
                axi.awaddr.eq(accelerator.awaddr),
                axi.awlen.eq(accelerator.awlen),
            ]
            with m.If(aw_data):
                m.d.sync += [axi.awid.eq(self._core_id | DATA), axi.awaddr.eq(data.req_addr & ~7), axi.awlen.eq(0)]
        kept = Signal(2)
        m.d.comb += kept.eq(Mux(pop, owners >> 1, owners))
        m.d.sync += [pending.eq(pending + push - pop), owners.eq(kept)]
        with m.If(push):
            m.d.sync += owners.bit_select((pending - pop)[0], 1).eq(aw_data)

        # Write data; the core's one word waits here.
        stored = Signal(64)
        strobes = Signal(8)
        with m.If(push & aw_data):
            m.d.sync += [stored.eq(data.req_data), strobes.eq(data.req_mask)]
        m.d.comb += [
            axi.wvalid.eq((pending != 0) & (owners[0] | accelerator.wvalid)),
            axi.wdata.eq(Mux(owners[0], stored, accelerator.wdata)),
            axi.wstrb.eq(Mux(owners[0], strobes, accelerator.wstrb)),
            axi.wlast.eq(owners[0] | accelerator.wlast),
            accelerator.wready.eq((pending != 0) & ~owners[0] & axi.wready),
        ]

        # Answers.
        r_core, b_core = axi.rid[-1], axi.bid[-1]
        r_fetch = axi.rid[0] == Const(FETCH, 1)
        m.d.comb += [
            accelerator.rvalid.eq(axi.rvalid & ~r_core),
            accelerator.rid.eq(axi.rid),
            accelerator.rdata.eq(axi.rdata),
            accelerator.rresp.eq(axi.rresp),
            accelerator.rlast.eq(axi.rlast),
            accelerator.bvalid.eq(axi.bvalid & ~b_core),
            accelerator.bid.eq(axi.bid),
            accelerator.bresp.eq(axi.bresp),
            fetch.resp_valid.eq(axi.rvalid & r_core & r_fetch),
            fetch.resp_data.eq(axi.rdata),
            fetch.resp_error.eq(axi.rresp[1]),
            data.resp_valid.eq((axi.rvalid & r_core & ~r_fetch) | (axi.bvalid & b_core)),
            data.resp_data.eq(axi.rdata),
            # only one of the two is for the core's data
            data.resp_error.eq(Mux(axi.bvalid & b_core, axi.bresp[1], axi.rresp[1])),
        ]
        return m
