"""The input side of W x: loads the rows of x of a group, converts them to fp16 and keeps them for the PEs."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind, Widths, burst_words, group_capacity, half_place, x_index_layout
from hdl.accelerator.signatures import FillSignature, InputReadSignature, OfferSignature, ParametersSignature
from hdl.common.arith import FP16, Fp16FromFp32
from hdl.common.component import Component
from hdl.common.ram import Ram


class InputBuffer(Component):
    """BUFx: two groups of ``n_fuse * w_pes`` rows, which go around the memories of the banks, one after the other.

    ``burst`` asks for the rows of the run of ``parameters``, ``fill`` brings their words. ``group_ready`` pulses when
    all rows of the next group are in; ``group_free`` gives back the older of the two groups. ``read`` gives a block of
    every bank's memory. ``bad_x`` pulses a cycle after a word with a value that is not finite in fp16.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "group_ready": Out(1),
                "group_free": In(1),
                "read": In(InputReadSignature(cfg)),
                "bad_x": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters

        # Requests: row after row, the destination of each word in the burst's index.
        steps_left = Signal(w.t)
        rows_left = Signal(w.group)
        addr = Signal.like(self.burst.addr)
        word = Signal(w.x_half_word)
        row_left = Signal(w.x_half_word + 1)
        bank = Signal(w.bank)
        slot = Signal(w.slot)
        half = Signal()
        halves_free = Signal(2, init=2)
        pending = Signal(range(cfg.window + 65))
        row_words = p.x_blocks << 1
        upper_slot, upper_bank = half_place(cfg)
        capacity = group_capacity(cfg, p)
        group = Mux(steps_left < capacity, steps_left, capacity)
        written = Signal()
        taken = self.burst.taken
        words, row_done = burst_words(addr, row_left)
        begin = Signal()
        place: Any = Signal(x_index_layout(cfg))
        m.d.comb += [
            place.half_word.eq(word),
            place.slot.eq(slot),
            place.bank.eq(bank),
            self.burst.addr.eq(addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.X),
            self.burst.index.eq(place),
        ]
        with m.FSM(name="load"):
            with m.State("INIT"):
                m.d.sync += [steps_left.eq(p.steps), addr.eq(p.x)]
                m.next = "GROUP"
            with m.State("GROUP"):
                m.d.comb += begin.eq((steps_left != 0) & (halves_free != 0))
                with m.If(begin):
                    m.d.sync += [
                        rows_left.eq(group),
                        steps_left.eq(steps_left - group),
                        row_left.eq(row_words),
                        word.eq(0),
                        bank.eq(Mux(half, upper_bank, 0)),
                        slot.eq(Mux(half, upper_slot, 0)),
                    ]
                    m.next = "ROWS"
            with m.State("ROWS"):
                # The pending count never leaves its range: at most a window, the adapter's burst and the
                # one that waits for it are underway.
                m.d.comb += self.burst.valid.eq(1)
                with m.If(taken):
                    m.d.sync += [addr.eq(addr + words), word.eq(word + words), row_left.eq(row_left - words)]
                    with m.If(row_done):
                        m.d.sync += [word.eq(0), row_left.eq(row_words), rows_left.eq(rows_left - 1)]
                        with m.If(bank == cfg.w_banks - 1):
                            m.d.sync += [bank.eq(0), slot.eq(slot + 1)]
                        with m.Else():
                            m.d.sync += bank.eq(bank + 1)
                        with m.If(rows_left == 1):
                            m.next = "WAIT"
            with m.State("WAIT"), m.If(pending == 0):
                m.d.comb += self.group_ready.eq(1)
                m.d.sync += half.eq(~half)
                m.next = "GROUP"
        m.d.sync += [
            halves_free.eq(halves_free + self.group_free - begin),
            pending.eq(pending + Mux(taken, words, 0) - written),
        ]

        # Answers: two fp32 values a word, converted and written one cycle later.
        arrived = Signal()
        target: Any = Signal(x_index_layout(cfg))
        pair = Signal(32)
        singles = data.View(data.ArrayLayout(unsigned(32), 2), self.fill.data)
        values = [Fp16FromFp32(m, singles[i], f"x{i}") for i in range(2)]
        large = Signal()
        halves = data.View(data.ArrayLayout(FP16, 2), pair)
        m.d.comb += [
            arrived.eq(self.fill.valid & (self.fill.kind == Kind.X)),
            self.bad_x.eq(written & (large | Cat(halves[i].exponent.all() for i in range(2)).any())),
        ]
        m.d.sync += [
            large.eq(values[0].large | values[1].large),
            written.eq(arrived),
            target.eq(self.fill.index),
            pair.eq(Cat(value.bits for value in values)),
        ]
        # a row of memory is a block, written by halves
        upper = target.half_word[0]
        for i in range(cfg.w_banks):
            m.submodules[f"x_{i}"] = ram = Ram(64, cfg.bank_slots * cfg.x_blocks, lane_bits=32)
            m.d.comb += [
                ram.write_en.eq(Mux(written & (target.bank == i), Cat(~upper, upper), 0)),
                ram.write_addr.eq(target.slot * cfg.x_blocks + (target.half_word >> 1)),
                ram.write_data.eq(pair.replicate(2)),
                ram.read_en.eq(self.read.en),
                ram.read_addr.eq(self.read.slots[i] * cfg.x_blocks + self.read.column),
                self.read.operands[i].eq(ram.read_data),
            ]
        return m
