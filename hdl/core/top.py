"""The RV64IM core: four stages, in order, precise traps, with a RoCC port.

    F  fetch runs ahead of D (`hdl.core.fetch`)
    D  decode, read registers; an instruction leaves when its operands are known, from the register file or bypassed
    X  compute, resolve branches, access CSRs, issue loads, stores and RoCC commands; every trap but one is taken here
    M  wait for memory or the multiplier, write the register file; the one trap is the access fault

An instruction leaves X only when the one in M is finished without a fault, so nothing in X is ever speculative.
Costs beyond one cycle: 1 for a taken branch or jump, 1 for using a load's or a product's result in the next
instruction, 1 for a CSR instruction behind another instruction, 33 for a division, 17 for a -W one.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import CoreConfig
from hdl.core.alu import Alu
from hdl.core.bus import DataBusSignature, InstructionBusSignature, RoccControlSignature
from hdl.core.csr import Cause, Csr, CsrFile, Interrupt
from hdl.core.decode import Decoded, Decoder, Unit
from hdl.core.fetch import Fetch
from hdl.core.loadstore import LoadLanes, StoreLanes
from hdl.core.muldiv import Divider, Multiplier
from hdl.core.rvfi import RVFI_FIELDS, Tracer

__all__ = ["Core"]


class Core(wiring.Component):
    """One hart.

    ``ibus`` and ``dbus``: `hdl.core.bus`. ``rocc``: the RoCC port without its memory. ``timer``, ``software``,
    ``external``: interrupt lines, levels, in step with the clock. ``mtime``: what the time CSR reads. With
    ``cfg.rvfi`` the ports ``rvfi_*`` of `hdl.core.rvfi`.
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

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = Fetch(self.cfg.reset_address)
        m.submodules.decoder = decoder = Decoder()
        m.submodules.alu = alu = Alu()
        m.submodules.multiplier = multiplier = Multiplier()
        m.submodules.divider = divider = Divider()
        m.submodules.csr = csr = CsrFile(self.cfg.hart_id)
        m.submodules.store = store = StoreLanes()
        m.submodules.load = load = LoadLanes()
        m.submodules.registers = registers = memory.Memory(shape=64, depth=32, init=[])
        read_1 = registers.read_port(domain="comb")
        read_2 = registers.read_port(domain="comb")
        write = registers.write_port()
        connect(m, fetch.bus, flipped(self.ibus))
        rocc, dbus = self.rocc, self.dbus

        # ---- state between the stages
        x_valid = Signal()
        x_pc = Signal(64)
        x_insn = Signal(32)
        x_fetch_error = Signal()
        x_decoded = Signal(Decoded)
        x_a = Signal(64)
        x_b = Signal(64)
        x_rs2 = Signal(64)
        x_target = Signal(64)
        x_rd, x_funct3 = x_insn[7:12], x_insn[12:15]
        x_waiting = Signal()
        x_requested = Signal()

        m_valid = Signal()
        m_load = Signal()
        m_memory = Signal()
        m_multiply = Signal()
        m_trapped = Signal()
        m_uncounted = Signal()
        m_write_rd = Signal()
        m_rd = Signal(5)
        m_value = Signal(64)
        m_pc = Signal(64)
        m_address = Signal(64)
        m_funct3 = Signal(3)
        awaited = Signal(32)  # registers that a RoCC response will write

        # ---- M: finish
        m_done = Signal()
        m_fault = Signal()
        m_free = Signal()
        m_result = Signal(64)
        m.d.comb += [
            m_done.eq(m_valid & (~m_memory | dbus.resp_valid)),
            m_fault.eq(m_valid & m_memory & dbus.resp_valid & dbus.resp_error),
            m_free.eq(~m_valid | (m_done & ~m_fault)),
            load.offset.eq(m_address[:3]),
            load.funct3.eq(m_funct3),
            load.lanes.eq(dbus.resp_data),
            m_result.eq(Mux(m_load, load.value, Mux(m_multiply, multiplier.result, m_value))),
            csr.retired.eq(m_done & ~m_fault & ~m_trapped & ~m_uncounted),
        ]
        m_writes = m_done & ~m_fault & m_write_rd
        with m.If(m_done):
            m.d.sync += m_valid.eq(0)

        # the register file has one write port; a RoCC response waits for a cycle in which M does not use it
        m.d.comb += [
            rocc.resp.ready.eq(~m_writes),
            write.en.eq(m_writes | (rocc.resp.valid & (rocc.resp.rd != 0))),
            write.addr.eq(Mux(m_writes, m_rd, rocc.resp.rd)),
            write.data.eq(Mux(m_writes, m_result, rocc.resp.data)),
        ]
        with m.If(rocc.resp.valid & rocc.resp.ready):
            m.d.sync += awaited.eq(awaited & ~(1 << rocc.resp.rd))

        # ---- X: execute
        x_unit = x_decoded.unit

        def executes(*units: Unit):
            return Cat(x_unit == unit for unit in units).any()

        m.d.comb += [
            alu.op.eq(x_decoded.op),
            alu.word.eq(x_decoded.word),
            alu.a.eq(x_a),
            alu.b.eq(x_b),
            multiplier.funct3.eq(x_funct3),
            multiplier.word.eq(x_decoded.word),
            multiplier.a.eq(x_a),
            multiplier.b.eq(x_b),
            divider.funct3.eq(x_funct3),
            divider.word.eq(x_decoded.word),
            divider.a.eq(x_a),
            divider.b.eq(x_b),
            store.address.eq(alu.result),
            store.size.eq(x_funct3[:2]),
            store.value.eq(x_rs2),
            csr.lines.eq(
                self.software << Interrupt.SOFTWARE
                | self.timer << Interrupt.TIMER
                | self.external << Interrupt.EXTERNAL
                | rocc.interrupt << Interrupt.ROCC
            ),
            csr.mtime.eq(self.mtime),
            csr.address.eq(x_insn[20:32]),
            csr.funct3.eq(x_funct3),
            csr.operand.eq(Mux(x_funct3[2], x_insn[15:20], x_a)),
            # csrrw always writes; set and clear with x0 or 0 only read
            csr.write.eq((x_funct3[:2] == 1) | (x_insn[15:20] != 0)),
        ]

        # branches and jumps
        x_condition = Signal()
        x_taken = Signal()
        x_jump = Signal(64)
        with m.Switch(x_funct3[1:]):
            with m.Case(0):
                m.d.comb += x_condition.eq(alu.equal)
            with m.Case(2):
                m.d.comb += x_condition.eq(alu.less)
            with m.Case(3):
                m.d.comb += x_condition.eq(alu.less_unsigned)
        m.d.comb += [
            x_taken.eq((executes(Unit.BRANCH) & (x_condition ^ x_funct3[0])) | executes(Unit.JAL, Unit.JALR)),
            x_jump.eq(Mux(executes(Unit.JALR), alu.result & ~1, x_target)),
        ]

        # exceptions, in falling priority, and what mtval says
        x_memory = executes(Unit.LOAD, Unit.STORE)
        x_exception = Signal()
        x_cause = Signal(4)
        x_tval = Signal(64)
        for condition, cause, tval in (
            (x_fetch_error, Cause.FETCH_ACCESS, x_pc),
            (x_decoded.illegal | (executes(Unit.CSR) & csr.illegal), Cause.ILLEGAL, x_insn),
            (executes(Unit.EBREAK), Cause.BREAKPOINT, x_pc),
            (executes(Unit.ECALL), Cause.ECALL_M, 0),
            (x_taken & x_jump[1], Cause.FETCH_MISALIGNED, x_jump),
            (executes(Unit.LOAD) & store.misaligned, Cause.LOAD_MISALIGNED, alu.result),
            (executes(Unit.STORE) & store.misaligned, Cause.STORE_MISALIGNED, alu.result),
        )[::-1]:
            with m.If(condition):
                m.d.comb += [x_exception.eq(1), x_cause.eq(cause), x_tval.eq(tval)]

        # An interrupt is taken instead of the instruction in X, or of the next one if X is empty (so that also an
        # instruction waiting for a RoCC response is interruptible): before it has any effect, hence not when its
        # request is already on the bus; and after wfi, not instead of it, once wfi has waited.
        x_interrupted = Signal()
        x_trap = Signal()
        x_executes = Signal()
        x_leaves = Signal()
        x_slept = x_valid & executes(Unit.WFI) & x_waiting
        m.d.comb += [
            x_interrupted.eq(csr.interrupt & m_free & ~x_requested & ~x_slept),
            x_trap.eq(x_valid & m_free & ~x_interrupted & x_exception),
            x_executes.eq(x_valid & m_free & ~x_interrupted & ~x_exception),
        ]
        m.d.comb += [
            dbus.req_valid.eq(x_executes & x_memory),
            dbus.req_addr.eq(alu.result),
            dbus.req_write.eq(executes(Unit.STORE)),
            dbus.req_size.eq(x_funct3[:2]),
            dbus.req_data.eq(store.lanes),
            dbus.req_mask.eq(store.mask),
            rocc.cmd.valid.eq(x_executes & executes(Unit.ROCC)),
            rocc.cmd.inst.eq(x_insn),
            rocc.cmd.rs1.eq(x_a),
            rocc.cmd.rs2.eq(x_rs2),
            rocc.cmd.status.eq(csr.status),
            # needs nothing of M, so it may run while M waits
            divider.enable.eq(x_valid & executes(Unit.DIV) & ~x_leaves & ~csr.trap),
        ]
        m.d.sync += [
            x_requested.eq(dbus.req_valid & ~dbus.req_ready),
            x_waiting.eq(x_executes & ~x_leaves),
        ]

        x_done = Signal()
        m.d.comb += [x_done.eq(1), x_leaves.eq(x_executes & x_done)]
        with m.Switch(x_unit):
            with m.Case(Unit.LOAD, Unit.STORE):
                m.d.comb += x_done.eq(dbus.req_ready)
            with m.Case(Unit.DIV):
                m.d.comb += x_done.eq(divider.done)
            with m.Case(Unit.CSR):
                # so that minstret counts every older instruction
                m.d.comb += x_done.eq(~m_valid)
            with m.Case(Unit.ROCC):
                m.d.comb += x_done.eq(rocc.cmd.ready)
            with m.Case(Unit.FENCE):
                m.d.comb += x_done.eq(~rocc.busy)
            with m.Case(Unit.WFI):
                m.d.comb += x_done.eq(csr.wake)

        x_result = Signal(64)
        x_link = Signal(64)
        m.d.comb += [x_result.eq(alu.result), x_link.eq(x_pc + 4)]
        with m.Switch(x_unit):
            with m.Case(Unit.JAL, Unit.JALR):
                m.d.comb += x_result.eq(x_link)
            with m.Case(Unit.DIV):
                m.d.comb += x_result.eq(divider.result)
            with m.Case(Unit.CSR):
                m.d.comb += x_result.eq(csr.rdata)

        x_awaits = executes(Unit.ROCC) & x_funct3[2] & (x_rd != 0)
        with m.If(x_leaves & x_awaits):
            m.d.sync += awaited.bit_select(x_rd, 1).eq(1)
        m.d.comb += [
            multiplier.enable.eq(x_leaves & executes(Unit.MUL)),
            csr.commit.eq(x_leaves & executes(Unit.CSR)),
            csr.mret.eq(x_leaves & executes(Unit.MRET)),
        ]

        # traps and everything else that changes the flow of instructions
        m.d.comb += [
            csr.trap.eq(x_trap | x_interrupted | m_fault),
            csr.epc.eq(Mux(m_fault, m_pc, Mux(x_valid, x_pc, fetch.pc))),
            csr.cause.eq(x_cause),
            csr.tval.eq(x_tval),
        ]
        with m.If(m_fault):
            m.d.comb += [
                csr.cause.eq(Mux(m_load, Cause.LOAD_ACCESS, Cause.STORE_ACCESS)),
                csr.tval.eq(m_address),
            ]
        with m.Elif(x_interrupted):
            m.d.comb += [csr.cause.eq(csr.interrupt_cause), csr.tval.eq(0)]
        m.d.sync += rocc.exception.eq(csr.trap)

        x_next = Signal(64)
        redirect = Signal()
        m.d.comb += x_next.eq(x_link)
        with m.If(csr.trap):
            m.d.comb += x_next.eq(csr.vector)
        with m.Elif(executes(Unit.MRET)):
            m.d.comb += x_next.eq(csr.mepc)
        with m.Elif(x_taken):
            m.d.comb += x_next.eq(x_jump)
        m.d.comb += [
            redirect.eq(csr.trap | (x_leaves & (x_taken | executes(Unit.MRET, Unit.FENCE_I)))),
            fetch.redirect.eq(redirect),
            fetch.target.eq(x_next),
            fetch.flush.eq(x_leaves & executes(Unit.FENCE_I)),
        ]

        # a trapping instruction goes on to M as one without effects, where the trace sees it
        with m.If(x_leaves | x_trap):
            m.d.sync += [
                m_valid.eq(1),
                m_trapped.eq(x_trap),
                m_load.eq(executes(Unit.LOAD)),
                m_memory.eq(x_memory & ~x_trap),
                m_multiply.eq(executes(Unit.MUL)),
                m_uncounted.eq(executes(Unit.CSR) & csr.write & (csr.address == Csr.MINSTRET)),
                m_write_rd.eq(x_decoded.write_rd & ~x_trap),
                m_rd.eq(x_rd),
                m_value.eq(x_result),
                m_pc.eq(x_pc),
                m_address.eq(alu.result),
                m_funct3.eq(x_funct3),
            ]
        with m.If(x_leaves | csr.trap):
            m.d.sync += x_valid.eq(0)

        # ---- D: decode and gather operands
        d_leaves = Signal()
        d = decoder.out
        m.d.comb += decoder.insn.eq(fetch.insn)
        d_rs1, d_rs2, d_rd = fetch.insn[15:20], fetch.insn[20:25], fetch.insn[7:12]
        x_late = executes(Unit.LOAD, Unit.MUL)
        hazards = []
        values = []
        for port, number, used in ((read_1, d_rs1, d.use_rs1), (read_2, d_rs2, d.use_rs2)):
            value = Signal(64, name=f"d_value_{len(values)}")
            hazard = Signal(name=f"d_hazard_{len(values)}")
            from_x = x_valid & x_decoded.write_rd & (x_rd == number)
            from_m = m_valid & m_write_rd & (m_rd == number)
            m.d.comb += [
                port.addr.eq(number),
                value.eq(port.data),
                hazard.eq(used & ((from_x & x_late) | (~from_x & from_m & ~m_done) | awaited.bit_select(number, 1))),
            ]
            with m.If(number == 0):
                m.d.comb += value.eq(0)
            with m.Elif(from_x):
                m.d.comb += value.eq(x_result)
            with m.Elif(from_m):
                m.d.comb += value.eq(m_result)
            hazards.append(hazard)
            # an operand that is not used reads as 0, for the RoCC port and the trace
            values.append(Mux(used, value, 0))
        # a register that a response will write may be neither read nor written before
        d_responds = (d.unit == Unit.ROCC) & fetch.insn[14]
        d_touches = Cat(d.use_rs1 & (d_rs1 == x_rd), d.use_rs2 & (d_rs2 == x_rd), d_rd == x_rd).any()
        hazards.append(x_valid & x_awaits & d_touches)
        hazards.append((d.write_rd | d_responds) & awaited.bit_select(d_rd, 1))
        m.d.comb += [
            fetch.ready.eq((~x_valid | x_leaves) & ~Cat(hazards).any() & ~redirect),
            d_leaves.eq(fetch.valid & fetch.ready),
        ]
        with m.If(d_leaves):
            m.d.sync += [
                x_valid.eq(1),
                x_pc.eq(fetch.pc),
                x_insn.eq(fetch.insn),
                x_fetch_error.eq(fetch.error),
                x_decoded.eq(d),
                x_a.eq(Mux(d.a_pc, fetch.pc, values[0])),
                x_b.eq(Mux(d.b_rs2, values[1], d.immediate)),
                x_rs2.eq(values[1]),
                x_target.eq(fetch.pc + d.immediate),
            ]

        if self.cfg.rvfi:
            m.submodules.tracer = tracer = Tracer()
            m.d.comb += [
                tracer.enter_handler.eq(csr.trap),
                tracer.cause.eq(csr.cause),
                tracer.tval.eq(csr.tval),
                tracer.next_pc.eq(x_next),
                tracer.x_start.eq(x_leaves | x_trap),
                tracer.x_trap.eq(x_trap),
                # what came with a fetch error is no instruction
                tracer.x_insn.eq(Mux(x_fetch_error, 0, x_insn)),
                tracer.x_pc.eq(x_pc),
                tracer.x_rs1_addr.eq(Mux(x_decoded.use_rs1, x_insn[15:20], 0)),
                tracer.x_rs2_addr.eq(Mux(x_decoded.use_rs2, x_insn[20:25], 0)),
                tracer.x_rs1_rdata.eq(Mux(x_decoded.use_rs1, x_a, 0)),
                tracer.x_rs2_rdata.eq(x_rs2),
                tracer.x_mem_addr.eq(alu.result),
                tracer.x_mem_mask.eq(store.mask),
                tracer.x_mem_wdata.eq(store.lanes),
                tracer.x_load.eq(executes(Unit.LOAD)),
                tracer.x_store.eq(executes(Unit.STORE)),
                tracer.x_csr.eq(executes(Unit.CSR)),
                tracer.x_csr_write.eq(csr.write),
                tracer.x_csr_rdata.eq(csr.rdata),
                tracer.x_csr_wdata.eq(csr.wdata),
                tracer.m_finish.eq(m_done),
                tracer.m_fault.eq(m_fault),
                tracer.m_rd_addr.eq(Mux(m_writes, m_rd, 0)),
                tracer.m_rd_wdata.eq(Mux(m_writes, m_result, 0)),
                tracer.m_mem_rdata.eq(dbus.resp_data),
            ]
            m.d.comb += [getattr(self, f"rvfi_{name}").eq(getattr(tracer, name)) for name in RVFI_FIELDS]
        return m
