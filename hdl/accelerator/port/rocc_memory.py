"""The memory adapter: bursts of the loader become single-word RoCC requests, responses find their way back by tag."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import WORD_ADDRESS_BITS, Kind, Widths, target_layout
from hdl.accelerator.port.members import adapter_members
from hdl.common.component import Component
from hdl.common.ram import Ram
from hdl.rocc import MemoryCommand, MemorySignature


class RoccMemory(Component):
    """Issues one word of a ``burst`` a cycle at ``mem``, with up to ``cfg.window`` outstanding, answered in any order.

    ``fill`` carries each loaded word one cycle after its response; ``store`` brings words and is told of each store
    that was answered. While ``control`` says stop, a request already offered stays until it is taken, and bursts are
    dropped. Its events: in every cycle a request is taken (PORT_BUSY), waits, is missing for want of a tag
    (PORT_FULL), or there is nothing to ask for.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__({**adapter_members(cfg), "mem": Out(MemorySignature(cfg.tag_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, mem, events = self.cfg, self.mem, self.control.events
        index_bits = Widths(cfg).index
        target = target_layout(cfg)
        m.submodules.targets = targets = Ram(target.size, cfg.window)

        # The burst in progress.
        active = Signal()
        addr = Signal(WORD_ADDRESS_BITS)
        left = Signal(5)
        kind = Signal(Kind)
        index = Signal(index_bits)
        # One bit a tag: issued and not answered. Tags are used in turn, so that one comparison finds a free one, a
        # cycle ahead.
        outstanding = Signal(cfg.window)
        count = Signal(range(cfg.window + 1))
        tag = Signal(cfg.tag_bits)
        tag_free = Signal(init=1)

        offered = Signal()
        blocked = Signal()
        issue = Signal()
        store = Signal()
        m.d.comb += [
            store.eq(kind == Kind.STORE),
            issue.eq(
                active & ~self.control.stop & (~offered | mem.req_ready) & tag_free & (~store | self.store.data.valid)
            ),
            self.store.data.ready.eq(issue & store),
            self.burst.taken.eq(self.burst.valid & ~self.control.stop & (~active | (issue & (left == 1)))),
        ]
        with m.If(issue):
            m.d.sync += [
                mem.req_addr.eq(addr << 3),
                mem.req_tag.eq(tag),
                mem.req_cmd.eq(Mux(store, MemoryCommand.STORE, MemoryCommand.LOAD)),
                mem.req_data.eq(self.store.data.payload),
                tag.eq(tag + 1),
                addr.eq(addr + 1),
                index.eq(index + 1),
                left.eq(left - 1),
            ]
            with m.If(left == 1):
                m.d.sync += active.eq(0)
        with m.If(mem.req_ready | ~offered):
            m.d.sync += [
                offered.eq(issue),
                blocked.eq(active & ~self.control.stop & (~store | self.store.data.valid) & ~tag_free),
            ]
        burst = self.burst
        with m.If(burst.taken):
            m.d.sync += [
                active.eq(1),
                addr.eq(burst.addr),
                left.eq(burst.words),
                kind.eq(burst.kind),
                index.eq(burst.index),
            ]
        with m.If(self.control.stop):
            m.d.sync += active.eq(0)
        m.d.comb += [
            events.port_busy.eq(offered & mem.req_ready),
            events.port_stalled.eq(offered & ~mem.req_ready),
            events.port_full.eq(~offered & blocked),
            events.port_idle.eq(~(events.port_busy | events.port_stalled | events.port_full)),
            mem.req_valid.eq(offered),
            mem.req_size.eq(3),
            mem.req_mask.eq(0xFF),
            targets.write_en.eq(issue),
            targets.write_addr.eq(tag),
        ]
        pushed: Any = Signal(target)
        m.d.comb += [pushed.kind.eq(kind), pushed.index.eq(index), targets.write_data.eq(pushed.as_value())]

        # A response that comes during reset, to a request from before it, finds its tag not outstanding.
        answered = Signal()
        m.d.comb += [
            answered.eq(mem.resp_valid & outstanding.bit_select(mem.resp_tag, 1)),
            targets.read_en.eq(answered),
            targets.read_addr.eq(mem.resp_tag),
        ]
        set_bit = Signal(cfg.window)
        clear_bit = Signal(cfg.window)
        following = Signal.like(tag)

        def is_free(tag: Signal) -> Value:
            return ~outstanding.bit_select(tag, 1) | (answered & (mem.resp_tag == tag))

        m.d.comb += [
            set_bit.bit_select(tag, 1).eq(issue),
            clear_bit.bit_select(mem.resp_tag, 1).eq(answered),
            following.eq(tag + 1),
        ]
        m.d.sync += [
            outstanding.eq((outstanding | set_bit) & ~clear_bit),
            tag_free.eq(Mux(issue, is_free(following), is_free(tag))),
            count.eq(count + issue - answered),
        ]
        filled = Signal()
        failed = Signal()
        m.d.sync += [filled.eq(answered), failed.eq(mem.resp_error)]
        with m.If(answered):
            m.d.sync += self.fill.data.eq(mem.resp_data)
        found = data.View(target, targets.read_data)
        was_store = found.kind == Kind.STORE
        m.d.comb += [
            self.fill.valid.eq(filled & ~was_store & ~failed),
            self.fill.kind.eq(found.kind),
            self.fill.index.eq(found.index),
            self.store.stored.eq(filled & was_store),
            self.control.faults.mem_read.eq(filled & ~was_store & failed),
            self.control.faults.mem_write.eq(filled & was_store & failed),
            self.control.idle.eq((count == 0) & ~filled),
        ]
        return m
