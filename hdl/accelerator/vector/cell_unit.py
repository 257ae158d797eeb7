"""The cell half of the vector PE: c = f c + i g and h = o tanh(c), one unit a cycle."""

from itertools import pairwise

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import GATE_BITS, SUM_BITS, Widths
from hdl.accelerator.signatures import (
    CellReadSignature,
    ParametersSignature,
    QuadSignature,
    UnitSignature,
    WriteSignature,
)
from hdl.accelerator.vector.activation import Activation
from hdl.accelerator.vector.cell_stages import next_cell, unit_of_h
from hdl.common.component import Component
from hdl.common.ram import Ram


class CellUnit(Component):
    """Turns blocks of gates into units of h (fp16), in ascending order; keeps c in BUFc.

    ``quad`` brings the gates of the run of ``parameters``, ``unit`` takes h away. ``c`` is written before the first
    step where a state is loaded; ``read`` gives it back.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "quad": In(QuadSignature()),
                "c": In(WriteSignature(cfg.max_h, signed(SUM_BITS))),
                "read": In(CellReadSignature(cfg)),
                "unit": Out(UnitSignature()),
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
            self.quad.addr.eq(block),
            unit_addr.eq((block << 2) + lane),
            cells.read_en.eq(1),
            cells.read_addr.eq(Mux(self.read.read, self.read.addr, unit_addr)),
            self.read.c.eq(cells.read_data),
        ]
        m.d.sync += quads.eq(quads + self.quad.done - (valid & (lane == 3)))
        with m.If(valid):
            m.d.sync += lane.eq(lane + 1)
            with m.If(lane == 3):
                m.d.sync += block.eq(block + 1)
            with m.If(row_end):
                m.d.sync += [block.eq(0), first_row.eq(0)]

        # Stage 1: gates and old c leave their memories. f and o are below 1, g and tanh(c) within -1..1.
        valids = Signal(10)
        addrs = [Signal(range(cfg.max_h), name=f"addr_{i}") for i in range(1, 5)]
        lane_1 = Signal(2)
        fresh_1 = Signal()
        f, i, g, o = gate_values = [Signal(signed(GATE_BITS), name=f"gate_{name}") for name in "figo"]
        old = Signal(signed(32))
        m.d.sync += [
            valids.eq(Cat(valid, valids)),
            lane_1.eq(lane),
            fresh_1.eq(first_row & ~p.state_in),
            addrs[0].eq(unit_addr),
            *(after.eq(before) for before, after in pairwise(addrs)),
            old.eq(Mux(fresh_1, 0, cells.read_data)),
            *(
                value.eq(Array(self.quad.gates[gate][unit] for unit in range(4))[lane_1])
                for gate, value in enumerate(gate_values)
            ),
        ]
        # Stage 2 multiplies. Stage 3: the sum. Stage 4: c is written and enters tanh.
        c = next_cell(m, f, i, g, old)
        m.d.comb += [
            activation.z.eq(c),
            cells.write_en.eq(valids[3] | self.c.en),
            cells.write_addr.eq(Mux(self.c.en, self.c.addr, addrs[3])),
            cells.write_data.eq(Mux(self.c.en, self.c.data, c)),
        ]
        # Stage 8: o tanh(c). Stage 9: rounded to 20 fraction bits. Stage 10: to fp16.
        m.d.sync += [self.unit.h.eq(unit_of_h(m, o, activation.y)), self.unit.valid.eq(valids[9])]
        return m
