"""The gate half of the vector unit by events: sums of changes onto those before, the bias, sigmoid and tanh."""

from itertools import pairwise
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BANK_LANES, BLOCK_COLS, GATES, AcceleratorConfig
from hdl.accelerator.layout import HALVES, SUM_BITS, Widths
from hdl.accelerator.signatures import (
    ParametersSignature,
    RecurrentSumsSignature,
    StateReadSignature,
    StepSignature,
    UnitGatesSignature,
    WriteSignature,
    unit_events,
    unit_faults,
)
from hdl.accelerator.vector.activation import ACTIVATION_LATENCY, Activation
from hdl.accelerator.vector.gate_unit import CANDIDATE
from hdl.common.arith import add_wrapping, fp16_to_q20
from hdl.common.component import Component
from hdl.common.ram import Ram

_PAIR_UNITS = 2 * BLOCK_COLS
"""Units whose gates share two row groups."""


class EventGates(Component):
    """Steps through the time steps of ``parameters``' run, ``vector_units`` units of all four gates a cycle.

    Two blocks of units have their sums in two row groups (see StreamDecoder): both are read from ``sums`` once, one
    after the other or, for eight units a cycle, together, when ``step`` says that a step is complete, and become zero.
    M, the sums of all steps so far, and the ``bias`` are kept here; ``held_sums`` writes M, ``state`` reads it.
    ``row_free``: the row of h before the last may be overwritten.

    ``gates`` gives all gates of a few units in ascending order; of an odd number of blocks the last has no other, and
    of eight units the last four mean nothing then. ``faults``: a sum left the 32-bit range. ``events``:
    in every cycle gates are made (GATE_BUSY), a step waits for a row of h, or there is none.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "bias": In(WriteSignature(cfg.max_h, HALVES)),
                "held_sums": In(WriteSignature(cfg.max_rows, signed(SUM_BITS))),
                "state": In(StateReadSignature(cfg.max_rows)),
                "step": In(StepSignature()),
                "sums": Out(RecurrentSumsSignature(cfg)),
                "row_free": In(1),
                "gates": Out(UnitGatesSignature(cfg)),
                "faults": Out(unit_faults(cfg)["gates"]),
                "events": Out(unit_events(cfg)["gates"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p, events = self.cfg, Widths(self.cfg), self.parameters, self.events
        width = cfg.vector_units
        pairs = width == _PAIR_UNITS
        ticks = _PAIR_UNITS // width
        slices = cfg.row_units // width
        # of two row groups that are read together the sums of a pair are there at once, else a cycle later
        pick = 1 if pairs else 2

        # Which step.
        half = Signal()
        waiting = Signal()
        empty = Signal()
        rows_free = Signal(2, init=2)
        running = Signal()
        begin = Signal()
        makes = Signal()
        m.d.sync += rows_free.eq(rows_free + self.row_free - begin)
        m.d.comb += begin.eq(waiting & (rows_free != 0) & ~running)
        with m.If(self.step.done):
            m.d.sync += [waiting.eq(1), empty.eq(self.step.empty)]
        with m.Elif(begin):
            m.d.sync += waiting.eq(0)
        m.d.comb += [
            events.gate_busy.eq(makes),
            events.gate_wait_store.eq(~running & waiting & (rows_free == 0)),
            events.gate_idle.eq(~(events.gate_busy | events.gate_wait_store)),
        ]

        # Which units: of blocks `pair` and the one after it those of the tick. Its two row groups are read first.
        pair = Signal(w.h_blocks)
        tick = Signal(range(max(2, ticks)))
        last_tick = Signal()
        fresh = Signal(init=1)
        is_empty = Signal()
        m.d.comb += last_tick.eq(tick == ticks - 1)
        with m.If(running):
            m.d.sync += tick.eq(Mux(last_tick, 0, tick + 1))
            with m.If(last_tick):
                m.d.sync += pair.eq(pair + 2)
                with m.If(pair + 2 >= p.h_blocks):
                    m.d.sync += [running.eq(0), half.eq(~half), fresh.eq(0)]
        with m.Elif(begin):
            m.d.sync += [running.eq(1), pair.eq(0), is_empty.eq(empty)]
        m.d.comb += [
            self.sums.read.eq(running & (tick < 2) & ~is_empty),
            self.sums.half.eq(half),
            self.sums.row_group.eq(Cat(tick[0], pair[1:])),
            self.sums.clears.eq(~0),
        ]

        # What travels beside the data, by stage.
        place = data.StructLayout(
            {
                "valid": unsigned(1),
                "tick": unsigned(len(tick)),
                "block": unsigned(w.h_blocks),
                "part": unsigned(max(1, (slices - 1).bit_length())),
                "odd": unsigned(1),
                "fresh": unsigned(1),
                "empty": unsigned(1),
                **({"alone": unsigned(1)} if pairs else {}),
            }
        )
        stages: list[Any] = [Signal(place, name=f"stage_{i}") for i in range(pick + 4 + ACTIVATION_LATENCY)]
        now = stages[0]
        odd = tick[-1]
        m.d.comb += [
            # of an odd number of blocks the last has no other
            makes.eq(running & (Cat(odd, pair[1:]) < p.h_blocks)),
            now.valid.eq(makes),
            now.tick.eq(tick),
            now.block.eq(Cat(odd, pair[1:])[w.row_block :]),
            now.part.eq(tick[: len(tick) - 1] if slices > 1 else 0),
            now.odd.eq(odd),
            now.fresh.eq(fresh & ~p.state_in),
            now.empty.eq(is_empty),
        ]
        if pairs:
            m.d.comb += now.alone.eq(pair + 1 == p.h_blocks)
        m.d.sync += [after.eq(before) for before, after in pairwise(stages)]
        of_pair = self._sums_of_pair(m, stages)

        # Stage 2 picks the units, stage 3 has their sums, stage 4 those before, stage 5 adds, stage 6 enters the
        # activation functions, sums that are for a sigmoid halved; of eight units a cycle all is a stage earlier.
        picked, picked_after, adds = stages[pick : pick + 3]
        held = [Ram(SUM_BITS * cfg.row_units, cfg.unit_rows, lane_bits=SUM_BITS) for _ in range(GATES)]
        biases = [Ram(64 * cfg.row_blocks, cfg.unit_rows, lane_bits=64) for _ in range(GATES)]
        bases = [Const(0, 1), p.h_blocks, p.h_blocks << 1, p.h_blocks + (p.h_blocks << 1)]
        overflows = Signal(GATES * width)
        # With one unit a cycle the last of a block is read when the first could be written: a row must not be both.
        late = slices == BLOCK_COLS
        written = stages[pick + (4 if late else 3)]
        state_gate = Signal(2)
        state_unit = Signal(w.row_unit)
        m.d.sync += state_unit.eq(self.state.addr[: len(state_unit)])
        sums_after = []
        for gate in range(GATES):
            m.submodules[f"held_{gate}"] = memory = held[gate]
            m.submodules[f"biases_{gate}"] = bias_memory = biases[gate]
            base = bases[gate]
            # which of the gate's blocks; of another gate it is none
            bias_block = Signal(len(self.bias.addr) + 1, name=f"bias_block_{gate}")
            begins = bias_block < p.h_blocks
            m.d.comb += [
                bias_block.eq(self.bias.addr - base),
                bias_memory.write_en.eq(self._of_block(self.bias.en & begins, bias_block)),
                bias_memory.write_addr.eq(bias_block[w.row_block :]),
                bias_memory.write_data.eq(self.bias.data.as_value().replicate(cfg.row_blocks)),
                bias_memory.read_en.eq(1),
                bias_memory.read_addr.eq(stages[pick - 1].block),
                memory.read_en.eq(1),
            ]
            biases_now = Signal(data.ArrayLayout(unsigned(16), cfg.row_units), name=f"biases_of_{gate}")
            m.d.sync += biases_now.eq(bias_memory.read_data)
            # of an odd number of blocks every other gate begins in the other half of the lanes
            other = picked.odd ^ p.h_blocks[0] if gate & 1 else picked.odd
            for i in range(width):
                name = f"{gate}_{i}"
                # the lanes of units of this block, then those of the other
                at = [i + width * part + BLOCK_COLS * side for side in (0, 1) for part in range(slices)]
                now_sums = [of_pair[gate][lane % _PAIR_UNITS] for lane in at]
                which = Cat(picked.part, other) if slices > 1 else other
                sum_ = Signal(signed(SUM_BITS), name=f"sum_{name}")
                m.d.sync += sum_.eq(Mux(picked.empty, 0, Array(now_sums)[which]))
                change = Signal(signed(SUM_BITS), name=f"change_{name}")
                before = Signal(signed(SUM_BITS), name=f"before_{name}")
                bias = Signal(signed(SUM_BITS), name=f"bias_{name}")
                part = picked_after.part if slices > 1 else Const(0, 1)
                of_unit = Array(memory.read_data.word_select(i + width * k, SUM_BITS) for k in range(slices))[part]
                bias_of_unit = Array(biases_now[i + width * k] for k in range(slices))[part]
                m.d.sync += [
                    change.eq(sum_),
                    before.eq(Mux(picked_after.fresh, 0, of_unit)),
                    bias.eq(fp16_to_q20(bias_of_unit)),
                ]
                after, lost = add_wrapping(before, change)
                total, total_lost = add_wrapping(after, bias)
                z = Signal(signed(SUM_BITS), name=f"z_{name}")
                kept_sum = Signal(signed(SUM_BITS), name=f"kept_{name}")
                m.d.sync += [kept_sum.eq(after), z.eq(total if gate == CANDIDATE else total >> 1)]
                any_lost = lost | total_lost
                m.d.comb += overflows[gate * width + i].eq(any_lost & ~adds.alone if i >= BLOCK_COLS else any_lost)
                if late:
                    later = Signal.like(kept_sum, name=f"later_{name}")
                    m.d.sync += later.eq(kept_sum)
                    kept_sum = later
                sums_after.append(kept_sum)
                m.submodules[f"activation_{name}"] = activation = Activation()
                m.d.comb += [
                    activation.z.eq(z),
                    activation.sigmoid.eq(gate != CANDIDATE),
                    self.gates.gates[gate][i].eq(activation.y),
                ]
            mine = sums_after[gate * width :]
            state_block = Signal(len(self.held_sums.addr) - 1, name=f"state_block_{gate}")
            m.d.comb += state_block.eq(self.held_sums.addr[2:] - base)
            of_state = self.held_sums.en & (state_block < p.h_blocks)
            lane_en = Const((1 << width) - 1, cfg.row_units) << (width * (written.part if slices > 1 else 0))
            state_lane = Cat(self.held_sums.addr[:2], state_block[: w.row_block])
            read_block = (self.state.addr >> 2) - base
            m.d.comb += [
                memory.read_addr.eq(Mux(self.state.read, read_block[w.row_block :], picked.block)),
                memory.write_en.eq(Mux(written.valid, lane_en[: cfg.row_units], Mux(of_state, 1 << state_lane, 0))),
                memory.write_addr.eq(Mux(written.valid, written.block, state_block[w.row_block :])),
                memory.write_data.eq(
                    Mux(written.valid, Cat(*mine).replicate(slices), self.held_sums.data.replicate(cfg.row_units))
                ),
            ]
        m.d.sync += state_gate.eq(
            (self.state.addr[2:] >= bases[1]) + (self.state.addr[2:] >= bases[2]) + (self.state.addr[2:] >= bases[3])
        )
        # of an odd number of blocks those of every other gate begin in the other half of a row
        of_row = Cat(state_unit[:2], state_unit[2] ^ (p.h_blocks[0] & state_gate[0])) if pairs else state_unit
        m.d.comb += [
            self.state.value.eq(Array(memory.read_data for memory in held)[state_gate].word_select(of_row, SUM_BITS)),
            self.faults.acc_overflow.eq(adds.valid & overflows.any()),
            self.gates.coming.eq(stages[-3].valid),
            self.gates.block.eq(stages[-3].block),
            self.gates.part.eq(stages[-3].part),
        ]
        return m

    def _sums_of_pair(self, m: Module, stages: list[Any]) -> list[list[Value]]:
        """Sums of the units of a pair by gate, from the stage on that picks of them; those of one lane are of a unit of
        the one block or the other."""
        sums = self.sums.sums
        if len(sums) == GATES * _PAIR_UNITS:
            return [[sums[_PAIR_UNITS * gate + unit] for unit in range(_PAIR_UNITS)] for gate in range(GATES)]
        # Stage 1: the first row group is there, stage 2: the second, and from then on all sums of the pair.
        first = [Signal(signed(SUM_BITS), name=f"first_{lane}") for lane in range(BANK_LANES)]
        second = [Signal(signed(SUM_BITS), name=f"second_{lane}") for lane in range(BANK_LANES)]
        with m.If(stages[1].tick == 0):
            m.d.sync += [kept.eq(new) for kept, new in zip(first, sums, strict=True)]
        arrives = stages[2].tick == 0
        with m.If(arrives):
            m.d.sync += [kept.eq(new) for kept, new in zip(second, sums, strict=True)]
        newest: list[Value] = [Mux(arrives, new, kept) for new, kept in zip(sums, second, strict=True)]
        lanes = [*first, *newest]
        return [lanes[_PAIR_UNITS * gate :][:_PAIR_UNITS] for gate in range(GATES)]

    def _of_block(self, enable: Value, block: Value) -> Value:
        """Which part of a row of blocks is enabled, by the block's number."""
        if self.cfg.row_blocks == 1:
            return enable
        return Cat(enable & (block[0] == side) for side in range(self.cfg.row_blocks))
