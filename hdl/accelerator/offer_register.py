"""Where a burst waits for the memory port."""

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.signatures import OfferSignature
from hdl.common.component import Component


class OfferRegister(Component):
    """Takes the burst that a requester offers as soon as it is empty, or that is taken which it holds, and offers it
    unchanged as ``held``, so that a requester's reckoning and the port's choice are in different cycles.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"offer": In(OfferSignature(cfg)), "held": Out(OfferSignature(cfg))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offer, held = self.offer, self.held
        free = Signal()
        m.d.comb += [free.eq(~held.valid | held.taken), offer.taken.eq(offer.valid & free)]
        with m.If(free):
            m.d.sync += [
                held.valid.eq(offer.valid),
                held.addr.eq(offer.addr),
                held.words.eq(offer.words),
                held.kind.eq(offer.kind),
                held.index.eq(offer.index),
            ]
        return m
