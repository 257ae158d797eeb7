"""Requests of U and of what comes before it: whole segments, one after the other."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind, burst_words, segment_layout
from hdl.accelerator.signatures import OfferSignature, RingSpaceSignature
from hdl.common.component import Component


class SegmentLoader(Component):
    """Offers the bursts of one of the ``segments`` after the other, while the ring has room (``space``).

    ``burst`` takes its entries in the ring in the cycle in which it is taken. A segment is taken when the last burst of
    the one before is. With events ``of_u`` says whether it is of U.

    Parameters:
        kind: of the words.
    """

    def __init__(self, cfg: AcceleratorConfig, kind: Kind = Kind.U) -> None:
        self.cfg, self.kind = cfg, kind
        of_u = {"of_u": Out(1)} if cfg.events else {}
        super().__init__(
            {
                "segments": In(stream.Signature(segment_layout(cfg))),
                "burst": Out(OfferSignature(cfg)),
                **of_u,
                "space": In(RingSpaceSignature(cfg)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current: Any = Signal(segment_layout(self.cfg))
        finished = Signal()
        words, last = burst_words(current.addr, current.words)
        m.d.comb += [
            self.burst.valid.eq((current.words != 0) & self.space.roomy),
            self.burst.addr.eq(current.addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(self.kind),
            self.burst.index.eq(self.space.next_index),
            self.space.alloc.eq(Mux(self.burst.taken, words, 0)),
            finished.eq((current.words == 0) | (self.burst.taken & last)),
            self.segments.ready.eq(finished),
        ]
        with m.If(finished & self.segments.valid):
            m.d.sync += current.eq(self.segments.payload)
        with m.Elif(self.burst.taken):
            # reckoned whether it is taken or not: that is known late
            m.d.sync += [current.addr.eq(current.addr + words), current.words.eq(current.words - words)]
        if self.cfg.events:
            m.d.comb += self.of_u.eq(current.of_u)
        return m
