"""Requests of U and of what comes before it: whole segments, one after the other."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind, OfferSignature, Widths, burst_words, segment_layout


class SegmentLoader(wiring.Component):
    """Offers the bursts of one segment after the other, as far as the ring has room."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "segments": In(stream.Signature(segment_layout())),
                "burst": Out(OfferSignature(cfg)),
                "next_index": In(w.ring),
                "free": In(range(w.ring_depth + 1)),
                "alloc": Out(5),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = Signal(segment_layout())
        words = Signal(5)
        finished = Signal()
        m.d.comb += [
            words.eq(burst_words(current.addr, current.words, self.free)),
            self.burst.valid.eq(words != 0),
            self.burst.addr.eq(current.addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.U),
            self.burst.index.eq(self.next_index),
            self.alloc.eq(Mux(self.burst.taken, words, 0)),
            finished.eq(current.words == self.alloc),
            self.segments.ready.eq(finished),
        ]
        with m.If(finished & self.segments.valid):
            m.d.sync += current.eq(self.segments.payload)
        with m.Else():
            m.d.sync += [current.addr.eq(current.addr + self.alloc), current.words.eq(current.words - self.alloc)]
        return m
