"""The gate half of the vector PE: reads the sums of one step, adds the bias, applies sigmoid and tanh."""

from amaranth import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.activation import ACTIVATION_LATENCY, Activation
from hdl.accelerator.layout import Widths, parameters_layout
from hdl.common.arith import add_wrapping, fp16_to_q20
from hdl.common.ram import Ram

CANDIDATE = 2
"""Index of the gate that uses tanh; rows are in the order forget, input, candidate, output."""

GATE_BITS = 21
Gates = data.ArrayLayout(data.ArrayLayout(signed(GATE_BITS), 4), 4)
"""gates[gate][unit] of a block of four units, in units of 2^-20."""


class GateUnit(wiring.Component):
    """Steps through the time steps, 16 units of one gate after the other, four units a cycle.

    A row group of 16 sums is read once for up to four cycles of work: ``w_read`` (data three cycles later, see
    WeightPath) and ``u_read`` (one cycle later). ``w_ready``, ``w_rows``: complete groups of W x; ``u_done``,
    ``u_empty``: a step's U h; ``row_free``: the row before the last may be overwritten. ``begin`` pulses for each
    step, ``release`` when a group's sums are all read.

    ``quad_done`` pulses when all four gates of the next block of units can be read, in order, at ``quad_addr`` of
    the block number modulo 8; ``quad`` follows one cycle later.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        sums = data.ArrayLayout(signed(32), BANK_LANES)
        super().__init__(
            {
                "parameters": In(parameters_layout(cfg)),
                "enable": In(1),
                "bias_en": In(1),
                "bias_addr": In(range(cfg.max_h)),
                "bias": In(64),
                "w_ready": In(2),
                "w_rows": In(data.ArrayLayout(unsigned(w.group), 2)),
                "release": Out(1),
                "release_half": Out(1),
                "u_done": In(1),
                "u_empty": In(1),
                "row_free": In(1),
                "w_read": Out(1),
                "w_bank": Out(w.bank),
                "w_slot": Out(w.slot),
                "w_row_group": Out(w.row_group),
                "w_sums": In(sums),
                "u_read": Out(1),
                "u_half": Out(1),
                "u_row_group": Out(w.row_group),
                "u_sums": In(sums),
                "quad_done": Out(1),
                "quad_addr": In(3),
                "quad": Out(Gates),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        m.submodules.biases = biases = Ram(64, cfg.max_h)
        m.submodules.results = results = Ram(4 * 4 * GATE_BITS, 8, lane_bits=4 * GATE_BITS)

        # Which step: its place in the group names bank and slot.
        half = Signal()
        bank = Signal(w.bank)
        slot = Signal(w.slot)
        rows_done = Signal(w.group)
        u_half = Signal()
        u_waiting = Signal()
        u_zero = Signal()
        rows_free = Signal(2, init=2)
        begin = Signal()
        finish = Signal()
        group_finished = rows_done + 1 == Mux(half, self.w_rows[1], self.w_rows[0])
        m.d.sync += rows_free.eq(rows_free + self.row_free - begin)
        with m.If(self.u_done):
            m.d.sync += [u_waiting.eq(1), u_zero.eq(self.u_empty)]
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
        m.d.comb += [
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
            m.d.comb += begin.eq(self.enable & u_waiting & (rows_free != 0) & self.w_ready.bit_select(half, 1))
            with m.If(begin):
                m.d.sync += [running.eq(1), unit.eq(0), gate.eq(0), offset.eq(0), blocks_left.eq(p.h_blocks)]
        with m.If(finish):
            m.d.sync += [u_half.eq(~u_half), rows_done.eq(rows_done + 1)]
            with m.If(bank == cfg.w_pes - 1):
                m.d.sync += [bank.eq(0), slot.eq(slot + 1)]
            with m.Else():
                m.d.sync += bank.eq(bank + 1)
            with m.If(group_finished):
                m.d.sync += [half.eq(~half), bank.eq(0), rows_done.eq(0), slot.eq(Mux(half, 0, cfg.fuse_capacity))]

        # What travels beside the data, by stage.
        place = data.StructLayout(
            {
                "valid": unsigned(1),
                "fresh": unsigned(1),
                "quad": unsigned(w.h_blocks + 2),
                "gate": unsigned(2),
                "result": unsigned(3),
                "u_half": unsigned(1),
                "u_zero": unsigned(1),
                "release": unsigned(1),
                "half": unsigned(1),
            }
        )
        stages = [Signal(place, name=f"stage_{i}") for i in range(7 + ACTIVATION_LATENCY)]
        now = stages[0]
        m.d.comb += [
            now.valid.eq(running),
            now.fresh.eq(fresh),
            now.quad.eq(row_quad),
            now.gate.eq(gate),
            now.result.eq(unit + offset),
            now.u_half.eq(u_half),
            now.u_zero.eq(u_zero),
            now.release.eq(finish & group_finished),
            now.half.eq(half),
            self.w_read.eq(fresh),
            self.w_bank.eq(bank),
            self.w_slot.eq(slot),
            self.w_row_group.eq(row_quad >> 2),
        ]
        m.d.sync += [stages[i + 1].eq(stages[i]) for i in range(len(stages) - 1)]

        # Stage 3: W's sums are there for this one cycle; U's and the bias arrive with the next.
        w_sums = Signal.like(self.w_sums)
        with m.If(stages[3].fresh):
            m.d.sync += w_sums.eq(self.w_sums)
        m.d.comb += [
            self.u_read.eq(stages[3].fresh & ~stages[3].u_zero),
            self.u_half.eq(stages[3].u_half),
            self.u_row_group.eq(stages[3].quad >> 2),
            self.release.eq(stages[3].release),
            self.release_half.eq(stages[3].half),
            biases.read_en.eq(1),
            biases.read_addr.eq(stages[3].quad),
            biases.write_en.eq(self.bias_en),
            biases.write_addr.eq(self.bias_addr),
            biases.write_data.eq(self.bias),
        ]

        # Stage 4 picks four rows, stage 5 adds, stage 6 enters the activation functions.
        def quads(sums: data.View) -> Array:
            return Array(sums.as_value()[128 * i :][:128] for i in range(4))

        overflows = Signal(4)
        outputs = []
        w_quad = Signal(128)
        u_quad = Signal(128)
        m.d.sync += [
            w_quad.eq(quads(w_sums)[stages[4].quad[:2]]),
            u_quad.eq(Mux(stages[4].u_zero, 0, quads(self.u_sums)[stages[4].quad[:2]])),
        ]
        for i in range(4):
            bias = Signal(signed(32), name=f"bias_{i}")
            z = Signal(signed(32), name=f"z_{i}")
            inner, inner_overflow = add_wrapping(w_quad[32 * i :][:32], u_quad[32 * i :][:32])
            total, total_overflow = add_wrapping(inner, bias)
            m.submodules[f"activation_{i}"] = activation = Activation()
            m.d.sync += [bias.eq(fp16_to_q20(biases.read_data[16 * i :][:16])), z.eq(total)]
            m.d.comb += [
                overflows[i].eq(inner_overflow | total_overflow),
                activation.z.eq(z),
                activation.sigmoid.eq(stages[6].gate != CANDIDATE),
            ]
            outputs.append(activation.y)
        m.d.comb += self.overflow.eq(stages[5].valid & overflows.any())

        last = stages[-1]
        done = Signal()
        m.d.sync += done.eq(last.valid & (last.gate == 3))
        m.d.comb += [
            results.write_en.eq(Mux(last.valid, 1 << last.gate, 0)),
            results.write_addr.eq(last.result),
            results.write_data.eq(Cat(outputs).replicate(4)),
            results.read_en.eq(1),
            results.read_addr.eq(self.quad_addr),
            self.quad.as_value().eq(results.read_data),
            self.quad_done.eq(done),
        ]
        return m
