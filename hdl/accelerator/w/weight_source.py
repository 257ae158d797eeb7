"""W from memory to decoded words: what is loaded, and what the decoder expects."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.formats import WordDecoder
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.layout import (
    HALVES,
    TAG_BITS,
    Kind,
    Widths,
    column_layout,
    item_layout,
    segment_layout,
    unit_layout,
)
from hdl.accelerator.ring import Ring
from hdl.accelerator.signatures import (
    FillSignature,
    OfferSignature,
    ParametersSignature,
    WriteSignature,
)
from hdl.accelerator.u.segment_loader import SegmentLoader
from hdl.accelerator.w.unit_walker import UnitWalker
from hdl.accelerator.w.weight_loader import WeightLoader
from hdl.common.component import Component
from hdl.common.queue import Queue
from hdl.common.ram import Ram

SEGMENTS = 4
COLUMNS = 4


class WeightSource(Component):
    """Loads the ``units`` of W that are asked for, and decodes their words to ``items``.

    Where memory has the units' lengths (``parameters``' w_known), they are in ``offsets`` when ``loaded`` rises, and
    only units that are needed are loaded. Else all of W is, once a group of ``capacity`` steps or fewer, in advance,
    and every unit asked for must be needed. ``oldest``: tag of the oldest unit whose words may not all be in ``items``
    yet.

    ``burst`` asks for W, ``fill`` brings it; ``tables`` writes those of stream-8. ``taken`` pulses for each word.
    ``bad_format``, ``bad_weight``: W is malformed, a value is not finite.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "capacity": In(Widths(cfg).group),
                "units": In(stream.Signature(unit_layout(cfg))),
                "offsets": In(WriteSignature(cfg.x_blocks, HALVES)),
                "tables": In(WriteSignature(TABLE_WORDS, HALVES)),
                "loaded": In(1),
                "burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "items": Out(stream.Signature(item_layout(cfg))),
                "oldest": Out(TAG_BITS),
                "taken": Out(1),
                "bad_format": Out(1),
                "bad_weight": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p = self.cfg, self.parameters
        known = p.w_known if cfg.clears else Const(0)
        m.submodules.ring = ring = Ring(cfg, Kind.W)
        m.submodules.loader = loader = WeightLoader(cfg)
        m.submodules.decoder = decoder = WordDecoder(cfg)
        connect(m, flipped(p), loader.parameters)
        connect(m, flipped(self.fill), ring.fill)
        connect(m, ring.words, decoder.words)
        connect(m, decoder.items, flipped(self.items))
        connect(m, decoder.heads, loader.heads)
        connect(m, flipped(p.w_matrix), decoder.matrix)
        connect(m, flipped(self.tables), decoder.tables)
        walker_fault = Signal()
        m.d.comb += [
            loader.capacity.eq(self.capacity),
            decoder.h_blocks.eq(p.h_blocks),
            decoder.known.eq(known),
            self.taken.eq(ring.words.valid & ring.words.ready),
            self.bad_format.eq(decoder.bad_format | loader.bad_format | walker_fault),
            self.bad_weight.eq(decoder.bad_weight),
        ]
        if cfg.group_list:
            last_taken = Signal(TAG_BITS)
            with m.If(decoder.columns.valid & decoder.columns.ready):
                m.d.sync += last_taken.eq(decoder.columns.payload.mark.tag)
            m.d.comb += self.oldest.eq(Mux(self.items.valid, self.items.payload.mark.tag, last_taken))

        if not cfg.clears:
            connect(m, loader.burst, flipped(self.burst))
            connect(m, ring.space, loader.space)
        entry, unit = decoder.columns.payload, self.units.payload
        with m.If(~known):
            m.d.comb += [
                decoder.columns.valid.eq(self.units.valid),
                self.units.ready.eq(decoder.columns.ready),
                entry.column.eq(unit.unit),
                entry.mark.eq(unit.mark),
                entry.end.eq(unit.end),
            ]
        if not cfg.clears:
            return m

        m.submodules.walker = walker = UnitWalker(cfg)
        m.submodules.segments = segments = Queue(segment_layout(cfg), SEGMENTS)
        m.submodules.columns = columns = Queue(column_layout(cfg), COLUMNS)
        m.submodules.segment_loader = segment_loader = SegmentLoader(cfg, Kind.W)
        m.submodules.offsets = offsets = Ram(64, cfg.x_blocks)
        connect(m, flipped(p), walker.parameters)
        connect(m, segments.o, segment_loader.segments)
        m.d.comb += [
            walker.units.payload.eq(unit),
            walker.offsets.eq(offsets.read_data),
            walker.room.eq(self.loaded & (segments.room >= 2) & (columns.room >= 2)),
            walker_fault.eq(walker.bad_format),
            offsets.read_en.eq(1),
            offsets.read_addr.eq(walker.offset_addr),
            offsets.write_en.eq(self.offsets.en),
            offsets.write_addr.eq(self.offsets.addr),
            offsets.write_data.eq(self.offsets.data),
            segments.i.valid.eq(walker.segments.valid),
            segments.i.payload.eq(walker.segments.payload),
            columns.i.valid.eq(walker.columns.valid),
            columns.i.payload.eq(walker.columns.payload),
        ]
        with m.If(known):
            m.d.comb += [
                walker.units.valid.eq(self.units.valid),
                self.units.ready.eq(walker.units.ready),
                decoder.columns.valid.eq(columns.o.valid),
                columns.o.ready.eq(decoder.columns.ready),
                entry.eq(columns.o.payload),
            ]
        for active, part in ((~known, loader), (known, segment_loader)):
            m.d.comb += [part.space.next_index.eq(ring.space.next_index), part.space.roomy.eq(ring.space.roomy)]
            with m.If(active):
                m.d.comb += [
                    *(
                        getattr(self.burst, n).eq(getattr(part.burst, n))
                        for n in ("valid", "addr", "words", "kind", "index")
                    ),
                    part.burst.taken.eq(self.burst.taken),
                    ring.space.alloc.eq(part.space.alloc),
                ]
        return m
