"""What each unit of the accelerator did in every cycle, read off its signals, and what the counters must say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.config import WORD_BYTES, AcceleratorConfig
from golden.isa import COUNTER_MEANINGS, Counter
from hdl.accelerator.layout import step_layout

NO_STEP = 0
"""In ``Track.steps``: no time step; step t is t + 1."""

U_DONE_DELAY = 3
"""Cycles from the end of a step's U items at the head of the pipeline to ``u_done``."""

Bools = NDArray[np.bool_]


_COMMON = {
    "busy": "frontend.busy",
    "port_busy": "memory.control__events__port_busy", "port_stalled": "memory.control__events__port_stalled",
    "port_full": "memory.control__events__port_full",
    "issue": "memory.issue", "kind": "memory.kind",
    "setup_done": "datapath.recurrent.setup.done",
    "w_issue": "datapath.weights.issued", "w_stolen": "datapath.weights.events__w_stolen",
    "w_starved": "datapath.weights.events__w_starved", "w_group_end": "datapath.weights.inputs.group_free",
    "u_loaded": "datapath.recurrent.events__u_words", "u_due": "datapath.recurrent.decoder.words__ready",
    "u_working": "datapath.recurrent.events__pe_busy", "u_done": "datapath.recurrent.step__done",
    "gate_busy": "datapath.gates.events__gate_busy", "gate_wait_w": "datapath.gates.events__gate_wait_w",
    "gate_wait_store": "datapath.gates.events__gate_wait_store",
}  # fmt: skip
SIGNALS = _COMMON | {
    "w_started": "datapath.weights.issue.started",
    "w_working": "datapath.weights.events__pe_busy",
}
"""Signals of the accelerator that are recorded of a run under cell fusion."""


def pool_signals(config: AcceleratorConfig) -> dict[str, str]:
    """Those of a run under the list."""
    signals = _COMMON | {"spare": "datapath.weights.issue.spare"}
    for bank in range(config.w_banks):
        signals[f"due_{bank}"] = f"datapath.weights.issue.feed_{bank}.due"
        signals[f"step_{bank}"] = f"datapath.weights.issue.steps__{bank}"
    return signals


EVENT_SIGNALS = {
    name: signal
    for name, signal in _COMMON.items()
    if name in ("busy", "port_busy", "port_stalled", "port_full", "issue", "kind", "gate_busy", "gate_wait_store")
} | {
    "address": "memory.addr",
    "w_loaded": "datapath.path.events__w_words", "u_loaded": "datapath.path.events__u_words",
    "working": "datapath.path.events__pe_busy",
    "starved": "datapath.path.events__w_starved", "u_starved": "datapath.path.events__u_starved",
    "step_issued": "datapath.path.step_issued",
    "x_sent": "datapath.path.events__x_sent", "x_skipped": "datapath.path.events__x_skipped",
    "kept": "datapath.path.events__kept_blocks", "skipped": "datapath.path.events__skipped_blocks",
}  # fmt: skip
"""Those of a run by events."""


@dataclass(frozen=True, eq=False)
class Track:
    """One unit. states: (name, meaning) by code; codes: (cycles,) uint8; steps: (cycles,) uint16, the time step that
    was worked on plus 1, NO_STEP where there is none."""

    name: str
    states: tuple[tuple[str, str], ...]
    codes: NDArray[np.uint8]
    steps: NDArray[np.uint16]


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
POOL_PE = (
    ("idle", "no group of time steps is under way"),
    ("W", "multiplies a value word of W with x of a time step whose sums are in its bank"),
    ("U", "multiplies a value word of U with h of the step before"),
    ("stolen", "has a value word of W that waits because the gate unit reads its bank"),
    ("starved", "a group of steps is under way and no value word of W is there for its bank"),
)
EVENT_PE = (
    ("idle", "every word of the columns that are known to be sent has been taken"),
    ("W", "multiplies a word of W with the change of x that it was sent for"),
    ("U", "multiplies a word of U with the change of h that it was sent for"),
    ("starved", "a word of W is due and not there"),
    ("starved of U", "a word of U is due and not there"),
)
SCANNER = (
    ("idle", "nothing to look at: x is not there, or the next units of h are not known"),
    ("x sent", "found units of x whose change is sent"),
    ("h sent", "found units of h whose change is sent"),
    ("held", "looked at units that are all held"),
)
WORD_DELAY = 2
"""Cycles from a word at the decoder to its values at the PE, by events."""
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
    others = (s["w_issue"] != 0) & ~works
    codes = np.select([works, others, s["w_stolen"] == 1, s["w_starved"] == 1], [1, 2, 3, 4], 0)
    step = _before(s["w_group_end"] == 1) * capacity + s["w_started"] + pe
    return Track(f"W PE {pe}", W_PE, codes.astype(np.uint8), np.where(works, step + 1, NO_STEP).astype(np.uint16))


