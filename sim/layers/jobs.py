"""Layers as jobs for the bare accelerator: memory map, commands, and what an outcome means."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import WORD_BYTES
from golden.formats import stored
from golden.isa import Counter, Flags, Funct, InputFormat, Schedule, StatusWord, group_words, start_word
from golden.layer import Layer, LayerResult, PackedLayer
from golden.memory import (
    h_bytes,
    h_from_bytes,
    layer_bytes,
    state_bytes,
    state_from_bytes,
    state_size,
    streams_word,
    x_bytes,
)
from golden.recurrence import State
from sim.protocol.accelerator import AcceleratorJob, Command, Outcome, Step, WaitIdle
from sim.protocol.base import Segment
from sim.protocol.timing import MemoryTiming

GUARD = 0x1000
"""Bytes of nothing between two arrays, so that an access outside an array meets no other."""
MEMORY_BASE = 0x8000_0000


@dataclass(frozen=True)
class LayerCall:
    """One run of one layer.

    Attributes:
        packed: the weights.
        x: (T, inputs) float32.
        threshold: of pruning, with DELTA of changes of h.
        n_fuse: fusion factor asked for.
        flags: of START, DELTA and H_FP16 among them, without STATE_IN, which goes with ``state``.
        state: what a former call left, or None to start from zeros; with DELTA it has what is held.
        schedule: number of the one that runs.
        groups: sizes of the list schedule's groups, in time steps.
        x_threshold: of changes of x, by events.
        x_format: of x in memory; uint8 holds k/256.
    """

    packed: PackedLayer
    x: ArrayLike
    threshold: float
    n_fuse: int = 3
    flags: Flags = Flags.H_SEQ | Flags.H_PRUNED
    state: State | None = None
    schedule: Schedule = Schedule.CELL_FUSION
    groups: tuple[int, ...] = ()
    x_threshold: float = 0.0
    x_format: InputFormat = InputFormat.FP32

    @property
    def delta(self) -> bool:
        """Changes of h are sent."""
        return bool(self.flags & Flags.DELTA)

    @property
    def events(self) -> bool:
        """Changes of x are sent too."""
        return self.schedule == Schedule.EVENTS

    @property
    def h_fp16(self) -> bool:
        """Rows of h are fp16."""
        return bool(self.flags & Flags.H_FP16)

    @property
    def knows_w(self) -> bool:
        """The run loads the offsets of W."""
        return bool(self.flags & Flags.X_SKIP) or stored(self.packed.w.format).needs_offsets

    @property
    def state_bytes(self) -> int:
        """Of a state that such a run reads or writes."""
        return state_size(self.packed.h, self.packed.x, delta=self.delta, events=self.events)

    def layer(self) -> Layer:
        """Golden's layer for such a run. Raises ValueError for events without DELTA."""
        skips = bool(self.flags & Flags.X_SKIP) and not self.events
        return Layer(self.packed, x_skip=skips, delta=self.delta, events=self.events)

    def golden(self, layer: Layer | None = None) -> LayerResult:
        """Golden's result; layer: what ``layer()`` gave for the same weights, schedule and flags."""
        return (layer or self.layer()).run(np.asarray(self.x), self.threshold, self.state, self.x_threshold)

    @property
    def steps(self) -> int:
        return len(np.asarray(self.x))

    @property
    def rows(self) -> int:
        """Rows of h that the run stores."""
        return self.steps if self.flags & Flags.H_SEQ else 1

    @property
    def start_flags(self) -> Flags:
        return self.flags | (Flags.STATE_IN if self.state is not None else Flags(0))

    @property
    def has_state(self) -> bool:
        """The run reads or writes a state block."""
        return bool(self.start_flags & (Flags.STATE_IN | Flags.STATE_OUT))


