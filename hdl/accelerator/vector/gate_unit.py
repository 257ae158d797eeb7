"""The gate half of the vector PE: reads the sums of one step, adds the bias, applies sigmoid and tanh."""

from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.layout import GATE_BITS, HALVES, SUM_BITS, Widths, half_place, slot_after
from hdl.accelerator.signatures import (
    GroupsSignature,
    ParametersSignature,
    QuadSignature,
    RecurrentSumsSignature,
    StateReadSignature,
    StepSignature,
    WeightSumsSignature,
    WriteSignature,
    unit_events,
    unit_faults,
)
from hdl.accelerator.vector.activation import ACTIVATION_LATENCY, Activation
from hdl.common.arith import add_wrapping, fp16_to_q20
from hdl.common.component import Component
from hdl.common.ram import Ram

CANDIDATE = 2
"""Index of the gate that uses tanh; rows are in the order forget, input, candidate, output."""


class GateUnit(Component):
    """Steps through the time steps of ``parameters``' run, 16 units of one gate after the other, four units a cycle.

    A row group of 16 sums is read once for up to four cycles of work: from ``w_sums`` when ``groups`` says that its
    group is complete, from ``u_sums`` when ``step`` says so; ``bias`` is written before the first step. ``row_free``:
    the row of h before the last may be overwritten. ``groups`` gets back a group when its sums are all read.

    With DELTA U's sums are changes: M, the sums of all steps so far, is kept here, ``held_sums`` writes it where a
    state is loaded, ``state`` reads it.

    ``quad`` gives blocks of units to the cell unit. ``faults``: a sum left the 32-bit range. ``events``: in every
    cycle four sums are taken (GATE_BUSY), a step's U sums wait for a row of h or, given that, for its W sums, or there
    are none.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        held: dict[str, Any] = {}
        if cfg.delta:
            held["held_sums"] = In(WriteSignature(cfg.max_rows, signed(SUM_BITS)))
            held["state"] = In(StateReadSignature(cfg.max_rows))
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "bias": In(WriteSignature(cfg.max_h, HALVES)),
                "groups": In(GroupsSignature(cfg)),
                "w_sums": Out(WeightSumsSignature(cfg)),
                "step": In(StepSignature()),
                "u_sums": Out(RecurrentSumsSignature(cfg)),
                **held,
                "row_free": In(1),
                "quad": Out(QuadSignature()),
                "faults": Out(unit_faults(cfg)["gates"]),
                "events": Out(unit_events(cfg)["gates"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p, events = self.cfg, Widths(self.cfg), self.parameters, self.events
        m.submodules.biases = biases = Ram(64, cfg.max_h)

        # Which step: steps go around the banks, and in each of them from slot to slot.
        upper_slot, upper_bank = half_place(cfg)
        half = Signal()
        bank = Signal(w.bank)
        bases = [Signal(w.w_row, name=f"base_{i}") for i in range(cfg.w_banks)]
        rows_done = Signal(w.group)
        u_half = Signal()
        u_waiting = Signal()
        u_zero = Signal()
        rows_free = Signal(2, init=2)
        begin = Signal()
        finish = Signal()
        group_finished = rows_done + 1 == self.groups.size
        m.d.sync += rows_free.eq(rows_free + self.row_free - begin)
        with m.If(self.step.done):
            m.d.sync += [u_waiting.eq(1), u_zero.eq(self.step.empty)]
        with m.Elif(begin):
            m.d.sync += u_waiting.eq(0)

        # Which four rows: block `unit + offset` of four units, of gate `gate`.
        unit = Signal(w.h_blocks)
        gate = Signal(2)
        offset = Signal(2)
        row_quad = Signal(w.h_blocks + 2)
        width = Signal(3)
        running = Signal()
        fresh = Signal()
        blocks_left = Signal(w.h_blocks)
        group_ready = self.groups.ready
        m.d.comb += [
            events.gate_busy.eq(running),
            events.gate_wait_store.eq(~running & u_waiting & (rows_free == 0)),
            events.gate_wait_w.eq(~running & u_waiting & (rows_free != 0) & ~group_ready),
            events.gate_idle.eq(~(events.gate_busy | events.gate_wait_w | events.gate_wait_store)),
            row_quad.eq(Mux(gate[0], p.h_blocks, 0) + Mux(gate[1], p.h_blocks << 1, 0) + unit + offset),
            width.eq(Mux(blocks_left < 4, blocks_left, 4)),
            fresh.eq(running & ((offset == 0) | (row_quad[:2] == 0))),
            finish.eq(running & (offset + 1 == width) & (gate == 3) & (blocks_left <= 4)),
        ]
        with m.If(running):
            m.d.sync += offset.eq(offset + 1)
            with m.If(offset + 1 == width):
                m.d.sync += [offset.eq(0), gate.eq(gate + 1)]
                with m.If(gate == 3):
                    m.d.sync += [unit.eq(unit + 4), blocks_left.eq(blocks_left - 4)]
            with m.If(finish):
                m.d.sync += running.eq(0)
        with m.Else():
            m.d.comb += begin.eq(u_waiting & (rows_free != 0) & group_ready)
            with m.If(begin):
                m.d.sync += [running.eq(1), unit.eq(0), gate.eq(0), offset.eq(0), blocks_left.eq(p.h_blocks)]
        with m.If(finish):
            m.d.sync += [u_half.eq(~u_half), rows_done.eq(rows_done + 1)]
            m.d.sync += bank.eq(Mux(bank == cfg.w_banks - 1, 0, bank + 1))
            for i, base in enumerate(bases):
                with m.If(bank == i):
                    m.d.sync += base.eq(slot_after(base, p.h_blocks, cfg.bank_slots * cfg.row_groups))
            with m.If(group_finished):
                m.d.sync += rows_done.eq(0)
                with m.If(~p.list):
                    upper_rows = ((upper_slot + (i < upper_bank)) * cfg.row_groups for i in range(cfg.w_banks))
                    m.d.sync += [
                        half.eq(~half),
                        bank.eq(Mux(half, 0, upper_bank)),
                        *(base.eq(Mux(half, 0, rows)) for base, rows in zip(bases, upper_rows, strict=True)),
                    ]

        # What travels beside the data, by stage.
        place = data.StructLayout(
            {
                "valid": unsigned(1),
                "fresh": unsigned(1),
                "clears": unsigned(4),
                "quad": unsigned(w.h_blocks + 2),
                "gate": unsigned(2),
                "result": unsigned(3),
                "u_half": unsigned(1),
                "u_zero": unsigned(1),
                **({"new": unsigned(1)} if cfg.delta else {}),
                "free": unsigned(1),
                "last": unsigned(1),
            }
        )
        # with DELTA sums are added in two stages
        summed = 6 if cfg.delta else 5
        stages: list[Any] = [Signal(place, name=f"stage_{i}") for i in range(summed + 2 + ACTIVATION_LATENCY)]
        now = stages[0]
        left = Array(Const((1 << quarters) - 1, 4) for quarters in range(5))[(width - offset)[:3]]
        m.d.comb += [
            now.valid.eq(running),
            now.fresh.eq(fresh),
            # the quarters that are taken from now on: another gate's rows may be in the same row group
            now.clears.eq((left << row_quad[:2])[:4]),
            now.quad.eq(row_quad),
            now.gate.eq(gate),
            now.result.eq(unit + offset),
            now.u_half.eq(u_half),
            now.u_zero.eq(u_zero),
            now.free.eq(finish),
            now.last.eq(group_finished),
            self.groups.next.eq(finish & group_finished),
            self.w_sums.read.eq(fresh),
            self.w_sums.bank.eq(bank),
            self.w_sums.clears.eq(now.clears),
            self.w_sums.addr.eq(Array(bases)[bank] + (row_quad >> 2)),
        ]
        m.d.sync += [stages[i + 1].eq(stages[i]) for i in range(len(stages) - 1)]

        # Stage 3: W's sums are there for this one cycle; U's arrive with the next, and the bias leaves its memory.
        w_sums = [Signal(signed(SUM_BITS), name=f"w_sum_{lane}") for lane in range(BANK_LANES)]
        with m.If(stages[3].fresh):
            m.d.sync += [kept.eq(new) for kept, new in zip(w_sums, self.w_sums.sums, strict=True)]
        m.d.comb += [
            self.u_sums.read.eq(stages[3].fresh & ~stages[3].u_zero),
            self.u_sums.half.eq(stages[3].u_half),
            self.u_sums.clears.eq(stages[3].clears),
            self.u_sums.row_group.eq(stages[3].quad >> 2),
            self.groups.free.eq(stages[3].free),
            self.groups.last.eq(stages[3].last),
            biases.read_en.eq(1),
            biases.read_addr.eq(stages[2].quad),
            biases.write_en.eq(self.bias.en),
            biases.write_addr.eq(self.bias.addr),
            biases.write_data.eq(self.bias.data),
        ]

        # Stage 4 picks four rows, stage 5 adds, with DELTA to M, and stage 6 the rest; what is for a sigmoid is halved.
        # The stage after it enters the activation functions.
        held_sums = self._held_sums(m, stages) if cfg.delta else []
        quad_in_group = stages[4].quad[:2]
        four_biases = Signal(HALVES)
        m.d.sync += four_biases.eq(biases.read_data)
        overflows = Signal(4)
        outputs = []
        for i in range(4):
            bias = Signal(signed(SUM_BITS), name=f"bias_{i}")
            z = Signal(signed(SUM_BITS), name=f"z_{i}")
            w_sum = Signal(signed(SUM_BITS), name=f"w_sum_of_{i}")
            u_sum = Signal(signed(SUM_BITS), name=f"u_sum_of_{i}")
            m.d.sync += [
                w_sum.eq(Array(w_sums[i::4])[quad_in_group]),
                u_sum.eq(Mux(stages[4].u_zero, 0, Array(self.u_sums.sums[i::4])[quad_in_group])),
            ]
            if cfg.delta:
                total, inner_overflow, total_overflow = self._onto_held(m, i, held_sums[i], w_sum, u_sum, bias)
            else:
                inner, inner_overflow = add_wrapping(w_sum, u_sum)
                total, total_overflow = add_wrapping(inner, bias)
            m.submodules[f"activation_{i}"] = activation = Activation()
            m.d.sync += [
                bias.eq(fp16_to_q20(four_biases[i])),
                z.eq(Mux(stages[summed].gate == CANDIDATE, total, total >> 1)),
            ]
            m.d.comb += [
                overflows[i].eq(inner_overflow | total_overflow),
                activation.z.eq(z),
                activation.sigmoid.eq(stages[summed + 1].gate != CANDIDATE),
            ]
            outputs.append(activation.y)
        m.d.comb += self.faults.acc_overflow.eq(stages[summed].valid & overflows.any())

        last = stages[-1]
        m.d.comb += self.quad.done.eq(last.valid & (last.gate == 3))
        for gate_index in range(4):
            for i in range(4):
                m.submodules[f"result_{gate_index}_{i}"] = result = Ram(GATE_BITS, 8)
                m.d.comb += [
                    result.write_en.eq(last.valid & (last.gate == gate_index)),
                    result.write_addr.eq(last.result),
                    result.write_data.eq(outputs[i]),
                    result.read_en.eq(1),
                    result.read_addr.eq(self.quad.addr),
                    self.quad.gates[gate_index][i].eq(result.read_data),
                ]
        return m

    def _held_sums(self, m: Module, stages: list[Any]) -> list[Signal]:
        """M of the four rows of stage 5, 0 in a first step and where the run has no DELTA."""
        cfg, p = self.cfg, self.parameters
        m.submodules.held = held = Ram(SUM_BITS * 4, cfg.max_h, lane_bits=SUM_BITS)
        first_step = Signal(init=1)
        state_unit = Signal(2)
        now, read = stages[0], stages[4]
        with m.If(now.valid & now.free):
            m.d.sync += first_step.eq(0)
        m.d.sync += state_unit.eq(self.state.addr[:2])
        m.d.comb += [
            now.new.eq((first_step & ~p.state_in) | ~p.delta),
            held.read_en.eq(1),
            held.read_addr.eq(Mux(self.state.read, self.state.addr >> 2, stages[3].quad)),
            self.state.value.eq(held.read_data.word_select(state_unit, SUM_BITS)),
        ]
        before = [Signal(signed(SUM_BITS), name=f"held_{i}") for i in range(4)]
        m.d.sync += [
            each.eq(Mux(read.new, 0, held.read_data.word_select(i, SUM_BITS))) for i, each in enumerate(before)
        ]
        written = stages[6]
        self._after = [Signal(signed(SUM_BITS), name=f"held_after_{i}") for i in range(4)]
        m.d.comb += [
            held.write_en.eq(Mux(written.valid & p.delta, ~0, Mux(self.held_sums.en, 1 << self.held_sums.addr[:2], 0))),
            held.write_addr.eq(Mux(written.valid, written.quad, self.held_sums.addr >> 2)),
            held.write_data.eq(Mux(written.valid, Cat(self._after), self.held_sums.data.replicate(4))),
        ]
        return before

    def _onto_held(
        self, m: Module, i: int, held: Value, w_sum: Value, u_sum: Value, bias: Value
    ) -> tuple[Value, Value, Value]:
        """The sum of row i in stage 6, and what overflowed on the way in stages 5 and 6."""
        after, lost = add_wrapping(held, u_sum)
        rest, rest_lost = add_wrapping(w_sum, bias)
        rest_5 = Signal(signed(SUM_BITS), name=f"rest_{i}")
        lost_5 = Signal(name=f"lost_{i}")
        m.d.sync += [self._after[i].eq(after), rest_5.eq(rest), lost_5.eq(lost | rest_lost)]
        total, total_lost = add_wrapping(self._after[i], rest_5)
        return total, lost_5, total_lost
