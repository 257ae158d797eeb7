"""A small regression of the accelerator on Amaranth's own simulator: what every planted bug must not survive."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.isa import Counter, Error, Flags, Funct, StatusWord
from golden.layer import Layer
from golden.memory import h_from_bytes
from sim.engines import registry
from sim.layers.jobs import layer_segments, start_steps
from sim.layers.random_layer import Traits, calls, check, generate
from sim.protocol.accelerator import AcceleratorJob, Command, WaitIdle
from sim.protocol.timing import MemoryTiming

ANY_ORDER = MemoryTiming(latency=3, jitter=9, order="random", stall_permille=200, seed=7)


def slow(seed: int, traits: Traits) -> Any:
    """Other engines run such layers in the quick tests."""
    return pytest.param(seed, traits, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("seed", "traits"),
    [
        (11, Traits(max_size=16, max_steps=5, density=0.6, threshold=0.4, state=True, split=False)),
        slow(12, Traits(max_size=12, max_steps=4, density=1.0, threshold=0.0, timing=ANY_ORDER, split=False)),
        (13, Traits(max_size=16, max_steps=5, density=0.3, threshold=0.7, timing=MemoryTiming(latency=1), state=False)),
        slow(14, Traits(max_size=12, max_steps=4, density=0.8, threshold=0.2, split=True)),
        # nothing kept, groups of one step: the gate unit takes the banks from the W PEs
        (
            79,
            Traits(
                max_size=12,
                max_steps=10,
                density=0.6,
                threshold=float("inf"),
                timing=MemoryTiming(1),
                n_pe=2,
                split=False,
                state=False,
            ),
        ),
        # a block that only its largest element keeps
        (
            50,
            Traits(
                max_size=12, max_steps=4, density=0.7, threshold=0.5, timing=MemoryTiming(2), split=False, state=False
            ),
        ),
    ],
)
def test_small_layers_are_exact(seed: int, traits: Traits) -> None:
    case = generate(seed, "small", traits)
    problems, _ = check(case, registry.get("accelerator", "pysim"))
    assert not problems, "\n".join([case.text, *problems])


@pytest.mark.parametrize("array", ["w", "u", "bias"])
def test_a_failing_load_is_reported_and_the_next_run_is_exact(array: str) -> None:
    case = generate(15, "small", Traits(max_size=8, max_steps=3, density=0.7, threshold=0.0, split=False, n_pe=3))
    call = replace(calls(case)[0], flags=Flags.H_SEQ, state=None)
    failing = tuple(replace(s, read_error=0) if s.name == array else s for s in layer_segments(call))
    base = 0x9000_0000
    good = tuple(replace(s, name=f"good_{s.name}") for s in layer_segments(call, base))
    status = [Command.of(Funct.COUNTER, Counter.STATUS, rd=rd) for rd in (1, 2)]
    steps = [
        *start_steps(call, failing), WaitIdle(), status[0],
        *start_steps(call, layer_segments(call, base)), WaitIdle(), status[1],
    ]  # fmt: skip
    job = AcceleratorJob((*failing, *good), tuple(steps), ANY_ORDER, 100_000, 2_000)
    outcome = registry.get("accelerator", "pysim").run(case.design, job)
    assert outcome.stopped is None, outcome.stopped
    assert not outcome.violations
    first, second = (StatusWord.decode(r.data) for r in outcome.responses)
    assert (first.error, first.code) == (True, Error.MEM_READ)
    assert (second.error, second.rows) == (False, call.steps)
    golden = Layer(call.packed).run(call.x, call.threshold)
    h = h_from_bytes(outcome.memory["good_h"], call.packed.h)
    assert (h.view(np.uint32) == golden.h.view(np.uint32)).all()
