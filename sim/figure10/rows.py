"""The rows of Figure 10: each layer and scheme on the RTL, resumable, several simulations at a time."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.cycles import LIST
from golden.formats import stored
from golden.isa import Flags, Format, Schedule
from golden.layer import Layer, LayerResult
from sim.engines.wire.accelerator import encode_job
from sim.layers.jobs import LayerCall, layer_job
from sim.layers.plan import call_of
from sim.layers.record import RunWords, predicted, simulate
from sim.layers.table2 import Case
from sim.protocol.accelerator import AcceleratorJob
from sim.protocol.base import Design, Engine, EngineError
from sim.protocol.timing import MemoryTiming
from sim.results.result import LayerRun, ResultError, layer_run_from, write_whole
from sim.threads import simulations
from software.tuning.plan import Plan
from software.tuning.schedule_choice import ScheduleChoice
from software.weight_formats import FormatChoice, option_name

SCHEMES = ("original", "sparse", "fused")
"""original: N_fuse 1 and every block kept; sparse: N_fuse 1; fused: the best N_fuse within the capacity."""


@dataclass(frozen=True)
class Ours:
    """A scheme beside the paper's: in which format, and whether under the list, which skips zero x with ``x_skip``.

    delta: the threshold of changes that are sent, of single units, where changes are.
    """

    weights: Format
    listed: bool = False
    x_skip: bool = False
    delta: float | None = None


OURS = {
    "stream16": Ours(Format.STREAM16),
    "list": Ours(Format.ESELL, listed=True),
    "list-stream16": Ours(Format.STREAM16, listed=True, x_skip=True),
    "list-stream8": Ours(Format.STREAM8, listed=True, x_skip=True),
    "delta-stream8": Ours(Format.STREAM8, listed=True, x_skip=True, delta=0.2),
}
"""Each move alone, then all of them; the last two on PEs of 8 MACs. Data and, but for changes, thresholds are those of
``fused``."""


@dataclass(frozen=True, eq=False)
class Run:
    """One row to be: a case under a scheme. ``estimate``: cycles by the word-level model."""

    case: Case
    scheme: str
    call: LayerCall
    golden: LayerResult
    estimate: int

    @property
    def title(self) -> str:
        return f"{self.case.title} {self.scheme}"


def runs_of(case: Case, schemes: tuple[str, ...], config: AcceleratorConfig) -> list[Run]:
    """The runs of a case, with golden's results. Raises ValueError when the layer does not fit the configuration."""
    shape = case.layer.shape
    if over := config.exceeded(shape.x, shape.h, shape.t):
        name, value, limit = over
        raise ValueError(f"{case.layer.name} has {name} = {value}, the preset allows {limit}")
    runs = []
    layer = Layer(case.packed)
    for scheme in schemes:
        if scheme in OURS:
            runs.append(_ours(case, scheme, config))
            continue
        threshold = 0.0 if scheme == "original" else case.threshold
        golden = layer.run(case.x, threshold)
        call = LayerCall(case.packed, case.x, threshold, 1, Flags.H_SEQ | Flags.H_PRUNED)
        if scheme == "fused":
            call = LayerCall(case.packed, case.x, threshold, RunWords.of(call, golden).best_n_fuse(config), call.flags)
        runs.append(Run(case, scheme, call, golden, predicted(call, golden, config).word.cycles))
    return runs


def _ours(case: Case, scheme: str, config: AcceleratorConfig) -> Run:
    """The run of a scheme of OURS. Raises ValueError where the configuration lacks what it needs."""
    ours = OURS[scheme]
    needed = {Schedule.LIST} if ours.listed else set()
    changes = ours.delta is not None
    lacks = ours.weights not in config.formats or not needed <= set(config.schedules)
    if lacks or (changes and not config.delta):
        also = (" and the list" if ours.listed else "") + (" and delta" if changes else "")
        raise ValueError(f"scheme {scheme} needs {stored(ours.weights).name}{also}, which are not built")
    w, u = (
        stored(m.format).unpack(m.words, m.rows, m.cols, m.offsets, m.parameters)
        for m in (case.packed.w, case.packed.u)
    )
    name = option_name(stored(ours.weights))
    formats = FormatChoice(name, name, unit=1 if changes else BLOCK_COLS, w_unit=BLOCK_COLS, u_grid=changes)
    again = formats.pack(w, u, case.packed.bias)
    packed = replace(case.packed, w=again.w, u=again.u)
    threshold = case.threshold if ours.delta is None else ours.delta
    golden = Layer(packed, delta=changes).run(case.x, threshold)
    choice = ScheduleChoice(1, LIST.name, None, ours.x_skip, delta=changes) if ours.listed else ScheduleChoice()
    plan = choice.plan(packed, case.x, golden, config)
    if not ours.listed:
        plan = Plan(RunWords.of(call_of(plan, packed, case.x, threshold), golden).best_n_fuse(config))
    call = call_of(plan, packed, case.x, threshold)
    return Run(case, scheme, call, golden, predicted(call, golden, config).word.cycles)


