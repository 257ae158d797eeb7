"""What a report says, from run results alone: verdict, cycles, reasons, accuracy. No layout."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from golden.config import BLOCK_COLS
from golden.cycles import SCHEDULES
from golden.isa import COUNTER_MEANINGS, COUNTER_SUMS, Counter, Schedule
from sim.results.result import ERROR_EDGES, LayerRun, RunResult

SCHEMA = "elstm.report/1"
VIEWS = ("memory port", "W PEs", "U PE", "gate unit")
"""Names of the sums of COUNTER_SUMS that give every cycle a reason, in its order."""


@dataclass(frozen=True)
class Wrong:
    """A layer's first mismatch, with the input it belongs to; ``where`` in words."""

    input: int | None
    layer: str
    step: int
    unit: int
    golden: float
    rtl: float
    lsb: int

    @property
    def where(self) -> str:
        prefix = "" if self.input is None else f"input {self.input}, "
        return f"{prefix}layer {self.layer}, step {self.step}, unit {self.unit}"

    @property
    def what(self) -> str:
        if np.isnan(self.rtl):
            return f"golden {self.golden!r}, RTL never stored it"
        return f"golden {self.golden!r}, RTL {self.rtl!r}, {self.lsb:+d} LSB of 2^-24"


@dataclass(frozen=True)
class Part:
    """One reason for cycles: ``share`` of the layer's cycles, 0..1."""

    name: str
    meaning: str
    cycles: float
    share: float


@dataclass(frozen=True)
class View:
    """Where the cycles of one unit went; the parts add up to all of them."""

    name: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class LayerSummary:
    """All runs of one layer (and scheme): means over ``runs``, and what was worst.

    n_fuse, parameters: "" without any.
    """

    name: str
    runs: int
    exact: int
    shape: str
    format: str
    schedule: str
    n_fuse: str
    parameters: str
    threshold: str
    cycles: float
    word_model: float
    published: float
    bound: float
    paper: float | None
    speedup: float | None
    port_busy: float
    dropped: float
    pe_use: float
    views: tuple[View, ...]
    max_error: float | None
    mean_error: float | None
    histogram: tuple[int, ...]
    flips: int
    blocks: int


@dataclass(frozen=True)
class Report:
    """One run result, summed up. ``source``: the file it came from."""

    source: str
    result: RunResult
    wrong: tuple[Wrong, ...]
    layers: tuple[LayerSummary, ...]
    values: int
    runs: int = 0
    waveforms: tuple[str, ...] = field(default=())

    @property
    def exact(self) -> bool:
        return self.result.exact and not self.wrong

    @property
    def designs(self) -> tuple[str, ...]:
        """Format of the weights, schedule, and what both left open, each that ran once."""
        told = [(layer.format, layer.schedule, layer.parameters) for layer in self.layers]
        return tuple(dict.fromkeys(", ".join(filter(None, each)) for each in told))

    @property
    def verdict(self) -> str:
        """One line."""
        if self.exact:
            return f"bit-exact: all {self.values:,} values of h in {self.runs} runs of a layer"
        if self.wrong:
            first = self.wrong[0]
            return f"MISMATCH: {first.where}: {first.what}"
        return "FAILED: " + (self.result.notes[0] if self.result.notes else "a run did not agree with golden")


def _name(run: LayerRun) -> str:
    return " ".join(filter(None, (run.layer, run.source, run.scheme)))


def schedule_name(run: LayerRun) -> str:
    """Its name, or its number where nothing of that number is known any more, or yet."""
    try:
        return SCHEDULES.numbered(run.schedule).name
    except ValueError:
        return f"schedule {run.schedule}"


def has_n_fuse(run: LayerRun) -> bool:
    """Whether the run's schedule has a fusion factor."""
    return "n_fuse" in getattr(SCHEDULES.get(schedule_name(run)), "parameters", ())


def parameters_of(run: LayerRun) -> str:
    """What formats and schedule left open of the run, in words; N_fuse is not among it."""
    said = [f"groups of {', '.join(map(str, run.group_sizes))}"] if run.group_sizes else []
    said += ["units of W skipped where x is 0"] if run.x_skip else []
    said += ["changes of h"] if run.delta and run.schedule != Schedule.EVENTS else []
    said += [f"changes of x from {run.x_threshold:g} on"] if run.x_threshold else []
    said += [f"x as {run.x_format}"] if run.x_format != "fp32" else []
    said += ["rows of h as fp16"] if run.h_fp16 else []
    for name, gap_bits, unit_cols in (("W", run.w_gap_bits, run.w_unit_cols), ("U", run.u_gap_bits, run.u_unit_cols)):
        if gap_bits:
            columns = "" if unit_cols == BLOCK_COLS else f" and units of {unit_cols} column"
            said.append(f"{name} with gap bits {gap_bits}{columns}")
    return ", ".join(said)


