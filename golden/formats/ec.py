"""EC: a stream over the matrix, column by column, of a value and the zeros before it (DAC'19 paper, Figure 9).

A run has 4 bits; a longer one is broken by filler zeros.
"""

import numpy as np
from numpy.typing import NDArray

from golden.formats.base import Format
from golden.formats.sizes import VALUE_BITS
from golden.numbers import Float16, fp16_bits

RUN_BITS = 4


def encode(matrix: Float16) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """A matrix as EC: values (fp16 bits) and zeros before each (0..15). Zeros after the last nonzero are left out."""
    bits = fp16_bits(matrix.T).ravel()
    places = np.flatnonzero(bits & 0x7FFF)
    gaps = np.diff(places, prepend=-1) - 1
    longest = 1 << RUN_BITS
    # A filler is a zero value after 15 zeros
    fillers = gaps // longest
    ends = np.cumsum(fillers + 1) - 1
    values = np.zeros(len(places) + int(fillers.sum()), dtype=np.uint16)
    runs = np.full(len(values), longest - 1, dtype=np.uint8)
    values[ends], runs[ends] = bits[places], gaps % longest
    return values, runs


def decode(values: NDArray[np.uint16], runs: NDArray[np.uint8], rows: int, cols: int) -> Float16:
    """The matrix (rows, cols) of an EC stream."""
    out = np.zeros(rows * cols, dtype=np.uint16)
    out[np.cumsum(runs.astype(np.int64) + 1) - 1] = values
    return out.view(np.float16).reshape(cols, rows).T


class Ec(Format):
    """EC, of the whole matrix or of a unit of columns."""

    name = "EC"

    def bits(self, matrix: Float16) -> int:
        return len(encode(matrix)[0]) * (VALUE_BITS + RUN_BITS)
