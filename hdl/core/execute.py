"""Stage X: compute, resolve branches, access CSRs, issue loads, stores and RoCC commands, take traps."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from golden.config import CoreConfig
from hdl.common.component import Component
from hdl.core.bus import DataBusSignature
from hdl.core.csr_file import Cause, Csr, CsrFile
from hdl.core.decoder import Unit
from hdl.core.pipeline import BypassSignature, Executed, FaultSignature, Issued
from hdl.core.tracer import ExecutedSignature
from hdl.core.units.alu import Alu
from hdl.core.units.branch import Branch
from hdl.core.units.divider import Divider
from hdl.core.units.exceptions import Exceptions
from hdl.core.units.multiplier import Multiplier
from hdl.core.units.store_lanes import StoreLanes
from hdl.rocc import CommandSignature

__all__ = ["Execute"]


class Execute(Component):
    """One instruction at a time; it leaves when it is done and M has room, or when it traps.

    From D: ``issue`` brings ``issued`` in a cycle in which there is ``room``, to be dropped if it is one of a
    ``redirect`` or of a trap; ``next_pc`` is the address, in bytes, of the instruction in D. To D: ``bypass``, and
    ``awaits``: the instruction here is a RoCC command whose response writes ``bypass.rd``; ``expect``: it has been
    issued in this cycle.
    To M: ``start`` with ``executed``, and ``product`` in the cycle after it. From M: ``m_room``, ``fault``,
    ``retired``.
    To F: ``redirect`` to ``target``, of a trap in the cycle after it; ``flush`` for FENCE.I.
    To the outside: requests on ``dbus``, whose responses go to M; ``cmd`` and ``exception`` (it trapped in the cycle
    before) at the RoCC port, whose unit is ``busy``; ``lines``: interrupt lines by their bits of mip; ``mtime``: what
    the time CSR reads. ``trace``: with ``cfg.rvfi``.
    """

    def __init__(self, cfg: CoreConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "issue": In(1),
                "issued": In(Issued),
                "next_pc": In(64),
                "room": Out(1),
                "bypass": Out(BypassSignature()),
                "awaits": Out(1),
                "expect": Out(1),
                "m_room": In(1),
                "fault": In(FaultSignature()),
                "retired": In(1),
                "start": Out(1),
                "executed": Out(Executed),
                "product": Out(64),
                "redirect": Out(1),
                "target": Out(64),
                "flush": Out(1),
                "dbus": Out(DataBusSignature()),
                "cmd": Out(CommandSignature()),
                "busy": In(1),
                "exception": Out(1),
                "lines": In(64),
                "mtime": In(64),
                **({"trace": Out(ExecutedSignature())} if cfg.rvfi else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.alu = alu = Alu()
        m.submodules.branch = branch = Branch()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.divider = divider = Divider()
        m.submodules.csr = csr = CsrFile(self.cfg.hart_id)
        m.submodules.store = store = StoreLanes()
        m.submodules.exceptions = exceptions = Exceptions()
        dbus, cmd = self.dbus, self.cmd

        valid = Signal()
        x: Any = Signal(Issued)
        insn, decoded = x.insn, x.decoded
        unit, rd, funct3 = decoded.unit, insn.rd, insn.funct3
        # of the instruction here, in the cycle before: it executed and stayed; its branch was taken; its CSR access was
        # illegal
        waiting = Signal()
        went = Signal()
        forbidden = Signal()
        requested = Signal()
        interrupted = Signal()
        trap = Signal()
        executes = Signal()
        leaves = Signal()
        done = Signal()
        result = Signal(64)

        def is_for(*units: Unit) -> Value:
            return Cat(unit == one for one in units).any()

        m.d.comb += [
            alu.op.eq(decoded.op),
            alu.left.eq(decoded.left),
            branch.unit.eq(unit),
            branch.funct3.eq(funct3),
            branch.equal.eq(alu.equal),
            branch.less.eq(alu.less),
            branch.less_unsigned.eq(alu.less_unsigned),
            branch.direct.eq(x.target),
            branch.indirect.eq(alu.sum),
            store.address.eq(alu.sum),
            store.size.eq(funct3[:2]),
            store.value.eq(x.rs2),
            # of an R-type instruction op has funct3, and it drives less
            multiplier.funct3.eq(decoded.op.as_value()[:3]),
            # M takes a product in the cycle in which it comes, so this may begin before the instruction leaves
            multiplier.enable.eq(is_for(Unit.MUL)),
            divider.funct3.eq(funct3),
            # needs nothing of M, so it may run while M waits
            divider.enable.eq(valid & is_for(Unit.DIV) & ~self.room),
            self.product.eq(multiplier.result),
        ]
        for worker in (alu, multiplier, divider):
            m.d.comb += [worker.word.eq(decoded.word), worker.a.eq(x.a), worker.b.eq(x.b)]
        m.d.comb += [
            csr.lines.eq(self.lines),
            csr.mtime.eq(self.mtime),
            csr.retired.eq(self.retired),
            csr.address.eq(Cat(insn.rs2, insn.funct7)),
            csr.funct3.eq(funct3),
            csr.operand.eq(Mux(funct3[2], insn.rs1, x.a)),
            # csrrw always writes; set and clear with x0 or 0 only read
            csr.write.eq((funct3[:2] == 1) | (insn.rs1 != 0)),
            csr.commit.eq(is_for(Unit.CSR) & waiting & ~interrupted & ~forbidden),
            csr.mret.eq(leaves & is_for(Unit.MRET)),
            exceptions.unit.eq(unit),
            exceptions.insn.eq(insn),
            exceptions.pc.eq(x.pc),
            exceptions.fetch_error.eq(x.fetch_error),
            exceptions.illegal.eq(decoded.illegal | (is_for(Unit.CSR) & waiting & forbidden)),
            exceptions.taken.eq(is_for(Unit.JAL, Unit.JALR) | (is_for(Unit.BRANCH) & waiting & went)),
            exceptions.target.eq(branch.target),
            exceptions.misaligned.eq(store.misaligned),
            exceptions.address.eq(alu.sum),
        ]

        # An interrupt is taken instead of the instruction in X, or of the next one if X is empty (so that also an
        # instruction waiting for a RoCC response is interruptible): before it has any effect, hence not when its
        # request is already on the bus; and after wfi, not instead of it, once wfi has waited.
        slept = valid & is_for(Unit.WFI) & waiting
        m.d.comb += [
            interrupted.eq(csr.interrupt & self.m_room & ~requested & ~slept & ~self.exception),
            trap.eq(valid & self.m_room & ~interrupted & exceptions.raised),
            executes.eq(valid & self.m_room & ~interrupted & ~exceptions.raised),
            done.eq(1),
            leaves.eq(executes & done),
        ]
        with m.Switch(unit):
            with m.Case(Unit.BRANCH):
                # the comparison settles too late to decide on a trap, so a branch to where none may go takes two cycles
                m.d.comb += done.eq(waiting | ~x.target[1])
            with m.Case(Unit.LOAD, Unit.STORE):
                m.d.comb += done.eq(dbus.req_ready)
            with m.Case(Unit.DIV):
                m.d.comb += done.eq(divider.done)
            with m.Case(Unit.CSR):
                # in the first cycle M empties, so that minstret counts every older instruction, and it is found out
                # whether the access is legal
                m.d.comb += done.eq(waiting)
            with m.Case(Unit.ROCC):
                m.d.comb += done.eq(cmd.ready)
            with m.Case(Unit.FENCE):
                m.d.comb += done.eq(~self.busy)
            with m.Case(Unit.WFI):
                m.d.comb += done.eq(csr.wake)

        accesses = is_for(Unit.LOAD, Unit.STORE)
        m.d.comb += [
            dbus.req_valid.eq(executes & accesses),
            dbus.req_addr.eq(alu.sum),
            dbus.req_write.eq(is_for(Unit.STORE)),
            dbus.req_size.eq(funct3[:2]),
            dbus.req_data.eq(store.lanes),
            dbus.req_mask.eq(store.mask),
            cmd.valid.eq(executes & is_for(Unit.ROCC)),
            cmd.inst.eq(insn),
            cmd.rs1.eq(x.a),
            cmd.rs2.eq(x.rs2),
            cmd.status.eq(csr.status),
        ]
        m.d.sync += [
            requested.eq(dbus.req_valid & ~dbus.req_ready),
            waiting.eq(executes & ~leaves),
            went.eq(branch.taken),
            forbidden.eq(csr.illegal),
        ]

        link = Signal(64)
        m.d.comb += [result.eq(alu.result), link.eq(x.pc + 4)]
        with m.Switch(unit):
            with m.Case(Unit.JAL, Unit.JALR):
                m.d.comb += result.eq(link)
            with m.Case(Unit.DIV):
                m.d.comb += result.eq(divider.result)
            with m.Case(Unit.CSR):
                m.d.comb += result.eq(csr.rdata)

        # Whether there is a trap settles late, and traps are rare: the CSRs and F learn of it in the next cycle, in
        # which X is empty. An access fault comes from an older instruction, so it goes first.
        trapping = Signal()
        cause = Signal(64)
        tval = Signal(64)
        m.d.comb += [
            trapping.eq(trap | interrupted | self.fault.raised),
            cause.eq(exceptions.cause),
            tval.eq(exceptions.tval),
        ]
        with m.If(self.fault.raised):
            m.d.comb += [
                cause.eq(Mux(self.fault.load, Cause.LOAD_ACCESS, Cause.STORE_ACCESS)),
                tval.eq(self.fault.address),
            ]
        # whatever would raise an exception has not begun, so an interrupt that is pending is taken instead
        with m.Elif(csr.interrupt):
            m.d.comb += [cause.eq(csr.interrupt_cause), tval.eq(0)]
        m.d.sync += [
            self.exception.eq(trapping),
            csr.cause.eq(cause),
            csr.tval.eq(tval),
            csr.epc.eq(Mux(self.fault.raised, self.fault.pc, Mux(valid, x.pc, self.next_pc))),
        ]
        m.d.comb += csr.trap.eq(self.exception)

        m.d.comb += self.target.eq(branch.target)
        with m.If(self.exception):
            m.d.comb += self.target.eq(csr.vector)
        with m.Elif(is_for(Unit.MRET)):
            m.d.comb += self.target.eq(csr.mepc)
        m.d.comb += [
            self.redirect.eq(self.exception | (leaves & (branch.taken | is_for(Unit.MRET, Unit.FENCE_I)))),
            self.flush.eq(leaves & is_for(Unit.FENCE_I)),
        ]

        responds = is_for(Unit.ROCC) & funct3[2] & (rd != 0)
        executed = self.executed
        m.d.comb += [
            self.bypass.writes.eq(valid & decoded.write_rd),
            self.bypass.rd.eq(rd),
            # the others are bypassed from M; whatever is behind a jump is dropped
            self.bypass.known.eq(is_for(Unit.ALU)),
            self.bypass.value.eq(alu.result),
            self.awaits.eq(valid & responds),
            self.expect.eq(leaves & responds),
            # what comes in the cycle of a trap is dropped
            self.room.eq(~valid | (self.m_room & done)),
            # a trapping instruction goes on to M as one without effects, where the trace sees it
            self.start.eq(leaves | trap),
            executed.trapped.eq(trap),
            executed.load.eq(is_for(Unit.LOAD)),
            executed.memory.eq(accesses & ~trap),
            executed.multiply.eq(is_for(Unit.MUL)),
            executed.uncounted.eq(is_for(Unit.CSR) & csr.write & (csr.address == Csr.MINSTRET)),
            executed.write_rd.eq(decoded.write_rd & ~trap),
            executed.rd.eq(rd),
            executed.value.eq(result),
            executed.pc.eq(x.pc),
            executed.address.eq(alu.sum),
            executed.funct3.eq(funct3),
        ]
        with m.If(self.room):
            m.d.sync += x.eq(self.issued)
        with m.If(trapping | self.redirect):
            m.d.sync += valid.eq(0)
        with m.Elif(self.room):
            m.d.sync += valid.eq(self.issue)

        if self.cfg.rvfi:
            trace = self.trace
            m.d.comb += [
                trace.enter_handler.eq(trapping),
                trace.cause.eq(cause),
                trace.tval.eq(tval),
                # interrupts have no record of their own
                trace.next_pc.eq(Mux(trapping, csr.base, Mux(self.redirect, self.target, link))),
                trace.start.eq(self.start),
                trace.trap.eq(trap),
                # what came with a fetch error is no instruction
                trace.insn.eq(Mux(x.fetch_error, 0, insn)),
                trace.pc.eq(x.pc),
                trace.rs1_addr.eq(Mux(decoded.use_rs1, insn.rs1, 0)),
                trace.rs2_addr.eq(Mux(decoded.use_rs2, insn.rs2, 0)),
                trace.rs1_rdata.eq(Mux(decoded.use_rs1, x.a, 0)),
                trace.rs2_rdata.eq(x.rs2),
                trace.mem_addr.eq(alu.sum),
                trace.mem_mask.eq(store.mask),
                trace.mem_wdata.eq(store.lanes),
                trace.load.eq(is_for(Unit.LOAD)),
                trace.store.eq(is_for(Unit.STORE)),
                trace.csr.eq(is_for(Unit.CSR)),
                trace.csr_write.eq(csr.write),
                trace.csr_rdata.eq(csr.rdata),
                trace.csr_wdata.eq(csr.wdata),
            ]
        return m