def _views(runs: Sequence[LayerRun], cycles: float) -> tuple[View, ...]:
    if not all(run.counters for run in runs):
        return ()
    views = []
    for name, row in zip(VIEWS, (row for row in COUNTER_SUMS if row.total == Counter.CYCLES), strict=True):
        parts = []
        for counter in row.parts:
            mean = float(np.mean([run.counters[counter.name] for run in runs]))
            parts.append(Part(counter.name, COUNTER_MEANINGS[counter], mean, mean / cycles if cycles else 0.0))
        views.append(View(name, tuple(parts)))
    return tuple(views)


def _summary(name: str, runs: Sequence[LayerRun]) -> LayerSummary:
    def mean(attribute: str) -> float:
        return float(np.mean([getattr(run, attribute) for run in runs]))

    checks = [run.float_check for run in runs if run.float_check is not None]
    cycles, first = mean("cycles"), runs[0]
    blocks = sum(run.blocks for run in runs)
    return LayerSummary(
        name=name,
        runs=len(runs),
        exact=sum(run.exact for run in runs),
        shape=f"X {first.x}, H {first.h}, T {first.t}",
        format="/".join(dict.fromkeys(run.format for run in runs)),
        schedule="/".join(dict.fromkeys(map(schedule_name, runs))),
        n_fuse="/".join(str(n) for n in sorted({run.n_fuse for run in runs if has_n_fuse(run)})),
        parameters="/".join(dict.fromkeys(map(parameters_of, runs))),
        threshold="/".join(f"{th:.4g}" for th in sorted({run.threshold for run in runs})[:3]),
        cycles=cycles,
        word_model=mean("word_model_cycles"),
        published=mean("published_model_cycles"),
        bound=mean("bound_cycles"),
        paper=first.paper_cycles,
        speedup=None if first.speedup is None else float(np.mean([run.speedup or 0.0 for run in runs])),
        port_busy=mean("port_busy") / cycles if cycles else 0.0,
        dropped=1 - sum(run.kept_blocks for run in runs) / blocks,
        pe_use=float(np.mean([run.counters.get("PE_BUSY", 0) for run in runs])) / cycles if cycles else 0.0,
        views=_views(runs, cycles),
        max_error=max((check.max_abs_error for check in checks), default=None),
        mean_error=float(np.mean([check.mean_abs_error for check in checks])) if checks else None,
        histogram=tuple(int(n) for n in np.sum([check.histogram for check in checks], axis=0)) if checks else (),
        flips=sum(check.flips for check in checks),
        blocks=sum(check.blocks for check in checks),
    )


def summarise(source: str, result: RunResult) -> Report:
    """Sum a result up."""
    runs = [(run.index, layer) for run in result.inputs for layer in run.layers]
    every = [*runs, *((None, row) for row in result.rows)]
    wrong = []
    for index, layer in every:
        if (m := layer.mismatch) is not None:
            wrong.append(Wrong(index, _name(layer), m.step, m.unit, m.golden, m.rtl, m.lsb))
    groups: dict[str, list[LayerRun]] = {}
    for _, layer in every:
        groups.setdefault(_name(layer), []).append(layer)
    waveforms = tuple(note.removeprefix("waveform ") for note in result.notes if note.startswith("waveform "))
    return Report(
        source=source,
        result=result,
        wrong=tuple(wrong),
        layers=tuple(_summary(name, group) for name, group in groups.items()),
        values=sum(layer.t * layer.h for _, layer in every),
        runs=len(every),
        waveforms=waveforms,
    )


def bin_names() -> list[str]:
    """Labels of the bins of an error histogram, in powers of two."""
    powers = [round(np.log2(edge)) for edge in ERROR_EDGES]
    return [f"< 2^{powers[0]}", *(f"2^{p}" for p in powers[:-1]), f">= 2^{powers[-1]}"]


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """The machine's version: verdicts and layers, with the results' own provenance."""
    return {
        "schema": SCHEMA,
        "exact": all(report.exact for report in reports),
        "reports": [
            {
                "source": report.source,
                "verdict": report.verdict,
                "exact": report.exact,
                "runs": report.runs,
                "values": report.values,
                "wrong": [asdict(wrong) for wrong in report.wrong],
                "layers": [asdict(layer) for layer in report.layers],
                "waveforms": list(report.waveforms),
                **{
                    name: getattr(report.result, name)
                    for name in ("kind", "system", "engine", "preset", "seed", "commit", "command", "verilog_sha256")
                },
            }
            for report in reports
        ],
    }
