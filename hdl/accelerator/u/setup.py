"""Everything a run loads once, in order: U's column offsets, the bias, and the state if the program gives one."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.layout import HALVES, SUM_BITS, Widths, bits_for, segment_layout, u_offset_words
from hdl.accelerator.signatures import ParametersSignature, UnitSignature, WriteSignature
from hdl.common.arith import FP32, Fp16, Fp16FromFp32
from hdl.common.component import Component

_BIAS_LIMIT_BIASED = 26
"""Biased fp16 exponent of 2048, the first magnitude that the sums do not take as a bias."""


class Setup(Component):
    """Asks for what the run of ``parameters`` loads first, as ``segments``, takes their ``words`` and hands them out.

    ``w_offsets``, ``w_tables`` and ``u_tables``, where the run needs them, then ``offsets`` and ``bias`` write a word
    a row; elements of the state come one and two cycles later: ``c`` writes one, ``h`` carries the state's h in fp16.
    ``done``: everything is in. ``bad_bias``, ``bad_state`` pulse for values that the arithmetic does not take.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "segments": Out(stream.Signature(segment_layout())),
                "words": In(stream.Signature(unsigned(64))),
                "w_offsets": Out(WriteSignature(self.cfg.x_blocks, HALVES)),
                "w_tables": Out(WriteSignature(TABLE_WORDS, HALVES)),
                "u_tables": Out(WriteSignature(TABLE_WORDS, HALVES)),
                "offsets": Out(WriteSignature(u_offset_words(cfg), 64)),
                "bias": Out(WriteSignature(cfg.max_h, HALVES)),
                "c": Out(WriteSignature(cfg.max_h, signed(SUM_BITS))),
                "h": Out(UnitSignature()),
                "done": Out(1),
                "bad_bias": Out(1),
                "bad_state": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        units = Signal(Widths(self.cfg).h_blocks + 2)
        offset_words = Mux(p.u_matrix.single, p.h_blocks, (p.h_blocks + 3) >> 2)
        w_offset_words = Mux(p.w_matrix.single, p.x_blocks, (p.x_blocks + 3) >> 2)
        tables = p.w_matrix.narrow | p.u_matrix.narrow
        m.d.comb += units.eq(p.h_blocks << 2)

        segment = self.segments.payload
        with m.FSM(name="request"):
            if self.cfg.streams or self.cfg.group_list:
                # what W needs comes first: x is loaded meanwhile
                with m.State("FIRST"):
                    m.d.comb += [
                        self.segments.valid.eq(p.w_known),
                        segment.addr.eq(p.w_offsets),
                        segment.words.eq(w_offset_words),
                    ]
                    with m.If(~p.w_known | self.segments.ready):
                        m.next = "OFFSETS"
                        with m.If(tables):
                            m.next = "TABLES"
                with m.State("TABLES"):
                    m.d.comb += [
                        self.segments.valid.eq(1),
                        segment.addr.eq(p.tables),
                        segment.words.eq(2 * TABLE_WORDS),
                    ]
                    with m.If(self.segments.ready):
                        m.next = "OFFSETS"
            with m.State("OFFSETS"):
                m.d.comb += [self.segments.valid.eq(1), segment.addr.eq(p.u_offsets), segment.words.eq(offset_words)]
                with m.If(self.segments.ready):
                    m.next = "BIAS"
            with m.State("BIAS"):
                m.d.comb += [self.segments.valid.eq(1), segment.addr.eq(p.bias), segment.words.eq(units)]
                with m.If(self.segments.ready & p.state_in):
                    m.next = "STATE"
                with m.Elif(self.segments.ready):
                    m.next = "DONE"
            with m.State("STATE"):
                m.d.comb += [self.segments.valid.eq(1), segment.addr.eq(p.state), segment.words.eq(units)]
                with m.If(self.segments.ready):
                    m.next = "DONE"
            with m.State("DONE"):
                pass

        word = self.words.payload
        upper = Signal()
        element = Signal(32)
        addr = Signal(bits_for(max(self.cfg.max_h, self.cfg.x_blocks, TABLE_WORDS)))
        pair = data.View(data.ArrayLayout(unsigned(32), 2), word)
        biases = data.View(HALVES, word)
        last = Signal()
        tables_of_u = Signal()
        m.d.comb += [
            *(write.addr.eq(addr) for write in (self.w_offsets, self.w_tables, self.u_tables, self.offsets, self.bias)),
            *(write.data.eq(word) for write in (self.w_offsets, self.w_tables, self.u_tables)),
            self.offsets.data.eq(word),
            self.bias.data.eq(word),
        ]
        # The state is loaded once a run: its elements have cycles of their own on their way out of the ring.
        h_taken = Signal()
        is_h = Signal()
        is_c = Signal()
        state_h = Fp16FromFp32(m, element, "state_h")
        unusable = Signal()
        small = Cat(Fp16(biases[i]).biased < _BIAS_LIMIT_BIASED for i in range(4)).all()
        m.d.sync += [
            element.eq(Mux(upper, pair[1], pair[0])),
            self.c.addr.eq(addr),
            self.c.en.eq(is_c & self.words.valid),
            self.h.h.eq(state_h.bits),
            self.h.valid.eq(h_taken),
            # 2 or more is also more than 1; what is less has finite bits
            unusable.eq(state_h.inexact | data.View(FP32, element).exponent[-1]),
            h_taken.eq(is_h & self.words.valid),
            self.bad_bias.eq(self.bias.en & ~small),
        ]
        m.d.comb += [
            self.c.data.eq(element),
            self.bad_state.eq(self.h.valid & (unusable | (self.h.h[:15] > 0x3C00))),
        ]
        advance = Signal()
        with m.If(advance):
            m.d.sync += addr.eq(Mux(last, 0, addr + 1))
        with m.FSM(name="take"):
            if self.cfg.streams or self.cfg.group_list:
                with m.State("FIRST"):
                    m.next = "OFFSETS"
                    with m.If(tables):
                        m.next = "TABLES"
                    with m.If(p.w_known):
                        m.next = "W_OFFSETS"
                with m.State("W_OFFSETS"):
                    m.d.comb += [
                        self.words.ready.eq(1),
                        advance.eq(self.words.valid),
                        self.w_offsets.en.eq(self.words.valid),
                        last.eq(addr + 1 == w_offset_words),
                    ]
                    with m.If(advance & last):
                        m.next = "OFFSETS"
                        with m.If(tables):
                            m.next = "TABLES"
                with m.State("TABLES"):
                    m.d.comb += [
                        self.words.ready.eq(1),
                        advance.eq(self.words.valid),
                        # the tables of a matrix without any are not looked at
                        self.w_tables.en.eq(self.words.valid & ~tables_of_u & p.w_matrix.narrow),
                        self.u_tables.en.eq(self.words.valid & tables_of_u & p.u_matrix.narrow),
                        last.eq(addr + 1 == TABLE_WORDS),
                    ]
                    with m.If(advance & last):
                        m.d.sync += tables_of_u.eq(1)
                        with m.If(tables_of_u):
                            m.next = "OFFSETS"
            with m.State("OFFSETS"):
                m.d.comb += [
                    self.words.ready.eq(1),
                    advance.eq(self.words.valid),
                    self.offsets.en.eq(self.words.valid),
                    last.eq(addr + 1 == offset_words),
                ]
                with m.If(advance & last):
                    m.next = "BIAS"
            with m.State("BIAS"):
                m.d.comb += [
                    self.words.ready.eq(1),
                    advance.eq(self.words.valid),
                    self.bias.en.eq(self.words.valid),
                    last.eq(addr + 1 == units),
                ]
                with m.If(advance & last & p.state_in):
                    m.next = "STATE_H"
                with m.Elif(advance & last):
                    m.next = "DONE"
            with m.State("STATE_H"):
                m.d.comb += [
                    self.words.ready.eq(upper),
                    advance.eq(self.words.valid),
                    is_h.eq(1),
                    last.eq(addr + 1 == units),
                ]
                m.d.sync += upper.eq(upper ^ advance)
                with m.If(advance & last):
                    m.next = "STATE_C"
            with m.State("STATE_C"):
                m.d.comb += [
                    self.words.ready.eq(upper),
                    advance.eq(self.words.valid),
                    is_c.eq(1),
                    last.eq(addr + 1 == units),
                ]
                m.d.sync += upper.eq(upper ^ advance)
                with m.If(advance & last):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.sync += self.done.eq(1)
        return m
