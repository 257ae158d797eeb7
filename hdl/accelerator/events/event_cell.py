"""The cell half of the vector unit by events: c = f c + i g and h = o tanh(c) of a few units a cycle."""

from itertools import pairwise

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import SUM_BITS, Widths, units_rows
from hdl.accelerator.signatures import (
    CellReadSignature,
    ParametersSignature,
    UnitGatesSignature,
    UnitSignature,
    WriteSignature,
)
from hdl.accelerator.vector.activation import ACTIVATION_LATENCY, Activation
from hdl.accelerator.vector.cell_stages import next_cell, unit_of_h
from hdl.common.component import Component
from hdl.common.ram import Ram


class EventCell(Component):
    """Turns the ``gates`` of the run of ``parameters`` into units of h (fp16), ``unit``; keeps c in BUFc.

    ``c`` is written before the first step where a state is loaded; ``read`` gives it back.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "gates": In(UnitGatesSignature(cfg)),
                "c": In(WriteSignature(cfg.max_h, signed(SUM_BITS))),
                "read": In(CellReadSignature(cfg)),
                "unit": Out(UnitSignature(cfg.vector_units)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        width = cfg.vector_units
        slices = cfg.row_units // width
        cells = Ram(SUM_BITS * cfg.row_units, cfg.unit_rows, lane_bits=SUM_BITS)
        m.submodules.cells = cells

        # Stage 0: the block's cells leave their memory; stage 1: those of the units are there, stage 2: with the gates.
        # Stage 3 multiplies; in stage 4 c is there, is written and enters tanh.
        last = ACTIVATION_LATENCY + 7
        valids = Signal(last)
        blocks = [self.gates.block, *(Signal(w.h_blocks, name=f"block_{i}") for i in range(1, 5))]
        parts = [self.gates.part, *(Signal.like(self.gates.part, name=f"part_{i}") for i in range(1, 5))]
        first_row = Signal(init=1)
        fresh = Signal()
        m.d.comb += valids[0].eq(self.gates.coming)
        m.d.sync += [
            valids[1:].eq(valids[:-1]),
            *(after.eq(before) for stages in (blocks, parts) for before, after in pairwise(stages)),
            fresh.eq(first_row & ~p.state_in),
        ]
        last_row = self.gates.block + 1 == units_rows(cfg, p.h_blocks)
        with m.If(self.gates.coming & last_row & (self.gates.part == slices - 1)):
            m.d.sync += first_row.eq(0)
        state_unit = Signal(w.row_unit)
        m.d.sync += state_unit.eq(self.read.addr[: w.row_unit])
        m.d.comb += [
            cells.read_en.eq(1),
            cells.read_addr.eq(Mux(self.read.read, self.read.addr >> w.row_unit, self.gates.block)),
            self.read.c.eq(cells.read_data.word_select(state_unit, SUM_BITS)),
        ]

        written = []
        results = [self.unit.h] if width == 1 else self.unit.h
        for i in range(width):
            f, g_in, g, o = (self.gates.gates[gate][i] for gate in range(4))
            of_unit = Array(cells.read_data.word_select(i + width * k, SUM_BITS) for k in range(slices))
            old = Signal(signed(SUM_BITS), name=f"old_{i}")
            m.submodules[f"activation_{i}"] = activation = Activation()
            m.d.sync += old.eq(Mux(fresh, 0, of_unit[parts[1] if slices > 1 else 0]))
            c = next_cell(m, f, g_in, g, old, f"_{i}")
            m.d.comb += activation.z.eq(c)
            m.d.sync += results[i].eq(unit_of_h(m, o, activation.y, f"_{i}"))
            written.append(c)
        lane_en = ((1 << width) - 1) << (width * parts[4] if slices > 1 else 0)
        m.d.comb += [
            cells.write_en.eq(Mux(valids[4], lane_en, Mux(self.c.en, 1 << self.c.addr[: w.row_unit], 0))),
            cells.write_addr.eq(Mux(self.c.en, self.c.addr >> w.row_unit, blocks[4])),
            cells.write_data.eq(Mux(self.c.en, self.c.data.replicate(cfg.row_units), Cat(written).replicate(slices))),
        ]
        m.d.sync += self.unit.valid.eq(valids[last - 1])
        return m
