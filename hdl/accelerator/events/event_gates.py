"""The gate half of the vector unit by events: sums of changes onto those before, the bias, sigmoid and tanh."""

from itertools import pairwise
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
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

    Two blocks of units have their sums in two row groups (see StreamDecoder): both are read from ``sums`` once, when
    ``step`` says that a step is complete, and become zero. M, the sums of all steps so far, and the ``bias`` are kept
    here; ``held_sums`` writes M, ``state`` reads it. ``row_free``: the row of h before the last may be overwritten.

    ``gates`` gives all gates of a few units in ascending order. ``faults``: a sum left the 32-bit range. ``events``:
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
        ticks = _PAIR_UNITS // width
        slices = BLOCK_COLS // width

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
        tick = Signal(range(ticks))
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
            }
        )
        stages: list[Any] = [Signal(place, name=f"stage_{i}") for i in range(6 + ACTIVATION_LATENCY)]
        now = stages[0]
        odd = tick[-1]
        m.d.comb += [
            # of an odd number of blocks the last has no other
            makes.eq(running & (Cat(odd, pair[1:]) < p.h_blocks)),
            now.valid.eq(makes),
            now.tick.eq(tick),
            now.block.eq(Cat(odd, pair[1:])),
            now.part.eq(tick[: len(tick) - 1] if slices > 1 else 0),
            now.odd.eq(odd),
            now.fresh.eq(fresh & ~p.state_in),
            now.empty.eq(is_empty),
        ]
        m.d.sync += [after.eq(before) for before, after in pairwise(stages)]

        # Stage 1: the first row group is there, stage 2: the second, and from then on all sums of the pair.
        first = [Signal(signed(SUM_BITS), name=f"first_{lane}") for lane in range(BANK_LANES)]
        second = [Signal(signed(SUM_BITS), name=f"second_{lane}") for lane in range(BANK_LANES)]
        with m.If(stages[1].tick == 0):
            m.d.sync += [kept.eq(new) for kept, new in zip(first, self.sums.sums, strict=True)]
        arrives = stages[2].tick == 0
        with m.If(arrives):
            m.d.sync += [kept.eq(new) for kept, new in zip(second, self.sums.sums, strict=True)]

        # Stage 2 picks the units, stage 3 has their sums, stage 4 those before, stage 5 adds, stage 6 enters the
        # activation functions, sums that are for a sigmoid halved.
        picked, stage_3, stage_4 = stages[2], stages[3], stages[4]
        held = [Ram(SUM_BITS * BLOCK_COLS, cfg.h_blocks, lane_bits=SUM_BITS) for _ in range(GATES)]
        biases = [Ram(64, cfg.h_blocks) for _ in range(GATES)]
        bases = [Const(0, 1), p.h_blocks, p.h_blocks << 1, p.h_blocks + (p.h_blocks << 1)]
        overflows = Signal(GATES * width)
        # With one unit a cycle the last of a block is read when the first could be written: a row must not be both.
        late = slices == BLOCK_COLS
        written = stages[6 if late else 5]
        state_gate = Signal(2)
        state_unit = Signal(2)
        m.d.sync += state_unit.eq(self.state.addr[:2])
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
                bias_memory.write_en.eq(self.bias.en & begins),
                bias_memory.write_addr.eq(bias_block),
                bias_memory.write_data.eq(self.bias.data),
                bias_memory.read_en.eq(1),
                bias_memory.read_addr.eq(stages[1].block),
                memory.read_en.eq(1),
            ]
            four_biases = Signal(HALVES, name=f"biases_of_{gate}")
            m.d.sync += four_biases.eq(bias_memory.read_data)
            # of an odd number of blocks every other gate begins in the other half of the lanes
            other = picked.odd ^ p.h_blocks[0] if gate & 1 else picked.odd
            for i in range(width):
                name = f"{gate}_{i}"
                lanes = [8 * (gate & 1) + 4 * side + i + width * part for side in (0, 1) for part in range(slices)]
                now_sums = [
                    (Mux(arrives, self.sums.sums[lane], second[lane]) if gate & 2 else first[lane]) for lane in lanes
                ]
                which = Cat(picked.part, other) if slices > 1 else other
                sum_ = Signal(signed(SUM_BITS), name=f"sum_{name}")
                m.d.sync += sum_.eq(Mux(picked.empty, 0, Array(now_sums)[which]))
                change = Signal(signed(SUM_BITS), name=f"change_{name}")
                before = Signal(signed(SUM_BITS), name=f"before_{name}")
                bias = Signal(signed(SUM_BITS), name=f"bias_{name}")
                part = stage_3.part if slices > 1 else Const(0, 1)
                of_unit = Array(memory.read_data.word_select(i + width * k, SUM_BITS) for k in range(slices))[part]
                bias_of_unit = Array(four_biases[i + width * k] for k in range(slices))[part]
                m.d.sync += [
                    change.eq(sum_),
                    before.eq(Mux(stage_3.fresh, 0, of_unit)),
                    bias.eq(fp16_to_q20(bias_of_unit)),
                ]
                after, lost = add_wrapping(before, change)
                total, total_lost = add_wrapping(after, bias)
                z = Signal(signed(SUM_BITS), name=f"z_{name}")
                kept_sum = Signal(signed(SUM_BITS), name=f"kept_{name}")
                m.d.sync += [kept_sum.eq(after), z.eq(total if gate == CANDIDATE else total >> 1)]
                m.d.comb += overflows[gate * width + i].eq(lost | total_lost)
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
            lane_en = Const((1 << width) - 1, BLOCK_COLS) << (width * (written.part if slices > 1 else 0))
            m.d.comb += [
                memory.read_addr.eq(Mux(self.state.read, (self.state.addr >> 2) - base, picked.block)),
                memory.write_en.eq(
                    Mux(written.valid, lane_en[:BLOCK_COLS], Mux(of_state, 1 << self.held_sums.addr[:2], 0))
                ),
                memory.write_addr.eq(Mux(written.valid, written.block, state_block)),
                memory.write_data.eq(
                    Mux(written.valid, Cat(*mine).replicate(slices), self.held_sums.data.replicate(BLOCK_COLS))
                ),
            ]
        m.d.sync += state_gate.eq(
            (self.state.addr[2:] >= bases[1]) + (self.state.addr[2:] >= bases[2]) + (self.state.addr[2:] >= bases[3])
        )
        m.d.comb += [
            self.state.value.eq(
                Array(memory.read_data for memory in held)[state_gate].word_select(state_unit, SUM_BITS)
            ),
            self.faults.acc_overflow.eq(stage_4.valid & overflows.any()),
            self.gates.coming.eq(stages[-3].valid),
            self.gates.block.eq(stages[-3].block),
            self.gates.part.eq(stages[-3].part),
        ]
        return m
