"""Reset in the middle of a run: the three ways that docs/integrating.md allows are exact, the one it forbids is not."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module

from golden.config import AcceleratorConfig
from golden.isa import Error, Funct
from golden.layer import Layer, pack_layer
from hdl.accelerator.top import Accelerator
from sim.engines.pysim.accelerator import outputs, ports_of, simulate
from sim.host.accelerator import RESET_CYCLES, Drive, Host
from sim.layers.jobs import MEMORY_BASE, LayerCall, decode, layer_job, layer_segments, read_counters, start_steps
from sim.protocol.accelerator import Command, WaitCycles, WaitIdle
from sim.protocol.timing import MemoryTiming

CFG = AcceleratorConfig(n_pe=2, slots=4, max_x=16, max_h=16, max_t=15, window=16)
LATENCY = 200
LONGEST_DRAIN = LATENCY + CFG.window + 10


def call_of(seed: int) -> LayerCall:
    rng = np.random.default_rng(seed)
    w, u = (rng.normal(size=(16, 4)).astype(np.float16) for _ in range(2))
    return LayerCall(pack_layer(w, u, rng.normal(size=16).astype(np.float16)), np.ones((1, 4), np.float32), 0.0, 1)


FIRST, SECOND = call_of(1), call_of(2)


def reset_in_a_run(cycle: int, *, memory_too: bool, hold: int = RESET_CYCLES, abort: bool = False) -> list[str]:
    """Start a run, reset it after so many cycles, do another run; returns what is wrong with that one.

    memory_too: memory forgets its answers; hold: cycles of reset, the shortest if memory answers sooner; abort: the
    program does ABORT first and waits for busy to fall.
    """
    timing = MemoryTiming(latency=LATENCY)
    first, second = layer_job(FIRST, timing), layer_job(SECOND, timing)
    if abort:
        ended = (*start_steps(FIRST, first.segments), WaitCycles(cycle), Command.of(Funct.ABORT), WaitIdle())
        first = replace(first, steps=ended)
    elsewhere = layer_segments(SECOND, MEMORY_BASE + 0x100_0000)
    second = replace(second, segments=elsewhere, steps=(*start_steps(SECOND, elsewhere), WaitIdle(), *read_counters()))
    dut = Accelerator(CFG)
    ports = ports_of(dut)
    top = Module()
    domain: Any = ClockDomain("sync")
    top.domains.sync = domain
    top.submodules.dut = dut
    old, new = Host(first, CFG.tag_bits), Host(second, CFG.tag_bits)

    async def bench(ctx: Any) -> None:
        def drive(inputs: Drive) -> None:
            for name in Drive.__dataclass_fields__:
                ctx.set(ports[name], int(getattr(inputs, name)))

        def late(inputs: Drive) -> Drive:
            """These inputs, with the answer that the old run's memory still owes."""
            answer = None if memory_too else old._responder.respond(old.cycle)
            old.cycle += 1
            if answer is None:
                return inputs
            tag, (data, error) = answer
            # a port takes one answer a cycle: the new run's is not there yet, as nothing is faster than LATENCY
            assert not inputs.mem__resp_valid
            return replace(inputs, mem__resp_valid=1, mem__resp_tag=tag, mem__resp_data=data, mem__resp_error=error)

        drive(old.idle)
        ctx.set(domain.rst, 1)
        for _ in range(RESET_CYCLES):
            await ctx.tick()
        ctx.set(domain.rst, 0)
        for passed in range(cycle + 3 * LONGEST_DRAIN):
            if passed == cycle and not abort:
                break
            drive(old.drive())
            if old.sample(outputs(ctx, ports)):
                break
            await ctx.tick()
        ctx.set(domain.rst, 1)
        for _ in range(hold):
            drive(late(new.idle))
            await ctx.tick()
        ctx.set(domain.rst, 0)
        while True:
            drive(late(new.drive()))
            if new.sample(outputs(ctx, ports)):
                return
            await ctx.tick()

    simulate(top, bench, None)
    if abort:
        assert old.outcome().stopped is None and not old.outcome().violations
    outcome = new.outcome()
    if outcome.stopped:
        return [outcome.stopped]
    rtl = decode(SECOND, outcome)
    problems = list(outcome.violations)
    if rtl.status.code != Error.NONE:
        problems.append(rtl.status.code.name)
    elif (rtl.h.view(np.uint32) != Layer(SECOND.packed).run(SECOND.x, 0.0).h.view(np.uint32)).any():
        problems.append("wrong h with a clean status")
    return problems


CYCLES = sorted(random.Random(1).sample(range(1, 900), 8))
SOME = [c if i % 4 == 1 else pytest.param(c, marks=pytest.mark.slow) for i, c in enumerate(CYCLES)]


@pytest.mark.parametrize("cycle", SOME)
def test_memory_is_reset_too(cycle: int) -> None:
    assert not reset_in_a_run(cycle, memory_too=True)


@pytest.mark.parametrize("cycle", SOME)
def test_reset_lasts_until_memory_has_answered(cycle: int) -> None:
    assert not reset_in_a_run(cycle, memory_too=False, hold=LONGEST_DRAIN)


@pytest.mark.parametrize("cycle", SOME)
def test_the_run_was_aborted_before(cycle: int) -> None:
    assert not reset_in_a_run(cycle, memory_too=False, abort=True)


def test_a_short_reset_while_memory_owes_answers_is_what_goes_wrong() -> None:
    """The control of the three above: the page forbids this for a reason, and these tests would see it."""
    assert any(reset_in_a_run(cycle, memory_too=False) for cycle in CYCLES)
