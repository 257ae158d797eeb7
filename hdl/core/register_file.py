"""The register file, and which of its registers wait for a coprocessor."""

from typing import Any

from amaranth import Module, Mux
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.pipeline import WriteSignature
from hdl.rocc import ResponseSignature

__all__ = ["RegisterFile"]


class RegisterFile(Component):
    """x1 to x31, two read ports and one write port.

    ``rs1``, ``rs2``: numbers; ``value_1``, ``value_2``: what these registers held before this cycle's write, in the
    same cycle; of x0 they mean nothing. ``write``: from the pipeline, never refused. ``resp``: RoCC responses, taken in
    cycles without a ``write``; one for x0 is dropped. ``expect``: a response for register ``expect_rd`` will come;
    ``awaited``: bit n is high from then on until the response for register n is taken.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "rs1": In(5),
                "rs2": In(5),
                "value_1": Out(64),
                "value_2": Out(64),
                "write": In(WriteSignature()),
                "resp": In(ResponseSignature()),
                "expect": In(1),
                "expect_rd": In(5),
                "awaited": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        registers: Any = memory.Memory(shape=64, depth=32, init=[])
        m.submodules.registers = registers
        for number, value in ((self.rs1, self.value_1), (self.rs2, self.value_2)):
            read = registers.read_port(domain="comb")
            m.d.comb += [read.addr.eq(number), value.eq(read.data)]
        port = registers.write_port()
        write, resp = self.write, self.resp
        m.d.comb += [
            resp.ready.eq(~write.en),
            port.en.eq(write.en | (resp.valid & (resp.rd != 0))),
            port.addr.eq(Mux(write.en, write.rd, resp.rd)),
            port.data.eq(Mux(write.en, write.value, resp.data)),
        ]
        with m.If(resp.valid & resp.ready):
            m.d.sync += self.awaited.bit_select(resp.rd, 1).eq(0)
        with m.If(self.expect):
            m.d.sync += self.awaited.bit_select(self.expect_rd, 1).eq(1)
        return m
