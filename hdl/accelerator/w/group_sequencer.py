"""Cell fusion, the schedule of the paper: W passes once for a group of time steps."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Widths, unit_layout
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


class GroupSequencer(Component):
    """Tells which ``units`` of columns come: all of W for each group, once its inputs and its half of the slots
    allow.

    ``parameters``: the run's. ``begin`` pulses with the start of a group, of ``size`` steps; there is none of 0.
    None begins before ``enable``. ``x_ready`` counts a group of inputs; ``release`` gives a half back when its results
    have been read.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "size": In(w.group),
                "enable": In(1),
                "units": Out(stream.Signature(unit_layout(cfg))),
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
        unit = Signal(w.units)
        begin = self.begin
        units = Mux(p.w_matrix.single, p.x_blocks << 2, p.x_blocks)
        entry = self.units.payload
        m.d.comb += [entry.unit.eq(unit), entry.needed.eq(1), entry.mark.first.eq(unit == 0)]
        with m.FSM(name="groups"):
            with m.State("INIT"):
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += begin.eq(self.enable & (inputs != 0) & (halves != 0) & (self.size != 0))
                with m.If(begin):
                    m.d.sync += unit.eq(0)
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += self.units.valid.eq(1)
                with m.If(self.units.ready):
                    m.d.sync += unit.eq(unit + 1)
                    with m.If(unit + 1 == units):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.units.valid.eq(1), entry.end.eq(1), entry.mark.first.eq(0)]
                with m.If(self.units.ready):
                    m.next = "WAIT"
        m.d.sync += [inputs.eq(inputs + self.x_ready - begin), halves.eq(halves + self.release - begin)]
        return m
