"""The accelerator: a RoCC coprocessor for sparse LSTM layers."""

from typing import Any

from amaranth import Module, ResetInserter
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.datapath import Datapath
from hdl.accelerator.events.event_datapath import EventDatapath
from hdl.accelerator.frontend.frontend import Frontend
from hdl.accelerator.port.axi_memory import AxiMemory
from hdl.accelerator.port.rocc_memory import RoccMemory
from hdl.common.component import Component
from hdl.rocc import CommandSignature, MemorySignature, ResponseSignature


class Accelerator(Component):
    """The whole accelerator behind its RoCC port; one clock, synchronous reset.

    Parameters:
        axi_memory: the bytes behind an AXI4 port ``axi`` that takes the place of ``mem``; None for ``mem``.

    ``cmd``, ``resp``, ``busy``, ``interrupt`` and ``mem`` follow the contract of hdl.rocc, ``axi`` that of hdl.axi4;
    ``exception`` and ``cmd.status`` are ignored.
    """

    def __init__(self, cfg: AcceleratorConfig, axi_memory: range | None = None) -> None:
        self.cfg = cfg
        self._memory: Any
        if axi_memory is None:
            self._memory = RoccMemory(cfg)
            port: Any = {"mem": Out(MemorySignature(cfg.tag_bits))}
        else:
            self._memory = AxiMemory(cfg, axi_memory)
            port = {"axi": Out(self._memory.axi.signature)}
        super().__init__(
            {
                "cmd": In(CommandSignature()),
                "resp": Out(ResponseSignature()),
                **port,
                "busy": Out(1),
                "interrupt": Out(1),
                "exception": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.frontend = frontend = Frontend(self.cfg)
        m.submodules.memory = memory = self._memory
        datapath = EventDatapath(self.cfg) if self.cfg.events else Datapath(self.cfg)
        m.submodules.datapath = ResetInserter(~frontend.active)(datapath)
        connect(m, flipped(self.cmd), frontend.cmd)
        connect(m, frontend.resp, flipped(self.resp))
        if hasattr(memory, "axi"):
            connect(m, memory.axi, flipped(self.axi))
        else:
            connect(m, memory.mem, flipped(self.mem))
        connect(m, frontend.parameters, datapath.parameters)
        connect(m, datapath.burst, memory.burst)
        connect(m, datapath.store, memory.store)
        connect(m, memory.fill, datapath.fill)
        connect(m, datapath.report, frontend.datapath)
        connect(m, memory.control, frontend.memory)
        m.d.comb += [self.busy.eq(frontend.busy), self.interrupt.eq(frontend.interrupt)]
        return m
