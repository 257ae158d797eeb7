"""The SoC in Amaranth's own simulator, for small programs."""

from typing import Any

from amaranth.hdl import ClockDomain, Module

from sim.engines import designs
from sim.engines.build_cache import verilog_sha256
from sim.engines.pysim.accelerator import run_cycles, simulate
from sim.host.soc import CONTROLS, IDLE, PAYLOADS, RETIRED, SocHost
from sim.protocol.base import Console, Design, Progress
from sim.protocol.soc import SocJob, SocOutcome, config_of


class PysimSoc:
    """Some thousand cycles a second; a waveform covers the whole run, not only its window."""

    name = "pysim"

    def missing(self) -> str | None:
        return None

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        config = config_of(design)
        host = SocHost(job, config, progress, console)
        top: Any = designs.elaborate(design)
        bench_top = Module()
        # a domain of our own, for its reset
        bench_top.domains.sync = domain = ClockDomain("sync")
        bench_top.submodules.soc = top

        async def bench(ctx: Any) -> None:
            driven: dict[str, int] = {}

            def drive(wires: dict[str, int]) -> None:
                for name, value in wires.items():
                    if driven.get(name) != value:
                        ctx.set(getattr(top.axi, name), value)
                        driven[name] = value

            def sample() -> dict[str, int]:
                wires = {name: int(ctx.get(getattr(top.axi, name))) for name in CONTROLS}
                for channel in ("aw", "w", "ar"):
                    if wires[f"{channel}valid"]:
                        wires |= {name: int(ctx.get(getattr(top.axi, name))) for name in PAYLOADS[channel]}
                return wires

            def retired() -> dict[str, int] | None:
                if not (config.core.rvfi and ctx.get(top.rvfi_valid)):
                    return None
                return {name: int(ctx.get(getattr(top, f"rvfi_{name}"))) for name in RETIRED}

            def step() -> bool:
                return host.sample(sample(), bool(ctx.get(top.busy)), retired())

            drive(IDLE)
            await run_cycles(ctx, domain, lambda: drive(host.drive()), step)

        simulate(bench_top, bench, job.wave)
        return host.outcome()
