"""Amaranth's own simulator: slow, needs nothing else. For unit tests."""

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from sim.engines import designs
from sim.engines.build_cache import verilog_sha256
from sim.host.accelerator import RESET_CYCLES, Drive, Host, Sample
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Console, Design, Progress, WaveRequest, refuse_choice

_PERIOD = 1e-8
_INPUTS = tuple(Drive.__dataclass_fields__)


def ports_of(top: Any) -> dict[str, Any]:
    """Port objects of a component by flattened name."""
    return {"__".join(map(str, path)): value for path, _, value in top.signature.flatten(top)}


def outputs(ctx: Any, ports: dict[str, Any]) -> Sample:
    """The outputs of the accelerator that settled in this cycle."""

    def get(name: str) -> int:
        value = ctx.get(ports[name])
        return int(getattr(value, "value", value))

    sample = Sample(get("cmd__ready"), get("resp__valid"), get("mem__req_valid"), get("busy"), get("interrupt"))
    if sample.resp__valid:
        sample.resp__rd, sample.resp__data = get("resp__rd"), get("resp__data")
    if sample.mem__req_valid:
        for name in ("addr", "tag", "cmd", "size", "data", "mask"):
            setattr(sample, f"mem__req_{name}", get(f"mem__req_{name}"))
    return sample


async def run_cycles(ctx: Any, domain: ClockDomain, drive: Callable[[], None], sample: Callable[[], bool]) -> None:
    """Reset, then a cycle after the other until ``sample`` says that it was the last (docs/simulation.md).

    ``drive`` sets the inputs of a cycle, ``sample`` takes its outputs; the inputs of the reset are set before.
    """
    reset: Any = domain.rst  # type: ignore[attr-defined]  # which amaranth-stubs 0.5.0.8 forgets
    ctx.set(reset, 1)
    for _ in range(RESET_CYCLES):
        await ctx.tick()
    ctx.set(reset, 0)
    while True:
        drive()
        if sample():
            return
        await ctx.tick()


def simulate(module: Module, bench: Callable[[Any], Coroutine[Any, Any, None]], wave: WaveRequest | None) -> None:
    """Run a testbench to its end, with a waveform of all of it if one is wanted."""
    refuse_choice("pysim", wave)
    simulator = Simulator(module)
    simulator.add_clock(_PERIOD)
    simulator.add_testbench(bench)
    with simulator.write_vcd(wave.path) if wave else nullcontext():
        simulator.run()


class PysimEngine:
    """Simulates at a few thousand cycles a second; a waveform covers the whole run, not only its window."""

    name = "pysim"

    def missing(self) -> str | None:
        return None

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def run(
        self, design: Design, job: AcceleratorJob, progress: Progress | None = None, console: Console | None = None
    ) -> Outcome:
        top = designs.elaborate(design)
        ports = ports_of(top)
        host = Host(job, len(ports["mem__req_tag"]), progress)
        # A domain of our own, for its reset.
        bench_top = Module()
        bench_top.domains.sync = domain = ClockDomain("sync")
        bench_top.submodules.unit = top

        async def bench(ctx: Any) -> None:
            driven: dict[str, int] = {}

            def drive(inputs: Drive) -> None:
                for name in _INPUTS:
                    value = int(getattr(inputs, name))
                    if driven.get(name) != value:
                        ctx.set(ports[name], value)
                        driven[name] = value

            drive(host.idle)
            await run_cycles(ctx, domain, lambda: drive(host.drive()), lambda: host.sample(outputs(ctx, ports)))

        simulate(bench_top, bench, job.wave)
        return host.outcome()
