"""Everything a run loads once, in order: U's column offsets, the bias, and the state if the program gives one."""

from itertools import pairwise
from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.layout import (
    HALVES,
    HELD_BITS,
    HELD_LIMIT,
    SUM_BITS,
    Widths,
    bits_for,
    segment_layout,
    u_offset_words,
)
from hdl.accelerator.signatures import ParametersSignature, UnitSignature, WriteSignature
from hdl.common.arith import FP32, Fp16, Fp16FromFp32
from hdl.common.component import Component

_BIAS_LIMIT_BIASED = 26
"""Biased fp16 exponent of 2048, the first magnitude that the sums do not take as a bias."""


class Setup(Component):
    """Asks for what the run of ``parameters`` loads first, as ``segments``, takes their ``words`` and hands them out.

    ``w_offsets``, ``w_tables`` and ``u_tables``, where the run needs them, then ``offsets`` and ``bias`` write a word
    a row; elements of the state come one and two cycles later: ``c`` writes one, ``h`` carries the state's h in fp16.
    With DELTA ``held``, ``held_sums`` and, by events, ``x_held`` write what is held of h, the sums and what is held of
    x, before any h comes.
    ``done``: everything is in. ``bad_bias``, ``bad_state`` pulse for values that the arithmetic does not take.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        held: dict[str, Any] = {}
        if cfg.delta:
            held["held"] = Out(WriteSignature(cfg.max_h, signed(HELD_BITS)))
            held["held_sums"] = Out(WriteSignature(cfg.max_rows, signed(SUM_BITS)))
        if cfg.events:
            held["x_held"] = Out(WriteSignature(cfg.max_x, signed(HELD_BITS)))
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "segments": Out(stream.Signature(segment_layout(cfg))),
                "words": In(stream.Signature(unsigned(64))),
                "w_offsets": Out(WriteSignature(self.cfg.x_blocks, HALVES)),
                "w_tables": Out(WriteSignature(TABLE_WORDS, HALVES)),
                "u_tables": Out(WriteSignature(TABLE_WORDS, HALVES)),
                "offsets": Out(WriteSignature(u_offset_words(cfg), 64)),
                "bias": Out(WriteSignature(cfg.max_h, HALVES)),
                "c": Out(WriteSignature(cfg.max_h, signed(SUM_BITS))),
                "h": Out(UnitSignature()),
                **held,
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
        held_words = (p.h_blocks << 1) + (p.h_blocks << 3) + (p.x_blocks << 1 if self.cfg.events else 0)

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
                    m.next = "HELD" if self.cfg.delta else "STATE"
                with m.Elif(self.segments.ready):
                    m.next = "DONE"
            if self.cfg.delta:
                # what is held, and sums, lie behind h and c, and are there before h is looked at
                with m.State("HELD"):
                    m.d.comb += [
                        self.segments.valid.eq(p.delta),
                        segment.addr.eq(p.state + units),
                        segment.words.eq(held_words),
                    ]
                    with m.If(~p.delta | self.segments.ready):
                        m.next = "STATE"
            with m.State("STATE"):
                m.d.comb += [self.segments.valid.eq(1), segment.addr.eq(p.state), segment.words.eq(units)]
                with m.If(self.segments.ready):
                    m.next = "DONE"
            with m.State("DONE"):
                pass

        word = self.words.payload
        upper = Signal()
        element = Signal(32)
        longest = max(self.cfg.max_h, self.cfg.x_blocks, TABLE_WORDS)
        if self.cfg.delta:
            longest = max(longest, self.cfg.max_rows, self.cfg.max_x)
        addr = Signal(bits_for(longest))
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
        parts = self._held_parts(m, addr, element)
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
                    if self.cfg.delta:
                        with m.If(p.delta):
                            m.next = "HELD"
                with m.Elif(advance & last):
                    m.next = "DONE"
            for name, following, is_part, elements in parts:
                with m.State(name):
                    m.d.comb += [
                        self.words.ready.eq(upper),
                        advance.eq(self.words.valid),
                        is_part.eq(self.words.valid),
                        last.eq(addr + 1 == elements),
                    ]
                    m.d.sync += upper.eq(upper ^ advance)
                    with m.If(advance & last):
                        m.next = following
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

    def _held_parts(self, m: Module, addr: Value, element: Value) -> list[tuple[str, str, Value, Value]]:
        """What a state has with DELTA, as states of the taker: name and the one that follows, the signal of an element
        that is taken, and how many there are. Elements are written a cycle later."""
        if not self.cfg.delta:
            return []
        p = self.parameters
        names = ["HELD", "SUMS", *["X_HELD"] * self.cfg.events, "STATE_H"]
        elements = {"HELD": p.h_blocks << 2, "SUMS": p.h_blocks << 4, "X_HELD": p.x_blocks << 2}
        writes: dict[str, Any] = {"HELD": self.held, "SUMS": self.held_sums}
        if self.cfg.events:
            writes["X_HELD"] = self.x_held
        parts: list[tuple[str, str, Value, Value]] = []
        too_large = (element.as_signed() > HELD_LIMIT) | (element.as_signed() < -HELD_LIMIT)
        for name, following in pairwise(names):
            taken = Signal(name=f"is_{name.lower()}")
            write = writes[name]
            m.d.sync += [write.addr.eq(addr), write.en.eq(taken)]
            m.d.comb += write.data.eq(element)
            if name != "SUMS":
                with m.If(write.en & too_large):
                    m.d.comb += self.bad_state.eq(1)
            parts.append((name, following, taken, elements[name]))
        return parts
