"""What a run carries from step to step beside c, and what each step reads of the h before it: pruned, or as changes."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from golden import numbers
from golden.numbers import Float16
from golden.sends import HELD_LIMIT, Int32, of_grid, sends


@dataclass(frozen=True, eq=False)
class Held:
    """What a run with DELTA carries beside h and c, zeros at first.

    h: (H,) or (N, H) int32, held values in units of 2^-10; sums: (..., 4H) int32 Q12.20, what U (with events W, too)
    adds up to; x: (..., X) the same of x with events, else None.
    """

    h: Int32
    sums: Int32
    x: Int32 | None = None

    @classmethod
    def zeros(cls, *shape: int, inputs: int | None = None) -> "Held":
        """shape: (..., H); inputs: X, with events."""
        lead, hidden = shape[:-1], shape[-1]
        x = None if inputs is None else np.zeros((*lead, inputs), np.int32)
        return cls(np.zeros(shape, np.int32), np.zeros((*lead, 4 * hidden), np.int32), x)

    @property
    def valid(self) -> bool:
        """Whether the hardware takes it: no held value is over 1 in magnitude. Any sum will do."""
        return all((np.abs(held.astype(np.int64)) <= HELD_LIMIT).all() for held in (self.h, self.x) if held is not None)


@dataclass(frozen=True, eq=False)
class State:
    """What one call hands to the next: h (H,) or (N, H) float32, unpruned; c int32 in Q12.20, same shape; held: with
    DELTA."""

    h: NDArray[np.float32]
    c: NDArray[np.int32]
    held: Held | None = None

    def __post_init__(self) -> None:
        if (self.h.dtype, self.c.dtype) != (np.float32, np.int32) or self.h.shape != self.c.shape:
            raise TypeError(
                "a state is h float32 and c int32 of one shape, "
                f"not {self.h.dtype} {self.h.shape} and {self.c.dtype} {self.c.shape}"
            )

    @classmethod
    def zeros(cls, *shape: int) -> "State":
        return cls(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int32))

    def to_bytes(self) -> bytes:
        """One sequence's, little-endian: h, c, and with DELTA what is held of h, the sums, what is held of x.

        8 H bytes, with DELTA 28 H and 4 X more with events. Raises ValueError for a batch.
        """
        if self.h.ndim != 1:
            raise ValueError(f"a state in memory is one sequence's, not shape {self.h.shape}")
        parts = [self.h.astype("<f4"), self.c.astype("<i4")]
        if self.held:
            parts += [part.astype("<i4") for part in (self.held.h, self.held.sums, self.held.x) if part is not None]
        return b"".join(part.tobytes() for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """One of h and c. Raises ValueError when the length is no multiple of 8."""
        if len(data) % 8:
            raise ValueError(f"a state has 8 bytes a unit, not {len(data)} bytes")
        half = len(data) // 2
        return cls(np.frombuffer(data[:half], "<f4").copy(), np.frombuffer(data[half:], "<i4").copy())

    @classmethod
    def held_from_bytes(cls, data: bytes, hidden: int, inputs: int | None = None) -> "State":
        """One with DELTA: hidden is H, inputs X with events. Raises ValueError for another length."""
        ends = np.cumsum([4 * hidden, 4 * hidden, 4 * hidden, 16 * hidden, 4 * (inputs or 0)])
        if len(data) != ends[-1]:
            raise ValueError(f"a state of H = {hidden}, X = {inputs or 0} has {ends[-1]} bytes, not {len(data)}")
        h, *numbers_ = (data[start:end] for start, end in zip([0, *ends], ends, strict=False))
        c, held, sums, x = (np.frombuffer(part, "<i4").copy() for part in numbers_)
        return cls(np.frombuffer(h, "<f4").copy(), c, Held(held, sums, None if inputs is None else x))


@dataclass(frozen=True, eq=False)
class Read:
    """What a step reads of the h of the step before.

    kept: (N, H/u) bool, units whose columns of U are read; operand: (N, H) fp16, by which they are multiplied; row:
    (N, H) fp16, h of the step before as H_PRUNED stores it.
    """

    kept: NDArray[np.bool_]
    operand: Float16
    row: Float16


class Recurrence(Protocol):
    """How h goes into the next step. ``sums``: what U has added up to so far, None when nothing is kept."""

    @property
    def sums(self) -> Int32 | None: ...

    def read(self, h: Float16) -> Read:
        """What the next step reads of h (N, H)."""
        ...

    def take(self, sums: Int32) -> None:
        """The step has used what was read last, and U's sums are these."""
        ...


class Pruned:
    """Units below the threshold are zero."""

    sums: Int32 | None = None

    def __init__(self, threshold: int, cols: int) -> None:
        self.threshold, self.cols = threshold, cols

    def read(self, h: Float16) -> Read:
        kept = numbers.keep_units(h, self.threshold, self.cols)
        pruned = np.where(np.repeat(kept, self.cols, axis=1), h, np.float16(0))
        return Read(kept, pruned, pruned)

    def take(self, sums: Int32) -> None:
        """Nothing is kept."""


class Changes:
    """Of each unit the change is sent once it reaches the threshold, and its value held until then."""

    sums: Int32

    def __init__(self, threshold: int, cols: int, held: Int32, sums: Int32) -> None:
        self.threshold, self.cols, self.held, self.sums = threshold, cols, held, sums
        # what is held once a step has used what was read
        self._read = held

    def read(self, h: Float16) -> Read:
        found = sends(numbers.q24_of_fp16(h), self.held, self.threshold, self.cols)
        self._read = found.held
        return Read(found.sent, found.change, of_grid(found.held))

    def take(self, sums: Int32) -> None:
        self.held, self.sums = self._read, sums
