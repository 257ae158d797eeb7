"""A master on the SoC's AXI4 port that does what it is told in each cycle, right or wrong."""

from dataclasses import dataclass

from amaranth import Module, Signal
from amaranth.lib.wiring import Out

from golden.config import SocConfig
from hdl.axi4 import FIXED, Axi4Signature
from hdl.common.component import Component


@dataclass(frozen=True)
class FakeMasterConfig(SocConfig):
    """``scripts``: for each case the wires, FIXED apart, that are not 0, in each cycle from the start."""

    scripts: tuple[tuple[tuple[tuple[str, int], ...], ...], ...] = ()


class FakeMaster(Component):
    """Loads the number of the case from the beginning of RAM, by the rules, then starts."""

    def __init__(self, config: FakeMasterConfig) -> None:
        self.config = config
        axi = Axi4Signature(config.addr_bits, config.accelerator.tag_bits + 1)
        super().__init__({"axi": Out(axi), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        asked = Signal()
        started = Signal()
        case = Signal(8)
        cycle = Signal(16)
        m.d.comb += [getattr(axi, name).eq(value) for name, value in FIXED.items()]
        m.d.comb += [axi.arvalid.eq(~asked), axi.araddr.eq(self.config.ram.start)]
        with m.If(axi.arready):
            m.d.sync += asked.eq(1)
        with m.If(~started & axi.rvalid):
            m.d.sync += [case.eq(axi.rdata), started.eq(1)]
        with m.If(started):
            m.d.comb += axi.araddr.eq(0)
            m.d.sync += cycle.eq(cycle + 1)
            with m.Switch(case):
                for number, script in enumerate(self.config.scripts):
                    with m.Case(number), m.Switch(cycle):
                        for at, wires in enumerate(script):
                            with m.Case(at):
                                m.d.comb += [getattr(axi, name).eq(value) for name, value in wires]
        return m
