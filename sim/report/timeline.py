"""What the accelerator did in every cycle of a run, read off the RTL's signals: port, PEs and gate unit.

The paper draws such pictures by hand (its Figures 7 and 8); here each cycle is what the hardware's own signals were,
and over a whole run the cycles of each kind add up to the accelerator's counters (``disagreements``).
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.cycles.list.work import Work, groups_of
from golden.isa import Counter, Schedule
from golden.layer import LayerResult
from sim.engines.build_cache import scratch
from sim.engines.compiled import CompiledAccelerator
from sim.engines.native.vcd import read_rows
from sim.layers.compare import Verdict, judge
from sim.layers.jobs import LayerCall, LayerOutcome, decode, layer_job, layer_segments
from sim.layers.words import RunWords
from sim.protocol.base import Design, Progress, WaveRequest
from sim.protocol.timing import MemoryTiming
from sim.report.tracks import (
    EVENT_SIGNALS,
    NO_STEP,
    SIGNALS,
    Track,
    counts_of,
    disagreements,
    event_counts_of,
    event_tracks_of,
    pool_signals,
    pool_tracks_of,
    tracks_of,
)
from software.cli import UserError

SCHEMA = "elstm.timeline/1"
LONGEST = 1_000_000
"""Cycles that a timeline keeps at most: what a browser draws at once."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """The cycles from ``first`` on, counted from the acceptance of START, of a run of ``cycles`` cycles."""

    title: str
    first: int
    cycles: int
    tracks: tuple[Track, ...]

    @property
    def length(self) -> int:
        return len(self.tracks[0].codes)


@dataclass(frozen=True, eq=False)
class Recorded:
    """A run with its timeline; problems: differences between the signals and the counters, in words; whole: every cycle
    was recorded, so that there could be any."""

    rtl: LayerOutcome
    verdict: Verdict
    timeline: Timeline
    problems: list[str]
    whole: bool


def check_window(first: int, last: int) -> tuple[int, int]:
    """The same cycles. Raises UserError when they are more than LONGEST."""
    if last - first >= LONGEST:
        raise UserError(f"a timeline has at most {LONGEST:,} cycles, not {last - first + 1:,}")
    return first, last


def record(
    title: str,
    call: LayerCall,
    golden: LayerResult,
    config: AcceleratorConfig,
    timing: MemoryTiming,
    window: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> Recorded:
    """Run a layer on the RTL and keep what every unit did.

    Parameters:
        golden: the result of this one sequence.
        window: first and last cycle to keep, at most LONGEST cycles; None for all, or the beginning of a longer run.

    Raises EngineError, RunFailed, and UserError when the window is too long or begins after the run's end.
    """
    first, last = check_window(*window or (0, LONGEST - 1))
    listed = call.schedule == Schedule.LIST
    names = EVENT_SIGNALS if call.events else pool_signals(config) if listed else SIGNALS
    with scratch() as folder:
        path = folder / "signals.npy"
        # The commands before START take cycles too, and only from the run's beginning can steps be counted.
        wave = WaveRequest(str(path), 0, last + 1000, tuple(names.values()))
        outcome = CompiledAccelerator().run(Design("accelerator", config), layer_job(call, timing, wave=wave), progress)
        rows = read_rows(path)
    rtl = decode(call, outcome)
    verdict = judge(title, call, golden, rtl, config)
    running = rows[names["busy"]] == 1
    signals = {short: rows[name][running] for short, name in names.items()}
    cycles = rtl.counters[Counter.CYCLES]
    if first >= cycles:
        raise UserError(f"the run has {cycles:,} cycles, none from {first:,} on")
    if call.events:
        arrays = {s.name: range(s.address, s.address + s.size) for s in layer_segments(call)}
        tracks = event_tracks_of(signals, arrays)
    elif listed:
        groups = groups_of(call.groups, call.steps, Work(RunWords.of(call, golden), config).most)
        tracks = pool_tracks_of(signals, config, groups, call.packed.h // BLOCK_COLS)
    else:
        tracks = tracks_of(signals, config, max(1, rtl.counters[Counter.N_FUSE]))
    # by the signal, not by the counter: a counter that is wrong must not keep itself from being compared
    whole = not running[-1]
    problems = []
    if whole:
        counts = (event_counts_of if call.events else counts_of)(signals, tracks)
        problems = [f"{title}: {text}" for text in disagreements(counts, rtl.counters)]
    kept = tuple(
        Track(track.name, track.states, track.codes[first : last + 1], track.steps[first : last + 1])
        for track in tracks
    )
    return Recorded(rtl, verdict, Timeline(title, first, cycles, kept), problems, whole)


def to_bytes(timeline: Timeline) -> bytes:
    """The file of a timeline, an .npz."""
    arrays: dict[str, Any] = {}
    for number, track in enumerate(timeline.tracks):
        arrays |= {f"codes{number}": track.codes, f"steps{number}": track.steps}
    names = [(track.name, track.states) for track in timeline.tracks]
    head = {"schema": SCHEMA, "title": timeline.title, "first": timeline.first, "cycles": timeline.cycles}
    stream = io.BytesIO()
    np.savez_compressed(stream, head=np.array(json.dumps(head | {"tracks": names})), **arrays)
    return stream.getvalue()


def load(path: Path) -> Timeline:
    """Read what ``to_bytes`` made. Raises UserError naming the file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            head = json.loads(str(file["head"]))
            if head["schema"] != SCHEMA:
                raise UserError(f"{path}: schema must be {SCHEMA!r}, not {head['schema']!r}")
            tracks = tuple(
                Track(name, tuple((a, b) for a, b in states), file[f"codes{n}"], file[f"steps{n}"])
                for n, (name, states) in enumerate(head["tracks"])
            )
            return Timeline(head["title"], head["first"], head["cycles"], tracks)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UserError:
        raise
    except Exception:
        # NumPy, zip and JSON each have their own errors for a file that is something else
        raise UserError(f"{path}: not a timeline (--trace of sim.run digit or timeline), or damaged") from None


__all__ = [
    "EVENT_SIGNALS",
    "LONGEST",
    "NO_STEP",
    "SIGNALS",
    "Recorded",
    "Timeline",
    "Track",
    "check_window",
    "counts_of",
    "disagreements",
    "event_counts_of",
    "event_tracks_of",
    "load",
    "record",
    "to_bytes",
    "tracks_of",
]
