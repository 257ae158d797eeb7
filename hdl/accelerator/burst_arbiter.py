"""Who has the memory port's next burst."""

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.offer_register import OfferRegister
from hdl.accelerator.signatures import OfferSignature
from hdl.common.component import Component


class BurstArbiter(Component):
    """Passes on the first of ``offers`` as ``burst``; the others wait, each in a register of its own.

    Parameters:
        requesters: offers there are.
    """

    def __init__(self, cfg: AcceleratorConfig, requesters: int) -> None:
        self.cfg, self.requesters = cfg, requesters
        super().__init__({"offers": In(OfferSignature(cfg)).array(requesters), "burst": Out(OfferSignature(cfg))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        burst = self.burst
        taken = Signal()
        for i in range(self.requesters):
            m.submodules[f"offer_{i}"] = register = OfferRegister(self.cfg)
            connect(m, flipped(self.offers[i]), register.offer)
            offer = register.held
            with m.If(offer.valid & ~taken):
                m.d.comb += [
                    burst.valid.eq(1),
                    burst.addr.eq(offer.addr),
                    burst.words.eq(offer.words),
                    burst.kind.eq(offer.kind),
                    burst.index.eq(offer.index),
                    offer.taken.eq(burst.taken),
                ]
            following = Signal(name=f"taken_{i}")
            m.d.comb += following.eq(taken | offer.valid)
            taken = following
        return m
