"""RVFI, the trace port of the RISC-V formal interface: one record per retired or trapping instruction.

Names and meanings are riscv-formal's (NRET 1, ILEN 32, XLEN 64) with RISCV_FORMAL_ALIGNED_MEM, as misaligned accesses
trap: ``mem_addr`` is a multiple of 8, masks and data are the lanes of the word there; lanes beside the mask mean
nothing. A trapping instruction appears with ``trap`` and without effects, its ``pc_wdata`` the trap vector; the first
instruction of a handler has ``intr``.
The value of a RoCC response is written outside the record of its instruction.
"""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out, Signature

from hdl.common.component import Component
from hdl.core.csr_file import Csr

__all__ = ["RVFI_FIELDS", "ExecutedSignature", "FinishedSignature", "Tracer"]

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


class ExecutedSignature(Signature):
    """What X tells the tracer.

    ``start``: an instruction goes on to M, ``trap``: without effects. ``insn``, ``pc`` (bytes), ``rs1_``, ``rs2_``: its
    own, registers that it does not read 0; ``mem_addr`` (bytes), ``mem_mask``, ``mem_wdata``: its access's lanes;
    ``load``, ``store``, ``csr``: what it is; ``csr_write``, ``csr_rdata``, ``csr_wdata``: its CSR access.
    ``enter_handler``: control goes to the trap vector in this cycle, for ``cause`` and ``tval``; ``next_pc`` is where
    it goes in any case.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "enter_handler": Out(1),
                "cause": Out(64),
                "tval": Out(64),
                "next_pc": Out(64),
                "start": Out(1),
                "trap": Out(1),
                "insn": Out(32),
                "pc": Out(64),
                "rs1_addr": Out(5),
                "rs2_addr": Out(5),
                "rs1_rdata": Out(64),
                "rs2_rdata": Out(64),
                "mem_addr": Out(64),
                "mem_mask": Out(8),
                "mem_wdata": Out(64),
                "load": Out(1),
                "store": Out(1),
                "csr": Out(1),
                "csr_write": Out(1),
                "csr_rdata": Out(64),
                "csr_wdata": Out(64),
            }
        )


class FinishedSignature(Signature):
    """What M tells the tracer.

    ``finish``: the instruction leaves M; ``fault``: by an access fault. ``rd_addr``, ``rd_wdata``: what it writes, 0
    if nothing; ``mem_rdata``: the lanes of the word that memory answered.
    """

    def __init__(self) -> None:
        super().__init__(
            {"finish": Out(1), "fault": Out(1), "rd_addr": Out(5), "rd_wdata": Out(64), "mem_rdata": Out(64)}
        )


MCAUSE_BITS = 1 << 63 | 0x3F


class RvfiSignature(Signature):
    """A record of the trace, valid for one cycle: RVFI_FIELDS."""

    def __init__(self) -> None:
        super().__init__({name: Out(width) for name, width in RVFI_FIELDS.items()})


class Tracer(Component):
    """Collects a record in two steps, from ``x`` and from ``m``, and emits it at ``rvfi`` one cycle later."""

    def __init__(self) -> None:
        super().__init__({"x": In(ExecutedSignature()), "m": In(FinishedSignature()), "rvfi": Out(RvfiSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rvfi = self.rvfi
        # fields that are known when the instruction enters its last stage
        held = {name: Signal(width, name=f"held_{name}") for name, width in RVFI_FIELDS.items()}
        handler = Signal()
        order = Signal(64)
        with m.If(self.x.start):
            m.d.sync += handler.eq(0)
        with m.If(self.x.enter_handler):
            m.d.sync += handler.eq(1)

        loads = self.x.load & ~self.x.trap
        stores = self.x.store & ~self.x.trap
        word = Cat(C(0, 3), self.x.mem_addr[3:])
        with m.If(self.x.start):
            m.d.sync += [
                held["insn"].eq(self.x.insn),
                held["trap"].eq(self.x.trap),
                held["intr"].eq(handler),
                held["rs1_addr"].eq(self.x.rs1_addr),
                held["rs2_addr"].eq(self.x.rs2_addr),
                held["rs1_rdata"].eq(self.x.rs1_rdata),
                held["rs2_rdata"].eq(self.x.rs2_rdata),
                held["pc_rdata"].eq(self.x.pc),
                held["pc_wdata"].eq(self.x.next_pc),
                held["mem_addr"].eq(Mux(loads | stores, word, 0)),
                held["mem_rmask"].eq(Mux(loads, self.x.mem_mask, 0)),
                held["mem_wmask"].eq(Mux(stores, self.x.mem_mask, 0)),
                held["mem_wdata"].eq(Mux(stores, self.x.mem_wdata, 0)),
            ]
            for name, address, bits, value in (
                ("mcause", Csr.MCAUSE, MCAUSE_BITS, self.x.cause),
                ("mtval", Csr.MTVAL, (1 << 64) - 1, self.x.tval),
            ):
                mine = Signal(name=f"{name}_accessed")
                written = Signal(name=f"{name}_written")
                m.d.comb += [
                    mine.eq(self.x.csr & ~self.x.trap & (self.x.insn[20:32] == address)),
                    written.eq((mine & self.x.csr_write) | self.x.trap),
                ]
                m.d.sync += [
                    held[f"csr_{name}_rmask"].eq(mine.replicate(64)),
                    held[f"csr_{name}_rdata"].eq(Mux(mine, self.x.csr_rdata, 0)),
                    held[f"csr_{name}_wmask"].eq(written.replicate(64)),
                    held[f"csr_{name}_wdata"].eq(Mux(self.x.trap, value, Mux(mine, self.x.csr_wdata & bits, 0))),
                ]

        constants = {"halt": 0, "mode": 3, "ixl": 2}
        m.d.sync += rvfi.valid.eq(self.m.finish)
        with m.If(self.m.finish):
            m.d.sync += [getattr(rvfi, name).eq(signal) for name, signal in held.items() if name not in constants]
            m.d.sync += [
                order.eq(order + 1),
                rvfi.order.eq(order),
                rvfi.valid.eq(1),
                rvfi.rd_addr.eq(self.m.rd_addr),
                rvfi.rd_wdata.eq(self.m.rd_wdata),
                rvfi.mem_rdata.eq(Mux(held["mem_rmask"].any(), self.m.mem_rdata, 0)),
            ]
            with m.If(self.m.fault):
                m.d.sync += [
                    rvfi.trap.eq(1),
                    rvfi.pc_wdata.eq(self.x.next_pc),
                    Cat(rvfi.mem_addr, rvfi.mem_rmask, rvfi.mem_wmask, rvfi.mem_rdata, rvfi.mem_wdata).eq(0),
                    Cat(rvfi.csr_mcause_wmask, rvfi.csr_mtval_wmask).eq(C((1 << 128) - 1, 128)),
                    rvfi.csr_mcause_wdata.eq(self.x.cause),
                    rvfi.csr_mtval_wdata.eq(self.x.tval),
                ]
        m.d.comb += [getattr(rvfi, name).eq(value) for name, value in constants.items()]
        return m
