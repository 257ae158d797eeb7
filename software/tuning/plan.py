"""What a layer's runs follow: a schedule and what it leaves open, as programs, headers and images carry it."""

from dataclasses import dataclass

from golden.cycles import CELL_FUSION, LIST
from golden.isa import Flags, Schedule, group_words, start_word


@dataclass(frozen=True)
class Plan:
    """Schedule and parameters of the runs of one layer; groups: sizes of a list's groups, in time steps."""

    n_fuse: int = 3
    schedule: Schedule = Schedule.CELL_FUSION
    groups: tuple[int, ...] = ()
    x_skip: bool = False

    @property
    def flags(self) -> Flags:
        """Flags of START that it sets."""
        return Flags.X_SKIP if self.x_skip else Flags(0)

    @property
    def start_word(self) -> int:
        """Its flags and its schedule, in START's rs2."""
        return start_word(self.flags, self.schedule)

    @property
    def group_words(self) -> tuple[int, int]:
        """rs1 and rs2 of GROUPS, 0 without a list. Raises ValueError for sizes that do not fit."""
        return group_words(self.groups) if self.groups else (0, 0)


USUAL_PLAN = Plan()
"""What runs are by where nothing is said."""


def plan_line(plan: Plan) -> str:
    """A plan in words."""
    if plan.schedule == Schedule.CELL_FUSION:
        return f"{CELL_FUSION.name}, N_fuse {plan.n_fuse}"
    skips = ", units of W skipped where x is 0" if plan.x_skip else ""
    return f"{LIST.name}, groups of {', '.join(map(str, plan.groups))}{skips}"