def layer_segments(call: LayerCall, base: int = MEMORY_BASE) -> tuple[Segment, ...]:
    """The arrays of a run, each a segment of its own with nothing around it. h and state are writable; h is all NaN."""
    data, hidden = layer_bytes(call.packed), call.packed.h
    arrays = [
        ("w", data.w, len(data.w), False),
        ("u", data.u, len(data.u), False),
        ("u_offsets", data.u_offsets, len(data.u_offsets), False),
        ("bias", data.bias, len(data.bias), False),
        ("x", x := x_bytes(call.packed, call.x, call.x_format), len(x), False),
        ("h", b"", (2 if call.h_fp16 else 4) * hidden * call.rows, True),
    ]
    if call.knows_w:
        arrays.append(("w_offsets", data.w_offsets, len(data.w_offsets), False))
    if data.tables:
        arrays.append(("tables", data.tables, len(data.tables), False))
    if call.has_state:
        old = state_bytes(call.state, call.packed.x, delta=call.delta, events=call.events) if call.state else b""
        arrays.append(("state", old, call.state_bytes, True))
    segments = []
    address = base
    for index, (name, content, size, write) in enumerate(arrays):
        segments.append(Segment(name, address, size, content, write))
        # an odd number of words further on, so that arrays begin anywhere in a line and a page
        address += -(-size // GUARD) * GUARD + GUARD + WORD_BYTES * (2 * index + 1)
    return tuple(segments)


def threshold_bits(threshold: float) -> int:
    """The threshold as the register takes it, fp32."""
    return int.from_bytes(struct.pack("<f", threshold), "little")


def start_steps(call: LayerCall, segments: tuple[Segment, ...]) -> list[Step]:
    """The commands that set up and start a run; EXTENSION, STREAMS, GROUPS and EVENTS only where they are needed."""
    at = {segment.name: segment.address for segment in segments}
    steps: list[Step] = [
        Command.of(Funct.SIZES, call.packed.x, call.packed.h),
        Command.of(Funct.STEPS, threshold_bits(call.threshold), call.steps),
        Command.of(Funct.WEIGHTS, at["w"], at["bias"]),
        Command.of(Funct.FUSION, at["u_offsets"], call.n_fuse),
        Command.of(Funct.DATA, at["x"], at["h"]),
    ]
    if "state" in at or "w_offsets" in at:
        steps.append(Command.of(Funct.EXTENSION, at.get("w_offsets", 0), at.get("state", 0)))
    if word_of_streams := streams_word(call.packed):
        steps.append(Command.of(Funct.STREAMS, word_of_streams, at.get("tables", 0)))
    if call.groups:
        steps.append(Command.of(Funct.GROUPS, *group_words(call.groups)))
    if call.events:
        steps.append(Command.of(Funct.EVENTS, threshold_bits(call.x_threshold)))
    word = start_word(call.start_flags, call.schedule, call.packed.w.format, call.packed.u.format, call.x_format)
    steps.append(Command.of(Funct.START, at["u"], word))
    return steps


def read_counters() -> list[Step]:
    """Reads every counter of the instruction table, counter n into register n + 1."""
    return [Command.of(Funct.COUNTER, counter, rd=counter + 1) for counter in Counter]


def cycle_limit(call: LayerCall, timing: MemoryTiming) -> int:
    """Far more cycles than a run can take: every word of every step, one at a time."""
    words = len(call.packed.w.words) + len(call.packed.u.words) + 4 * (call.packed.x + call.packed.h)
    return 10_000 + 4 * call.steps * (words + 100) * (timing.latency + timing.jitter + 2)


def layer_job(call: LayerCall, timing: MemoryTiming = MemoryTiming(), **fields: object) -> AcceleratorJob:
    """Run the layer once from reset, wait for the end and read all counters.

    ``fields`` are further fields of the job (``wave``, ``log_writes``, ...).
    """
    segments = layer_segments(call)
    steps = [*start_steps(call, segments), WaitIdle(), *read_counters()]
    given = {"segments": segments, "steps": tuple(steps), "timing": timing, "max_cycles": cycle_limit(call, timing)}
    return AcceleratorJob(**(given | fields))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class LayerOutcome:
    """What one run of ``layer_job`` left.

    Attributes:
        h: (rows, H) float32 as stored, NaN where nothing was.
        state: the state block after the run, None without one.
        status: status word after the run.
        counters: all of them.
        harness_cycles: length of the ``busy`` period, counted outside.
        raw: everything else.
    """

    h: NDArray[np.float32]
    state: State | None
    status: StatusWord
    counters: dict[Counter, int]
    harness_cycles: int
    raw: Outcome


class RunFailed(Exception):
    """The run gave no result: it was stopped, or its answers are unusable."""


def _state_of(call: LayerCall, content: bytes) -> State:
    """The state block of a run as it lies in memory."""
    return state_from_bytes(content, call.packed.h, call.packed.x, delta=call.delta, events=call.events)


def decode(call: LayerCall, outcome: Outcome) -> LayerOutcome:
    """Raises RunFailed when the run was stopped or a response is missing, naming why."""
    if outcome.stopped:
        raise RunFailed("; ".join([outcome.stopped, *outcome.violations[:3]]))
    answers = {response.rd: response.data for response in outcome.responses}
    missing = [counter.name for counter in Counter if counter + 1 not in answers]
    if missing:
        raise RunFailed(f"no response to COUNTER for {', '.join(missing)}")
    counters = {counter: answers[counter + 1] for counter in Counter}
    try:
        status = StatusWord.decode(counters[Counter.STATUS])
    except ValueError as error:
        raise RunFailed(f"status word {counters[Counter.STATUS]:#x}: {error}") from None
    return LayerOutcome(
        h=h_from_bytes(outcome.memory["h"], call.packed.h, call.h_fp16),
        state=_state_of(call, outcome.memory["state"]) if call.has_state else None,
        status=status,
        counters=counters,
        harness_cycles=sum(outcome.busy_cycles),
        raw=outcome,
    )


def first_wrong_write(call: LayerCall, expected_h: ArrayLike, outcome: Outcome) -> int | None:
    """Cycle of the first store into h that differs from ``expected_h`` (rows, H); needs ``log_writes``."""
    h = next(s for s in layer_segments(call) if s.name == "h")
    expected = h_bytes(expected_h, call.h_fp16)
    for write in outcome.write_log:
        offset = write.address - h.address
        if not 0 <= offset < h.size:
            continue
        stored = write.data.to_bytes(8, "little")
        lanes = [i for i in range(8) if write.mask >> i & 1]
        if any(stored[i] != expected[offset + i] for i in lanes):
            return write.cycle
    return None


__all__ = [
    "GUARD",
    "MEMORY_BASE",
    "LayerCall",
    "LayerOutcome",
    "RunFailed",
    "cycle_limit",
    "decode",
    "first_wrong_write",
    "layer_job",
    "layer_segments",
    "read_counters",
    "start_steps",
    "threshold_bits",
]
