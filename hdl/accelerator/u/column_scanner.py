"""Which columns of U to load: walks the hidden state unit by unit, as far as it is known, and skips pruned ones."""

from typing import Any

from amaranth import Array, Const, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import HALVES, Widths, column_layout, most_words, segment_layout
from hdl.accelerator.signatures import KeepSignature, ParametersSignature
from hdl.common.component import Component


class ColumnScanner(Component):
    """For each step, one ``segments`` and one ``columns`` entry per kept unit of h, then an ``end`` column.

    A unit, a block of h or, of a stream, one element, is looked at in each cycle, so that a run of skipped columns is
    passed while a kept one still loads. The run of ``parameters`` begins with ``enable``. ``keep`` tells of blocks of
    h that are known, and gives their keep bits; ``offset_addr`` asks for four units' lengths, ``offsets``, one cycle
    later. Both streams must have room for two more entries while ``room`` is high. ``kept`` and ``skipped`` pulse per
    unit; ``bad_format``: a unit too long for memory to be asked for it.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "enable": In(1),
                "keep": In(KeepSignature(cfg)),
                "offset_addr": Out(w.h_blocks),
                "offsets": In(HALVES),
                "room": In(1),
                "segments": Out(stream.Signature(segment_layout(cfg), always_ready=True)),
                "columns": Out(stream.Signature(column_layout(cfg), always_ready=True)),
                "kept": Out(1),
                "skipped": Out(1),
                "bad_format": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        steps_left = Signal(w.t)
        half = Signal()
        unit = Signal(w.h_units if cfg.streams else w.h_blocks)
        known = Signal(w.h_blocks + 1)
        # Step 0 without a state has h = 0 everywhere: kept only by a threshold of 0.
        zeros = Signal()
        look = Signal()

        looked = Signal()
        column = Signal.like(unit)
        addr = Signal.like(self.segments.payload.addr)
        none_kept = Signal()
        keep = Signal()
        words = Signal(16)
        block: Any = unit
        units: Any = p.h_blocks
        keep_bit: Any = self.keep.keep
        leaves_block: Any = Const(1)
        if cfg.streams:
            single = p.u_matrix.single
            block = Mux(single, unit >> 2, unit)
            units = Mux(single, p.h_blocks << 2, p.h_blocks)
            keep_bit = self.keep.keep.bit_select(column[:2], 1)
            leaves_block = ~single | unit[:2].all()
        m.d.comb += [
            self.keep.addr.eq(block),
            self.offset_addr.eq(unit >> 2),
            keep.eq(looked & Mux(zeros, p.threshold == 0, keep_bit)),
            words.eq(Array(self.offsets[i] for i in range(4))[column[:2]]),
        ]
        longest = Signal(16)
        m.d.sync += longest.eq(most_words(cfg, p.h_blocks, p.u_matrix))
        segment, entry = self.segments.payload, self.columns.payload
        m.d.comb += [
            self.segments.valid.eq(keep),
            segment.addr.eq(addr),
            segment.words.eq(words),
            self.columns.valid.eq(keep),
            entry.column.eq(column),
            entry.words.eq(words),
            entry.mark.first.eq(none_kept),
            entry.mark.half.eq(half),
            self.kept.eq(keep),
            self.skipped.eq(looked & ~keep),
            self.bad_format.eq(keep & (words > longest)),
        ]
        m.d.sync += [
            looked.eq(look),
            column.eq(unit),
            known.eq(known + self.keep.published - (look & leaves_block & ~zeros)),
        ]
        with m.If(looked):
            m.d.sync += addr.eq(addr + words)
        with m.If(keep):
            m.d.sync += none_kept.eq(0)
        with m.FSM(name="scan"):
            with m.State("INIT"):
                m.d.sync += [steps_left.eq(p.steps), zeros.eq(~p.state_in)]
                with m.If(self.enable):
                    m.next = "STEP"
            with m.State("STEP"):
                m.d.sync += [addr.eq(p.u), unit.eq(0), none_kept.eq(1)]
                with m.If(steps_left != 0):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += look.eq(self.room & (zeros | (known != 0)))
                with m.If(look):
                    m.d.sync += unit.eq(unit + 1)
                    with m.If(unit + 1 == units):
                        m.next = "LAST"
            with m.State("LAST"):
                # the last look is being acted on
                m.next = "END"
            with m.State("END"), m.If(self.room):
                m.d.comb += [self.columns.valid.eq(1), entry.end.eq(1)]
                m.d.sync += [zeros.eq(0), half.eq(~half), steps_left.eq(steps_left - 1)]
                m.next = "STEP"
        return m
