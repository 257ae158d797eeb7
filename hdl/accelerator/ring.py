"""A reorder buffer: room is allocated in the order of requests, words are delivered in that order."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import BURST_WORDS, Kind, Widths
from hdl.accelerator.signatures import FillSignature, RingSpaceSignature
from hdl.common.component import Component
from hdl.common.ram import Ram


class Ring(Component):
    """Buffers the loaded words of one stream (``kind``), deep enough to keep the memory port busy alone.

    The requester takes entries of ``space`` in the cycle in which its burst is accepted, and only while there is room
    for the longest.
    ``words`` leave at one a cycle, the first three cycles after its ``fill``: a register follows the memory, whose own
    delay is half a cycle.
    """

    def __init__(self, cfg: AcceleratorConfig, kind: Kind) -> None:
        self.cfg, self.kind = cfg, kind
        self.depth = Widths(cfg).ring_depth
        super().__init__(
            {
                "fill": In(FillSignature(cfg)),
                "space": Out(RingSpaceSignature(cfg)),
                "words": Out(stream.Signature(unsigned(64))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rows = rows = Ram(64, self.depth)
        present = Signal(self.depth)
        head = Signal(range(self.depth))
        free = Signal(range(self.depth + 1), init=self.depth)
        arrived = Signal()
        fetch = Signal()
        fetched = Signal()
        moves = Signal()
        set_bit = Signal(self.depth)
        clear_bit = Signal(self.depth)
        index = self.fill.index[: len(head)]
        m.d.comb += [
            arrived.eq(self.fill.valid & (self.fill.kind == self.kind)),
            rows.write_en.eq(arrived),
            rows.write_addr.eq(index),
            rows.write_data.eq(self.fill.data),
            moves.eq(~self.words.valid | self.words.ready),
            # what was fetched stays in the memory's output while the register is not free
            fetch.eq(present.bit_select(head, 1) & (~fetched | moves)),
            rows.read_en.eq(fetch),
            rows.read_addr.eq(head),
            set_bit.bit_select(index, 1).eq(arrived),
            clear_bit.bit_select(head, 1).eq(fetch),
            self.space.roomy.eq(free >= BURST_WORDS),
        ]
        # By events the ring lies far from what takes its words: that a place is free may be told a cycle late.
        freed = fetch
        if self.cfg.events:
            freed = Signal(name="freed")
            m.d.sync += freed.eq(fetch)
        m.d.sync += [
            present.eq((present | set_bit) & ~clear_bit),
            head.eq(head + fetch),
            free.eq(free + freed - self.space.alloc),
            self.space.next_index.eq(self.space.next_index + self.space.alloc),
        ]
        with m.If(moves):
            m.d.sync += [self.words.valid.eq(fetched), self.words.payload.eq(rows.read_data)]
        with m.If(~fetched | moves):
            m.d.sync += fetched.eq(fetch)
        return m
