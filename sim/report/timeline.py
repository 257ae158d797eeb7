"""What the accelerator did in every cycle of a run, read off the RTL's signals: port, PEs and gate unit.

The paper draws such pictures by hand (its Figures 7 and 8); here each cycle is what the hardware's own signals were,
and over a whole run the cycles of each kind add up to the accelerator's counters (``disagreements``).
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.config import AcceleratorConfig
from golden.isa import COUNTER_MEANINGS, Counter
from golden.layer import LayerResult
from sim.engines.build_cache import scratch
from sim.engines.compiled import CompiledAccelerator
from sim.engines.native.vcd import read_rows
from sim.layers.compare import Verdict, judge
from sim.layers.jobs import LayerCall, LayerOutcome, decode, layer_job
from sim.protocol.base import Design, Progress, WaveRequest
from sim.protocol.timing import MemoryTiming
from software.cli import UserError

SCHEMA = "elstm.timeline/1"
LONGEST = 1_000_000
"""Cycles that a timeline keeps at most: what a browser draws at once."""
NO_STEP = 0
"""In ``Track.steps``: no time step; step t is t + 1."""

SIGNALS = {
    "busy": "frontend.busy",
    "port_busy": "memory.control__events__port_busy", "port_stalled": "memory.control__events__port_stalled",
    "port_full": "memory.control__events__port_full",
    "issue": "memory.issue", "kind": "memory.kind",
    "setup_done": "datapath.recurrent.setup.done",
    "w_issue": "datapath.weights.issue", "w_started": "datapath.weights.started",
    "w_working": "datapath.weights.events__pe_busy", "w_stolen": "datapath.weights.events__w_stolen",
    "w_starved": "datapath.weights.events__w_starved", "w_group_end": "datapath.weights.inputs.group_free",
    "u_loaded": "datapath.recurrent.events__u_words", "u_due": "datapath.recurrent.decoder.words__ready",
    "u_working": "datapath.recurrent.events__pe_busy", "u_done": "datapath.recurrent.step__done",
    "gate_busy": "datapath.gates.events__gate_busy", "gate_wait_w": "datapath.gates.events__gate_wait_w",
    "gate_wait_store": "datapath.gates.events__gate_wait_store",
}  # fmt: skip
"""Signals of the accelerator that are recorded."""
U_DONE_DELAY = 3
"""Cycles from the end of a step's U items at the head of the pipeline to ``u_done``."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Track:
    """One unit. states: (name, meaning) by code; codes: (cycles,) uint8; steps: (cycles,) uint16, the time step that
    was worked on plus 1, NO_STEP where there is none."""

    name: str
    states: tuple[tuple[str, str], ...]
    codes: NDArray[np.uint8]
    steps: NDArray[np.uint16]


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


PORT = (
    ("idle", COUNTER_MEANINGS[Counter.PORT_IDLE]),
    ("W", "a word of W is asked for"),
    ("U", "a word of U is asked for"),
    ("x", "a word of x is asked for"),
    ("setup", "a word of bias, column offsets or state is asked for"),
    ("store", "a word of h or state is stored"),
    ("stalled", COUNTER_MEANINGS[Counter.PORT_STALLED]),
    ("full", COUNTER_MEANINGS[Counter.PORT_FULL]),
)
W_PE = (
    ("idle", COUNTER_MEANINGS[Counter.W_IDLE]),
    ("works", "multiplies a value word of W with x of a time step"),
    ("no step", "the other W PEs work; this one has no step left in the group"),
    ("stolen", COUNTER_MEANINGS[Counter.W_STOLEN]),
    ("starved", COUNTER_MEANINGS[Counter.W_STARVED]),
)
U_PE = (
    ("idle", COUNTER_MEANINGS[Counter.U_IDLE]),
    ("works", "multiplies a value word of U with h of the step before"),
    ("head", "a word of U came that gave no values yet: a head"),
    ("starved", COUNTER_MEANINGS[Counter.U_STARVED]),
)
GATE = (
    ("idle", COUNTER_MEANINGS[Counter.GATE_IDLE]),
    ("works", COUNTER_MEANINGS[Counter.GATE_BUSY]),
    ("waits for W", COUNTER_MEANINGS[Counter.GATE_WAIT_W]),
    ("waits for a row", COUNTER_MEANINGS[Counter.GATE_WAIT_STORE]),
)


def _held(values: NDArray[Any], when: Bools) -> NDArray[Any]:
    """Of each cycle the value at the last earlier cycle of ``when``; 0 before the first."""
    last = np.maximum.accumulate(np.where(when, np.arange(len(when)), -1))
    before = np.concatenate(([-1], last[:-1]))
    return np.where(before < 0, 0, values[before])


def _before(pulses: Bools) -> NDArray[np.int64]:
    """Pulses before each cycle."""
    return np.cumsum(pulses) - pulses


def _port(s: Mapping[str, NDArray[Any]]) -> Track:
    # A request is offered from the cycle after its issue until it is taken, and only then is the next one issued.
    kind = _held(s["kind"], s["issue"] == 1)
    setup = (kind == 1) & (s["setup_done"] == 0)
    word = np.select([setup, kind == 0, kind == 1, kind == 2], [4, 1, 2, 3], 5)
    codes = np.select([s["port_busy"] == 1, s["port_stalled"] == 1, s["port_full"] == 1], [word, 6, 7], 0)
    return Track("memory port", PORT, codes.astype(np.uint8), np.zeros(len(codes), np.uint16))


