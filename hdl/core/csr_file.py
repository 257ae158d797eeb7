"""Control and status registers of a machine-mode-only hart, interrupts and the target of traps.

Without user and supervisor mode their registers (medeleg, mcounteren, satp, ...) do not exist: access is illegal.
Fields without a function read as constants: mstatus.MPP 3, XS 3 (the RoCC port is always on), FS 0, MPRV 0.
"""

from collections.abc import Mapping
from typing import Any

from amaranth import C, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component

__all__ = ["Cause", "Csr", "CsrFile", "Interrupt"]


class Csr(enum.IntEnum):
    """Addresses."""

    MSTATUS = 0x300
    MISA = 0x301
    MIE = 0x304
    MTVEC = 0x305
    MCOUNTINHIBIT = 0x320
    MHPMEVENT3 = 0x323
    MSCRATCH = 0x340
    MEPC = 0x341
    MCAUSE = 0x342
    MTVAL = 0x343
    MIP = 0x344
    PMPCFG0 = 0x3A0
    PMPADDR0 = 0x3B0
    TSELECT = 0x7A0
    MCYCLE = 0xB00
    MINSTRET = 0xB02
    MHPMCOUNTER3 = 0xB03
    CYCLE = 0xC00
    TIME = 0xC01
    INSTRET = 0xC02
    MVENDORID = 0xF11
    MARCHID = 0xF12
    MIMPID = 0xF13
    MHARTID = 0xF14
    MCONFIGPTR = 0xF15


class Cause(enum.IntEnum):
    """mcause of exceptions."""

    FETCH_MISALIGNED = 0
    FETCH_ACCESS = 1
    ILLEGAL = 2
    BREAKPOINT = 3
    LOAD_MISALIGNED = 4
    LOAD_ACCESS = 5
    STORE_MISALIGNED = 6
    STORE_ACCESS = 7
    ECALL_M = 11


class Interrupt(enum.IntEnum):
    """Bit of mie and mip, and mcause, of each interrupt."""

    SOFTWARE = 3
    TIMER = 7
    EXTERNAL = 11
    ROCC = 12


PRIORITY = (Interrupt.ROCC, Interrupt.EXTERNAL, Interrupt.SOFTWARE, Interrupt.TIMER)
"""Highest first: local interrupts before the standard ones, as Rocket has it."""

MISA = 2 << 62 | 1 << (ord("I") - ord("A")) | 1 << (ord("M") - ord("A"))
EVENT_COUNTERS = 29


