"""The schedule of a layer's run, as command lines ask for it: given, searched for, or left to the tuner, which then
chooses the formats of the weights too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import typer
from numpy.typing import ArrayLike, NDArray

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig, LayerShape
from golden.cycles import CELL_FUSION, LIST, SCHEDULES, LayerWords
from golden.cycles.list import MAX_SIZE, MAX_SIZES
from golden.isa import ERROR_MEANINGS, Error, Schedule
from golden.layer import Layer, LayerResult, PackedLayer
from golden.settings import USUAL
from software.checkpoint import LayerWeights
from software.cli import UserError
from software.progress import bars
from software.tuning.plan import Plan, plan_line
from software.weight_formats import ALL_ESELL, FormatChoice, check_built, formats_line

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
    bool,
    typer.Option(
        "--best",
        help="The schedule, what it leaves open, and formats unless given, with the fewest cycles by the models.",
    ),
]


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

    @property
    def given(self) -> Plan | None:
        """The plan of every layer where nothing is left to a search."""
        if self.plain:
            return Plan(self.n_fuse)
        return Plan(self.n_fuse, Schedule.LIST, self.groups, self.x_skip) if self.groups else None

    def check(self, config: AcceleratorConfig) -> None:
        """Raise UserError for a schedule that a build of this configuration does not run."""
        number = SCHEDULES[self.schedule].number
        if number not in config.schedules:
            have = SCHEDULES.names(config.schedules)
            raise UserError(f"--schedule {self.schedule} is not built with group_list=false, which has: {have}")

    def plan(self, packed: PackedLayer, x: ArrayLike, golden: LayerResult, config: AcceleratorConfig) -> Plan:
        """The plan of a layer, by its first sequence x (T, inputs) and golden's result of it."""
        return self.given or self.planned(packed, x, golden, config)[0]

    def planned(
        self, packed: PackedLayer, x: ArrayLike, golden: LayerResult, config: AcceleratorConfig
    ) -> tuple[Plan, int]:
        """The plan that takes the fewest cycles by its model, and these; 0 where nothing is searched for."""
        if self.given is not None:
            return self.given, 0
        skips = self.x_skip or self.best
        fused, listed = (LayerWords.of_layer(packed, golden.kept, zeros) for zeros in (None, x if skips else None))
        n_fuse, found = self.n_fuse, []
        if self.best:
            n_fuse = CELL_FUSION.search(fused, config)[0]
            found.append((Plan(n_fuse), CELL_FUSION.model(fused, config, (n_fuse,)).cycles))
        if not self.best or Schedule.LIST in config.schedules:
            sizes = LIST.search(listed, config)
            found.append((Plan(n_fuse, Schedule.LIST, sizes, skips), LIST.model(listed, config, sizes).cycles))
        return min(found, key=lambda one: one[1])


USUAL_SCHEDULE = ScheduleChoice()


@dataclass(frozen=True, eq=False)
class PlannedLayer:
    """A packed layer, with the threshold of its pruning and the plan of its runs."""

    packed: PackedLayer
    threshold: float
    plan: Plan


@contextmanager
def _of_layer(number: int) -> Iterator[None]:
    """Let a ValueError for what a format does not hold say which layer it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"layer {number}: {error}") from None


def plan_layers(
    weights: Sequence[LayerWeights],
    x: NDArray[np.float32],
    formats: FormatChoice,
    schedule: ScheduleChoice,
    config: AcceleratorConfig,
) -> list[PlannedLayer]:
    """Every layer packed and planned for an accelerator, by one sequence x (T, inputs) of the lowest.

    Raises UserError for a format that it does not read, and where a search meets a layer that golden stops; ValueError
    when a format does not hold the weights.
    """
    if (plan := schedule.given) is not None:
        packed = []
        for number, layer in enumerate(weights, 1):
            with _of_layer(number):
                packed.append(formats.pack(layer.w, layer.u, layer.b))
        check_built(packed, config.formats)
        return [PlannedLayer(one, layer.threshold, plan) for one, layer in zip(packed, weights, strict=True)]
    found: list[PlannedLayer] = []
    with bars() as bar:
        for number, layer in enumerate(weights, 1):
            with _of_layer(number):
                packed = formats.packings(layer.w, layer.u, layer.b, config.formats)
            check_built([*(below.packed for below in found), packed[0]], config.formats)
            task = bar.add_task(f"layer {number}: search", total=len(packed))
            tried, stopped = [], Error.NONE
            for one in packed:
                result = Layer(one).run(x, layer.threshold)
                if result.error == Error.NONE:
                    tried.append((*schedule.planned(one, x, result, config), one, result))
                else:
                    stopped = stopped or result.error
                bar.advance(task)
            if not tried:
                raise UserError(f"layer {number} stops: {ERROR_MEANINGS[stopped]}")
            plan, _, best, result = min(tried, key=lambda one: one[1])
            found.append(PlannedLayer(best, layer.threshold, plan))
            x = result.h_pruned
    return found


def roomy(shapes: Sequence[LayerShape]) -> AcceleratorConfig:
    """The usual accelerator, grown to the layers: what is searched on where none is asked for.

    Raises UserError for a layer that no accelerator holds.
    """
    usual = ACCELERATOR_PRESETS[USUAL]
    sizes = {f"max_{name}": max(getattr(shape, name) for shape in shapes) for name in ("x", "h", "t")}
    try:
        return replace(usual, **{name: max(size, getattr(usual, name)) for name, size in sizes.items()})
    except ValueError as error:
        raise UserError(f"no accelerator to search on holds the layers: {error}") from None


def tell_plans(formats: FormatChoice, schedule: ScheduleChoice, layers: Sequence[PlannedLayer]) -> None:
    """Print what each layer is packed in and runs by, unless it is what every run is without options."""
    for number, layer in enumerate(layers, 1):
        if formats != ALL_ESELL:
            print(f"layer {number}: {formats_line(layer.packed)}")
        if not schedule.plain:
            print(f"layer {number}: {plan_line(layer.plan)}")
