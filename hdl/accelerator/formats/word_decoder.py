"""The decoders that a configuration has, behind the ports of one."""

from typing import Any

from amaranth import Const, Module, Value, unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.formats.esell_decoder import EsellDecoder
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS, StreamDecoder
from hdl.accelerator.layout import HALVES, Widths, column_layout, item_layout, mark_layout
from hdl.accelerator.signatures import HeadSignature, MatrixSignature, WriteSignature
from hdl.common.component import Component


class WordDecoder(Component):
    """Takes one of ``words`` a cycle, of the units that come from ``columns``, in order; each value word becomes one of
    ``items``, an ``end`` entry an ``end`` item.

    ``matrix``: how the run's matrix is packed; ``h_blocks``: H/4; ``known``: entries of ``columns`` say how many words
    they have, as they must for streams. ``heads`` tells of each head of eSELL; ``tables`` writes those of stream-8.
    ``bad_format``, ``bad_weight``: a word breaks the format or its length, a value is not finite.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "matrix": In(MatrixSignature()),
                "h_blocks": In(Widths(cfg).h_blocks),
                "known": In(1),
                "words": In(stream.Signature(unsigned(64))),
                "columns": In(stream.Signature(column_layout(cfg))),
                "items": Out(stream.Signature(item_layout(cfg))),
                "heads": Out(HeadSignature()),
                "tables": In(WriteSignature(TABLE_WORDS, HALVES)),
                "bad_format": Out(1),
                "bad_weight": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        parts: list[tuple[Value, EsellDecoder | StreamDecoder, Any]] = []
        if cfg.esell:
            m.submodules.esell = esell = EsellDecoder(cfg, known_length=True)
            m.d.comb += [
                esell.blocks.eq(self.h_blocks << 1),
                esell.check.eq(self.known),
                esell.columns.payload.eq(self.columns.payload),
            ]
            connect(m, esell.heads, flipped(self.heads))
            parts.append((~self.matrix.stream, esell, esell.columns))
        if cfg.streams:
            stream8 = cfg.stream8
            m.submodules.stream = streams = StreamDecoder(cfg, stream8=stream8, mark=mark_layout(cfg))
            unit, column = streams.units.payload, self.columns.payload
            m.d.comb += [
                streams.h_blocks.eq(self.h_blocks),
                streams.gap_bits.eq(self.matrix.gap_bits),
                streams.single.eq(self.matrix.single),
                unit.unit.eq(column.column),
                unit.words.eq(column.words),
                unit.mark.eq(column.mark),
                unit.end.eq(column.end),
            ]
            if stream8:
                m.d.comb += streams.narrow.eq(self.matrix.narrow)
                connect(m, flipped(self.tables), streams.tables)
            parts.append((self.matrix.stream, streams, streams.units))
        if len(parts) == 1:
            parts = [(Const(1), *parts[0][1:])]
        for used, part, columns in parts:
            m.d.comb += part.words.payload.eq(self.words.payload)
            with m.If(used):
                m.d.comb += [
                    part.words.valid.eq(self.words.valid),
                    self.words.ready.eq(part.words.ready),
                    columns.valid.eq(self.columns.valid),
                    self.columns.ready.eq(columns.ready),
                    self.items.valid.eq(part.items.valid),
                    self.items.payload.eq(part.items.payload),
                    part.items.ready.eq(self.items.ready),
                    self.bad_format.eq(part.bad_format),
                    self.bad_weight.eq(part.bad_weight),
                ]
                if isinstance(part, StreamDecoder):
                    # streams are added to sums that were cleared
                    m.d.comb += self.items.payload.mark.first.eq(part.items.payload.mark.first & part.items.payload.end)
        return m
