"""The accelerator with its AXI4 port as an engine of jobs in pysim; the memory behind the port is the job's."""

from dataclasses import replace
from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from golden.config import RAM_BASE, AcceleratorConfig
from hdl.accelerator.top import Accelerator
from sim.host.accelerator import RESET_CYCLES, Drive, Host, Sample
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Console, Design, Progress
from sim.protocol.timing import AxiTiming
from tests.hdl.axi_bench import AxiBench

MEMORY = range(RAM_BASE, RAM_BASE + 2**31)
_COMMANDS = tuple(name for name in Drive.__dataclass_fields__ if not name.startswith("mem__"))


class AxiEngine:
    """``timing`` takes the place of the job's. Violations of the port are those of the outcome.

    Attributes:
        read_beats, write_beats, most_read_bursts: of the last job, as the checker counted them.
    """

    name = "pysim, AXI4"

    def __init__(self, timing: AxiTiming) -> None:
        self.timing = timing
        self.read_beats = self.write_beats = self.most_read_bursts = 0

    def missing(self) -> str | None:
        return None

    def verilog_sha256(self, design: Design) -> str:
        return ""

    def run(
        self, design: Design, job: AcceleratorJob, progress: Progress | None = None, console: Console | None = None
    ) -> Outcome:
        assert isinstance(design.config, AcceleratorConfig)
        dut = Accelerator(design.config, axi_memory=MEMORY)
        host = Host(replace(job, segments=()), design.config.tag_bits)
        top = Module()
        domain: Any = ClockDomain("sync")
        top.domains.sync = domain
        top.submodules.dut = dut
        ports: Any = {"__".join(map(str, path)): value for path, _, value in dut.signature.flatten(dut)}
        found: list[AxiBench] = []

        async def bench(ctx: Any) -> None:
            def get(name: str) -> int:
                return int(ctx.get(ports[name]))

            def drive(inputs: Drive) -> None:
                for name in _COMMANDS:
                    ctx.set(ports[name], int(getattr(inputs, name)))

            port = AxiBench(ctx, dut.axi, job.segments, self.timing)
            found.append(port)
            drive(host.idle)
            ctx.set(domain.rst, 1)
            for _ in range(RESET_CYCLES):
                await ctx.tick()
            ctx.set(domain.rst, 0)
            while True:
                port.drive()
                drive(host.drive())
                wires = port.sample()
                sample = Sample(get("cmd__ready"), get("resp__valid"), 0, get("busy"), get("interrupt"))
                sample.resp__rd, sample.resp__data = get("resp__rd"), get("resp__data")
                if not sample.busy:
                    assert port.checker.idle and not (wires["arvalid"] or wires["awvalid"] or wires["wvalid"])
                if host.sample(sample):
                    break
                await ctx.tick()

        simulator = Simulator(top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        (port,) = found
        checker = port.checker
        self.read_beats, self.write_beats = checker.read_beats, checker.write_beats
        self.most_read_bursts = checker.most_read_bursts
        outcome = host.outcome()
        return replace(
            outcome,
            memory=port.image.contents(),
            violations=[*outcome.violations, *port.violations, *checker.violations],
        )
