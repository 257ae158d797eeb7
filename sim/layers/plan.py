"""The schedule of a layer's run, as command lines ask for it: given, searched for, or left to the tuner."""

from dataclasses import dataclass
from typing import Annotated

import typer
from numpy.typing import ArrayLike

from golden.config import AcceleratorConfig
from golden.cycles import CELL_FUSION, LIST, SCHEDULES
from golden.cycles.list import MAX_SIZE, MAX_SIZES
from golden.isa import Flags, Schedule
from golden.layer import LayerResult, PackedLayer
from sim.layers.jobs import LayerCall
from sim.layers.words import RunWords
from software.cli import UserError

FLAGS = Flags.H_SEQ | Flags.H_PRUNED
SEARCH = "search"

ScheduleOption = Annotated[str, typer.Option("--schedule", metavar="NAME", help=f"Of the run: {', '.join(SCHEDULES)}.")]
GroupsOption = Annotated[
    str | None,
    typer.Option(
        "--groups",
        metavar="SIZES",
        help=f"Time steps of the list's groups, as in 3,6, of which the last repeats; or {SEARCH}.",
        show_default=SEARCH,
    ),
]
XSkipOption = Annotated[bool, typer.Option("--x-skip", help="Skip units of W where all x is 0 (list).")]
BestOption = Annotated[
    bool, typer.Option("--best", help="The schedule, and what it leaves open, with the fewest cycles by its model.")
]


@dataclass(frozen=True)
class Plan:
    """Schedule and parameters of the runs of one layer."""

    n_fuse: int = 3
    schedule: Schedule = Schedule.CELL_FUSION
    groups: tuple[int, ...] = ()
    x_skip: bool = False

    def call(self, packed: PackedLayer, x: ArrayLike, threshold: float) -> LayerCall:
        """A run of the layer on x (T, inputs), which stores every pruned row of h."""
        flags = FLAGS | (Flags.X_SKIP if self.x_skip else Flags(0))
        return LayerCall(packed, x, threshold, self.n_fuse, flags, None, self.schedule, self.groups)


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= MAX_SIZE for part in parts) or len(parts) > MAX_SIZES:
        raise UserError(f"--groups must be {SEARCH} or 1..{MAX_SIZES} sizes of 1..{MAX_SIZE}, as in 3,6, not {text!r}")
    return tuple(map(int, parts))


@dataclass(frozen=True)
class ScheduleChoice:
    """What is asked of the schedule; groups: None where they are searched for. Raises UserError for what there is not.

    ``check`` raises it for what a configuration has not.
    """

    n_fuse: int = 3
    schedule: str = CELL_FUSION.name
    groups: tuple[int, ...] | None = None
    x_skip: bool = False
    best: bool = False

    @classmethod
    def of(cls, n_fuse: int, schedule: str, groups: str | None, x_skip: bool, best: bool) -> "ScheduleChoice":
        """Of the options of a command."""
        if schedule not in SCHEDULES:
            raise UserError(f"--schedule must be {' or '.join(SCHEDULES)}, not {schedule!r}")
        if best and (schedule != CELL_FUSION.name or groups or x_skip):
            raise UserError("--best chooses the schedule: --schedule, --groups and --x-skip must be left out")
        if schedule != LIST.name and (groups or x_skip):
            raise UserError(f"{'--groups' if groups else '--x-skip'} is for --schedule {LIST.name}, not {schedule}")
        sizes = None if groups in (None, SEARCH) else _sizes(str(groups))
        return cls(n_fuse, schedule, sizes, x_skip, best)

    @property
    def plain(self) -> bool:
        """Whether it is cell fusion at a given N_fuse."""
        return self.schedule == CELL_FUSION.name and not self.best

    def check(self, config: AcceleratorConfig) -> None:
        """Raise UserError for a schedule that a build of this configuration does not run."""
        number = SCHEDULES[self.schedule].number
        if number not in config.schedules:
            have = ", ".join(SCHEDULES.numbered(built).name for built in config.schedules)
            raise UserError(f"--schedule {self.schedule} is not built with group_list=false, which has: {have}")

    def plan(
        self, packed: PackedLayer, x: ArrayLike, threshold: float, golden: LayerResult, config: AcceleratorConfig
    ) -> Plan:
        """The plan of a layer, by its first sequence x (T, inputs) and golden's result of it."""

        def words(plan: Plan) -> RunWords:
            return RunWords.of(plan.call(packed, x, threshold), golden)

        fused = Plan(self.n_fuse)
        if self.plain:
            return fused
        listed = Plan(self.n_fuse, Schedule.LIST, self.groups or (1,), self.x_skip or self.best)
        if not self.best:
            searched = self.groups or LIST.search(words(listed), config)
            return Plan(self.n_fuse, Schedule.LIST, searched, self.x_skip)
        n_fuse = words(fused).best_n_fuse(config)
        fused = Plan(n_fuse)
        if Schedule.LIST not in config.schedules:
            return fused
        listed_words = words(listed)
        sizes = LIST.search(listed_words, config)
        cycles = CELL_FUSION.model(words(fused), config, (n_fuse,)).cycles
        if cycles <= LIST.model(listed_words, config, sizes).cycles:
            return fused
        return Plan(n_fuse, Schedule.LIST, sizes, x_skip=True)


def plan_line(plan: Plan) -> str:
    """A plan in words."""
    if plan.schedule == Schedule.CELL_FUSION:
        return f"{CELL_FUSION.name}, N_fuse {plan.n_fuse}"
    skips = ", units of W skipped where x is 0" if plan.x_skip else ""
    return f"{LIST.name}, groups of {', '.join(map(str, plan.groups))}{skips}"
