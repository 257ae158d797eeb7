"""Lengths and addresses of W's units, where memory has their lengths: what is loaded, and what the decoder expects."""

from typing import Any

from amaranth import Array, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import HALVES, Widths, column_layout, most_words, segment_layout, unit_layout
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


class UnitWalker(Component):
    """Makes of each of ``units`` a ``segments`` and a ``columns`` entry if it is needed, of an end a ``columns`` entry.

    ``parameters``: the run's. ``offset_addr`` asks for four lengths, ``offsets``, one cycle later. Both streams must
    have room for two more entries while ``room`` is high. ``bad_format``: a unit too long for memory to be asked for
    it.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "units": In(stream.Signature(unit_layout(cfg))),
                "offset_addr": Out(w.units),
                "offsets": In(HALVES),
                "room": In(1),
                "segments": Out(stream.Signature(segment_layout(cfg), always_ready=True)),
                "columns": Out(stream.Signature(column_layout(cfg), always_ready=True)),
                "bad_format": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        taken = Signal()
        unit: Any = Signal(unit_layout(self.cfg))
        begun = Signal()
        addr = Signal.like(self.segments.payload.addr)
        words = Signal(16)
        needed = Signal()
        longest = Signal(16)
        m.d.sync += longest.eq(most_words(self.cfg, p.h_blocks, p.w_matrix))
        m.d.comb += [
            self.units.ready.eq(self.room),
            self.offset_addr.eq(self.units.payload.unit >> 2),
            words.eq(Array(self.offsets[i] for i in range(4))[unit.unit[:2]]),
            needed.eq(taken & ~unit.end & unit.needed),
        ]
        m.d.sync += [taken.eq(self.units.valid & self.units.ready), unit.eq(self.units.payload), begun.eq(1)]
        segment, column = self.segments.payload, self.columns.payload
        m.d.comb += [
            self.segments.valid.eq(needed),
            segment.addr.eq(addr),
            segment.words.eq(words),
            self.columns.valid.eq(needed | (taken & unit.end)),
            column.column.eq(unit.unit),
            column.words.eq(words),
            column.mark.eq(unit.mark),
            column.end.eq(unit.end),
            self.bad_format.eq(needed & (words > longest)),
        ]
        with m.If(~begun | (taken & unit.end)):
            m.d.sync += addr.eq(p.w)
        with m.Elif(taken):
            m.d.sync += addr.eq(addr + words)
        return m
