"""Requests of W: the whole matrix once per group of time steps, its length learned from the heads of the first pass."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind, Widths, burst_words
from hdl.accelerator.signatures import HeadSignature, OfferSignature, ParametersSignature, RingSpaceSignature
from hdl.accelerator.w.group_sizes import GroupSizes
from hdl.common.component import Component


class WeightLoader(Component):
    """Offers bursts of W while the ring has room (``space``), once a group of the run of ``parameters``, of
    ``capacity`` steps at most under the list.

    W's length is not known to the program. On the first pass a word is requested only when the heads decoded so far
    account for it, or when it may be the head of a block not yet decoded; so nothing outside the array is touched.
    Later passes use the learned length, and ``bad_format`` says that the heads no longer add up to it.

    ``burst`` takes its entries in the ring in the cycle in which it is taken. ``heads``: what the decoder has taken.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "heads": In(HeadSignature()),
                "space": In(RingSpaceSignature(cfg)),
                "capacity": In(Widths(cfg).group),
                "bad_format": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        m.submodules.sizes = sizes = GroupSizes(cfg)
        connect(m, flipped(self.parameters), sizes.parameters)
        m.d.comb += sizes.capacity.eq(self.capacity)
        addr = Signal.like(self.burst.addr)
        left = Signal(w.w_words)
        length = Signal(w.w_words)
        learned = Signal()
        words, _ = burst_words(addr, left)
        m.d.comb += [
            self.burst.addr.eq(addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.W),
            self.burst.index.eq(self.space.next_index),
            self.space.alloc.eq(Mux(self.burst.taken, words, 0)),
        ]

        # The decoder's progress through the pass it is in.
        blocks = Signal(w.w_words)
        blocks_left = Signal(w.w_words)
        accounted = Signal(w.w_words)
        total = Signal(w.w_words)
        last = blocks_left == 1
        m.d.comb += total.eq(accounted + self.heads.values + 1)
        with m.If(self.heads.valid):
            m.d.sync += [blocks_left.eq(blocks_left - 1), accounted.eq(total)]
            with m.If(last):
                m.d.sync += [blocks_left.eq(blocks), accounted.eq(0), learned.eq(1)]
                with m.If(~learned):
                    m.d.sync += length.eq(total)
        differs = Mux(last, total != length, total + blocks_left > length + 1)
        m.d.sync += self.bad_format.eq(self.heads.valid & learned & differs)

        found = Mux(self.heads.valid & ~learned, self.heads.values, 0)
        m.d.sync += left.eq(left - self.space.alloc + found)
        with m.FSM(name="passes"):
            with m.State("INIT"):
                m.d.sync += blocks.eq(p.x_blocks * (p.h_blocks << 1))
                m.next = "FIRST"
            with m.State("FIRST"):
                m.d.sync += [addr.eq(p.w), left.eq(blocks), blocks_left.eq(blocks)]
                with m.If(~p.w_known):
                    m.next = "LOAD"
            with m.State("LOAD"):
                # found a cycle ahead; bursts are long enough for a cycle between them
                m.d.sync += self.burst.valid.eq((left != 0) & self.space.roomy & ~self.burst.taken)
                with m.If(self.burst.taken):
                    m.d.sync += addr.eq(addr + words)
                # the first group is counted when its length is known
                m.d.comb += sizes.take.eq(self.heads.valid & last & ~learned)
                with m.If((left == 0) & learned):
                    with m.If(sizes.size != 0):
                        m.d.comb += sizes.take.eq(1)
                        m.d.sync += [addr.eq(p.w), left.eq(length)]
                    with m.Elif(sizes.exhausted):
                        m.next = "DONE"
            with m.State("DONE"):
                pass
        return m
