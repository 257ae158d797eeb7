"""What a layer's runs follow: a schedule and what it leaves open, as programs, headers and images carry it."""

from dataclasses import dataclass

from golden.cycles import SCHEDULES
from golden.isa import INPUT_FORMAT_MEANINGS, Flags, InputFormat, Schedule, group_words, start_word
from golden.layer import Layer, PackedLayer


@dataclass(frozen=True)
class Plan:
    """Schedule and parameters of the runs of one layer.

    groups: sizes of a list's groups, in time steps; delta: changes of h are sent, by events those of x too, from
    ``x_threshold`` on; x_format, h_fp16: of x, and of stored rows, in memory.
    """

    n_fuse: int = 3
    schedule: Schedule = Schedule.CELL_FUSION
    groups: tuple[int, ...] = ()
    x_skip: bool = False
    delta: bool = False
    x_threshold: float = 0.0
    x_format: InputFormat = InputFormat.FP32
    h_fp16: bool = False

    @property
    def events(self) -> bool:
        """Whether changes of x are sent."""
        return self.schedule == Schedule.EVENTS

    @property
    def flags(self) -> Flags:
        """Flags of START that it sets."""
        wanted = ((Flags.X_SKIP, self.x_skip), (Flags.DELTA, self.delta), (Flags.H_FP16, self.h_fp16))
        return Flags(sum(flag for flag, there in wanted if there))

    @property
    def start_word(self) -> int:
        """Its flags, its schedule and its format of x, in START's rs2."""
        return start_word(self.flags, self.schedule, x_format=self.x_format)

    def layer(self, packed: PackedLayer) -> Layer:
        """Golden's layer for such runs. Raises ValueError for events without delta."""
        return Layer(packed, delta=self.delta, events=self.events)

    @property
    def group_words(self) -> tuple[int, int]:
        """rs1 and rs2 of GROUPS, 0 without a list. Raises ValueError for sizes that do not fit."""
        return group_words(self.groups) if self.groups else (0, 0)


USUAL_PLAN = Plan()
"""What runs are by where nothing is said."""


def plan_line(plan: Plan) -> str:
    """A plan in words."""
    said = [SCHEDULES.numbered(plan.schedule).name]
    if plan.schedule == Schedule.CELL_FUSION:
        said.append(f"N_fuse {plan.n_fuse}")
    if plan.groups:
        said.append(f"groups of {', '.join(map(str, plan.groups))}")
    if plan.x_skip:
        said.append("units of W skipped where x is 0")
    if plan.delta and not plan.events:
        said.append("changes of h")
    if plan.x_threshold:
        said.append(f"changes of x from {plan.x_threshold:g} on")
    if plan.x_format != InputFormat.FP32:
        said.append(f"x as {INPUT_FORMAT_MEANINGS[plan.x_format].partition(',')[0]}")
    if plan.h_fp16:
        said.append("rows of h as fp16")
    return ", ".join(said)
