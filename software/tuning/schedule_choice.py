"""The schedule of a layer's run, as command lines ask for it: given, searched for, or left to the tuner, which then
chooses the formats of the weights too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import ArrayLike, NDArray

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig, LayerShape
from golden.cycles import CELL_FUSION, EVENTS, LIST, SCHEDULES, LayerWords
from golden.cycles.list import MAX_SIZE, MAX_SIZES
from golden.isa import ERROR_MEANINGS, INPUT_FORMAT_MEANINGS, Error, InputFormat, Schedule
from golden.layer import Layer, LayerResult, PackedLayer
from golden.memory import INPUT_BITS
from golden.settings import USUAL
from software.checkpoint import LayerWeights
from software.cli import UserError
from software.progress import bars
from software.tuning.plan import Plan, plan_line
from software.weight_formats import ALL_ESELL, FormatChoice, check_built, formats_line, kind_of

SEARCH = "search"

ScheduleOption = Annotated[str, typer.Option("--schedule", metavar="NAME", help=f"Of the run: {', '.join(SCHEDULES)}.")]
ScheduleOfNetworkOption = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        help=f"Of the run: {', '.join(SCHEDULES)}.",
        show_default=f"{CELL_FUSION.name}, or the network's",
    ),
]
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
DeltaOption = Annotated[
    bool | None,
    typer.Option(
        "--delta/--no-delta",
        help=f"Send changes of h from the threshold on, instead of h ({EVENTS.name}: always).",
        show_default="no-delta",
    ),
]
XThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--x-threshold", metavar="TH", help=f"From where on changes of x are sent ({EVENTS.name}).", show_default="0"
    ),
]
INPUT_FORMATS = {number.name.lower(): number for number in InputFormat}
"""Formats of x by what options call them."""
XFormatOption = Annotated[
    str | None,
    typer.Option(
        "--x-format",
        metavar="NAME",
        help=f"Of the lowest layer's x in memory: {'; '.join(INPUT_FORMAT_MEANINGS.values())}.",
        show_default="fp32",
    ),
]
HFp16Option = Annotated[
    bool | None, typer.Option("--h-fp16/--h-fp32", help="Store rows of h as fp16.", show_default="h-fp32")
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
    delta: bool = False
    x_threshold: float = 0.0
    x_format: InputFormat = InputFormat.FP32
    h_fp16: bool = False

    @classmethod
    def of(
        cls,
        n_fuse: int,
        schedule: str,
        groups: str | None,
        x_skip: bool,
        best: bool,
        delta: bool | None = None,
        x_threshold: float | None = None,
        x_format: str | None = None,
        h_fp16: bool | None = None,
    ) -> "ScheduleChoice":
        """Of the options of a command, None where one is not given."""
        if schedule not in SCHEDULES:
            raise UserError(f"--schedule must be {' or '.join(SCHEDULES)}, not {schedule!r}")
        if best and (schedule != CELL_FUSION.name or groups or x_skip):
            raise UserError("--best chooses the schedule: --schedule, --groups and --x-skip must be left out")
        if schedule != LIST.name and (groups or x_skip):
            raise UserError(f"{'--groups' if groups else '--x-skip'} is for --schedule {LIST.name}, not {schedule}")
        events = schedule == EVENTS.name
        if events and delta is False:
            raise UserError(f"--schedule {EVENTS.name} sends changes: --no-delta must be left out")
        if x_format not in (*INPUT_FORMATS, None):
            raise UserError(f"--x-format must be {', '.join(INPUT_FORMATS)}, not {x_format!r}")
        if np.isnan(x_threshold or 0.0):
            raise UserError("--x-threshold must be a number, not nan")
        if x_threshold and not events:
            raise UserError(f"--x-threshold is for --schedule {EVENTS.name}, not {schedule}")
        sizes = None if groups in (None, SEARCH) else _sizes(str(groups))
        number = INPUT_FORMATS[x_format] if x_format else InputFormat.FP32
        changes = bool(delta) or events
        return cls(n_fuse, schedule, sizes, x_skip, best, changes, x_threshold or 0.0, number, bool(h_fp16))

    @property
    def plain(self) -> bool:
        """Whether it is cell fusion at a given N_fuse, on numbers as they always were."""
        return self == ScheduleChoice(self.n_fuse, groups=self.groups)

    @property
    def given(self) -> Plan | None:
        """The plan of the lowest layer where nothing is left to a search."""
        if self.best or (self.schedule == LIST.name and not self.groups):
            return None
        number = SCHEDULES[self.schedule].number
        assert number is not None
        return self._plan(self.n_fuse, Schedule(number), self.groups or (), self.x_skip)

    def _plan(self, n_fuse: int, schedule: Schedule, groups: tuple[int, ...] = (), x_skip: bool = False) -> Plan:
        return Plan(n_fuse, schedule, groups, x_skip, self.delta, self.x_threshold, self.x_format, self.h_fp16)

    @property
    def above(self) -> "ScheduleChoice":
        """What is asked of the other layers, whose x are the rows that the one below stored."""
        return replace(self, x_format=InputFormat.FP16 if self.h_fp16 else InputFormat.FP32)

    @property
    def by_events(self) -> bool:
        return self.schedule == EVENTS.name

    def layer(self, packed: PackedLayer) -> Layer:
        """Golden's layer for such runs."""
        return Layer(packed, delta=self.delta, events=self.by_events)

    def formats(self, formats: FormatChoice) -> FormatChoice:
        """The formats with weights on the grid where changes are multiplied by them: M = U hh holds for ever."""
        return formats.on_grid(w=self.by_events, u=self.delta)

    def check(self, config: AcceleratorConfig) -> None:
        """Raise UserError for what a build of this configuration does not run."""
        number = SCHEDULES[self.schedule].number
        if number not in config.schedules and not self.best:
            have = SCHEDULES.names(config.schedules)
            switch = "events=false" if number == Schedule.EVENTS else "group_list=false"
            switch = "events=true" if config.events else switch
            raise UserError(f"--schedule {self.schedule} is not built with {switch}, which has: {have}")
        for option, there in (("--delta", self.delta), ("--h-fp16", self.h_fp16)):
            if there and not config.delta:
                raise UserError(f"{option} is not built with delta=false")
        if self.x_format not in config.input_formats:
            have = ", ".join(number.name.lower() for number in config.input_formats)
            raise UserError(f"--x-format {self.x_format.name.lower()} is not built with this configuration: {have}")

    def plan(self, packed: PackedLayer, x: ArrayLike, golden: LayerResult, config: AcceleratorConfig) -> Plan:
        """The plan of a layer, by its first sequence x (T, inputs) and golden's result of it."""
        return self.given or self.planned(packed, x, golden, config)[0]

    def planned(
        self, packed: PackedLayer, x: ArrayLike, golden: LayerResult, config: AcceleratorConfig
    ) -> tuple[Plan, int]:
        """The plan that takes the fewest cycles by its model, and these; 0 where nothing is searched for."""
        if self.given is not None:
            return self.given, 0
        if self.by_events:
            words = self._words(packed, golden, None)
            return self._plan(self.n_fuse, Schedule.EVENTS), EVENTS.model(words, config, ()).cycles
        skips = self.x_skip or self.best
        fused, listed = (self._words(packed, golden, zeros) for zeros in (None, x if skips else None))
        n_fuse, found = self.n_fuse, []
        if self.best:
            n_fuse = CELL_FUSION.search(fused, config)[0]
            plan = self._plan(n_fuse, Schedule.CELL_FUSION)
            found.append((plan, CELL_FUSION.model(fused, config, (n_fuse,)).cycles))
        if not self.best or Schedule.LIST in config.schedules:
            sizes = LIST.search(listed, config)
            plan = self._plan(n_fuse, Schedule.LIST, sizes, skips)
            found.append((plan, LIST.model(listed, config, sizes).cycles))
        return min(found, key=lambda one: one[1])

    def _words(self, packed: PackedLayer, golden: LayerResult, zeros: ArrayLike | None) -> LayerWords:
        return LayerWords.of_layer(
            packed,
            golden.kept,
            zeros,
            x_sent=golden.x_sent if self.by_events else None,
            x_bits=INPUT_BITS[self.x_format],
            row_bits=16 if self.h_fp16 else 32,
            delta=self.delta,
        )


