"""The RV64IM core: four stages, in order, precise traps, with a RoCC port.

    F  fetch runs ahead of D (`hdl.core.fetch`)
    D  decode, read registers; an instruction leaves when its operands are known, from the register file or bypassed
       (`hdl.core.operands`)
    X  compute, resolve branches, access CSRs, issue loads, stores and RoCC commands; every trap but one is taken here
       (`hdl.core.execute`)
    M  wait for memory or the multiplier, write the register file; the one trap is the access fault
       (`hdl.core.finish`)

An instruction leaves X only when the one in M is finished without a fault, so nothing in X is ever speculative.
A trap is found in X or M, and acts in the next cycle: the CSRs store it and F goes to the handler.
Costs beyond one cycle: 1 for a taken branch or jump, 2 for a trap, 1 for using the result of a load, a multiplication,
a division or a CSR access in the next instruction, 1 for a CSR instruction, 33 for a division, 17 for a -W one.
"""

from amaranth import Module
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import CoreConfig
from hdl.common.component import Component
from hdl.core.bus import DataBusSignature, InstructionBusSignature, RoccControlSignature
from hdl.core.csr_file import Interrupt
from hdl.core.execute import Execute
from hdl.core.fetch import Fetch
from hdl.core.finish import Finish
from hdl.core.operands import Operands
from hdl.core.register_file import RegisterFile
from hdl.core.tracer import RVFI_FIELDS, Tracer

__all__ = ["Core"]


class Core(Component):
    """One hart.

    ``ibus`` and ``dbus``: `hdl.core.bus`. ``rocc``: the RoCC port without its memory. ``timer``, ``software``,
    ``external``: interrupt lines, levels, in step with the clock. ``mtime``: what the time CSR reads. With
    ``cfg.rvfi`` the ports ``rvfi_*`` of `hdl.core.tracer`.
    """

    def __init__(self, cfg: CoreConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "ibus": Out(InstructionBusSignature()),
                "dbus": Out(DataBusSignature()),
                "rocc": Out(RoccControlSignature()),
                "timer": In(1),
                "software": In(1),
                "external": In(1),
                "mtime": In(64),
                **({f"rvfi_{name}": Out(width) for name, width in RVFI_FIELDS.items()} if cfg.rvfi else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fetch = fetch = Fetch(self.cfg.reset_address)
        m.submodules.operands = operands = Operands()
        m.submodules.execute = execute = Execute(self.cfg)
        m.submodules.finish = finish = Finish(self.cfg)
        m.submodules.registers = registers = RegisterFile()
        rocc = self.rocc
        connect(m, fetch.bus, flipped(self.ibus))
        connect(m, execute.dbus, flipped(self.dbus))
        connect(m, execute.cmd, flipped(rocc.cmd))
        connect(m, flipped(rocc.resp), registers.resp)
        connect(m, fetch.out, operands.fetched)
        connect(m, execute.bypass, operands.x)
        connect(m, finish.bypass, operands.m)
        connect(m, finish.fault, execute.fault)
        connect(m, finish.write, registers.write)
        m.d.comb += [
            fetch.redirect.eq(execute.redirect),
            fetch.target.eq(execute.target),
            fetch.flush.eq(execute.flush),
            registers.rs1.eq(operands.rs1),
            registers.rs2.eq(operands.rs2),
            registers.expect.eq(execute.expect),
            registers.expect_rd.eq(execute.bypass.rd),
            operands.value_1.eq(registers.value_1),
            operands.value_2.eq(registers.value_2),
            operands.awaited.eq(registers.awaited),
            operands.x_awaits.eq(execute.awaits),
            operands.room.eq(execute.room),
            execute.issue.eq(operands.issue),
            execute.issued.eq(operands.issued),
            execute.next_pc.eq(fetch.out.pc),
            execute.m_room.eq(finish.room),
            execute.retired.eq(finish.retired),
            execute.busy.eq(rocc.busy),
            execute.mtime.eq(self.mtime),
            execute.lines.eq(
                self.software << Interrupt.SOFTWARE
                | self.timer << Interrupt.TIMER
                | self.external << Interrupt.EXTERNAL
                | rocc.interrupt << Interrupt.ROCC
            ),
            finish.start.eq(execute.start),
            finish.executed.eq(execute.executed),
            finish.product.eq(execute.product),
            finish.resp_valid.eq(self.dbus.resp_valid),
            finish.resp_data.eq(self.dbus.resp_data),
            finish.resp_error.eq(self.dbus.resp_error),
            rocc.exception.eq(execute.exception),
        ]
        if self.cfg.rvfi:
            m.submodules.tracer = tracer = Tracer()
            connect(m, execute.trace, tracer.x)
            connect(m, finish.trace, tracer.m)
            m.d.comb += [getattr(self, f"rvfi_{name}").eq(getattr(tracer.rvfi, name)) for name in RVFI_FIELDS]
        return m
