"""Who has the memory port's next burst."""

from typing import Any

from amaranth import Module, Mux, Signal
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

    A queue lies between, so that whether a burst is taken does not depend on the port in the same cycle.
    """

    def __init__(self, cfg: AcceleratorConfig, requesters: int) -> None:
        self.cfg, self.requesters = cfg, requesters
        super().__init__({"offers": In(OfferSignature(cfg)).array(requesters), "burst": Out(OfferSignature(cfg))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(burst_layout(self.cfg), _WAITING)
        chosen: Any = queue.i.payload
        found = Signal()
        taken = Signal()
        for i, offer in enumerate(self.offers):
            with m.If(offer.valid & ~taken):
                m.d.comb += [
                    found.eq(1),
                    *(getattr(chosen, name).eq(getattr(offer, name)) for name in burst_layout(self.cfg).members),
                    offer.taken.eq(queue.i.ready),
                ]
            following = Signal(name=f"taken_{i}")
            m.d.comb += following.eq(taken | offer.valid)
            taken = following
        # An empty queue is no detour: what the port takes at once does not enter it.
        passes = Signal()
        waiting: Any = queue.o.payload
        m.d.comb += [
            passes.eq(~queue.o.valid & self.burst.taken),
            queue.i.valid.eq(found & ~passes),
            queue.o.ready.eq(self.burst.taken),
            self.burst.valid.eq(queue.o.valid | found),
            *(
                getattr(self.burst, name).eq(Mux(queue.o.valid, getattr(waiting, name), getattr(chosen, name)))
                for name in burst_layout(self.cfg).members
            ),
        ]
        return m
