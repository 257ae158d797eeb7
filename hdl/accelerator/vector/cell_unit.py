"""The cell half of the vector PE: c = f c + i g and h = o tanh(c), one unit a cycle."""

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import ParametersSignature, Widths
from hdl.accelerator.vector.activation import ACTIVATION_LATENCY, Activation
from hdl.accelerator.vector.gate_unit import GATE_BITS
from hdl.common.arith import FRACTION_BITS, fp16_from_q20_magnitude, round_half_up, saturate
from hdl.common.ram import Ram


class CellUnit(wiring.Component):
    """Turns blocks of gates into units of h (fp16), in ascending order; keeps c in BUFc.

    ``quad_done`` counts a block of gates that can be read through ``quad_addr``/``quad`` (see GateUnit).
    ``c_en`` loads c of unit ``c_addr`` before the first step; ``c_read`` reads ``c`` one cycle after ``c_read_addr``,
    only while no step is in work.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        unit = range(cfg.max_h)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "quad_done": In(1),
                "quad_addr": Out(3),
                "quad": In(signed(GATE_BITS)).array(4, 4),
                "c_en": In(1),
                "c_addr": In(unit),
                "c_data": In(32),
                "c_read": In(1),
                "c_read_addr": In(unit),
                "c": Out(signed(32)),
                "unit_valid": Out(1),
                "unit": Out(16),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        m.submodules.cells = cells = Ram(32, cfg.max_h)
        m.submodules.activation = activation = Activation()

        # Stage 0: the next unit whose gates are known.
        quads = Signal(range(9))
        block = Signal(w.h_blocks)
        lane = Signal(2)
        valid = Signal()
        row_end = (lane == 3) & (block + 1 == p.h_blocks)
        first_row = Signal(init=1)
        unit_addr = Signal(w.h_blocks + 2)
        m.d.comb += [
            valid.eq(quads != 0),
            self.quad_addr.eq(block),
            unit_addr.eq((block << 2) + lane),
            cells.read_en.eq(1),
            cells.read_addr.eq(Mux(self.c_read, self.c_read_addr, unit_addr)),
            self.c.eq(cells.read_data),
        ]
        m.d.sync += quads.eq(quads + self.quad_done - (valid & (lane == 3)))
        with m.If(valid):
            m.d.sync += lane.eq(lane + 1)
            with m.If(lane == 3):
                m.d.sync += block.eq(block + 1)
            with m.If(row_end):
                m.d.sync += [block.eq(0), first_row.eq(0)]

        # Stage 1: gates and old c are there. f and o are below 1, g and tanh(c) within -1..1.
        valids = Signal(8)
        addrs = [Signal(range(cfg.max_h), name=f"addr_{i}") for i in range(1, 4)]
        lane_1 = Signal(2)
        fresh_1 = Signal()
        gates = [Array(self.quad[gate][i] for i in range(4))[lane_1] for gate in range(4)]
        gate_values = [Signal(signed(GATE_BITS), name=f"gate_{name}") for name in "figo"]
        m.d.comb += [signal.eq(value) for signal, value in zip(gate_values, gates, strict=True)]
        f, i, g, o = gate_values
        old = Mux(fresh_1, 0, cells.read_data.as_signed()).as_signed()
        kept = Signal(signed(32 + GATE_BITS))
        added = Signal(signed(2 * GATE_BITS))
        m.d.sync += [
            valids.eq(Cat(valid, valids)),
            lane_1.eq(lane),
            fresh_1.eq(first_row & ~p.state_in),
            addrs[0].eq(unit_addr),
            addrs[1].eq(addrs[0]),
            addrs[2].eq(addrs[1]),
            kept.eq(f * old),
            added.eq(i * g),
        ]
        # Stage 2: one saturation after the sum. Stage 3: c is written and enters tanh.
        c = Signal(signed(32))
        m.d.sync += c.eq(saturate(round_half_up(kept, FRACTION_BITS) + round_half_up(added, FRACTION_BITS), 32))
        m.d.comb += [
            activation.z.eq(c),
            cells.write_en.eq(valids[2] | self.c_en),
            cells.write_addr.eq(Mux(self.c_en, self.c_addr, addrs[2])),
            cells.write_data.eq(Mux(self.c_en, self.c_data, c)),
        ]
        outputs = [o] + [Signal(signed(GATE_BITS), name=f"o_{s}") for s in range(2, 4 + ACTIVATION_LATENCY)]
        m.d.sync += [outputs[s + 1].eq(outputs[s]) for s in range(len(outputs) - 1)]
        # Stage 7: o tanh(c). Stage 8: rounded to 20 fraction bits, then to fp16.
        product = Signal(signed(2 * GATE_BITS))
        h = Signal(signed(22))
        magnitude = Signal(21)
        m.d.sync += product.eq(outputs[-1] * activation.y)
        m.d.comb += [h.eq(round_half_up(product, FRACTION_BITS)), magnitude.eq(Mux(h < 0, -h, h))]
        half = Signal(15)
        m.d.comb += half.eq(fp16_from_q20_magnitude(m, magnitude, "h"))
        m.d.sync += [
            self.unit.eq(half | ((h < 0) << 15)),
            self.unit_valid.eq(valids[7]),
        ]
        return m
