"""Everything a run loads once, in order: U's column offsets, the bias, and the state if the program gives one."""

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, Signature

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import ParametersSignature, Widths, bits_for, segment_layout
from hdl.common.arith import Fp16FromFp32

_BIAS_LIMIT_BIASED = 26
"""Biased fp16 exponent of 2048, the first magnitude that the sums do not take as a bias."""


class SetupResults(Signature):
    """What setup hands out.

    ``offsets_en``, ``bias_en`` write ``word`` at row ``addr``; ``c_en`` writes ``element`` as c of unit ``addr``;
    ``h`` carries the state's h in fp16, one unit a transfer, in order. ``done``: everything is in.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "addr": Out(bits_for(cfg.max_h)),
                "word": Out(64),
                "element": Out(32),
                "offsets_en": Out(1),
                "bias_en": Out(1),
                "c_en": Out(1),
                "h_valid": Out(1),
                "h": Out(16),
                "done": Out(1),
            }
        )


class Setup(wiring.Component):
    """Asks for the segments, takes their words and hands them out as ``results``.

    ``bad_bias``, ``bad_state`` pulse for values that the arithmetic does not take.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "segments": Out(stream.Signature(segment_layout())),
                "words": In(stream.Signature(unsigned(64))),
                "results": Out(SetupResults(cfg)),
                "bad_bias": Out(1),
                "bad_state": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p, results = self.parameters, self.results
        units = Signal(Widths(self.cfg).h_blocks + 2)
        offset_words = (p.h_blocks + 3) >> 2
        m.d.comb += units.eq(p.h_blocks << 2)

        segment = self.segments.payload
        with m.FSM(name="request"):
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
        addr = results.addr
        state_h = Fp16FromFp32(m, element, "state_h")
        last = Signal()
        m.d.comb += [element.eq(Mux(upper, word[32:], word[:32])), results.element.eq(element), results.word.eq(word)]
        advance = Signal()
        with m.If(advance):
            m.d.sync += addr.eq(Mux(last, 0, addr + 1))
        with m.FSM(name="take"):
            with m.State("OFFSETS"):
                m.d.comb += [
                    self.words.ready.eq(1),
                    advance.eq(self.words.valid),
                    results.offsets_en.eq(self.words.valid),
                    last.eq(addr + 1 == offset_words),
                ]
                with m.If(advance & last):
                    m.next = "BIAS"
            with m.State("BIAS"):
                small = Cat(word[16 * i + 10 : 16 * i + 15] < _BIAS_LIMIT_BIASED for i in range(4)).all()
                m.d.comb += [
                    self.words.ready.eq(1),
                    advance.eq(self.words.valid),
                    results.bias_en.eq(self.words.valid),
                    self.bad_bias.eq(self.words.valid & ~small),
                    last.eq(addr + 1 == units),
                ]
                with m.If(advance & last & p.state_in):
                    m.next = "STATE_H"
                with m.Elif(advance & last):
                    m.next = "DONE"
            with m.State("STATE_H"):
                bad = state_h.inexact | state_h.overflow | (state_h.bits[:15] > 0x3C00)
                m.d.comb += [
                    self.words.ready.eq(upper),
                    advance.eq(self.words.valid),
                    results.h_valid.eq(self.words.valid),
                    results.h.eq(state_h.bits),
                    self.bad_state.eq(self.words.valid & bad),
                    last.eq(addr + 1 == units),
                ]
                m.d.sync += upper.eq(upper ^ advance)
                with m.If(advance & last):
                    m.next = "STATE_C"
            with m.State("STATE_C"):
                m.d.comb += [
                    self.words.ready.eq(upper),
                    advance.eq(self.words.valid),
                    results.c_en.eq(self.words.valid),
                    last.eq(addr + 1 == units),
                ]
                m.d.sync += upper.eq(upper ^ advance)
                with m.If(advance & last):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += results.done.eq(1)
        return m
