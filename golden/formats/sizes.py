"""Formats that are compared by size alone: dense, CSR, CSC and COO, as in the paper's Figure 9.

Values have 16 bits, pointers of CSR and CSC 32, indices 16 bits or as many as the side of the matrix needs.
"""

import numpy as np

from golden.formats.base import Format
from golden.numbers import Float16

VALUE_BITS = 16
POINTER_BITS = 32


def index_bits(count: int) -> int:
    """Bits that number so many things, 1 at least."""
    return max(1, (count - 1).bit_length())


class Dense(Format):
    """Every value, zeros too."""

    name = "dense"

    def bits(self, matrix: Float16) -> int:
        return matrix.size * VALUE_BITS


class Compressed(Format):
    """CSR, or CSC with ``by_column``: a pointer for every line and one more, an index beside every value.

    width: bits of an index, None for what the length of a line needs.
    """

    def __init__(self, name: str, width: int | None, *, by_column: bool) -> None:
        self.name, self.width, self.by_column = name, width, by_column

    def bits(self, matrix: Float16) -> int:
        lines, length = matrix.shape[::-1] if self.by_column else matrix.shape
        index = index_bits(length) if self.width is None else self.width
        return int(np.count_nonzero(matrix)) * (VALUE_BITS + index) + (lines + 1) * POINTER_BITS


class Coordinates(Format):
    """COO: row and column beside every value. width: bits of each, None for what the sides need."""

    def __init__(self, name: str, width: int | None) -> None:
        self.name, self.width = name, width

    def bits(self, matrix: Float16) -> int:
        indices = sum(index_bits(side) if self.width is None else self.width for side in matrix.shape)
        return int(np.count_nonzero(matrix)) * (VALUE_BITS + indices)
