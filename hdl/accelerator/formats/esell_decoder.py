"""The eSELL decoder: head and value words in, decoded value words out."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.config import CHUNK_ROWS, AcceleratorConfig
from golden.tables import COLUMN_TABLE, HEAD_LAYOUT
from hdl.accelerator.layout import HALVES, Widths, column_layout, item_layout
from hdl.accelerator.signatures import HeadSignature
from hdl.common.arith import Fp16
from hdl.common.component import Component
from hdl.common.struct import struct


class EsellDecoder(Component):
    """Takes one of ``words`` a cycle; the block columns to expect, of ``blocks`` blocks, come from ``columns``, in
    order.

    Every value word becomes one of ``items`` in the next cycle. In a column marked ``first`` an empty chunk becomes an
    item of zeros, so that every result row is written once before anything is added to it. An ``end`` entry of
    ``columns`` becomes an ``end`` item. ``heads`` tells of each head.

    Parameters:
        known_length: with ``check`` a column's words must be exactly as many as its entry says, and no more than those
            come.

    ``bad_format``, ``bad_weight``: a word breaks the format or the length, holds a value that is not finite; the run
    is lost, and what follows means nothing. So whatever the words are, a column whose words all come ends in items or
    in ``bad_format``; the decoder never waits for a word beyond the column's length.
    """

    def __init__(self, cfg: AcceleratorConfig, *, known_length: bool) -> None:
        self.cfg, self.known_length = cfg, known_length
        w = Widths(cfg)
        super().__init__(
            {
                "blocks": In(w.blocks),
                "check": In(1),
                "words": In(stream.Signature(unsigned(64))),
                "columns": In(stream.Signature(column_layout(cfg))),
                "items": Out(stream.Signature(item_layout(cfg))),
                "heads": Out(HeadSignature()),
                "bad_format": Out(1),
                "bad_weight": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        w = Widths(self.cfg)
        tables = [Array(Const(v, 2) for v in row) for row in COLUMN_TABLE]

        column: Any = Signal(column_layout(self.cfg))
        have_column = Signal()
        block = Signal(w.blocks)
        # Of the column's words those that its length leaves for values: all but one head a block.
        values_left = Signal(16)

        # Fields of the block whose value words are being taken, rows in the order of the head.
        rows = Signal(data.ArrayLayout(data.ArrayLayout(unsigned(3), 4), 2))
        codes = Signal(data.ArrayLayout(data.ArrayLayout(unsigned(3), 4), 2))
        in_values = Signal()
        chunk = Signal()
        value = Signal(2)
        counts = Signal(data.ArrayLayout(unsigned(3), 2))
        # Whether a chunk's only item is made here rather than loaded: the zeros of an empty chunk.
        made = Signal(2)

        word = self.words.payload
        head = data.View(struct(HEAD_LAYOUT), word)
        values = data.View(HALVES, word)
        chunks = [head.chunks[k] for k in range(2)]
        seen = Signal(8)
        for c in chunks:
            for i in range(4):
                m.d.comb += seen.bit_select(c.rows[i], 1).eq(1)
        head_values = chunks[0].width + chunks[1].width
        malformed = (chunks[0].width > 4) | (chunks[1].width > 4) | Cat(c.spare for c in chunks).any() | ~seen.all()

        out_free = ~self.items.valid | self.items.ready
        take_head = Signal()
        take_value = Signal()
        make_zero = Signal()
        take_end = Signal()
        m.d.comb += [
            make_zero.eq(in_values & made.bit_select(chunk, 1) & out_free),
            take_value.eq(in_values & ~made.bit_select(chunk, 1) & out_free & self.words.valid),
            take_head.eq(~in_values & have_column & ~column.end & self.words.valid),
            take_end.eq(~in_values & have_column & column.end & out_free),
            self.words.ready.eq(
                (in_values & ~made.bit_select(chunk, 1) & out_free) | (~in_values & have_column & ~column.end)
            ),
            self.heads.valid.eq(take_head),
            self.heads.values.eq(head_values),
        ]

        block_done = Signal()
        column_done = Signal()
        column_free = Signal()
        last_block = block + 1 == self.blocks
        m.d.comb += [
            column_done.eq(block_done & last_block),
            column_free.eq(~have_column | column_done | take_end),
            self.columns.ready.eq(column_free),
        ]
        with m.If(column_free):
            m.d.sync += have_column.eq(self.columns.valid)
            with m.If(self.columns.valid):
                m.d.sync += [column.eq(self.columns.payload), values_left.eq(self.columns.payload.words - self.blocks)]
        with m.Elif(take_head):
            m.d.sync += values_left.eq(values_left - head_values)
        with m.If(block_done):
            m.d.sync += block.eq(Mux(last_block, 0, block + 1))

        has_items = [column.mark.first | (c.width != 0) for c in chunks]
        with m.If(take_head):
            m.d.sync += [
                *(rows[k].eq(c.rows) for k, c in enumerate(chunks)),
                *(codes[k].eq(c.codes) for k, c in enumerate(chunks)),
                *(counts[k].eq(c.width) for k, c in enumerate(chunks)),
                made.eq(Cat(c.width == 0 for c in chunks)),
                value.eq(0),
                chunk.eq(~has_items[0]),
                in_values.eq(has_items[0] | has_items[1]),
            ]
            m.d.comb += block_done.eq(~has_items[0] & ~has_items[1])
        last_value = Signal()
        m.d.comb += last_value.eq(made.bit_select(chunk, 1) | (value + 1 == Mux(chunk, counts[1], counts[0])))
        with m.If(take_value | make_zero):
            m.d.sync += value.eq(value + 1)
            with m.If(last_value):
                m.d.sync += value.eq(0)
                with m.If(~chunk & (column.mark.first | (counts[1] != 0))):
                    m.d.sync += chunk.eq(1)
                with m.Else():
                    m.d.sync += in_values.eq(0)
                    m.d.comb += block_done.eq(1)

        item = self.items.payload
        with m.If(out_free):
            m.d.sync += self.items.valid.eq(take_value | make_zero | take_end)
        with m.If(take_value | make_zero | take_end):
            m.d.sync += [
                *(item.values[i].eq(Mux(make_zero, 0, values[i])) for i in range(4)),
                *(group.eq(block >> 1) for group in item.row_groups),
                item.column.eq(column.column),
                item.mark.eq(column.mark),
                item.mark.first.eq(column.mark.first & (take_end | (value == 0))),
                item.end.eq(take_end),
            ]
            if self.cfg.streams:
                m.d.sync += item.used.eq((1 << CHUNK_ROWS) - 1)
            for i in range(4):
                row = Mux(chunk, rows[1][i], rows[0][i])
                code = Mux(chunk, codes[1][i], codes[0][i])
                m.d.sync += [
                    item.lanes[i].eq(Cat(row, block[0])),
                    item.selects[i].eq(Array(table[code] for table in tables)[value]),
                ]

        finite = Cat(Fp16(values[i]).finite for i in range(4)).all()
        m.d.comb += self.bad_weight.eq(take_value & ~finite)
        wrong_length = Const(0)
        if self.known_length:
            # A head is judged before its values are waited for: they, and the heads still due, must be on their way.
            following = self.columns.payload
            too_short = self.columns.valid & column_free & ~following.end & (following.words < self.blocks)
            misfit = Mux(last_block, head_values != values_left, head_values > values_left)
            wrong_length = self.check & (too_short | (take_head & misfit))
        m.d.comb += self.bad_format.eq((take_head & malformed) | wrong_length)
        return m
