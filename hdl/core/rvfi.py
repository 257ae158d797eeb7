"""RVFI, the trace port of the RISC-V formal interface: one record per retired or trapping instruction.

Names and meanings are riscv-formal's (NRET 1, ILEN 32, XLEN 64) with RISCV_FORMAL_ALIGNED_MEM, as misaligned accesses
trap: ``mem_addr`` is a multiple of 8, masks and data are the lanes of the word there; lanes beside the mask mean
nothing. A trapping instruction appears with ``trap`` and without effects, its ``pc_wdata`` the trap vector; the first
instruction of a handler has ``intr``.
The value of a RoCC response is written outside the record of its instruction.
"""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.core.csr import Csr

__all__ = ["RVFI_FIELDS", "Tracer"]

RVFI_FIELDS: dict[str, int] = {
    "valid": 1,
    "order": 64,
    "insn": 32,
    "trap": 1,
    "halt": 1,
    "intr": 1,
    "mode": 2,
    "ixl": 2,
    "rs1_addr": 5,
    "rs2_addr": 5,
    "rs1_rdata": 64,
    "rs2_rdata": 64,
    "rd_addr": 5,
    "rd_wdata": 64,
    "pc_rdata": 64,
    "pc_wdata": 64,
    "mem_addr": 64,
    "mem_rmask": 8,
    "mem_wmask": 8,
    "mem_rdata": 64,
    "mem_wdata": 64,
    # changed by traps and by CSR instructions, so that a trace can name the reason of a trap
    "csr_mcause_rmask": 64,
    "csr_mcause_wmask": 64,
    "csr_mcause_rdata": 64,
    "csr_mcause_wdata": 64,
    "csr_mtval_rmask": 64,
    "csr_mtval_wmask": 64,
    "csr_mtval_rdata": 64,
    "csr_mtval_wdata": 64,
}
"""Width in bits of each ``rvfi_`` port."""

_INPUTS: dict[str, int] = {
    "enter_handler": 1,
    "cause": 64,
    "tval": 64,
    "next_pc": 64,
    "x_start": 1,
    "x_trap": 1,
    "x_insn": 32,
    "x_pc": 64,
    "x_rs1_addr": 5,
    "x_rs2_addr": 5,
    "x_rs1_rdata": 64,
    "x_rs2_rdata": 64,
    "x_mem_addr": 64,
    "x_mem_mask": 8,
    "x_mem_wdata": 64,
    "x_load": 1,
    "x_store": 1,
    "x_csr": 1,
    "x_csr_write": 1,
    "x_csr_rdata": 64,
    "x_csr_wdata": 64,
    "m_finish": 1,
    "m_fault": 1,
    "m_rd_addr": 5,
    "m_rd_wdata": 64,
    "m_mem_rdata": 64,
}

MCAUSE_BITS = 1 << 63 | 0x3F


class Tracer(wiring.Component):
    """Collects a record in two steps and emits it, as outputs named like RVFI_FIELDS, one cycle later.

    ``x_start``: the instruction described by the other ``x_`` inputs enters its last stage. ``m_finish``: it leaves it,
    described by the ``m_`` inputs; ``m_fault``: it traps there. ``enter_handler``: control goes to the trap vector in
    this cycle, for ``cause`` and ``tval``; ``next_pc`` is where it goes in any case.
    """

    def __init__(self) -> None:
        super().__init__(
            {name: In(width) for name, width in _INPUTS.items()}
            | {name: Out(width) for name, width in RVFI_FIELDS.items()}
        )

    def elaborate(self, platform):
        m = Module()
        # fields that are known when the instruction enters its last stage
        held = {name: Signal(width, name=f"held_{name}") for name, width in RVFI_FIELDS.items()}
        handler = Signal()
        order = Signal(64)
        with m.If(self.x_start):
            m.d.sync += handler.eq(0)
        with m.If(self.enter_handler):
            m.d.sync += handler.eq(1)

        loads = self.x_load & ~self.x_trap
        stores = self.x_store & ~self.x_trap
        word = Cat(C(0, 3), self.x_mem_addr[3:])
        with m.If(self.x_start):
            m.d.sync += [
                held["insn"].eq(self.x_insn),
                held["trap"].eq(self.x_trap),
                held["intr"].eq(handler),
                held["rs1_addr"].eq(self.x_rs1_addr),
                held["rs2_addr"].eq(self.x_rs2_addr),
                held["rs1_rdata"].eq(self.x_rs1_rdata),
                held["rs2_rdata"].eq(self.x_rs2_rdata),
                held["pc_rdata"].eq(self.x_pc),
                held["pc_wdata"].eq(self.next_pc),
                held["mem_addr"].eq(Mux(loads | stores, word, 0)),
                held["mem_rmask"].eq(Mux(loads, self.x_mem_mask, 0)),
                held["mem_wmask"].eq(Mux(stores, self.x_mem_mask, 0)),
                held["mem_wdata"].eq(Mux(stores, self.x_mem_wdata, 0)),
            ]
            for name, address, bits, value in (
                ("mcause", Csr.MCAUSE, MCAUSE_BITS, self.cause),
                ("mtval", Csr.MTVAL, (1 << 64) - 1, self.tval),
            ):
                mine = Signal(name=f"{name}_accessed")
                written = Signal(name=f"{name}_written")
                m.d.comb += [
                    mine.eq(self.x_csr & ~self.x_trap & (self.x_insn[20:32] == address)),
                    written.eq((mine & self.x_csr_write) | self.x_trap),
                ]
                m.d.sync += [
                    held[f"csr_{name}_rmask"].eq(mine.replicate(64)),
                    held[f"csr_{name}_rdata"].eq(Mux(mine, self.x_csr_rdata, 0)),
                    held[f"csr_{name}_wmask"].eq(written.replicate(64)),
                    held[f"csr_{name}_wdata"].eq(Mux(self.x_trap, value, Mux(mine, self.x_csr_wdata & bits, 0))),
                ]

        constants = {"halt": 0, "mode": 3, "ixl": 2}
        m.d.sync += self.valid.eq(self.m_finish)
        with m.If(self.m_finish):
            m.d.sync += [getattr(self, name).eq(signal) for name, signal in held.items() if name not in constants]
            m.d.sync += [
                order.eq(order + 1),
                self.order.eq(order),
                self.valid.eq(1),
                self.rd_addr.eq(self.m_rd_addr),
                self.rd_wdata.eq(self.m_rd_wdata),
                self.mem_rdata.eq(Mux(held["mem_rmask"].any(), self.m_mem_rdata, 0)),
            ]
            with m.If(self.m_fault):
                m.d.sync += [
                    self.trap.eq(1),
                    self.pc_wdata.eq(self.next_pc),
                    Cat(self.mem_addr, self.mem_rmask, self.mem_wmask, self.mem_rdata, self.mem_wdata).eq(0),
                    Cat(self.csr_mcause_wmask, self.csr_mtval_wmask).eq(C((1 << 128) - 1, 128)),
                    self.csr_mcause_wdata.eq(self.cause),
                    self.csr_mtval_wdata.eq(self.tval),
                ]
        m.d.comb += [getattr(self, name).eq(value) for name, value in constants.items()]
        return m
