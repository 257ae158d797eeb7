"""What a program can read of a run: its counters, beside the status word and the version."""

from functools import reduce
from operator import add

from amaranth import Array, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out, Signature

from golden import isa
from golden.config import AcceleratorConfig
from golden.isa import Counter
from hdl.accelerator.layout import Widths
from hdl.accelerator.signatures import AdapterSignature, unit_events
from hdl.common.component import Component
from hdl.common.struct import struct

COUNTED = tuple(c for c in Counter if c not in (Counter.STATUS, Counter.VERSION, Counter.CYCLES, Counter.N_FUSE))
"""Counters that grow by the events of their name."""


class Counters(Component):
    """Counts cycles and events while ``busy``, from ``start`` on; the cycle of a START that runs (``begin``) is the
    first.

    ``datapath`` and ``memory``: the events; a counter that several units name grows by the sum. ``n_fuse``: the fusion
    factor, kept from the START. ``value`` is counter ``index`` of the table, in the same cycle, 0 for an index past its
    end; of ``status``, the status word, too.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "start": In(1),
                "begin": In(1),
                "busy": In(1),
                "n_fuse": In(Widths(cfg).fuse),
                "datapath": In(Signature({name: Out(events) for name, events in unit_events(cfg).items()})),
                "memory": In(AdapterSignature().members["events"].signature),
                "status": In(struct(isa.STATUS_LAYOUT)),
                "index": In(range(max(Counter) + 2)),
                "value": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        units = [self.memory, *(getattr(self.datapath, name) for name in self.datapath.signature.members)]

        def growth(counter: Counter) -> object:
            name = counter.name.lower()
            return reduce(add, [getattr(unit, name) for unit in units if name in unit.signature.members])

        grows = {Counter.CYCLES: Const(1, 1)} | {counter: growth(counter) for counter in COUNTED}
        counters = {counter: Signal(isa.COUNTER_BITS, name=counter.name.lower()) for counter in grows}
        n_fuse = Signal.like(self.n_fuse)
        for counter, count in counters.items():
            with m.If(self.start):
                m.d.sync += count.eq(Mux(self.begin, grows[counter], 0))
            with m.Elif(self.busy):
                m.d.sync += count.eq(count + grows[counter])
        with m.If(self.start):
            m.d.sync += n_fuse.eq(Mux(self.begin, self.n_fuse, 0))
        build = {name: getattr(cfg, name) for name in isa.VERSION_LAYOUT.fields if name != "version"}
        values = {
            Counter.STATUS: self.status.as_value(),
            Counter.VERSION: Const(isa.VERSION_LAYOUT.pack(version=isa.VERSION, **build), 64),
            Counter.N_FUSE: n_fuse,
            **counters,
        }
        m.d.comb += self.value.eq(Array([*(values[counter] for counter in Counter), Const(0, 64)])[self.index])
        return m
