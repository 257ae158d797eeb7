"""Other formats of a sparse fp16 matrix, and how many bits each takes: the comparison of the paper's Figure 9.

Values have 16 bits, pointers of CSR and CSC 32. EC is a stream over the matrix, column by column, of a value and the
zeros before it (4 bits); a longer run is broken by filler zeros.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden import esell
from golden.numbers import Float16, fp16_bits

VALUE_BITS = 16
POINTER_BITS = 32
RUN_BITS = 4
WORD_BITS = 64


@dataclass(frozen=True)
class Size:
    """What a matrix takes in one format; ``words`` are of 64 bits, the last one perhaps not full."""

    bits: int
    nonzeros: int

    @property
    def words(self) -> int:
        return -(-self.bits // WORD_BITS)

    @property
    def words_per_nonzero(self) -> float | None:
        """None when there is no nonzero."""
        return self.words / self.nonzeros if self.nonzeros else None


def ec_encode(matrix: Float16) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
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


def ec_decode(values: NDArray[np.uint16], runs: NDArray[np.uint8], rows: int, cols: int) -> Float16:
    """The matrix (rows, cols) of an EC stream."""
    out = np.zeros(rows * cols, dtype=np.uint16)
    out[np.cumsum(runs.astype(np.int64) + 1) - 1] = values
    return out.view(np.float16).reshape(cols, rows).T


def _index_bits(count: int) -> int:
    return max(1, (count - 1).bit_length())


def sizes(matrix: Float16, packed: esell.Esell) -> dict[str, Size]:
    """Each format's size for a matrix (R, C), at most 65,536 a side; eSELL without its column offsets."""
    rows, cols = matrix.shape
    n = packed.nonzeros
    row_bits, col_bits = _index_bits(rows), _index_bits(cols)
    bits = {
        "dense": rows * cols * VALUE_BITS,
        "CSR, 16-bit index": n * (VALUE_BITS + 16) + (rows + 1) * POINTER_BITS,
        "CSR, log2 index": n * (VALUE_BITS + col_bits) + (rows + 1) * POINTER_BITS,
        "CSC, 16-bit index": n * (VALUE_BITS + 16) + (cols + 1) * POINTER_BITS,
        "CSC, log2 index": n * (VALUE_BITS + row_bits) + (cols + 1) * POINTER_BITS,
        "COO, 16-bit indices": n * (VALUE_BITS + 32),
        "COO, log2 indices": n * (VALUE_BITS + row_bits + col_bits),
        "EC": len(ec_encode(matrix)[0]) * (VALUE_BITS + RUN_BITS),
        "eSELL": len(packed.words) * WORD_BITS,
    }
    return {name: Size(count, n) for name, count in bits.items()}