class CsrFile(Component):
    """Access in one cycle: ``rdata`` and ``illegal`` follow ``address`` and ``write``; ``commit`` does the write.

    ``funct3`` is the instruction's: bits 1:0 write 1, set 2, clear 3, each with ``operand``; ``wdata`` is what the
    register gets, before fields that cannot change. ``write`` is low for csrrs/csrrc with x0, which only read.
    ``trap`` stores ``cause`` (bit 63 as in mcause), ``epc`` and ``tval``; ``vector`` is where it goes; ``base``,
    whatever ``cause`` is, where exceptions go. ``mret`` undoes what it did to mstatus; ``mepc`` is where it goes.
    ``status``: mstatus. ``retired`` counts minstret, except in a cycle in which that register is written. ``mtime``:
    what the time CSR reads.
    ``lines``: interrupt lines by their bits of mip. ``wake``: an interrupt enabled in mie is pending; ``interrupt``:
    and mstatus.MIE is set; ``interrupt_cause``: mcause of the one of highest priority.
    """

    def __init__(self, hart_id: int) -> None:
        self._hart_id = hart_id
        super().__init__(
            {
                "address": In(12),
                "funct3": In(3),
                "operand": In(64),
                "write": In(1),
                "commit": In(1),
                "rdata": Out(64),
                "wdata": Out(64),
                "illegal": Out(1),
                "trap": In(1),
                "cause": In(64),
                "epc": In(64),
                "tval": In(64),
                "vector": Out(64),
                "base": Out(64),
                "mret": In(1),
                "mepc": Out(64),
                "retired": In(1),
                "status": Out(64),
                "lines": In(64),
                "mtime": In(64),
                "interrupt": Out(1),
                "wake": Out(1),
                "interrupt_cause": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mie_bit = Signal()
        mpie_bit = Signal()
        enables = {i: Signal(name=f"mie_{i.name.lower()}") for i in Interrupt}
        pending = {i: Signal(name=f"mip_{i.name.lower()}") for i in Interrupt}
        # base and mode; the mode is 0, direct, or 1, vectored
        mtvec = Signal(64)
        mscratch = Signal(64)
        mtval = Signal(64)
        mepc = Signal(62)
        cause_interrupt = Signal()
        cause_code = Signal(6)
        mcycle = Signal(64)
        minstret = Signal(64)
        inhibit_cycle = Signal()
        inhibit_instret = Signal()
        # Without a lock bit, and without user mode, an entry of physical memory protection restricts nothing.
        pmp_mode = Signal(5)
        pmp_address = Signal(54)

        def at(fields: dict) -> Signal:
            """A register made of the signals at these bit numbers, other bits 0."""
            value = Signal(64)
            for position, field in fields.items():
                m.d.comb += value[position : position + len(field)].eq(field)
            return value

        m.d.comb += [
            self.status.eq(at({3: mie_bit, 7: mpie_bit, 11: C(3, 2), 15: C(3, 2), 63: C(1, 1)})),
            self.mepc.eq(Cat(C(0, 2), mepc)),
        ]
        mie, mip = at(dict(enables.items())), at(dict(pending.items()))
        for line, signal in pending.items():
            m.d.sync += signal.eq(self.lines[line])

        # what a write may change, beside what a read gives; nothing: writes are ignored
        registers: dict[Csr, tuple[Value, Mapping[Any, Value]]] = {
            Csr.MSTATUS: (self.status, {3: mie_bit, 7: mpie_bit}),
            Csr.MISA: (Const(MISA, 64), {}),
            Csr.MIE: (mie, enables),
            Csr.MTVEC: (mtvec, {0: mtvec[0], 2: mtvec[2:]}),
            Csr.MCOUNTINHIBIT: (
                at({0: inhibit_cycle, 2: inhibit_instret}),
                {0: inhibit_cycle, 2: inhibit_instret},
            ),
            Csr.MSCRATCH: (mscratch, {0: mscratch}),
            Csr.MEPC: (self.mepc, {2: mepc}),
            Csr.MCAUSE: (at({0: cause_code, 63: cause_interrupt}), {0: cause_code, 63: cause_interrupt}),
            Csr.MTVAL: (mtval, {0: mtval}),
            Csr.MIP: (mip, {}),
            Csr.PMPCFG0: (at({0: pmp_mode}), {0: pmp_mode}),
            Csr.PMPADDR0: (at({0: pmp_address}), {0: pmp_address}),
            Csr.MCYCLE: (mcycle, {0: mcycle}),
            Csr.MINSTRET: (minstret, {0: minstret}),
            Csr.CYCLE: (mcycle, {}),
            Csr.TIME: (self.mtime, {}),
            Csr.INSTRET: (minstret, {}),
            Csr.MHARTID: (Const(self._hart_id, 64), {}),
        }
        zeros = [
            Csr.MVENDORID,
            Csr.MARCHID,
            Csr.MIMPID,
            Csr.MCONFIGPTR,
            Csr.PMPCFG0 + 2,
            *range(Csr.PMPADDR0 + 1, Csr.PMPADDR0 + 16),
            # no triggers: tselect holds nothing, and tdata1 says that there is none
            *range(Csr.TSELECT, Csr.TSELECT + 4),
            *range(Csr.MHPMCOUNTER3, Csr.MHPMCOUNTER3 + EVENT_COUNTERS),
            *range(Csr.MHPMEVENT3, Csr.MHPMEVENT3 + EVENT_COUNTERS),
        ]

        known = Signal()
        operand = Signal(64)
        m.d.comb += [
            operand.eq(self.operand),
            # addresses 0xC00 and above are read-only
            self.illegal.eq(~known | (self.write & (self.address[10:12] == 3))),
        ]
        with m.Switch(self.funct3[:2]):
            with m.Case(2):
                m.d.comb += self.wdata.eq(self.rdata | operand)
            with m.Case(3):
                m.d.comb += self.wdata.eq(self.rdata & ~operand)
            with m.Default():
                m.d.comb += self.wdata.eq(operand)

        m.d.sync += mcycle.eq(mcycle + ~inhibit_cycle)
        with m.If(self.retired & ~inhibit_instret):
            m.d.sync += minstret.eq(minstret + 1)
        with m.Switch(self.address):
            for address, (value, fields) in registers.items():
                with m.Case(address):
                    m.d.comb += [known.eq(1), self.rdata.eq(value)]
                    with m.If(self.commit & self.write):
                        for position, field in fields.items():
                            m.d.sync += field.eq(self.wdata[position : position + len(field)])
            with m.Case(*zeros):
                m.d.comb += known.eq(1)

        with m.If(self.trap):
            m.d.sync += [
                mpie_bit.eq(mie_bit),
                mie_bit.eq(0),
                mepc.eq(self.epc[2:]),
                cause_interrupt.eq(self.cause[63]),
                cause_code.eq(self.cause[:6]),
                mtval.eq(self.tval),
            ]
        with m.Elif(self.mret):
            m.d.sync += [mie_bit.eq(mpie_bit), mpie_bit.eq(1)]

        m.d.comb += [
            self.base.eq(Cat(C(0, 2), mtvec[2:])),
            self.vector.eq(self.base + Mux(mtvec[0] & self.cause[63], self.cause[:6] << 2, 0)),
        ]

        for line in reversed(PRIORITY):
            with m.If(enables[line] & pending[line]):
                m.d.comb += self.interrupt_cause.eq(1 << 63 | line)
        m.d.comb += [self.wake.eq((mie & mip).any()), self.interrupt.eq(self.wake & mie_bit)]
        return m