def _w_pe(s: Mapping[str, NDArray[Any]], pe: int, capacity: int) -> Track:
    works = s["w_working"] > pe
    others = (s["w_issue"] == 1) & ~works
    codes = np.select([works, others, s["w_stolen"] == 1, s["w_starved"] == 1], [1, 2, 3, 4], 0)
    step = _before(s["w_group_end"] == 1) * capacity + s["w_started"] + pe
    return Track(f"W PE {pe}", W_PE, codes.astype(np.uint8), np.where(works, step + 1, NO_STEP).astype(np.uint16))


def _u_pe(s: Mapping[str, NDArray[Any]]) -> Track:
    works, loaded, due = s["u_working"] == 1, s["u_loaded"] == 1, s["u_due"] == 1
    codes = np.select([works, loaded, due], [1, 2, 3], 0)
    ends = np.zeros(len(codes), bool)
    ends[:-U_DONE_DELAY] = s["u_done"][U_DONE_DELAY:] == 1
    steps = np.where(works | loaded, _before(ends) + 1, NO_STEP)
    return Track("U PE", U_PE, codes.astype(np.uint8), steps.astype(np.uint16))


def _gate(s: Mapping[str, NDArray[Any]]) -> Track:
    works = s["gate_busy"] == 1
    codes = np.select([works, s["gate_wait_w"] == 1, s["gate_wait_store"] == 1], [1, 2, 3], 0)
    started = np.cumsum(works & ~np.concatenate(([False], works[:-1])))
    steps = np.where(works, started, np.where(codes > 1, started + 1, NO_STEP))
    return Track("gate unit", GATE, codes.astype(np.uint8), steps.astype(np.uint16))


def tracks_of(signals: Mapping[str, NDArray[Any]], config: AcceleratorConfig, n_fuse: int) -> tuple[Track, ...]:
    """All units from the signals (SIGNALS, by their short names) of a run from its first cycle on."""
    w_pes = tuple(_w_pe(signals, pe, n_fuse * config.w_pes) for pe in range(config.w_pes))
    return (_port(signals), *w_pes, _u_pe(signals), _gate(signals))


def counts_of(signals: Mapping[str, NDArray[Any]], tracks: tuple[Track, ...]) -> dict[Counter, int]:
    """What the counters must say of these cycles."""
    by_code = {track.name: np.bincount(track.codes, minlength=len(track.states)) for track in tracks}
    port, w, gate = by_code["memory port"], by_code["W PE 0"], by_code["gate unit"]
    loaded, due = signals["u_loaded"] == 1, signals["u_due"] == 1
    w_items = sum(int(counts[1]) for name, counts in by_code.items() if name.startswith("W PE"))
    found = {
        Counter.CYCLES: len(signals["busy"]),
        Counter.PORT_BUSY: port[1:6].sum(), Counter.PORT_STALLED: port[6], Counter.PORT_FULL: port[7],
        Counter.PORT_IDLE: port[0], Counter.W_WORDS: port[1], Counter.U_WORDS: port[2], Counter.X_WORDS: port[3],
        Counter.SETUP_WORDS: port[4], Counter.STORE_WORDS: port[5],
        Counter.W_BUSY: w[1] + w[2], Counter.W_STOLEN: w[3], Counter.W_STARVED: w[4], Counter.W_IDLE: w[0],
        Counter.U_STARVED: (due & ~loaded).sum(), Counter.U_IDLE: (~due).sum(),
        Counter.PE_BUSY: w_items + by_code["U PE"][1],
        Counter.GATE_BUSY: gate[1], Counter.GATE_WAIT_W: gate[2], Counter.GATE_WAIT_STORE: gate[3],
        Counter.GATE_IDLE: gate[0],
    }  # fmt: skip
    return {counter: int(count) for counter, count in found.items()}


def disagreements(counts: Mapping[Counter, int], counters: Mapping[Counter, int]) -> list[str]:
    """Where the cycles of a whole run and its counters differ, in words."""
    return [
        f"counter {counter.name} is {counters[counter]}, the signals say {count}"
        for counter, count in counts.items()
        if counters[counter] != count
    ]


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
    with scratch() as folder:
        path = folder / "signals.npy"
        # The commands before START take cycles too, and only from the run's beginning can steps be counted.
        wave = WaveRequest(str(path), 0, last + 1000, tuple(SIGNALS.values()))
        outcome = CompiledAccelerator().run(Design("accelerator", config), layer_job(call, timing, wave=wave), progress)
        rows = read_rows(path)
    rtl = decode(call, outcome)
    verdict = judge(title, call, golden, rtl, config)
    running = rows[SIGNALS["busy"]] == 1
    signals = {short: rows[name][running] for short, name in SIGNALS.items()}
    cycles = rtl.counters[Counter.CYCLES]
    if first >= cycles:
        raise UserError(f"the run has {cycles:,} cycles, none from {first:,} on")
    tracks = tracks_of(signals, config, max(1, rtl.counters[Counter.N_FUSE]))
    # by the signal, not by the counter: a counter that is wrong must not keep itself from being compared
    whole = not running[-1]
    problems = []
    if whole:
        problems = [f"{title}: {text}" for text in disagreements(counts_of(signals, tracks), rtl.counters)]
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