def _pool_pe(
    s: Mapping[str, NDArray[Any]], pe: int, config: AcceleratorConfig, groups: Sequence[range], h_blocks: int
) -> Track:
    issued = (s["w_issue"] >> pe & 1) == 1
    takes_u = (s["u_working"] == 1) & (s["spare"] == pe)
    idle = (s["w_issue"] == 0) & (s["w_stolen"] == 0) & (s["w_starved"] == 0)
    codes = np.select([issued, takes_u, s[f"due_{pe}"] == 1, ~idle], [1, 2, 3, 4], 0)
    # A bank's steps take its slots, a ring, one after the other; the group in work says which round of the ring it is.
    slot = (s[f"step_{pe}"] & (1 << step_layout(config)["sums"].width) - 1) // h_blocks
    ring = config.bank_slots * config.row_groups // h_blocks
    starts = np.array([group.start for group in groups])
    start = starts[np.minimum(_before(s["w_group_end"] == 1), len(starts) - 1)]
    oldest = -((pe - start) // config.n_pe)
    turn = oldest + (slot.astype(np.int64) - oldest) % ring
    step = np.where(issued, turn * config.n_pe + pe, _step_of_u(s) if takes_u.any() else 0)
    return Track(
        f"PE {pe}", POOL_PE, codes.astype(np.uint8), np.where(issued | takes_u, step + 1, NO_STEP).astype(np.uint16)
    )


def _step_of_u(s: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The time step whose sums U h are being made in each cycle."""
    ends = np.zeros(len(s["u_done"]), bool)
    ends[:-U_DONE_DELAY] = s["u_done"][U_DONE_DELAY:] == 1
    return _before(ends)


def _u_pe(s: Mapping[str, NDArray[Any]], name: str = "U PE") -> Track:
    works, loaded, due = s["u_working"] == 1, s["u_loaded"] == 1, s["u_due"] == 1
    codes = np.select([works, loaded, due], [1, 2, 3], 0)
    steps = np.where(works | loaded, _step_of_u(s) + 1, NO_STEP)
    return Track(name, U_PE, codes.astype(np.uint8), steps.astype(np.uint16))


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


def pool_tracks_of(
    signals: Mapping[str, NDArray[Any]], config: AcceleratorConfig, groups: Sequence[range], h_blocks: int
) -> tuple[Track, ...]:
    """The same of a run under the list, from ``pool_signals``; groups: its time steps, pass by pass."""
    pes = tuple(_pool_pe(signals, pe, config, groups, h_blocks) for pe in range(config.n_pe))
    return (_port(signals), *pes, _u_pe(signals, "U words"), _gate(signals))


def _event_port(s: Mapping[str, NDArray[Any]], arrays: Mapping[str, range]) -> Track:
    issued = s["issue"] == 1
    place, kind = _held(s["address"], issued).astype(np.int64) * WORD_BYTES, _held(s["kind"], issued)
    of_w, of_u = ((place >= arrays[name].start) & (place < arrays[name].stop) for name in ("w", "u"))
    word = np.select([of_w, of_u, kind == 2, kind == 3], [1, 2, 3, 5], 4)
    codes = np.select([s["port_busy"] == 1, s["port_stalled"] == 1, s["port_full"] == 1], [word, 6, 7], 0)
    return Track("memory port", PORT, codes.astype(np.uint8), np.zeros(len(codes), np.uint16))


def event_tracks_of(signals: Mapping[str, NDArray[Any]], arrays: Mapping[str, range]) -> tuple[Track, ...]:
    """The same of a run by events, from EVENT_SIGNALS; arrays: of each array of the run its bytes in memory."""
    s = signals
    works = s["working"] == 1
    of_u = np.zeros(len(works), bool)
    of_u[WORD_DELAY:] = s["u_loaded"][:-WORD_DELAY] == 1
    missing = s["starved"] == 1
    codes = np.select([works & of_u, works, missing & (s["u_starved"] == 1), missing], [2, 1, 4, 3], 0)
    steps = np.where(works, _before(s["step_issued"] == 1) + 1, NO_STEP)
    pe = Track("PE", EVENT_PE, codes.astype(np.uint8), steps.astype(np.uint16))
    held = (s["x_skipped"] > 0) | (s["skipped"] > 0)
    found = np.select([s["x_sent"] > 0, s["kept"] > 0, held], [1, 2, 3], 0)
    scanner = Track("scanner", SCANNER, found.astype(np.uint8), np.zeros(len(found), np.uint16))
    no_w = np.zeros(len(works), np.uint8)
    return _event_port(s, arrays), scanner, pe, _gate({**s, "gate_wait_w": no_w})


def event_counts_of(signals: Mapping[str, NDArray[Any]], tracks: tuple[Track, ...]) -> dict[Counter, int]:
    """What the counters must say of a run by events."""
    by_code = {track.name: np.bincount(track.codes, minlength=len(track.states)) for track in tracks}
    port, pe, gate = by_code["memory port"], by_code["PE"], by_code["gate unit"]
    cycles = len(signals["busy"])
    u_starved = int((signals["u_starved"] == 1).sum())
    u_words = int((signals["u_loaded"] == 1).sum())
    found = {
        Counter.CYCLES: cycles,
        Counter.PORT_BUSY: port[1:6].sum(), Counter.PORT_STALLED: port[6], Counter.PORT_FULL: port[7],
        Counter.PORT_IDLE: port[0], Counter.W_WORDS: port[1], Counter.U_WORDS: port[2], Counter.X_WORDS: port[3],
        Counter.SETUP_WORDS: port[4], Counter.STORE_WORDS: port[5],
        Counter.W_BUSY: pe[1] + pe[2], Counter.W_STARVED: pe[3] + pe[4], Counter.W_IDLE: pe[0], Counter.W_STOLEN: 0,
        Counter.PE_BUSY: pe[1] + pe[2],
        Counter.U_STARVED: u_starved, Counter.U_IDLE: cycles - u_words - u_starved,
        Counter.GATE_BUSY: gate[1], Counter.GATE_WAIT_W: 0, Counter.GATE_WAIT_STORE: gate[3],
        Counter.GATE_IDLE: gate[0],
        Counter.X_SENT: signals["x_sent"].sum(), Counter.X_SKIPPED: signals["x_skipped"].sum(),
        Counter.KEPT_BLOCKS: signals["kept"].sum(), Counter.SKIPPED_BLOCKS: signals["skipped"].sum(),
    }  # fmt: skip
    return {counter: int(count) for counter, count in found.items()}


def counts_of(signals: Mapping[str, NDArray[Any]], tracks: tuple[Track, ...]) -> dict[Counter, int]:
    """What the counters must say of these cycles."""
    by_code = {track.name: np.bincount(track.codes, minlength=len(track.states)) for track in tracks}
    port, gate = by_code["memory port"], by_code["gate unit"]
    loaded, due = signals["u_loaded"] == 1, signals["u_due"] == 1
    pooled = "U words" in by_code
    w_busy = int((signals["w_issue"] != 0).sum())
    stolen, starved = (int((signals[name] == 1).sum()) for name in ("w_stolen", "w_starved"))
    if pooled:
        pe_busy = sum(int(counts[1] + counts[2]) for name, counts in by_code.items() if name.startswith("PE "))
    else:
        w = by_code["W PE 0"]
        w_busy, stolen, starved = w[1] + w[2], w[3], w[4]
        w_items = sum(int(counts[1]) for name, counts in by_code.items() if name.startswith("W PE"))
        pe_busy = w_items + by_code["U PE"][1]
    found = {
        Counter.CYCLES: len(signals["busy"]),
        Counter.PORT_BUSY: port[1:6].sum(), Counter.PORT_STALLED: port[6], Counter.PORT_FULL: port[7],
        Counter.PORT_IDLE: port[0], Counter.W_WORDS: port[1], Counter.U_WORDS: port[2], Counter.X_WORDS: port[3],
        Counter.SETUP_WORDS: port[4], Counter.STORE_WORDS: port[5],
        Counter.W_BUSY: w_busy, Counter.W_STOLEN: stolen, Counter.W_STARVED: starved,
        Counter.W_IDLE: len(signals["busy"]) - w_busy - stolen - starved,
        Counter.U_STARVED: (due & ~loaded).sum(), Counter.U_IDLE: (~due).sum(),
        Counter.PE_BUSY: pe_busy,
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
