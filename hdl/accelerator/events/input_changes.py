"""x by events: rows are loaded ahead, and of each what changed is sent."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.isa import InputFormat
from hdl.accelerator.layout import HELD, HELD_BITS, Kind, Widths, burst_words
from hdl.accelerator.signatures import (
    BlockSignature,
    FillSignature,
    KeepSignature,
    OfferSignature,
    ParametersSignature,
    StateReadSignature,
    WriteSignature,
    unit_events,
    unit_faults,
)
from hdl.accelerator.vector.block_sends import BlockSends
from hdl.common.arith import Fp16FromFp32, fp16_from_byte
from hdl.common.component import Component
from hdl.common.ram import Ram

_ONE = 0x3C00
"""fp16 bits of 1, the largest x."""
_ROW_VALUES = 8
"""Elements in a row of the buffer: a word of the narrowest format."""


class InputChanges(Component):
    """Loads the rows of x of the run of ``parameters``, one ahead, and decides what is sent of each.

    ``burst`` asks for rows, ``fill`` brings their words. From ``enable`` on rows are compared with what is held, which
    ``held`` writes where a state is loaded and ``state`` reads. ``keep`` tells of the blocks of steps, in order, whose
    bits and, through ``block``, changes can be read: those of even steps, then those of odd ones, each until
    ``step_done``, which says that the words of the oldest step were all issued.

    ``faults``: a value is over 1 in magnitude or no number; ``events``: words of x.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        rows = range(2 * cfg.x_blocks)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "enable": In(1),
                "held": In(WriteSignature(cfg.max_x, signed(HELD_BITS))),
                "state": In(StateReadSignature(cfg.max_x)),
                "keep": Out(KeepSignature(cfg, rows)),
                "block": In(BlockSignature(cfg, rows)),
                "step_done": In(1),
                "faults": Out(unit_faults(cfg)["inputs"]),
                "events": Out(unit_events(cfg)["inputs"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        fp32, uint8 = p.x_format == InputFormat.FP32, p.x_format == InputFormat.UINT8

        # Requests: a row, and when all of it has been looked at the next.
        rows_left = Signal(w.t)
        addr = Signal.like(self.burst.addr)
        word = Signal(range(max(2, cfg.max_x // 2)))
        row_words = Signal(range(cfg.max_x // 2 + 1))
        row_left = Signal.like(row_words)
        pending = Signal(range(cfg.window + 65))
        # a register of its own: who asks after x for the port waits for nothing but it
        wants = Signal()
        halves_free = Signal(2, init=2)
        half = Signal()
        fresh = Signal()
        block = Signal(range(max(2, cfg.x_blocks)))
        walk = Signal()
        begin = Signal()
        last = Signal()
        written = Signal()
        taken = self.burst.taken
        words, row_done = burst_words(addr, row_left)
        m.d.comb += [
            row_words.eq(Mux(fp32, p.x_blocks << 1, Mux(uint8, (p.x_blocks + 1) >> 1, p.x_blocks))),
            self.burst.valid.eq(wants),
            self.burst.addr.eq(addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.X),
            self.burst.index.eq(word),
            last.eq(block + 1 == p.x_blocks),
        ]
        with m.FSM(name="load"):
            with m.State("INIT"):
                m.d.sync += [addr.eq(p.x), rows_left.eq(p.steps), fresh.eq(~p.state_in)]
                m.next = "ROW"
            with m.State("ROW"):
                m.d.sync += [row_left.eq(row_words), word.eq(0)]
                with m.If(rows_left != 0):
                    m.d.sync += wants.eq(1)
                    m.next = "WORDS"
            with m.State("WORDS"), m.If(taken):
                m.d.sync += [addr.eq(addr + words), word.eq(word + words), row_left.eq(row_left - words)]
                with m.If(row_done):
                    m.d.sync += wants.eq(0)
                    m.next = "WAIT"
            with m.State("WAIT"), m.If((pending == 0) & self.enable & (halves_free != 0)):
                m.d.comb += begin.eq(1)
                m.next = "WALK"
            with m.State("WALK"):
                m.d.comb += walk.eq(1)
                m.d.sync += block.eq(block + 1)
                with m.If(last):
                    m.d.sync += [block.eq(0), half.eq(~half), fresh.eq(0), rows_left.eq(rows_left - 1)]
                    m.next = "ROW"
        m.d.sync += [
            halves_free.eq(halves_free + self.step_done - begin),
            pending.eq(pending + Mux(taken, words, 0) - written),
        ]

        # Answers become fp16, written one cycle later, eight elements a row.
        m.submodules.row = row = Ram(16 * _ROW_VALUES, -(-cfg.x_blocks // 2), lane_bits=32)
        arrived = Signal()
        index = Signal.like(self.fill.index)
        singles = data.View(data.ArrayLayout(unsigned(32), 2), self.fill.data)
        values = [Fp16FromFp32(m, singles[i], f"x_{i}") for i in range(2)]
        large = Signal()
        halves: Any = Signal(data.ArrayLayout(unsigned(16), 4))
        octets = Signal(data.ArrayLayout(unsigned(8), 8))
        pair = Cat(values[0].bits, values[1].bits)
        beyond = Cat(halves[i][:15] > _ONE for i in range(4)).any()
        m.d.comb += [
            arrived.eq(self.fill.valid & (self.fill.kind == Kind.X)),
            self.events.x_words.eq(arrived),
            self.faults.bad_x.eq(written & ~uint8 & (beyond | (fp32 & large))),
            row.write_en.eq(
                Mux(written, Mux(uint8, 0b1111, Mux(fp32, 1 << index[:2], Mux(index[0], 0b1100, 0b0011))), 0)
            ),
            row.write_addr.eq(Mux(uint8, index, Mux(fp32, index >> 2, index >> 1))),
            row.write_data.eq(
                Mux(uint8, Cat(fp16_from_byte(octets[i]) for i in range(_ROW_VALUES)), halves.as_value().replicate(2))
            ),
        ]
        m.d.sync += [
            written.eq(arrived),
            index.eq(self.fill.index),
            large.eq(values[0].large | values[1].large),
            halves.eq(Mux(fp32, pair.replicate(2), self.fill.data)),
            octets.eq(self.fill.data),
        ]

        # A block a cycle: its values and what is held of them leave their memories, and are compared.
        m.submodules.held = held = Ram(HELD_BITS * BLOCK_COLS, cfg.x_blocks, lane_bits=HELD_BITS)
        m.submodules.sends = sends = BlockSends()
        state_unit = Signal(2)
        reads = Signal()
        odd = Signal()
        was_fresh = Signal()
        held_now = data.View(HELD, held.read_data)
        m.d.sync += [
            reads.eq(walk),
            odd.eq(block[0]),
            state_unit.eq(self.state.addr[:2]),
            sends.valid.eq(reads),
            sends.values.eq(row.read_data.word_select(odd, 64)),
            was_fresh.eq(fresh),
            sends.held.eq(Mux(was_fresh, 0, held.read_data)),
        ]
        m.d.comb += [
            row.read_en.eq(1),
            row.read_addr.eq(block >> 1),
            held.read_en.eq(1),
            held.read_addr.eq(Mux(self.state.read, self.state.addr >> 2, block)),
            self.state.value.eq(Array(held_now[i] for i in range(BLOCK_COLS))[state_unit]),
            sends.threshold.eq(p.x_threshold),
            sends.single.eq(p.w_matrix.single),
        ]

        # What is sent of it, and what is held from now on.
        m.submodules.keeps = keeps = Ram(cfg.keep_bits, 2 * cfg.x_blocks)
        m.submodules.changes = changes = Ram(64, 2 * cfg.x_blocks)
        done_block = Signal.like(block)
        done_half = Signal()
        place: Any = done_block + Mux(done_half, cfg.x_blocks, 0)
        with m.If(sends.done):
            m.d.sync += done_block.eq(done_block + 1)
            with m.If(done_block + 1 == p.x_blocks):
                m.d.sync += [done_block.eq(0), done_half.eq(~done_half)]
        m.d.comb += [
            self.keep.published.eq(sends.done),
            keeps.write_en.eq(sends.done),
            keeps.write_addr.eq(place),
            keeps.write_data.eq(sends.sent),
            keeps.read_en.eq(self.keep.en),
            keeps.read_addr.eq(self.keep.addr),
            self.keep.keep.eq(keeps.read_data),
            changes.write_en.eq(sends.done),
            changes.write_addr.eq(place),
            changes.write_data.eq(sends.changes),
            changes.read_en.eq(self.block.en),
            changes.read_addr.eq(self.block.addr),
            self.block.h.eq(changes.read_data),
            held.write_en.eq(Mux(sends.done, ~0, Mux(self.held.en, 1 << self.held.addr[:2], 0))),
            held.write_addr.eq(Mux(sends.done, done_block, self.held.addr >> 2)),
            held.write_data.eq(Mux(sends.done, sends.held_after, self.held.data.replicate(BLOCK_COLS))),
        ]
        return m
