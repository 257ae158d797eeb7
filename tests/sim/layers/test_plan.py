"""The schedule that commands ask for: what is refused, what the tuner finds, and the call that comes of it."""

import numpy as np
import pytest

from golden.config import preset
from golden.cycles import CELL_FUSION, LIST
from golden.isa import GROUP_SIZES, Flags, Schedule, group_sizes, group_words
from golden.layer import Layer, pack_layer
from sim.layers.plan import FLAGS, call_of
from sim.layers.words import RunWords, predicted
from software.cli import UserError
from software.tuning.plan import Plan, plan_line
from software.tuning.schedule_choice import ScheduleChoice

CONFIG = preset("default")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((3, "lst", None, False, False), "--schedule must be cell-fusion or list or events, not 'lst'"),
        ((3, "cell-fusion", "3", False, False), "--groups is for --schedule list, not cell-fusion"),
        ((3, "cell-fusion", None, True, False), "--x-skip is for --schedule list, not cell-fusion"),
        ((3, "list", None, False, True), "--best chooses the schedule: --schedule, --groups and"),
        ((3, "list", "3,64", False, False), "--groups must be search or 1..16 sizes of 1..63, as in 3,6, not '3,64'"),
        ((3, "list", "3,,6", False, False), "--groups must be search or 1..16 sizes of 1..63, as in 3,6, not '3,,6'"),
        ((3, "list", ",".join("1" * 17), False, False), "1..16 sizes of 1..63, as in 3,6, not '1,1,1"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused(options: tuple[int, str, str | None, bool, bool], text: str) -> None:
    with pytest.raises(UserError) as caught:
        ScheduleChoice.of(*options)
    assert text in str(caught.value)


def test_a_build_without_the_list_is_named() -> None:
    choice = ScheduleChoice.of(3, "list", "3,6", False, False)
    choice.check(CONFIG)
    with pytest.raises(UserError, match="--schedule list is not built with group_list=false, which has: cell-fusion"):
        choice.check(preset("tiny"))


def test_plans_are_what_was_asked_for_or_what_the_models_say() -> None:
    rng = np.random.default_rng(5)
    w, u = ((rng.normal(size=(64, n)) * (rng.random((64, n)) < 0.5)).astype(np.float16) for n in (8, 16))
    packed, x = pack_layer(w, u, np.zeros(64, np.float16)), rng.normal(size=(9, 8)).astype(np.float32)
    x[:, :4] = 0
    golden = Layer(packed).run(x, 0.2)

    def plan(*options: object) -> Plan:
        return ScheduleChoice.of(*options).plan(packed, x, golden, CONFIG)  # type: ignore[arg-type]

    assert plan(2, "cell-fusion", None, False, False) == Plan(2)
    given = plan(2, "list", "3,6", True, False)
    assert given == Plan(2, Schedule.LIST, (3, 6), x_skip=True)
    assert plan_line(given) == "list, groups of 3, 6, units of W skipped where x is 0"
    call = call_of(given, packed, x, 0.2)
    assert (call.flags, call.schedule, call.groups) == (FLAGS | Flags.X_SKIP, Schedule.LIST, (3, 6))
    searched = plan(2, "list", "search", True, False)
    assert searched.groups == LIST.search(RunWords.of(call, golden), CONFIG)
    best, cycles = plan(2, "cell-fusion", None, False, True), {}
    fused = Plan(RunWords.of(call_of(Plan(), packed, x, 0.2), golden).best_n_fuse(CONFIG))
    for one in (fused, Plan(fused.n_fuse, Schedule.LIST, searched.groups, x_skip=True)):
        cycles[one] = predicted(call_of(one, packed, x, 0.2), golden, CONFIG).word.cycles
    assert best == min(cycles, key=lambda one: cycles[one])
    assert plan_line(fused) == f"{CELL_FUSION.name}, N_fuse {fused.n_fuse}"


def test_operands_of_groups_hold_the_sizes() -> None:
    for sizes in ((1,), (63,) * GROUP_SIZES, tuple(range(1, 12)), (5, 9)):
        assert group_sizes(*group_words(sizes)) == sizes
    assert group_sizes(0, 5) == ()
    assert group_sizes(3 | 4 << 12, 0) == (3,)
