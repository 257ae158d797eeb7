"""The input side of W x: loads the rows of x of a group, converts them to fp16 and keeps them for the PEs."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from golden.isa import InputFormat
from hdl.accelerator.layout import ACTIVE_BITS, Kind, Widths, burst_words, half_place, slot_after, x_index_layout
from hdl.accelerator.signatures import (
    FillSignature,
    InputReadSignature,
    LookSignature,
    OfferSignature,
    ParametersSignature,
)
from hdl.accelerator.w.group_sizes import GroupSizes
from hdl.common.arith import FP16, Fp16FromFp32
from hdl.common.component import Component
from hdl.common.ram import Ram


class InputBuffer(Component):
    """BUFx: groups of rows, which go around the memories of the banks, one after the other.

    ``burst`` asks for the rows of the run of ``parameters``, ``fill`` brings their words. ``group_ready`` pulses when
    all rows of the next group are in; ``group_free`` gives back the oldest group, of ``freed_rows``. Two groups are
    held at once, under the list as many as fit ``rows_fit``, none of which is over ``capacity``, and none of which is
    loaded before the group before it is begun (``group_begun``). ``reads`` and ``looks``: of each bank's memory.
    ``bad_x`` pulses a cycle after a word with a value that is not finite in fp16.
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
                "reads": In(InputReadSignature(cfg)).array(cfg.w_banks),
                "looks": In(LookSignature(cfg)).array(cfg.w_banks),
                "capacity": In(Widths(cfg).group),
                "rows_fit": In(ACTIVE_BITS),
                "group_begun": In(1),
                "freed_rows": In(Widths(cfg).group),
                "bad_x": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters

        # Requests: row after row, the destination of each word in the burst's index.
        m.submodules.sizes = sizes = GroupSizes(cfg)
        connect(m, flipped(self.parameters), sizes.parameters)
        m.d.comb += sizes.capacity.eq(self.capacity)
        rows_left = Signal(w.group)
        addr = Signal.like(self.burst.addr)
        # a word has two values of fp32, or a block of fp16
        halves = (p.x_format == InputFormat.FP16) if cfg.delta else Const(0)
        row_words = Mux(halves, p.x_blocks, p.x_blocks << 1) if cfg.delta else p.x_blocks << 1
        word = Signal(range(cfg.max_x // 2))
        row_left = Signal(range(cfg.max_x // 2 + 1))
        bank = Signal(w.bank)
        bases = [Signal(w.x_row, name=f"base_{i}") for i in range(cfg.w_banks)]
        half = Signal()
        halves_free = Signal(2, init=2)
        pending = Signal(range(cfg.window + 65))
        upper_slot, upper_bank = half_place(cfg)
        written = Signal()
        taken = self.burst.taken
        words, row_done = burst_words(addr, row_left)
        begin = Signal()
        free = Signal()
        place: Any = Signal(x_index_layout(cfg))
        m.d.comb += [
            place.upper.eq(word[0]),
            place.row.eq(Array(bases)[bank] + (word >> 1)),
            place.bank.eq(bank),
            self.burst.addr.eq(addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.X),
            self.burst.index.eq(place),
            free.eq(halves_free != 0),
        ]
        if cfg.delta:
            # words of fp16 count blocks, where those of fp32 count halves of them
            with m.If(halves):
                first_row = (Array(bases)[bank] + word)[: w.x_row]
                m.d.comb += [place.upper.eq(first_row[0]), place.row.eq(first_row[1:])]
        if cfg.group_list:
            # The list's groups follow each other around the banks; each is loaded while the one before is worked on.
            allowed = Signal(w.group, init=1)
            held = Signal(ACTIVE_BITS)
            # found a cycle ahead: between two groups are more
            fits = Signal()
            m.d.sync += [
                fits.eq((sizes.size != 0) & (held + sizes.size <= self.rows_fit)),
                allowed.eq(allowed + self.group_begun - begin),
                held.eq(held + Mux(begin, sizes.size, 0) - Mux(self.group_free, self.freed_rows, 0)),
            ]
            with m.If(p.list):
                m.d.comb += free.eq((allowed != 0) & fits)
        m.d.comb += sizes.take.eq(begin)
        with m.FSM(name="load"):
            with m.State("INIT"):
                m.d.sync += addr.eq(p.x)
                m.next = "GROUP"
            with m.State("GROUP"):
                m.d.comb += begin.eq((sizes.size != 0) & free)
                with m.If(begin):
                    m.d.sync += [rows_left.eq(sizes.size), row_left.eq(row_words), word.eq(0)]
                    with m.If(~p.list):
                        upper_rows = ((upper_slot + (i < upper_bank)) * cfg.x_blocks for i in range(cfg.w_banks))
                        m.d.sync += [
                            bank.eq(Mux(half, upper_bank, 0)),
                            *(base.eq(Mux(half, rows, 0)) for base, rows in zip(bases, upper_rows, strict=True)),
                        ]
                    m.next = "ROWS"
            with m.State("ROWS"):
                # The pending count never leaves its range: at most a window, the adapter's burst and the
                # one that waits for it are underway.
                m.d.comb += self.burst.valid.eq(1)
                with m.If(taken):
                    m.d.sync += [addr.eq(addr + words), word.eq(word + words), row_left.eq(row_left - words)]
                    with m.If(row_done):
                        m.d.sync += [
                            word.eq(0),
                            row_left.eq(row_words),
                            rows_left.eq(rows_left - 1),
                            bank.eq(Mux(bank == cfg.w_banks - 1, 0, bank + 1)),
                        ]
                        for i, base in enumerate(bases):
                            with m.If(bank == i):
                                m.d.sync += base.eq(slot_after(base, p.x_blocks, cfg.bank_slots * cfg.x_blocks))
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
        of_pair = data.View(data.ArrayLayout(FP16, 2), pair)
        m.d.comb += [
            arrived.eq(self.fill.valid & (self.fill.kind == Kind.X)),
            self.bad_x.eq(written & (large | Cat(of_pair[i].exponent.all() for i in range(2)).any())),
        ]
        m.d.sync += [
            large.eq(values[0].large | values[1].large),
            written.eq(arrived),
            target.eq(self.fill.index),
            pair.eq(Cat(value.bits for value in values)),
        ]
        # a row of memory is a block, written by halves
        upper = target.upper
        row = target.row
        nonzero = Cat(of_pair[i].as_value()[:15].any() for i in range(2)).replicate(2)
        enable: Value = Cat(~upper, upper)
        values_of_block = pair.replicate(2)
        if cfg.delta:
            four = Signal(64)
            of_four = data.View(data.ArrayLayout(FP16, 4), four)
            m.d.sync += four.eq(self.fill.data)
            with m.If(halves):
                m.d.comb += self.bad_x.eq(written & Cat(of_four[i].exponent.all() for i in range(4)).any())
            row = Mux(halves, Cat(upper, row)[: w.x_row], row)
            nonzero = Mux(halves, Cat(of_four[i].as_value()[:15].any() for i in range(4)), nonzero)
            enable = Mux(halves, ~Const(0, 2), enable)
            values_of_block = Mux(halves, four, values_of_block)
        for i, read in enumerate(self.reads):
            m.submodules[f"x_{i}"] = ram = Ram(64, cfg.bank_slots * cfg.x_blocks, lane_bits=32)
            write_en = Mux(written & (target.bank == i), enable, 0)
            m.d.comb += [
                ram.write_en.eq(write_en),
                ram.write_addr.eq(row),
                ram.write_data.eq(values_of_block),
                ram.read_en.eq(read.en),
                ram.read_addr.eq(read.addr),
                read.operands.eq(ram.read_data),
            ]
            if cfg.group_list:
                m.submodules[f"nonzero_{i}"] = flags = Ram(4, cfg.bank_slots * cfg.x_blocks, lane_bits=2)
                m.d.comb += [
                    flags.write_en.eq(write_en),
                    flags.write_addr.eq(row),
                    flags.write_data.eq(nonzero),
                    flags.read_en.eq(1),
                    flags.read_addr.eq(self.looks[i].addr),
                    self.looks[i].nonzero.eq(flags.read_data),
                ]
        return m
