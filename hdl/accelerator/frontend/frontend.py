"""The RoCC side of the accelerator."""

from amaranth import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, connect, flipped

from golden import isa
from golden.config import AcceleratorConfig
from hdl.accelerator.frontend.command_decoder import CommandDecoder
from hdl.accelerator.frontend.counters import Counters
from hdl.accelerator.frontend.fault_encoder import FaultEncoder
from hdl.accelerator.frontend.registers import Registers
from hdl.accelerator.frontend.responses import Responses
from hdl.accelerator.frontend.run_life import RunLife
from hdl.accelerator.signatures import AdapterSignature, DatapathSignature, ParametersSignature
from hdl.common.component import Component
from hdl.common.struct import struct
from hdl.rocc import CommandSignature, ResponseSignature


class Frontend(Component):
    """Takes commands from ``cmd``, checks a START, runs the datapath and answers at ``resp``.

    ``parameters`` are stable during a run, ``active`` is the datapath's life: it is reset while that is low.
    ``datapath`` and ``memory``: what the datapath and the memory adapter say; the adapter is stopped between runs.
    ``busy`` includes the cycle in which the START is taken; ``interrupt`` is a level.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "cmd": In(CommandSignature()),
                "resp": Out(ResponseSignature()),
                "busy": Out(1),
                "interrupt": Out(1),
                "parameters": Out(ParametersSignature(cfg)),
                "active": Out(1),
                "datapath": In(DatapathSignature(cfg)),
                "memory": In(AdapterSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cmd = self.cmd
        m.submodules.decoder = decoder = CommandDecoder()
        m.submodules.registers = registers = Registers(self.cfg)
        m.submodules.faults = faults = FaultEncoder(self.cfg)
        m.submodules.life = life = RunLife(self.cfg)
        m.submodules.counters = counters = Counters(self.cfg)
        m.submodules.responses = responses = Responses()
        connect(m, registers.parameters, flipped(self.parameters))
        connect(m, responses.resp, flipped(self.resp))
        connect(m, flipped(self.datapath.progress), life.progress)
        connect(m, flipped(self.datapath.faults), faults.datapath)
        connect(m, flipped(self.memory.faults), faults.memory)
        connect(m, flipped(self.datapath.events), counters.datapath)
        connect(m, flipped(self.memory.events), counters.memory)

        accept = Signal()
        commands = decoder.commands
        m.d.comb += [
            cmd.ready.eq(responses.free & ~(life.underway & decoder.waits)),
            accept.eq(cmd.valid & cmd.ready),
            decoder.inst.eq(cmd.inst),
            decoder.accept.eq(accept),
            registers.commands.eq(commands),
            registers.bad_command.eq(decoder.bad),
            registers.rs1.eq(cmd.rs1),
            registers.rs2.eq(cmd.rs2),
            life.start.eq(commands.start),
            life.refused.eq(registers.refused),
            life.wants_irq.eq(data.View(struct(isa.START_LAYOUT), cmd.rs2).irq),
            life.abort.eq(commands.abort),
            life.idle.eq(self.memory.idle),
            life.error.eq(faults.error),
            life.error_code.eq(faults.code),
            counters.start.eq(commands.start),
            counters.begin.eq(life.begin),
            counters.busy.eq(life.busy),
            counters.n_fuse.eq(registers.parameters.n_fuse),
            counters.status.eq(life.status),
            counters.read.eq(responses.read),
            counters.index.eq(responses.index),
            responses.accept.eq(accept),
            responses.inst.eq(cmd.inst),
            responses.rs1.eq(cmd.rs1),
            responses.counter.eq(commands.counter),
            responses.valid.eq(counters.valid),
            responses.value.eq(counters.value),
            responses.status.eq(life.status),
            self.active.eq(life.active),
            self.memory.stop.eq(~life.active),
            self.busy.eq(life.busy),
            self.interrupt.eq(life.interrupt),
        ]
        return m
