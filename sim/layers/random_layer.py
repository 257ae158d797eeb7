"""Random layers: sizes, sparsity, thresholds, states, flags, memory behaviour, all from one seed.

A *case* is run on any engine and compared with golden in everything that a program could see.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.formats import Parameters, stored
from golden.formats.stream import Stream
from golden.isa import GROUP_SIZE_BITS, GROUP_SIZES, Flags, Format, InputFormat, Schedule
from golden.layer import Layer, LayerResult, PackedLayer, Packer, pack_layer_with
from golden.recurrence import Held, State
from golden.sends import GRID_BITS
from golden.tables import STREAM_UNIT_COLS
from sim.layers.compare import judge
from sim.layers.jobs import LayerCall, LayerOutcome, RunFailed, decode, layer_job
from sim.protocol.accelerator import Command
from sim.protocol.base import Design, Engine
from sim.protocol.timing import MemoryTiming
from software.weight_formats import kind_of

CONFIGS = (
    AcceleratorConfig(n_pe=2, slots=12, max_x=64, max_h=64, max_t=255, window=16),
    AcceleratorConfig(n_pe=3, slots=12, max_x=64, max_h=64, max_t=255, window=64),
    AcceleratorConfig(n_pe=4, slots=18, max_x=64, max_h=64, max_t=255, window=8),
    AcceleratorConfig(n_pe=5, slots=24, max_x=64, max_h=64, max_t=255, window=32),
)
"""One for each number of PEs; the rest is off the design point, so that nothing relies on it."""

FULL_CONFIGS = tuple(replace(config, group_list=True, stream16=True, stream8=True) for config in CONFIGS)
"""The same with every schedule and format."""

DELTA_CONFIGS = tuple(replace(config, delta=True) for config in FULL_CONFIGS)
"""And with DELTA."""

EVENT_CONFIGS = tuple(
    AcceleratorConfig(
        n_pe=1, slots=0, max_x=64, max_h=64, max_t=255, window=window, esell=False, stream16=True, stream8=eight,
        delta=True, events=True, vector_units=units,
    )
    for window, eight, units in ((16, True, 1), (64, True, 2), (8, False, 4), (32, True, 4), (64, True, 8))
)  # fmt: skip
"""By events alone."""

SPECIAL_THRESHOLDS = (0.0, -0.0, -1.0, float("inf"), 1e-8, 64.0)


@dataclass(frozen=True, eq=False)
class RandomLayer:
    """A layer with everything around it.

    Attributes:
        schedule, groups: what runs, and the sizes of the list's groups.
        x_threshold, x_format: of changes of x, by events; of x in memory.
        split: step at which the sequence goes on in a second run from the stored state, or None.
        withdraw: of every command (sim.protocol.accelerator.Command).
    """

    name: str
    seed: int
    config: AcceleratorConfig
    packed: PackedLayer
    x: NDArray[np.float32]
    threshold: float
    n_fuse: int
    flags: Flags
    schedule: Schedule
    groups: tuple[int, ...]
    x_threshold: float
    x_format: InputFormat
    state: State | None
    split: int | None
    timing: MemoryTiming
    response_stall_permille: int
    withdraw: int

    @property
    def design(self) -> Design:
        return Design("accelerator", self.config)

    @cached_property
    def layer(self) -> Layer:
        return self.whole.layer()

    @property
    def whole(self) -> LayerCall:
        """The whole sequence as one run."""
        return LayerCall(
            self.packed, self.x, self.threshold, self.n_fuse, self.flags, self.state, self.schedule, self.groups,
            self.x_threshold, self.x_format,
        )  # fmt: skip

    @property
    def text(self) -> str:
        """What was drawn, in one line."""
        steps = f"{len(self.x)}" if self.split is None else f"{self.split}+{len(self.x) - self.split}"
        shape = f"X {self.packed.x}, H {self.packed.h}, T {steps}, N_fuse {self.n_fuse}, N_pe {self.config.n_pe}"
        t = self.timing
        memory = f"latency {t.latency}+{t.jitter} {t.order}, stalls {t.stall_permille}/1000"
        state = "state" if self.state is not None else "no state"
        weights = f"W {kind_of(self.packed.w)}, U {kind_of(self.packed.u)}"
        listed = f"groups of {self.groups}, " if self.groups else ""
        if self.flags & Flags.DELTA:
            by = f"events, th of x {self.x_threshold:.4g}, " if self.schedule == Schedule.EVENTS else ""
            listed += f"{by}x {self.x_format.name.lower()}, "
        drawn = f"{shape}, {listed}th {self.threshold:.4g}, {self.flags!r}, {state}, {memory}, {weights}"
        return f"{self.name} seed {self.seed}: {drawn}"


@dataclass(frozen=True)
class Traits:
    """What a named kind of layer leaves to chance: None is anything that the configuration has.

    full: of FULL_CONFIGS instead of CONFIGS, where no configuration is given.
    """

    density: float | None = None
    threshold: float | None = None
    timing: MemoryTiming | None = None
    n_pe: int | None = None
    split: bool | None = None
    state: bool | None = None
    max_size: int = 64
    max_steps: int = 12
    full: bool = False
    schedule: Schedule | None = None
    x_skip: bool | None = None
    formats: Sequence[Format] = ()
    delta: bool | None = None
    x_format: InputFormat | None = None

    def fits(self, config: AcceleratorConfig) -> bool:
        """Whether the configuration has what is asked for by name."""
        schedules = {self.schedule, Schedule.LIST if self.x_skip else None} - {None}
        return (
            self.n_pe in (None, config.n_pe)
            and schedules <= set(config.schedules)
            and set(self.formats) <= set(config.formats)
            and (config.delta or not self.delta)
            and self.x_format in (None, *config.input_formats)
        )


def _weights(rng: np.random.Generator, rows: int, columns: int, density: float) -> NDArray[np.float16]:
    """Weights of every fp16 magnitude that a trained layer has, subnormals and both zeros among them."""
    values = rng.normal(size=(rows, columns)) * 2.0 ** rng.integers(-3, 1) / np.sqrt(columns)
    tiny = rng.random(values.shape) < 0.05
    values[tiny] = rng.integers(-1023, 1024, tiny.sum()) * 2.0**-24
    values[rng.random(values.shape) >= density] = 0
    return values.astype(np.float16)


def _density(rng: np.random.Generator) -> float:
    """Often an extreme."""
    return float(rng.choice([0.0, 1.0, rng.random(), rng.random(), rng.random()]))


def _state(rng: np.random.Generator, hidden: int) -> State:
    h = np.clip(rng.normal(size=hidden) * 0.5, -1, 1).astype(np.float16).astype(np.float32)
    h[rng.random(hidden) < 0.3] = 0
    return State(h, rng.integers(-(2**22), 2**22, hidden).astype(np.int32))


def _timing(rng: np.random.Generator) -> MemoryTiming:
    return MemoryTiming(
        latency=int(rng.choice([1, 2, 3, 8, 30])),
        jitter=int(rng.choice([0, 1, 5, 20])),
        order="random" if rng.random() < 0.5 else "fifo",
        stall_permille=int(rng.choice([0, 0, 100, 500, 900])),
        seed=int(rng.integers(2**63)),
    )


def generate(
    seed: int, name: str = "any", traits: Traits = Traits(), config: AcceleratorConfig | None = None
) -> RandomLayer:
    """The layer of a seed, for a configuration or, where none is given, one of CONFIGS or of FULL_CONFIGS."""
    rng = np.random.default_rng(seed)
    drawn = (FULL_CONFIGS if traits.full else CONFIGS)[(traits.n_pe or int(rng.integers(2, 6))) - 2]
    config = config or drawn
    largest = min(traits.max_size, config.max_x, config.max_h)
    inputs, hidden = (4 * int(n) for n in rng.integers(1, largest // 4 + 1, 2))
    steps = int(rng.integers(1, min(traits.max_steps, config.max_t) + 1))
    # drawn even when a trait decides, so that the rest of the seed stays the same
    densities = [_density(rng), _density(rng)]
    if traits.density is not None:
        densities = [traits.density] * 2
    w, u = _weights(rng, 4 * hidden, inputs, densities[0]), _weights(rng, 4 * hidden, hidden, densities[1])
    bias = (rng.normal(size=4 * hidden) * 0.5).astype(np.float16)
    x = rng.normal(size=(steps, inputs)).astype(np.float32)
    x[rng.random(x.shape) < 0.3] = 0
    threshold = float(np.float32(rng.choice([*SPECIAL_THRESHOLDS, *(rng.random(8) * 2)])))
    drawn_split = int(rng.integers(1, steps)) if steps > 1 and rng.random() < 0.4 else None
    if traits.split is not None:
        drawn_split = steps // 2 if traits.split and steps > 1 else None
    with_state = rng.random() < 0.4 if traits.state is None else traits.state
    state, timing = _state(rng, hidden), _timing(rng)
    flags = Flags(0)
    for flag, probability in ((Flags.H_SEQ, 0.8), (Flags.H_PRUNED, 0.5), (Flags.STATE_OUT, 0.4), (Flags.IRQ, 0.3)):
        if rng.random() < probability:
            flags |= flag
    case = RandomLayer(
        name=name,
        seed=seed,
        config=config,
        x=x,
        threshold=threshold if traits.threshold is None else traits.threshold,
        n_fuse=int(rng.integers(1, 7)),
        flags=flags,
        schedule=Schedule.CELL_FUSION,
        groups=(),
        x_threshold=0.0,
        x_format=InputFormat.FP32,
        state=state if with_state else None,
        split=drawn_split,
        timing=traits.timing or timing,
        response_stall_permille=int(rng.choice([0, 0, 300])),
        withdraw=int(rng.choice([0, 0, 0, 1, 4])),
        # drawn last, so that what a configuration may have beside eSELL leaves everything else of a seed as it is
        packed=pack_layer_with(
            w,
            u,
            bias,
            _drawn_packer(rng, traits.formats or config.formats),
            _drawn_packer(rng, traits.formats or config.formats),
        ),
    )
    if config.group_list:
        case = _scheduled(case, rng, traits)
    return _by_changes(case, rng, traits) if config.delta else case


def _drawn_packer(rng: np.random.Generator, formats: Sequence[Format]) -> Packer:
    """Of one of the formats, with gap bits and units drawn where it has any."""
    form = stored(formats[int(rng.integers(len(formats)))])
    if not isinstance(form, Stream):
        return form.pack
    wanted = Parameters(int(rng.choice(form.gap_bits)), int(rng.choice(STREAM_UNIT_COLS)))
    return lambda matrix: form.pack(matrix, wanted)


def _scheduled(case: RandomLayer, rng: np.random.Generator, traits: Traits) -> RandomLayer:
    """The case under a schedule that is drawn; under the list with groups and X_SKIP, and x of which units are zero."""
    listed = rng.random() < 0.75 if traits.schedule is None else traits.schedule == Schedule.LIST
    largest = int(rng.choice([3, 8, (1 << GROUP_SIZE_BITS) - 1]))
    groups = tuple(map(int, rng.integers(1, largest + 1, int(rng.choice([1, 2, 3, GROUP_SIZES])))))
    skips = rng.random() < 0.6 if traits.x_skip is None else traits.x_skip
    x = case.x.copy()
    units = x.reshape(len(x), -1, BLOCK_COLS)
    units[rng.random(units.shape[:2]) < rng.choice([0, 0.5, 0.9, 1])] = 0
    if not listed:
        return case
    flags = case.flags | (Flags.X_SKIP if skips else Flags(0))
    return replace(case, x=x, flags=flags, schedule=Schedule.LIST, groups=groups)


_GRID = 1 << GRID_BITS


def _by_changes(case: RandomLayer, rng: np.random.Generator, traits: Traits) -> RandomLayer:
    """The case with DELTA, which is drawn where it is not the only way to run, with formats of x and of rows, and by
    events where the configuration has them."""
    events = Schedule.EVENTS in case.config.schedules
    formats = case.config.input_formats
    x_format = InputFormat(rng.choice(formats)) if traits.x_format is None else traits.x_format
    flags = case.flags | (Flags.H_FP16 if rng.random() < 0.5 else Flags(0))
    # by events it says nothing
    flags |= Flags.X_SKIP if events and rng.random() < 0.2 else Flags(0)
    delta = (rng.random() < 0.75 if traits.delta is None else traits.delta) or events
    x, state = case.x, case.state
    # x that often stays where it is, so that something is not sent
    stays = rng.random(x.shape) < rng.choice([0, 0.5, 0.9])
    k = np.where(stays, rng.integers(0, 256, x.shape[1:]), rng.integers(0, 256, x.shape))
    if x_format == InputFormat.UINT8:
        x = (k / 256).astype(np.float32)
    elif events:
        x = np.where(stays, x[:1], np.clip(x / 4, -1, 1)).clip(-1, 1).astype(np.float32)
    held = _held(rng, case.packed, events) if delta else None
    if state is not None:
        state = replace(state, held=held)
    x_threshold = float(np.float32(rng.choice([0.0, -1.0, float("inf"), *(rng.random(5) / 4)])))
    return replace(
        case,
        x=x,
        state=state,
        flags=flags | (Flags.DELTA if delta else Flags(0)),
        x_format=x_format,
        x_threshold=x_threshold if events else 0.0,
        schedule=Schedule.EVENTS if events else case.schedule,
    )


def _held(rng: np.random.Generator, packed: PackedLayer, events: bool) -> Held:
    """What a run may find held, the limits among it."""

    def values(size: int) -> NDArray[np.int32]:
        return rng.choice([-_GRID, _GRID, *rng.integers(-_GRID, _GRID + 1, 6)], size).astype(np.int32)

    sums = rng.integers(-(2**22), 2**22, 4 * packed.h).astype(np.int32)
    return Held(values(packed.h), sums, values(packed.x) if events else None)


def calls(case: RandomLayer) -> list[LayerCall]:
    """The runs of a case; the second takes the state that golden expects from the first."""
    whole = case.whole
    if case.split is None:
        return [whole]
    first = replace(whole, x=case.x[: case.split], flags=case.flags | Flags.STATE_OUT)
    return [first, replace(whole, x=case.x[case.split :])]


def _run(case: RandomLayer, engine: Engine, call: LayerCall) -> LayerOutcome:
    job = layer_job(call, case.timing, response_stall_permille=case.response_stall_permille)
    if case.withdraw:
        steps = (replace(s, withdraw=case.withdraw) if isinstance(s, Command) else s for s in job.steps)
        job = replace(job, steps=tuple(steps))
    return decode(call, engine.run(case.design, job))


def check(case: RandomLayer, engine: Engine) -> tuple[list[str], int]:
    """Run a case; returns what disagrees with golden, in words, and the cycles of its runs.

    In a split case the second run starts from the state that the first one stored, and the rows of both must be those
    of one run over the whole sequence.
    """
    problems: list[str] = []
    cycles = 0
    state = case.state
    for number, call in enumerate(calls(case), 1):
        now = replace(call, state=state)
        name = f"run {number}"
        golden = now.golden(case.layer)
        try:
            rtl = _run(case, engine, now)
        except RunFailed as failure:
            return [*problems, f"{name}: {failure}"], cycles
        cycles += rtl.harness_cycles
        problems += judge(name, now, golden, rtl, case.config).problems
        problems += _interrupt_problems(name, now, rtl)
        if problems:
            break
        state = rtl.state
    if case.split is not None and not problems:
        problems += _split_problems(case, golden)
    return problems, cycles


def _interrupt_problems(name: str, call: LayerCall, rtl: LayerOutcome) -> list[str]:
    wanted = bool(call.flags & Flags.IRQ)
    if wanted == (rtl.raw.interrupt_cycles > 0):
        return []
    return [f"{name}: interrupt was high in {rtl.raw.interrupt_cycles} cycles although IRQ was {int(wanted)}"]


def _parts(state: State) -> list[NDArray[Any]]:
    """The arrays of a state."""
    held = [] if state.held is None else [state.held.h, state.held.sums, state.held.x]
    return [state.h, state.c, *(part for part in held if part is not None)]


def _split_problems(case: RandomLayer, last: LayerResult) -> list[str]:
    """Golden's own promise, that a split sequence gives the bits of a whole one."""
    whole = case.whole.golden(case.layer)
    same = all((a == b).all() for a, b in zip(_parts(whole.state), _parts(last.state), strict=True))
    return [] if same and (whole.h[-1] == last.h[-1]).all() else ["golden: a split run differs from a whole one"]
