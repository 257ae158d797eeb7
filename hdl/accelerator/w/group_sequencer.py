"""Cell fusion, the schedule of the paper: W passes once for a group of time steps."""

from amaranth import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Widths, column_layout
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


class GroupSequencer(Component):
    """Tells the decoder which ``columns`` come: all of W for each group, once its inputs and its half of the slots
    allow.

    ``parameters``: the run's. ``begin`` pulses with the start of a group, of ``size`` steps; there is none of 0.
    ``x_ready`` counts a group of inputs; ``release`` gives a half back when its results have been read.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "size": In(w.group),
                "columns": Out(stream.Signature(column_layout(cfg))),
                "x_ready": In(1),
                "release": In(1),
                "begin": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        w, p = Widths(self.cfg), self.parameters
        inputs = Signal(2)
        halves = Signal(2, init=2)
        column = Signal(w.columns)
        begin = self.begin
        entry = self.columns.payload
        m.d.comb += [entry.column.eq(column), entry.first.eq(column == 0)]
        with m.FSM(name="groups"):
            with m.State("INIT"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += begin.eq((inputs != 0) & (halves != 0) & (self.size != 0))
                with m.If(begin):
                    m.d.sync += column.eq(0)
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += self.columns.valid.eq(1)
                with m.If(self.columns.ready):
                    m.d.sync += column.eq(column + 1)
                    with m.If(column + 1 == p.x_blocks):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.columns.valid.eq(1), entry.end.eq(1), entry.first.eq(0)]
                with m.If(self.columns.ready):
                    m.next = "WAIT"
        m.d.sync += [inputs.eq(inputs + self.x_ready - begin), halves.eq(halves + self.release - begin)]
        return m
