"""A run after another of any kind, ended or aborted anywhere: nothing that the first left is in the second."""

from dataclasses import replace

import numpy as np
import pytest

from golden.config import AcceleratorConfig
from golden.isa import Format, Funct, Schedule
from sim.engines import registry
from sim.layers.compare import judge
from sim.layers.jobs import cycle_limit, decode, layer_segments, read_counters, start_steps
from sim.layers.random_layer import FULL_CONFIGS, RandomLayer, Traits, calls, generate
from sim.protocol.accelerator import AcceleratorJob, Command, Step, WaitCycles, WaitIdle
from sim.protocol.base import Design

SECOND_BASE = 0xA000_0000
CONFIG = FULL_CONFIGS[1]


def problems_of(first: RandomLayer, second: RandomLayer, abort: int | None, config: AcceleratorConfig) -> list[str]:
    """What is wrong with the second; ``abort``: cycles after which the first is aborted."""
    before, call = calls(first)[0], calls(second)[0]
    segments = layer_segments(call, SECOND_BASE)
    others = tuple(replace(segment, name=f"first_{segment.name}") for segment in layer_segments(before))
    steps: list[Step] = start_steps(before, layer_segments(before))
    if abort is not None:
        steps += [WaitCycles(abort), Command.of(Funct.ABORT)]
    steps += [WaitIdle(), *start_steps(call, segments), WaitIdle(), *read_counters()]
    limit = 4 * (cycle_limit(before, second.timing) + cycle_limit(call, second.timing))
    job = AcceleratorJob((*others, *segments), tuple(steps), second.timing, limit)
    outcome = registry.get("accelerator").run(Design("accelerator", config), job)
    rtl = decode(call, replace(outcome, busy_cycles=outcome.busy_cycles[-1:]))
    golden = second.layer.run(call.x, call.threshold, call.state)
    return judge("second", call, golden, rtl, config).problems


FUSED = Schedule.CELL_FUSION
PAIRS = {
    "any": (Traits(full=True), Traits(full=True)),
    # sums that eSELL overwrites and a stream adds to, in halves that lie where those of the largest H do
    "streams after eSELL": (
        Traits(full=True, schedule=FUSED, formats=(Format.ESELL,), density=0.8),
        Traits(full=True, schedule=FUSED, formats=(Format.STREAM16,), density=0.8, max_size=16, max_steps=30),
    ),
    # more groups at once than a size can be
    "many small groups": (
        Traits(full=True, schedule=FUSED, formats=(Format.ESELL,), density=0.8),
        Traits(full=True, schedule=Schedule.LIST, density=0.8, max_size=8, max_steps=250),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_left_of_the_run_before(name: str) -> None:
    wrong = {}
    for seed in range(25):
        first, second = (
            generate(seed + 100_000 * n, traits=traits, config=CONFIG) for n, traits in enumerate(PAIRS[name])
        )
        rng = np.random.default_rng(seed)
        abort = int(rng.integers(1, 6000)) if rng.random() < 0.5 else None
        if found := problems_of(first, second, abort, CONFIG):
            wrong[f"{first.text}; aborted after {abort}; then {second.text}"] = found
    assert not wrong


@pytest.mark.slow
def test_units_of_esell_have_four_columns_whatever_streams_said() -> None:
    """The second run sends no STREAMS."""
    traits = Traits(full=True, formats=(Format.STREAM16,), schedule=FUSED, max_size=24, max_steps=4)
    drawn = (generate(seed, traits=traits, config=CONFIG) for seed in range(50))
    first = next(case for case in drawn if case.packed.w.parameters.unit_cols == 1)
    for schedule in Schedule:
        second = generate(3, traits=Traits(full=True, formats=(Format.ESELL,), schedule=schedule), config=CONFIG)
        assert problems_of(first, second, None, CONFIG) == [], second.text