USUAL_SCHEDULE = ScheduleChoice()


@dataclass(frozen=True, eq=False)
class PlannedLayer:
    """A packed layer, with the threshold of its pruning and the plan of its runs."""

    packed: PackedLayer
    threshold: float
    plan: Plan

    def golden(self, x: NDArray[np.float32]) -> LayerResult:
        """Golden's result of x (T, X) or (N, T, X)."""
        return self.plan.layer(self.packed).run(x, self.threshold, x_threshold=self.plan.x_threshold)


def run_of(layers: Sequence[PlannedLayer]) -> list[dict[str, Any]]:
    """What a run's answers depend on beside weights and inputs, layer by layer: formats, and what is sent of h and x.

    Of schedules only events change what comes out.
    """
    return [
        {
            "w": kind_of(layer.packed.w),
            "u": kind_of(layer.packed.u),
            "delta": layer.plan.delta,
            "events": layer.plan.events,
            "x_threshold": layer.plan.x_threshold,
            "x_format": layer.plan.x_format.name.lower(),
        }
        for layer in layers
    ]


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
    if schedule.best and config.events:
        schedule = replace(schedule, schedule=EVENTS.name, delta=True)
    formats = schedule.formats(formats)
    if schedule.given is not None:
        packed = []
        for number, layer in enumerate(weights, 1):
            with _of_layer(number):
                packed.append(formats.pack(layer.w, layer.u, layer.b))
        check_built(packed, config.formats)
        plans = [plan for each in (schedule, schedule.above) if (plan := each.given)]
        return [
            PlannedLayer(one, layer.threshold, plans[min(number, 1)])
            for number, (one, layer) in enumerate(zip(packed, weights, strict=True))
        ]
    found: list[PlannedLayer] = []
    with bars() as bar:
        for number, layer in enumerate(weights, 1):
            with _of_layer(number):
                packed = formats.packings(layer.w, layer.u, layer.b, config.formats)
            check_built([*(below.packed for below in found), packed[0]], config.formats)
            task = bar.add_task(f"layer {number}: search", total=len(packed))
            tried, stopped = [], Error.NONE
            for one in packed:
                result = schedule.layer(one).run(x, layer.threshold, x_threshold=schedule.x_threshold)
                if result.error == Error.NONE:
                    tried.append((*schedule.planned(one, x, result, config), one, result))
                else:
                    stopped = stopped or result.error
                bar.advance(task)
            if not tried:
                raise UserError(f"layer {number} stops: {ERROR_MEANINGS[stopped]}")
            plan, _, best, result = min(tried, key=lambda one: one[1])
            found.append(PlannedLayer(best, layer.threshold, plan))
            x, schedule = result.h_pruned, schedule.above
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
