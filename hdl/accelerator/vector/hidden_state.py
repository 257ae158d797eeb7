"""The hidden state: collects units to blocks, decides which blocks are kept, and holds them for U and for storing."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BLOCK_COLS, AcceleratorConfig
from hdl.accelerator.layout import HALVES, Widths
from hdl.accelerator.signatures import BlockSignature, KeepSignature, ParametersSignature, RowSignature, UnitSignature
from hdl.common.arith import fp16_magnitude
from hdl.common.component import Component
from hdl.common.ram import Ram


class HiddenState(Component):
    """Takes elements in ascending order: of the ``state`` where the run of ``parameters`` loads one, then of its steps.

    ``unit``: those that are computed; the two never come in one cycle. ``keep`` tells of each block of 4 that can be
    read from the next cycle on: there its keep bits, and through ``block`` its values. ``row`` gives the last two rows
    to be stored. Where units of U's columns may be single ones a block has a keep bit for each of its four elements,
    which are all alike if U's are not.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "state": In(UnitSignature()),
                "unit": In(UnitSignature()),
                "keep": Out(KeepSignature(cfg)),
                "block": In(BlockSignature(cfg)),
                "row": Out(RowSignature(cfg)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        m.submodules.keeps = keeps = Ram(cfg.keep_bits, cfg.h_blocks)
        m.submodules.blocks = blocks = Ram(64, cfg.h_blocks)
        stored = data.StructLayout({"h": HALVES, "keep": unsigned(cfg.keep_bits)})
        m.submodules.rows = rows = Ram(stored.size, 2 * cfg.h_blocks)

        valid = Signal()
        unit = Signal(16)
        arrived = Signal(16)
        magnitude = Signal(25)
        m.d.comb += arrived.eq(Mux(self.state.valid, self.state.h, self.unit.h))
        m.d.sync += [
            valid.eq(self.unit.valid | self.state.valid),
            unit.eq(arrived),
            magnitude.eq(fp16_magnitude(arrived)),
        ]
        position = Signal(2)
        previous = Signal(48)
        total = Signal(27)
        large = Signal()
        total_now = Signal(27)
        large_now = Signal()
        block_now = Signal(64)
        m.d.comb += [
            total_now.eq(Mux(position == 0, 0, total) + magnitude),
            large_now.eq(((position != 0) & large) | ((magnitude << 1) >= p.threshold)),
            block_now.eq(Cat(previous, unit)),
        ]
        complete = valid & (position == 3)
        keeps_now: Any = ((total_now >= p.threshold) | large_now).replicate(cfg.keep_bits)
        if cfg.streams:
            enough = Signal()
            before = Signal(BLOCK_COLS - 1)
            alone = Cat(before, enough)
            m.d.comb += enough.eq(magnitude >= p.threshold)
            with m.If(valid):
                m.d.sync += before.eq(alone[1:])
            keeps_now = Mux(p.u_matrix.single, alone, keeps_now)
        with m.If(valid):
            m.d.sync += [
                position.eq(position + 1),
                total.eq(total_now),
                large.eq(large_now),
                previous.eq(block_now[16:]),
            ]

        # One cycle later the block is written, and readable in the cycle after.
        write = Signal()
        values = Signal(64)
        keep = Signal(cfg.keep_bits)
        addr = Signal(w.h_blocks)
        last = addr + 1 == p.h_blocks
        is_state = Signal(init=1)
        half = Signal()
        m.d.sync += [write.eq(complete), keep.eq(keeps_now), values.eq(block_now)]
        with m.If(write):
            m.d.sync += addr.eq(Mux(last, 0, addr + 1))
            with m.If(last):
                m.d.sync += [is_state.eq(0), half.eq(half ^ ~(is_state & p.state_in))]
        m.d.comb += self.keep.published.eq(write)
        row_write: Any = Signal(stored)
        row_read = data.View(stored, rows.read_data)
        m.d.comb += [
            self.row.done.eq(write & last & ~(is_state & p.state_in)),
            keeps.write_en.eq(write),
            keeps.write_addr.eq(addr),
            keeps.write_data.eq(keep),
            keeps.read_en.eq(1),
            keeps.read_addr.eq(self.keep.addr),
            self.keep.keep.eq(keeps.read_data),
            blocks.write_en.eq(write),
            blocks.write_addr.eq(addr),
            blocks.write_data.eq(values),
            blocks.read_en.eq(self.block.en),
            blocks.read_addr.eq(self.block.addr),
            self.block.h.eq(blocks.read_data),
            rows.write_en.eq(write),
            rows.write_addr.eq(addr + Mux(half, cfg.h_blocks, 0)),
            row_write.h.eq(values),
            row_write.keep.eq(keep),
            rows.write_data.eq(row_write),
            rows.read_en.eq(1),
            rows.read_addr.eq(self.row.addr + Mux(self.row.half, cfg.h_blocks, 0)),
            self.row.h.eq(row_read.h),
            self.row.keep.eq(row_read.keep),
        ]
        return m
