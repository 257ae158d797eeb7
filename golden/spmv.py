"""Sparse matrix times vector on packed words, as the accelerator sums it: products rounded one by one, then added."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.formats import OPEN, Decoded, Parameters, stored
from golden.isa import Format
from golden.numbers import ONE_Q20, Float16, Int64, products

TILE = 1 << 16
"""Products per pass: two fp32 buffers of this many stay in a second-level cache."""
BATCH = 16
"""Vectors per pass."""


class Checked(NamedTuple):
    """Sums of one vector with what an overflow check needs.

    total: (rows,) sums, right modulo 2^32 always and exact if ``inside``; absolute: (rows,) sums of |rounded product|,
    exact if ``inside``; inside: every rounded product is in int32.
    """

    total: Int64
    absolute: Int64
    inside: bool


class Matrix:
    """Decoded weights, ready to multiply. Values that are not finite count as 0 here; ``Decoded`` names them.

    rows, cols: size; col_max: (cols,) largest sum of |w| at one place of each column; row_max: largest sum of |w|
    over a row.
    """

    def __init__(self, decoded: Decoded) -> None:
        self.rows, self.cols = decoded.rows, decoded.cols
        place = decoded.col * self.rows + decoded.row
        value = np.where(np.isfinite(decoded.value), decoded.value, np.float16(0))
        # Transposed, so that all rows of a column are neighbours. A place given twice needs a second plane.
        self.planes: list[Float16] = []
        while place.size or not self.planes:
            plane = np.zeros(self.cols * self.rows, dtype=np.float16)
            last = np.zeros(plane.size, dtype=np.int64)
            last[place] = np.arange(place.size)
            chosen = last[place] == np.arange(place.size)
            plane[place[chosen]] = value[chosen]
            place, value = place[~chosen], value[~chosen]
            self.planes.append(plane.reshape(self.cols, self.rows))
        # Scaled to Q20: a product of two fp16 values is exact in fp32 (22 significant bits)
        self._scaled = [plane.astype(np.float32) * np.float32(ONE_Q20) for plane in self.planes]
        magnitude = np.sum([np.abs(plane).astype(np.float32) for plane in self.planes], axis=0)
        self.col_max = magnitude.max(axis=1).astype(np.float64)
        self.row_max = float(magnitude.sum(axis=0, dtype=np.float64).max())

    def bound(self, x: ArrayLike) -> NDArray[np.float64]:
        """An upper bound of sum |w x| over any row. x: (N, cols); gives (N,)."""
        a = np.abs(np.asarray(x, dtype=np.float16).astype(np.float64))
        return np.minimum(a @ self.col_max, a.max(axis=1) * self.row_max) * (1 + 2.0**-20)

    def multiply(self, x: ArrayLike) -> NDArray[np.int32]:
        """Sums of products in Q20, modulo 2^32. x: (N, cols) finite fp16, every |w x| < 2047; gives (N, rows)."""
        vectors = np.asarray(x, dtype=np.float16).astype(np.float32)
        sums = np.zeros((len(vectors), self.rows), dtype=np.int32)
        batch = max(1, min(BATCH, TILE // self.rows))
        for scaled in self._scaled:
            for first in range(0, len(vectors), batch):
                self._add(scaled, vectors[first : first + batch], sums[first : first + batch])
        return sums

    def _add(self, scaled: NDArray[np.float32], x: NDArray[np.float32], sums: NDArray[np.int32]) -> None:
        active = np.flatnonzero(x.any(axis=0))
        depth = max(1, TILE // (len(x) * self.rows))
        exact = np.empty((min(depth, len(active)), len(x), self.rows), dtype=np.float32)
        rounded = np.empty(exact.shape, dtype=np.int32)
        for at in range(0, len(active), depth):
            columns = active[at : at + depth]
            e, r = exact[: len(columns)], rounded[: len(columns)]
            np.multiply(scaled[columns, None, :], x.T[columns, :, None], out=e)
            # Adding 1/2 is exact below 2^23 wherever it can change the floor, and leaves whole numbers above it whole
            np.add(e, np.float32(0.5), out=e)
            np.floor(e, out=e)
            np.copyto(r, e, casting="unsafe")
            sums += np.add.reduce(r, axis=0, dtype=np.int32)

    def multiply_checked(self, x: ArrayLike) -> Checked:
        """Sums of any finite fp16 vector (cols,), slowly, with what an overflow check needs."""
        vector = np.asarray(x, dtype=np.float16)
        active = np.flatnonzero(vector)
        total, absolute, inside = np.zeros(self.rows, np.int64), np.zeros(self.rows, np.int64), True
        for plane in self.planes:
            for at in range(0, len(active), 64):
                columns = active[at : at + 64]
                p = products(plane[columns], vector[columns, None])
                total += p.sum(axis=0)
                absolute += np.abs(p).sum(axis=0)
                inside = inside and p.min() >= -(1 << 31) and p.max() < 1 << 31
        return Checked(total, absolute, inside)

    def dense(self) -> NDArray[np.float64]:
        """The weights (rows, cols) in float64 (two values of one place are added)."""
        return np.sum([plane.T.astype(np.float64) for plane in self.planes], axis=0)


def spmv(
    words: ArrayLike,
    rows: int,
    cols: int,
    x: ArrayLike,
    number: Format = Format.ESELL,
    offsets: ArrayLike | None = None,
    parameters: Parameters = OPEN,
) -> NDArray[np.int32]:
    """A x on packed words in Q20, sums wrapping to 32 bits. x: (cols,) finite fp16; the others as in ``Packed``.

    Raises FormatError.
    """
    decoded = stored(number).check(words, rows, cols, offsets, parameters)
    return Matrix(decoded).multiply_checked(x).total.astype(np.int32)


def spmv_float64(
    words: ArrayLike,
    rows: int,
    cols: int,
    x: ArrayLike,
    number: Format = Format.ESELL,
    offsets: ArrayLike | None = None,
    parameters: Parameters = OPEN,
) -> NDArray[np.float64]:
    """A x on packed words in float64, nothing rounded to Q20. x: (cols,). Raises FormatError."""
    decoded = stored(number).check(words, rows, cols, offsets, parameters)
    terms = decoded.value.astype(np.float64) * np.asarray(x, dtype=np.float64)[decoded.col]
    return np.bincount(decoded.row, weights=terms, minlength=rows).astype(np.float64)
