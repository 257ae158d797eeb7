"""The hidden state: collects units to blocks, decides which blocks are kept, and holds them for U and for storing."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.hdl import ValueLike
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BLOCK_COLS, AcceleratorConfig
from hdl.accelerator.layout import GRID_BITS, HALVES, HELD, HELD_BITS, Widths, units_rows
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

    In builds with DELTA elements may come several at once; of eight, two blocks are decided on in a cycle, and lie in a
    row of each memory. Where the run says so ``keep`` has what is sent of a block, ``block`` its changes; what is held
    of it is written by ``held``, where a state is loaded, and read by ``held_state``. Rows to be stored are h, or what
    is held (H_PRUNED); the last h is kept beside its row (``row.raw``), where there would be changes for a step that
    does not come.
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
        m.submodules.keeps = keeps = Ram(cfg.keep_bits * cfg.row_blocks, cfg.unit_rows)
        m.submodules.blocks = blocks = Ram(64 * cfg.row_blocks, cfg.unit_rows)
        stored = data.StructLayout({"h": HALVES, "keep": unsigned(cfg.keep_bits)})
        m.submodules.rows = rows = Ram(stored.size * cfg.row_blocks, 2 * cfg.unit_rows)
        sides = range(cfg.row_blocks)
        addr = Signal(w.h_blocks)
        decided = self._changes(m, addr) if cfg.delta else self._pruned(m)
        write, keep, values, row_values, row_keep = decided

        # The block, or two of them, is written, and readable in the cycle after.
        last = addr + 1 == units_rows(cfg, p.h_blocks)
        is_state = Signal(init=1)
        half = Signal()
        with m.If(write):
            m.d.sync += addr.eq(Mux(last, 0, addr + 1))
            with m.If(last):
                m.d.sync += [is_state.eq(0), half.eq(half ^ ~(is_state & p.state_in))]
        published: Value = write
        if cfg.row_blocks == 2:
            # of an odd number of blocks the last row has but one
            alone = last & p.h_blocks[0]
            published = Cat(write & alone, write & ~alone)
        m.d.comb += self.keep.published.eq(published)
        row_write: list[Any] = [Signal(stored, name=f"row_write_{i}" if i else "row_write") for i in sides]
        row_read = data.View(stored, self._block_of(m, rows, 1, self.row.addr, "row"))
        block_read, block_addr = self.block.en, self.block.addr
        if cfg.delta:
            block_read, block_addr = block_read | self.row.raw, Mux(self.row.raw, self.row.addr, block_addr)
        block = self._block_of(m, blocks, block_read, block_addr, "block")
        m.d.comb += [
            self.row.done.eq(write & last & ~(is_state & p.state_in)),
            keeps.write_en.eq(write),
            keeps.write_addr.eq(addr),
            keeps.write_data.eq(keep),
            keeps.read_en.eq(self.keep.en if cfg.delta else 1),
            keeps.read_addr.eq(self.keep.addr[w.row_block :]),
            self.keep.keep.eq(self._block_of(m, keeps, keeps.read_en, self.keep.addr, "keep")),
            blocks.write_en.eq(write),
            blocks.write_addr.eq(addr),
            blocks.write_data.eq(values),
            blocks.read_en.eq(block_read),
            blocks.read_addr.eq(block_addr[w.row_block :]),
            self.block.h.eq(block),
            rows.write_en.eq(write),
            rows.write_addr.eq(addr + Mux(half, cfg.unit_rows, 0)),
            *(row_write[i].h.eq(row_values[64 * i :][:64]) for i in sides),
            *(row_write[i].keep.eq(row_keep[cfg.keep_bits * i :][: cfg.keep_bits]) for i in sides),
            rows.write_data.eq(Cat(row_write)),
            rows.read_en.eq(1),
            rows.read_addr.eq(self.row.addr[w.row_block :] + Mux(self.row.half, cfg.unit_rows, 0)),
            self.row.h.eq(row_read.h),
            self.row.keep.eq(row_read.keep),
        ]
        if cfg.delta:
            with m.If(self.row.raw):
                m.d.comb += self.row.h.eq(block)
        return m

    def _block_of(self, m: Module, memory: Ram, enable: ValueLike, addr: Value, name: str) -> Value:
        """What was read of the block ``addr``, whose row has another one beside it where two are written at once."""
        if self.cfg.row_blocks == 1:
            return memory.read_data
        upper = Signal(name=f"{name}_upper")
        with m.If(enable):
            m.d.sync += upper.eq(addr[0])
        half = memory.width // 2
        return Mux(upper, memory.read_data[half:], memory.read_data[:half])

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
        """The same in a build with DELTA, where the run says whether changes are sent or h, of all blocks of a row.
        ``addr``: of the row."""
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        held_row = data.ArrayLayout(signed(HELD_BITS), cfg.row_units)
        m.submodules.held_values = held = Ram(held_row.size, cfg.unit_rows, lane_bits=HELD_BITS)
        sends = [BlockSends() for _ in range(cfg.row_blocks)]
        for side, part in enumerate(sends):
            m.submodules[f"sends_{side}" if side else "sends"] = part

        # What is held of a block leaves its memory with the block; of a first step nothing is.
        entering = Signal(w.h_blocks)
        next_entering = Signal(w.h_blocks)
        first_step = Signal(init=1)
        row_end = entering + 1 == units_rows(cfg, p.h_blocks)
        complete, values = self._collected(m, row_end)
        state_unit = Signal(w.row_unit)
        held_now: Any = data.View(held_row, held.read_data)
        m.d.comb += [
            next_entering.eq(Mux(complete, Mux(row_end, 0, entering + 1), entering)),
            held.read_en.eq(1),
            held.read_addr.eq(Mux(self.held_state.read, self.held_state.addr >> w.row_unit, next_entering)),
            self.held_state.value.eq(Array(held_now[i] for i in range(cfg.row_units))[state_unit]),
        ]
        for side, part in enumerate(sends):
            m.d.comb += [
                part.valid.eq(complete),
                part.values.eq(values[part.values.shape().size * side :]),
                part.held.eq(Mux(first_step & ~p.state_in, 0, held.read_data[HELD.size * side :][: HELD.size])),
                part.threshold.eq(p.threshold),
                part.single.eq(p.u_matrix.single),
                part.plain.eq(~p.delta),
            ]
        m.d.sync += [entering.eq(next_entering), state_unit.eq(self.held_state.addr)]
        with m.If(complete & row_end):
            m.d.sync += first_step.eq(0)

        # After the last step nothing is sent any more: what is held then is that from before.
        done = sends[0].done
        rows_left = Signal(w.t + 1)
        begun = Signal()
        last_row = rows_left == 1
        m.d.sync += begun.eq(1)
        with m.If(~begun):
            m.d.sync += rows_left.eq(p.steps + p.state_in)
        with m.Elif(done & (addr + 1 == units_rows(cfg, p.h_blocks))):
            m.d.sync += rows_left.eq(rows_left - 1)
        held_after = Cat(part.held_after for part in sends)
        now_held = Cat(
            fp16_from_fixed(m, part.held_after[i], GRID_BITS, f"held_{BLOCK_COLS * side + i}")
            for side, part in enumerate(sends)
            for i in range(BLOCK_COLS)
        )
        names = ("sent", "changes", "values_after")
        sent, changes, stays = (Cat(getattr(part, name) for part in sends) for name in names)
        lane = self.held.addr[: w.row_unit]
        m.d.comb += [
            held.write_en.eq(Mux(done & ~last_row & p.delta, ~0, Mux(self.held.en, 1 << lane, 0))),
            held.write_addr.eq(Mux(done, addr, self.held.addr >> w.row_unit)),
            held.write_data.eq(Mux(done, held_after, self.held.data.replicate(cfg.row_units))),
        ]
        return (
            done,
            sent,
            Mux(p.delta & ~last_row, changes, stays),
            Mux(p.delta & p.h_pruned, now_held, stays),
            sent | p.delta.replicate(len(sent)),
        )

    def _collected(self, m: Module, row_end: Value) -> tuple[Value, Value]:
        """Elements become blocks, one or two: that all of a row are there, and their values. ``row_end``: the row is
        the last, which of an odd number of blocks has but one of two. What comes whole is not collected."""
        cfg = self.cfg
        position = Signal(range(cfg.row_units))
        block = Signal(16 * cfg.row_units)
        collected = Signal()
        units = [self.unit.h] if cfg.vector_units == 1 else list(self.unit.h)
        whole = len(units) == cfg.row_units
        m.d.sync += collected.eq(0)
        if cfg.row_blocks == 1:
            for valid, new in ((self.state.valid, [self.state.h]), *([] if whole else [(self.unit.valid, units)])):
                with m.If(valid):
                    after = position + len(new)
                    m.d.sync += [
                        block.eq(Cat(block, *new)[16 * len(new) :]),
                        position.eq(after),
                        collected.eq(after[:2] == 0),
                    ]
        else:
            alone = row_end & self.parameters.h_blocks[0]
            last = Mux(alone, BLOCK_COLS - 1, cfg.row_units - 1)
            with m.If(self.state.valid):
                m.d.sync += [
                    block.word_select(position, 16).eq(self.state.h),
                    position.eq(Mux(position == last, 0, position + 1)),
                    collected.eq(position == last),
                ]
        if not whole:
            return collected, block
        return self.unit.valid | collected, Mux(self.unit.valid, Cat(units), block)
