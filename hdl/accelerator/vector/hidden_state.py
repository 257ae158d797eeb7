"""The hidden state: collects units to blocks, decides which blocks are kept, and holds them for U and for storing."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BLOCK_COLS, AcceleratorConfig
from hdl.accelerator.layout import GRID_BITS, HALVES, HELD, HELD_BITS, Widths
from hdl.accelerator.signatures import (
    BlockSignature,
    KeepSignature,
    ParametersSignature,
    RowSignature,
    StateReadSignature,
    UnitSignature,
    WriteSignature,
)
from hdl.accelerator.vector.block_sends import BlockSends
from hdl.common.arith import fp16_from_fixed, fp16_magnitude
from hdl.common.component import Component
from hdl.common.ram import Ram


class HiddenState(Component):
    """Takes elements in ascending order: of the ``state`` where the run of ``parameters`` loads one, then of its steps.

    ``unit``: those that are computed; the two never come in one cycle. ``keep`` tells of each block of 4 that can be
    read from the next cycle on: there its keep bits, and through ``block`` its values. ``row`` gives the last two rows
    to be stored. Where units of U's columns may be single ones a block has a keep bit for each of its four elements,
    which are all alike if U's are not.

    In builds with DELTA elements may come several at once. Where the run says so ``keep`` has what is sent of a block,
    ``block`` its changes; what is held of it is written by ``held``, where a state is loaded, and read by
    ``held_state``. Rows to be stored are h, or what is held (H_PRUNED); the last h is kept beside its row
    (``row.raw``), where there would be changes for a step that does not come.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        held: dict[str, Any] = {}
        if cfg.delta:
            held["held"] = In(WriteSignature(cfg.max_h, signed(HELD_BITS)))
            held["held_state"] = In(StateReadSignature(cfg.max_h))
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "state": In(UnitSignature()),
                "unit": In(UnitSignature(cfg.vector_units)),
                **held,
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
        addr = Signal(w.h_blocks)
        decided = self._changes(m, addr) if cfg.delta else self._pruned(m)
        write, keep, values, row_values, row_keep = decided

        # The block is written, and readable in the cycle after.
        last = addr + 1 == p.h_blocks
        is_state = Signal(init=1)
        half = Signal()
        with m.If(write):
            m.d.sync += addr.eq(Mux(last, 0, addr + 1))
            with m.If(last):
                m.d.sync += [is_state.eq(0), half.eq(half ^ ~(is_state & p.state_in))]
        m.d.comb += self.keep.published.eq(write)
        row_write: Any = Signal(stored)
        row_read = data.View(stored, rows.read_data)
        block_read, block_addr = self.block.en, self.block.addr
        if cfg.delta:
            block_read, block_addr = block_read | self.row.raw, Mux(self.row.raw, self.row.addr, block_addr)
        m.d.comb += [
            self.row.done.eq(write & last & ~(is_state & p.state_in)),
            keeps.write_en.eq(write),
            keeps.write_addr.eq(addr),
            keeps.write_data.eq(keep),
            keeps.read_en.eq(self.keep.en if cfg.delta else 1),
            keeps.read_addr.eq(self.keep.addr),
            self.keep.keep.eq(keeps.read_data),
            blocks.write_en.eq(write),
            blocks.write_addr.eq(addr),
            blocks.write_data.eq(values),
            blocks.read_en.eq(block_read),
            blocks.read_addr.eq(block_addr),
            self.block.h.eq(blocks.read_data),
            rows.write_en.eq(write),
            rows.write_addr.eq(addr + Mux(half, cfg.h_blocks, 0)),
            row_write.h.eq(row_values),
            row_write.keep.eq(row_keep),
            rows.write_data.eq(row_write),
            rows.read_en.eq(1),
            rows.read_addr.eq(self.row.addr + Mux(self.row.half, cfg.h_blocks, 0)),
            self.row.h.eq(row_read.h),
            self.row.keep.eq(row_read.keep),
        ]
        if cfg.delta:
            with m.If(self.row.raw):
                m.d.comb += self.row.h.eq(blocks.read_data)
        return m

    def _pruned(self, m: Module) -> tuple[Value, Value, Value, Value, Value]:
        """Without DELTA, an element a cycle: when a block is complete, which of it is kept, and its values, for U and
        for its row."""
        cfg, p = self.cfg, self.parameters
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

        # One cycle later the block is written.
        write = Signal()
        values = Signal(64)
        keep = Signal(cfg.keep_bits)
        m.d.sync += [write.eq(complete), keep.eq(keeps_now), values.eq(block_now)]
        return write, keep, values, values, keep

    def _changes(self, m: Module, addr: Signal) -> tuple[Value, Value, Value, Value, Value]:
        """The same in a build with DELTA, where the run says whether changes are sent or h. ``addr``: of the block."""
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        m.submodules.held_values = held = Ram(HELD.size, cfg.h_blocks, lane_bits=HELD_BITS)
        m.submodules.sends = sends = BlockSends()
        width = cfg.vector_units

        # Elements become blocks, of which those that come whole are not collected.
        position = Signal(2)
        block = Signal(16 * BLOCK_COLS)
        collected = Signal()
        complete: Value = collected
        entering_block: Value = block
        arrivals = [(self.state.valid, [self.state.h])]
        if width == BLOCK_COLS:
            complete = self.unit.valid | collected
            entering_block = Mux(self.unit.valid, Cat(*self.unit.h), block)
        else:
            arrivals.append((self.unit.valid, [self.unit.h] if width == 1 else list(self.unit.h)))
        m.d.sync += collected.eq(0)
        for valid, new in arrivals:
            with m.If(valid):
                after = position + len(new)
                m.d.sync += [
                    block.eq(Cat(block, *new)[16 * len(new) :]),
                    position.eq(after),
                    collected.eq(after[:2] == 0),
                ]

        # What is held of a block leaves its memory with the block; of a first step nothing is.
        entering = Signal(w.h_blocks)
        next_entering = Signal(w.h_blocks)
        first_step = Signal(init=1)
        row_end = entering + 1 == p.h_blocks
        state_unit = Signal(2)
        held_now: Any = data.View(HELD, held.read_data)
        m.d.comb += [
            next_entering.eq(Mux(complete, Mux(row_end, 0, entering + 1), entering)),
            held.read_en.eq(1),
            held.read_addr.eq(Mux(self.held_state.read, self.held_state.addr >> 2, next_entering)),
            self.held_state.value.eq(Array(held_now[i] for i in range(BLOCK_COLS))[state_unit]),
            sends.valid.eq(complete),
            sends.values.eq(entering_block),
            sends.held.eq(Mux(first_step & ~p.state_in, 0, held.read_data)),
            sends.threshold.eq(p.threshold),
            sends.single.eq(p.u_matrix.single),
            sends.plain.eq(~p.delta),
        ]
        m.d.sync += [entering.eq(next_entering), state_unit.eq(self.held_state.addr)]
        with m.If(complete & row_end):
            m.d.sync += first_step.eq(0)

        # After the last step nothing is sent any more: what is held then is that from before.
        rows_left = Signal(w.t + 1)
        begun = Signal()
        last_row = rows_left == 1
        m.d.sync += begun.eq(1)
        with m.If(~begun):
            m.d.sync += rows_left.eq(p.steps + p.state_in)
        with m.Elif(sends.done & (addr + 1 == p.h_blocks)):
            m.d.sync += rows_left.eq(rows_left - 1)
        now_held = Cat(fp16_from_fixed(m, sends.held_after[i], GRID_BITS, f"held_{i}") for i in range(BLOCK_COLS))
        stays = sends.values_after.as_value()
        m.d.comb += [
            held.write_en.eq(Mux(sends.done & ~last_row & p.delta, ~0, Mux(self.held.en, 1 << self.held.addr[:2], 0))),
            held.write_addr.eq(Mux(sends.done, addr, self.held.addr >> 2)),
            held.write_data.eq(Mux(sends.done, sends.held_after, self.held.data.replicate(BLOCK_COLS))),
        ]
        return (
            sends.done,
            sends.sent,
            Mux(p.delta & ~last_row, sends.changes, stays),
            Mux(p.delta & p.h_pruned, now_held, stays),
            sends.sent | p.delta.replicate(cfg.keep_bits),
        )
