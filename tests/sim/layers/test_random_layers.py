"""At least 200 random layers on the RTL, bit for bit, on the fast engine; a few of them on the slow ones."""

import pytest

from golden.isa import Flags, Format, Schedule
from golden.layer import Layer
from sim.engines import registry
from sim.layers.random_layer import CONFIGS, FULL_CONFIGS, RandomLayer, Traits, calls, check, generate

SEEDS = range(1000, 1208)
QUICK_SEEDS = range(2000, 2008)
SMALL = Traits(max_size=16, max_steps=4)


def run(seed: int, engine: str, traits: Traits = Traits()) -> int:
    case = generate(seed, traits=traits)
    problems, cycles = check(case, registry.get("accelerator", engine))
    assert not problems, "\n".join([case.text, *problems])
    return cycles


def test_seeds_cover_what_they_should():
    cases = [generate(seed) for seed in SEEDS]
    assert len(cases) >= 200
    assert {case.config for case in cases} == set(CONFIGS)
    assert {case.config.n_pe for case in cases} == {2, 3, 4, 5}
    assert {case.n_fuse for case in cases} == {1, 2, 3, 4, 5, 6}
    for size in ({case.packed.x for case in cases}, {case.packed.h for case in cases}):
        assert min(size) == 4
        assert max(size) == 64
    assert {len(case.x) for case in cases} == set(range(1, 13))
    assert {case.timing.order for case in cases} == {"fifo", "random"}
    assert sum(case.split is not None for case in cases) > 40
    assert sum(case.state is not None for case in cases) > 40
    whole = [Layer(case.packed).run(case.x, case.threshold, case.state) for case in cases]
    shares = [result.kept.mean() for result in whole]
    assert sum(share == 0 for share in shares) > 10
    assert sum(share == 1 for share in shares) > 10
    assert sum(0.1 < share < 0.9 for share in shares) > 50
    nonzero = [case.packed.w.nonzeros / (4 * case.packed.h * case.packed.x) for case in cases]
    assert min(nonzero) == 0
    assert max(nonzero) > 0.98


def test_seeds_of_full_configurations_cover_schedules_and_formats():
    cases = [generate(seed, traits=Traits(full=True, max_size=16)) for seed in range(5000, 5060)]
    assert {case.config for case in cases} == set(FULL_CONFIGS)
    assert {case.schedule for case in cases} == {Schedule.CELL_FUSION, Schedule.LIST}
    assert {case.packed.w.format for case in cases} == {case.packed.u.format for case in cases} == set(Format)
    assert {case.packed.w.parameters.unit_cols for case in cases} == {1, 4}
    assert {bool(case.flags & Flags.X_SKIP) for case in cases if case.groups} == {True, False}
    assert all((case.schedule == Schedule.LIST) == bool(case.groups) for case in cases)
    assert {min(len(case.groups), 2) for case in cases} == {0, 1, 2}
    for case in cases:
        plain = generate(case.seed, traits=Traits(max_size=16))
        assert (plain.timing, plain.flags, plain.split) == (case.timing, case.flags & ~Flags.X_SKIP, case.split)
    wanted = Traits(full=True, max_size=16, schedule=Schedule.LIST, x_skip=True, formats=(Format.STREAM8,))
    case = generate(5000, traits=wanted)
    assert case.groups and case.flags & Flags.X_SKIP and case.packed.u.format == Format.STREAM8
    assert wanted.fits(case.config) and not wanted.fits(CONFIGS[0])


def test_a_seed_is_a_layer():
    a, b = generate(7), generate(7)
    assert a.text == b.text
    assert (a.packed.w.words == b.packed.w.words).all()
    assert (a.x == b.x).all()
    assert "seed 7" in a.text


def test_golden_agrees_with_itself(golden_rtl):
    for seed in SEEDS:
        problems, cycles = check(generate(seed), golden_rtl)
        assert not problems, problems
        assert cycles == 1000 * sum(call.steps for call in calls(generate(seed)))


def test_a_wrong_bit_is_found(golden_rtl):
    golden_rtl.wrong = (-1, 2)
    found = [check(generate(seed), golden_rtl)[0] for seed in QUICK_SEEDS]
    assert all("must be" in problems[0] for problems in found)


@pytest.mark.parametrize("seed", QUICK_SEEDS)
def test_quick(seed):
    run(seed, registry.DEFAULT, Traits(n_pe=3))


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"n_pe={config.n_pe}")
def test_all(config):
    cases: list[RandomLayer] = [case for case in map(generate, SEEDS) if case.config == config]
    wrong = {}
    for case in cases:
        problems, cycles = check(case, registry.get("accelerator", registry.DEFAULT))
        print(f"{case.text}: {cycles} cycles")
        if problems:
            wrong[case.text] = problems
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("config", FULL_CONFIGS, ids=lambda config: f"n_pe={config.n_pe}")
def test_every_schedule_and_format(config):
    wrong = {}
    for seed in range(5000, 5025):
        case = generate(seed, traits=Traits(full=True, n_pe=config.n_pe))
        problems, _ = check(case, registry.get("accelerator", registry.DEFAULT))
        if problems:
            wrong[case.text] = problems
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3000, 3003))
def test_some_in_pysim(seed):
    assert run(seed, "pysim", SMALL) == run(seed, registry.DEFAULT, SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4000, 4005))
def test_some_in_icarus(icarus, seed):
    assert run(seed, icarus, SMALL) == run(seed, registry.DEFAULT, SMALL)