class Runner:
    """Simulates runs and keeps each finished row in ``store``, under a digest of all that its outcome depends on."""

    def __init__(self, engine: Engine, config: AcceleratorConfig, timing: MemoryTiming, store: Path) -> None:
        self.engine, self.config, self.timing, self.store = engine, config, timing, store
        self.design = Design("accelerator", config)
        self.verilog_sha256 = engine.verilog_sha256(self.design)
        self.simulated_cycles = 0
        self.simulated_seconds = 0.0
        self._stop = Event()

    def _path(self, run: Run, job: AcceleratorJob) -> Path:
        digest = hashlib.sha256(self.verilog_sha256.encode())
        digest.update(encode_job(job))
        digest.update(run.title.encode())
        return self.store / f"{run.case.layer.name}-{run.case.source}-{run.scheme}-{digest.hexdigest()[:16]}.json"

    def _stored(self, path: Path) -> LayerRun | None:
        try:
            row = layer_run_from(json.loads(path.read_text()), str(path))
        except (OSError, ValueError, ResultError):
            # never finished, or written by another version: it is simulated again
            return None
        return row if row.exact else None

    def row(self, run: Run, progress: Callable[[int], None]) -> tuple[LayerRun, list[str]]:
        """The row and what is wrong with it, in words. Raises EngineError, RunFailed."""
        job = layer_job(run.call, self.timing)
        path = self._path(run, job)
        if stored := self._stored(path):
            progress(run.estimate)
            return stored, []

        def tick(cycles: int) -> None:
            if self._stop.is_set():
                raise EngineError("stopped")
            progress(min(cycles, run.estimate))

        layer = run.case.layer.name
        simulated = simulate(self.engine, self.design, job, run.title, layer, run.call, run.golden, tick)
        row, problems = simulated.row, simulated.problems
        self.simulated_cycles += simulated.outcome.cycles
        self.simulated_seconds += simulated.outcome.wall_seconds
        row.scheme, row.source, row.index = run.scheme, run.case.source, run.case.index
        row.paper_cycles = run.case.layer.cycles(run.scheme)
        write_whole(path, json.dumps(asdict(row), indent=1).encode() + b"\n")
        progress(run.estimate)
        return row, problems

    def rows(
        self, runs: list[Run], workers: int, started: Callable[[Run], Callable[[int], None]]
    ) -> tuple[list[LayerRun], list[str]]:
        """All rows in the order of ``runs``, and what is wrong; the longest are simulated first.

        ``started`` gives the progress callback of a run. An interrupt starts no further run and stops those under way.
        """
        found: dict[int, tuple[LayerRun, list[str]]] = {}
        order = sorted(range(len(runs)), key=lambda n: -runs[n].estimate)
        with simulations([partial(self.row, runs[n], started(runs[n])) for n in order], workers) as futures:
            try:
                for n, future in zip(order, futures, strict=True):
                    found[n] = future.result()
            except BaseException:
                self._stop.set()
                raise
        rows = [found[n][0] for n in range(len(runs))]
        _add_speedups(rows)
        return rows, [problem for n in range(len(runs)) for problem in found[n][1]]


def _add_speedups(rows: list[LayerRun]) -> None:
    """Fill in ``speedup`` wherever the original of the same data is there."""
    originals = {(r.layer, r.source, r.index): r.cycles for r in rows if r.scheme == "original"}
    for row in rows:
        base = originals.get((row.layer, row.source, row.index))
        row.speedup = base / row.cycles if base else None
