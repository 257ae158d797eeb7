"""Who has the memory port's next burst."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import burst_layout
from hdl.accelerator.signatures import OfferSignature
from hdl.common.component import Component
from hdl.common.queue import Queue

_WAITING = 2
"""Bursts that wait for the port: one may go while the next comes."""


class BurstArbiter(Component):
    """Takes the first valid one of ``offers``, the others wait, and passes them on as ``burst`` in that order.

    Parameters:
        requesters: offers there are.

    A queue lies between, so that a requester's reckoning and the port's are in different cycles.
    """

    def __init__(self, cfg: AcceleratorConfig, requesters: int) -> None:
        self.cfg, self.requesters = cfg, requesters
        super().__init__({"offers": In(OfferSignature(cfg)).array(requesters), "burst": Out(OfferSignature(cfg))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(burst_layout(self.cfg), _WAITING)
        chosen: Any = queue.i.payload
        taken = Signal()
        for i, offer in enumerate(self.offers):
            with m.If(offer.valid & ~taken):
                m.d.comb += [
                    queue.i.valid.eq(1),
                    *(getattr(chosen, name).eq(getattr(offer, name)) for name in burst_layout(self.cfg).members),
                    offer.taken.eq(queue.i.ready),
                ]
            following = Signal(name=f"taken_{i}")
            m.d.comb += following.eq(taken | offer.valid)
            taken = following
        waiting: Any = queue.o.payload
        m.d.comb += [
            self.burst.valid.eq(queue.o.valid),
            queue.o.ready.eq(self.burst.taken),
            *(getattr(self.burst, name).eq(getattr(waiting, name)) for name in burst_layout(self.cfg).members),
        ]
        return m
