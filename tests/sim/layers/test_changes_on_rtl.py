"""Random layers that send changes, on cell fusion, the list and by events, on the RTL: bit for bit golden's."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from golden.config import AcceleratorConfig
from golden.isa import Flags
from sim.engines import registry
from sim.layers.random_layer import DELTA_CONFIGS, EVENT_CONFIGS, Traits, check, generate
from tests.planting import must_fail, patches, planted

SMALL = Traits(max_size=8, max_steps=4, split=False)
EVENTS, DELTA = EVENT_CONFIGS[3], DELTA_CONFIGS[1]
ON_PYSIM = {
    # bytes, pruned rows of fp16, a state loaded and stored; then fp32 from nothing, pruned rows, a state stored
    "events": (EVENTS, (12136, 9129)),
    # the list, x as fp16, a state loaded and stored
    "DELTA": (DELTA, (9286,)),
}
"""Few, but with all that planted bugs are of."""
PATCHES = patches("changes-")


def run(
    config: AcceleratorConfig, seeds: Sequence[int], engine: str = registry.DEFAULT, traits: Traits = Traits()
) -> None:
    wrong = {}
    for seed in seeds:
        case = generate(seed, config=config, traits=traits)
        problems, _ = check(case, registry.get("accelerator", engine))
        if problems:
            wrong[case.text] = problems
    assert not wrong


def test_quick_by_events() -> None:
    run(EVENTS, range(8000, 8012))


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_PYSIM)
def test_small_ones_in_pysim(name: str) -> None:
    config, seeds = ON_PYSIM[name]
    run(config, seeds, "pysim", SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("config", EVENT_CONFIGS, ids=lambda config: f"{config.vector_units} a cycle")
def test_by_events(config: AcceleratorConfig) -> None:
    run(config, range(8100, 8125))


@pytest.mark.slow
@pytest.mark.parametrize("config", [DELTA_CONFIGS[0], DELTA_CONFIGS[2]], ids=lambda config: f"n_pe={config.n_pe}")
def test_with_and_without_delta(config: AcceleratorConfig) -> None:
    run(config, range(8200, 8225))
    cases = [generate(seed, config=config) for seed in range(8200, 8225)]
    assert {bool(case.flags & Flags.DELTA) for case in cases} == {False, True}


def test_there_is_a_bug_for_every_unit_of_changes() -> None:
    assert len(PATCHES) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("patch", PATCHES)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    kind = "DELTA" if patch.startswith("changes-delta") else "events"
    must_fail(planted(patch, tmp_path), "tests/sim/layers/test_changes_on_rtl.py", "-k", f"in_pysim and {kind}")
