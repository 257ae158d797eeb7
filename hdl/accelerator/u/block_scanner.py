"""Which columns to load where changes are sent: of U, and by events before them of W, step after step."""

from functools import reduce
from operator import add
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.config import BLOCK_COLS, AcceleratorConfig
from hdl.accelerator.layout import HALVES, Widths, column_layout, most_words, segment_layout
from hdl.accelerator.signatures import KeepSignature, ParametersSignature
from hdl.common.component import Component


class BlockScanner(Component):
    """For each step one ``segments`` and one ``columns`` entry per unit that is sent or kept, x before h; then an
    ``end``.

    A block of four columns is looked at in each cycle, or in as many cycles as units of it are sent. The run of
    ``parameters`` begins with ``enable``. ``keep`` and, by events, ``x_keep`` tell of blocks that are known, and give
    their bits; ``offset_addr`` asks for the lengths of four units with ``offset_en``, ``offsets`` and ``w_offsets``,
    which are there one cycle later and stay. An entry is given while ``room`` is high.

    ``kept``, ``skipped``, ``x_sent``, ``x_skipped``: units of the block that is looked at; ``bad_format``: a unit too
    long for memory to be asked for it.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        units = range(BLOCK_COLS + 1)
        of_x: dict[str, Any] = {}
        if cfg.events:
            of_x = {
                "x_keep": In(KeepSignature(cfg, range(2 * cfg.x_blocks))),
                "w_offsets": In(HALVES),
                "x_sent": Out(units),
                "x_skipped": Out(units),
            }
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "enable": In(1),
                "keep": In(KeepSignature(cfg)),
                "offset_addr": Out(self._blocks()),
                "offset_en": Out(1),
                "offsets": In(HALVES),
                **of_x,
                "room": In(1),
                "segments": Out(stream.Signature(segment_layout(cfg), always_ready=True)),
                "columns": Out(stream.Signature(column_layout(cfg), always_ready=True)),
                "kept": Out(units),
                "skipped": Out(units),
                "bad_format": Out(1),
            }
        )

    def _blocks(self) -> int:
        """Width of a number of a block, of x or h."""
        w = Widths(self.cfg)
        return w.columns if self.cfg.events else w.h_blocks

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters

        # A look: which block, or that the step ends. Of step 0 without a state nothing is sent of h, which is 0
        # everywhere, and kept only by a threshold of 0: that is gone through first, while x loads.
        steps_left = Signal(w.t)
        half = Signal()
        block = Signal(self._blocks())
        of_u: Any = Signal() if cfg.events else Const(1)
        ends = Signal()
        zeros = Signal()
        h_known = Signal(w.h_blocks + 1)
        look = Signal()
        takes_look = Signal()
        m.d.sync += h_known.eq(h_known + self.keep.published - (look & of_u & ~ends & ~zeros))
        blocks, known = p.h_blocks, zeros | (h_known != 0)
        if cfg.events:
            x_known = Signal(w.x_blocks + 2)
            m.d.sync += x_known.eq(x_known + self.x_keep.published - (look & ~of_u & ~ends))
            blocks, known = Mux(of_u, blocks, p.x_blocks), Mux(of_u, known, x_known != 0)
        with m.FSM(name="scan"):
            with m.State("INIT"):
                m.d.sync += [steps_left.eq(p.steps), zeros.eq(~p.state_in)]
                if cfg.events:
                    m.d.sync += of_u.eq(~p.state_in)
                # by events nothing comes of the zeros, which need no length and no bank: they do not wait for setup
                with m.If(1 if cfg.events else self.enable):
                    m.next = "BLOCKS"
            with m.State("BLOCKS"):
                m.d.comb += look.eq(takes_look & known & (self.enable | zeros))
                with m.If(look):
                    m.d.sync += block.eq(block + 1)
                    with m.If(block + 1 == blocks):
                        m.d.sync += block.eq(0)
                        if cfg.events:
                            m.d.sync += of_u.eq(~of_u)
                        with m.If(of_u ^ zeros if cfg.events else 1):
                            m.next = "END"
            with m.State("END"):
                m.d.comb += [ends.eq(1), look.eq(takes_look)]
                with m.If(look):
                    if cfg.events:
                        m.d.sync += of_u.eq(0)
                    m.d.sync += [zeros.eq(0), half.eq(~half), steps_left.eq(steps_left - 1)]
                    m.next = "BLOCKS"
                    with m.If(steps_left == 1):
                        m.next = "DONE"
            with m.State("DONE"):
                pass

        # A cycle later its bits and lengths leave their memories, and stay until the next stage takes them.
        takes_block = Signal()
        looked: Any = Signal(
            data.StructLayout(
                {
                    "valid": unsigned(1),
                    "block": unsigned(self._blocks()),
                    "of_u": unsigned(1),
                    "single": unsigned(1),
                    "zeros": unsigned(1),
                    "end": unsigned(1),
                    "half": unsigned(1),
                }
            )
        )
        single = Signal()
        m.d.comb += [
            takes_look.eq(~looked.valid | takes_block),
            single.eq(Mux(of_u, p.u_matrix.single, p.w_matrix.single)),
            self.keep.addr.eq(block),
            self.keep.en.eq(takes_look),
            self.offset_addr.eq(Mux(single, block, block >> 2)),
            self.offset_en.eq(takes_look),
        ]
        with m.If(takes_look):
            m.d.sync += [
                looked.valid.eq(look),
                looked.block.eq(block),
                looked.of_u.eq(of_u),
                looked.single.eq(single),
                looked.zeros.eq(zeros & of_u),
                looked.end.eq(ends),
                looked.half.eq(half),
            ]
        lengths, bits = self.offsets.as_value(), self.keep.keep
        if cfg.events:
            m.d.comb += [
                self.x_keep.addr.eq(block + Mux(half, cfg.x_blocks, 0)),
                self.x_keep.en.eq(takes_look),
            ]
            lengths = Mux(looked.of_u, lengths, self.w_offsets.as_value())
            bits = Mux(looked.of_u, bits, self.x_keep.keep)
        all_kept = (p.threshold == 0) & ~p.delta
        bits = Mux(looked.zeros, all_kept.replicate(BLOCK_COLS), bits)

        # Then a unit that is sent leaves in each cycle, in the end that of the step. Each begins behind those before.
        pending = Signal(BLOCK_COLS + 1)
        rest = Signal(BLOCK_COLS + 1)
        sizes = [Signal(16, name=f"size_{i}") for i in range(BLOCK_COLS)]
        before = [Const(0, 1), *(Signal(18, name=f"before_{i}") for i in range(1, BLOCK_COLS + 1))]
        single_sizes = [lengths[16 * i :][:16] for i in range(BLOCK_COLS)]
        of_block = lengths.word_select(looked.block[:2], 16)
        addr = Signal.like(self.segments.payload.addr)
        came = Signal()
        here: Any = Signal.like(looked)
        place = Signal(range(BLOCK_COLS))
        for i in reversed(range(BLOCK_COLS)):
            with m.If(pending[i]):
                m.d.comb += place.eq(i)
        m.d.comb += [
            rest.eq(pending & (pending - 1)[: len(pending)]),
            takes_block.eq(~pending.any() | (~rest.any() & self.room)),
        ]
        m.d.sync += came.eq(takes_block & looked.valid & ~looked.end)
        with m.If(takes_block):
            kept = Mux(looked.single, bits, bits[0]) & (~looked.end).replicate(BLOCK_COLS)
            m.d.sync += [
                pending.eq(Mux(looked.valid, Cat(kept, looked.end), 0)),
                here.eq(looked),
                sizes[0].eq(Mux(looked.single, single_sizes[0], of_block)),
                *(sizes[i].eq(single_sizes[i]) for i in range(1, BLOCK_COLS)),
                # summed before they are kept: what is sent has an address a cycle later
                *(
                    total.eq(Mux(looked.single, reduce(add, single_sizes[:i]), of_block))
                    for i, total in enumerate(before)
                    if i
                ),
                addr.eq(addr + before[BLOCK_COLS]),
            ]
            with m.If(~looked.valid | looked.end):
                m.d.sync += [size.eq(0) for size in (*sizes, before[BLOCK_COLS])]
            with m.If(looked.valid & (looked.block == 0)):
                m.d.sync += addr.eq(Mux(looked.of_u, p.u, p.w))
        with m.Elif(self.room):
            m.d.sync += pending.eq(rest)

        longest = [Signal(16, name=f"longest_{name}") for name in ("w", "u")]
        for most, matrix in zip(longest, (p.w_matrix, p.u_matrix), strict=True):
            m.d.sync += most.eq(most_words(cfg, p.h_blocks, matrix))
        ending = pending[BLOCK_COLS]
        sends = Signal()
        words = Signal(16)
        none_sent = Signal(init=1)
        segment, entry = self.segments.payload, self.columns.payload
        m.d.comb += [
            sends.eq(pending[:BLOCK_COLS].any() & self.room),
            words.eq(Array(sizes)[place]),
            self.segments.valid.eq(sends),
            segment.addr.eq(addr + Array(before[:BLOCK_COLS])[place]),
            segment.words.eq(words),
            self.columns.valid.eq(pending.any() & self.room),
            entry.column.eq(Mux(here.single, Cat(place, here.block), here.block)),
            entry.words.eq(words),
            entry.mark.first.eq(none_sent),
            entry.mark.half.eq(here.half),
            entry.end.eq(ending),
            self.bad_format.eq(sends & (words > Mux(here.of_u, longest[1], longest[0]))),
        ]
        if cfg.events:
            m.d.comb += [entry.mark.of_u.eq(here.of_u), segment.of_u.eq(here.of_u)]
        with m.If(self.columns.valid):
            m.d.sync += none_sent.eq(ending)

        sent = Signal(range(BLOCK_COLS + 1))
        others = Signal(range(BLOCK_COLS + 1))
        of_h = came & here.of_u
        of_x = came & ~here.of_u
        m.d.comb += [
            sent.eq(reduce(add, list(pending[:BLOCK_COLS]))),
            others.eq(Mux(here.single, BLOCK_COLS, 1) - sent),
            self.kept.eq(Mux(of_h, sent, 0)),
            self.skipped.eq(Mux(of_h, others, 0)),
        ]
        if cfg.events:
            m.d.comb += [self.x_sent.eq(Mux(of_x, sent, 0)), self.x_skipped.eq(Mux(of_x, others, 0))]
        return m
