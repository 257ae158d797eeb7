"""The life of a run: from START to the last answer of memory."""

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from golden import isa
from golden.config import AcceleratorConfig
from golden.isa import Error
from hdl.accelerator.signatures import ProgressSignature
from hdl.common.component import Component
from hdl.common.struct import struct


class RunLife(Component):
    """Runs, then drains: a run that ends, well or not, is over when memory has answered everything.

    ``start``, with the code of why it is ``refused`` (0: it is not) and ``wants_irq``, its flag; ``abort``. ``begin``:
    this START begins a run. ``error`` with ``error_code`` ends a run that went wrong, ``progress`` says when one went
    well; ``idle``: nothing is asked of memory.

    ``active`` is the datapath's life, ``underway`` also covers draining, ``busy`` the cycle of the START, too.
    ``interrupt``: the level that the flag asks for. ``status``: the status word.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "start": In(1),
                "refused": In(8),
                "wants_irq": In(1),
                "abort": In(1),
                "idle": In(1),
                "progress": In(ProgressSignature(cfg)),
                "error": In(1),
                "error_code": In(8),
                "begin": Out(1),
                "active": Out(1),
                "underway": Out(1),
                "busy": Out(1),
                "interrupt": Out(1),
                "status": Out(struct(isa.STATUS_LAYOUT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        start, abort, begin = self.start, self.abort, self.begin
        running = Signal()
        draining = Signal()
        code = Signal(8)
        done = Signal()
        irq = Signal()
        ended = Signal()
        m.d.comb += begin.eq(start & (self.refused == 0))
        with m.If(begin):
            m.d.sync += [running.eq(1), code.eq(0), done.eq(0)]
        with m.Elif(start):
            m.d.sync += [code.eq(self.refused), done.eq(1)]
        with m.If(running & (self.progress.finished | self.error)):
            m.d.sync += [running.eq(0), draining.eq(1)]
            with m.If(self.error):
                m.d.sync += code.eq(self.error_code)
        with m.If(draining & self.idle):
            m.d.comb += ended.eq(1)
            m.d.sync += [draining.eq(0), done.eq(1)]
        with m.If(abort):
            with m.If(running):
                m.d.sync += [running.eq(0), draining.eq(1), code.eq(Error.ABORTED)]
            with m.Elif(~draining):
                m.d.sync += [code.eq(0), done.eq(0)]

        rows = Signal(isa.STATUS_LAYOUT.place("rows").bits)
        with m.If(running):
            m.d.sync += rows.eq(self.progress.rows)
        with m.If(start | (abort & ~running & ~draining)):
            m.d.sync += rows.eq(0)
        with m.If(start):
            m.d.sync += [irq.eq(self.wants_irq), self.interrupt.eq((self.refused != 0) & self.wants_irq)]
        with m.Elif(ended):
            # a run that ABORT ends is a run that ends: a driver may be waiting for its interrupt
            m.d.sync += self.interrupt.eq(irq)
        with m.Elif(abort):
            m.d.sync += self.interrupt.eq(0)

        status = self.status
        m.d.comb += [
            self.active.eq(running),
            self.underway.eq(running | draining),
            self.busy.eq(self.underway | begin),
            status.busy.eq(self.underway),
            status.done.eq(done),
            status.error.eq(code != 0),
            status.code.eq(code),
            status.rows.eq(rows),
        ]
        return m
