"""The core's side of the address map: RAM behind a port, the machine timer, and errors everywhere else."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.bus import DataBusSignature

__all__ = ["MTIME", "MTIMECMP", "DataRouter"]

MTIMECMP = 0x0200_4000
MTIME = 0x0200_BFF8


class DataRouter(Component):
    """Takes the core's loads and stores (``cpu``) and sends those to ``memory`` on to ``ram``.

    Parameters:
        memory: the bytes that exist behind ``ram``.

    ``ram`` follows the same contract, but for ``req_valid``, which depends on former cycles only. ``mtime`` counts
    clock cycles; ``timer`` is high while it is at least mtimecmp. Both are 64-bit words, 0 after reset.
    """

    def __init__(self, memory: range) -> None:
        self.memory = memory
        super().__init__(
            {"cpu": In(DataBusSignature()), "ram": Out(DataBusSignature()), "mtime": Out(64), "timer": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cpu, ram = self.cpu, self.ram
        mtimecmp = Signal(64)
        m.d.sync += self.mtime.eq(self.mtime + 1)
        m.d.comb += self.timer.eq(self.mtime >= mtimecmp)

        pending = Signal()
        accepted = Signal()
        here = Signal()
        here_data = Signal(64)
        here_error = Signal()
        m.d.comb += [
            cpu.req_ready.eq(~pending | cpu.resp_valid),
            accepted.eq(cpu.req_valid & cpu.req_ready),
            cpu.resp_valid.eq(here | ram.resp_valid),
            cpu.resp_data.eq(Mux(here, here_data, ram.resp_data)),
            cpu.resp_error.eq(Mux(here, here_error, ram.resp_error)),
        ]
        m.d.sync += here.eq(0)
        with m.If(cpu.resp_valid):
            m.d.sync += pending.eq(0)
        with m.If(ram.req_ready):
            m.d.sync += ram.req_valid.eq(0)
        with m.If(accepted):
            m.d.sync += pending.eq(1)
            with m.If((cpu.req_addr >= self.memory.start) & (cpu.req_addr < self.memory.stop)):
                m.d.sync += [
                    ram.req_valid.eq(1),
                    ram.req_addr.eq(cpu.req_addr),
                    ram.req_write.eq(cpu.req_write),
                    ram.req_size.eq(cpu.req_size),
                    ram.req_data.eq(cpu.req_data),
                    ram.req_mask.eq(cpu.req_mask),
                ]
            with m.Else():
                m.d.sync += [here.eq(1), here_error.eq(1)]
        strobes = Cat(cpu.req_mask[i].replicate(8) for i in range(8))
        for address, register in ((MTIME, self.mtime), (MTIMECMP, mtimecmp)):
            with m.If(accepted & (cpu.req_addr[3:] == address >> 3)):
                m.d.sync += [here_error.eq(0), here_data.eq(register)]
                with m.If(cpu.req_write):
                    m.d.sync += register.eq((register & ~strobes) | (cpu.req_data & strobes))
        return m
