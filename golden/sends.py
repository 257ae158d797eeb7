"""What is sent of a vector that changes little from step to step: of each element the change, when it is large enough.

Every element has a held value, a whole number of 2^-10 (GRID_BITS), which is what the matrix has been multiplied by so
far. What is sent is the difference to the new value rounded to that grid: exact in fp16, so that where the weights lie
on the grid too every product is exact, and sums of changes are the product with the held vector, without drift.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.numbers import Float16, Int64, rhu

GRID_BITS = 10
"""Held values are whole numbers of 2^-10."""
HELD_LIMIT = 1 << GRID_BITS
"""|held| is at most 1."""
_TO_GRID = 24 - GRID_BITS

Int32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Sends:
    """What is sent of vectors of C elements in units of u columns.

    sent: (N, C/u) bool; change: (N, C) fp16, +0 in every unit that is not sent; held: (N, C) int32, afterwards.
    """

    sent: NDArray[np.bool_]
    change: Float16
    held: Int32


def on_grid(q24: Int64) -> Int64:
    """Q24 values rounded half up to whole numbers of 2^-10."""
    return rhu(q24, _TO_GRID)


def of_grid(values: Int64 | Int32) -> Float16:
    """Whole numbers of 2^-10, at most 2 in magnitude, as fp16, exactly; zero is +0."""
    return np.ldexp(np.asarray(values, dtype=np.float32), -GRID_BITS).astype(np.float16)


def sends(q24: Int64, held: Int32, threshold: int, cols: int) -> Sends:
    """Decide what is sent of values (N, C) in Q24, when ``held`` (N, C) is held; threshold in Q24, 0..2^30.

    A unit of one column is sent when its value is the threshold or more away from what is held; one of 4 when the sum
    of its distances is, or twice any of them. A unit that is on the same points of the grid as before is not sent.
    Raises ValueError for another number of columns.
    """
    if cols not in (1, 4):
        raise ValueError(f"the elements of a unit must be 4 or 1, not {cols!r}")
    old = np.asarray(held, dtype=np.int64)
    change = on_grid(q24) - old
    distance = np.abs(q24 - (old << _TO_GRID)).reshape(len(q24), -1, cols)
    far = distance.sum(axis=2) >= threshold
    if cols > 1:
        far |= 2 * distance.max(axis=2) >= threshold
    sent = far & change.reshape(distance.shape).any(axis=2)
    change = np.where(np.repeat(sent, cols, axis=1), change, 0)
    return Sends(sent, of_grid(change), (old + change).astype(np.int32))


def rounded_to_grid(weights: Float16) -> Float16:
    """Weights on multiples of 2^-10, to nearest even; what is 1 or more in magnitude lies there already. Zero is +0."""
    with np.errstate(invalid="ignore"):
        near = np.ldexp(np.rint(np.ldexp(np.asarray(weights, dtype=np.float64), GRID_BITS)), -GRID_BITS)
    return np.where(np.isfinite(near), near + 0.0, weights).astype(np.float16)
