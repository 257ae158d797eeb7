"""What a format of weights is: sizes are enough to compare it, arrays in memory make it one that hardware can run."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import BLOCK_COLS
from golden.formats.words import Words
from golden.isa import Format as FormatNumber
from golden.numbers import Float16

WORD_BITS = 64


class FormatError(ValueError):
    """An array that is not of the format; the message says where and why."""


class NotHeld(ValueError):
    """A value that a format does not hold, in a row and a column of the matrix that was to be packed.

    what, why: the message before and behind the place.
    """

    def __init__(self, what: str, row: int, col: int, why: str = "") -> None:
        super().__init__(f"{what} in row {row}, column {col}{why}")
        self.what, self.row, self.col, self.why = what, row, col, why

    def where(self, row: int, name: str) -> "NotHeld":
        """The same of the matrix ``name`` in which the value has another row."""
        return NotHeld(self.what, row, self.col, f"{self.why}, in {name}")


@dataclass(frozen=True, eq=False)
class Parameters:
    """What a format leaves open for each matrix; the same defaults stand for a format that leaves nothing open.

    gap_bits: width of a stream's gaps, None where the format has none (for a packer: where it may choose);
    unit_cols: columns that are loaded together or not at all; tables: (4, 16) float16, the values of each gate that
    8-bit entries choose from, None likewise.
    """

    gap_bits: int | None = None
    unit_cols: int = BLOCK_COLS
    tables: Float16 | None = None


OPEN = Parameters()
"""Nothing is said: all is open to a packer, nothing is known to a reader."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A packed matrix.

    words: uint64, the array as the hardware reads it; offsets: (units,) uint16, words of each unit of columns;
    rows, cols: after padding to the format's multiples; nonzeros: values that are not +-0; format: its number;
    parameters: what a reader must know beside the words.
    """

    words: Words
    offsets: NDArray[np.uint16]
    rows: int
    cols: int
    nonzeros: int
    format: FormatNumber = FormatNumber.ESELL
    parameters: Parameters = OPEN


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a decoder reads from an array: values with their places, in the array's order.

    row, col: int64; value: fp16 (zeros are left out, a place may occur more than once); faults: the first fault of
    each faulty unit (the places decoded before it are included); bad_columns: units with a value that is not finite;
    bad_tables: a table that is loaded with the array has a value that is not finite, used or not.
    """

    rows: int
    cols: int
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    value: Float16
    faults: dict[int, FormatError]
    bad_columns: NDArray[np.int64]
    words_read: int
    bad_tables: bool = False


def matrix_of(decoded: Decoded) -> Float16:
    """The matrix of decoded values. Raises ValueError when a place holds two: the hardware adds both products."""
    if np.bincount(decoded.row * decoded.cols + decoded.col, minlength=1).max() > 1:
        raise ValueError("the array holds two values for one place; decode() gives both")
    matrix = np.zeros((decoded.rows, decoded.cols), dtype=np.float16)
    matrix[decoded.row, decoded.col] = decoded.value
    return matrix


class Format(ABC):
    """A format that knows how much a matrix takes: it enters Figure 9, and sweeps by the cycle models.

    name: for tables and files; number: in START's flags, None when no hardware reads the format; unit_cols: columns
    that are loaded together or not at all. Matrices are float16 (R, C) of any size, +-0 is no nonzero.
    """

    name: str
    number: FormatNumber | None = None
    unit_cols: int = BLOCK_COLS

    @abstractmethod
    def bits(self, matrix: Float16) -> int:
        """Bits of a matrix, without what says where its units begin."""

    def unit_words(self, matrix: Float16) -> NDArray[np.int64]:
        """64-bit words of each unit of columns, (ceil(C / unit_cols),).

        Unless a format says better: each unit is a matrix of its own, filled up to whole words.
        """
        units = range(0, matrix.shape[1], self.unit_cols)
        bits = [self.bits(matrix[:, first : first + self.unit_cols]) for first in units]
        return -(-np.array(bits, dtype=np.int64) // WORD_BITS)

    def unit_heads(self, rows: int) -> int:
        """Words of a unit with so many rows that move over the port and take no PE a cycle."""
        return 0


class StoredFormat(Format):
    """A format whose arrays hardware reads: it packs, checks and unpacks them.

    Rows and columns are padded with zeros to multiples of row_multiple and the columns of a unit. Methods that take
    rows and cols take them padded and raise ValueError for others; offsets are the words of each unit, as
    ``Packed.offsets``, and None when only the array itself says where units end, which ``needs_offsets`` rules out
    (ValueError); parameters are those of ``Packed`` (ValueError for what the format does not have); ``has_tables``:
    tables are among them; ``word_values``: values of a word, each of which needs a multiplier of the PE that takes it.
    """

    number: FormatNumber
    row_multiple: int = 1
    word_values: int = 4
    needs_offsets: bool = False
    has_tables: bool = False

    @abstractmethod
    def pack(self, matrix: ArrayLike, wanted: Parameters = OPEN) -> Packed:
        """Pack a matrix. ``wanted``: its parameters, as far as the packer may not choose them.

        Raises TypeError for another dtype than float16, ValueError for what does not fit.
        """

    @abstractmethod
    def decode(
        self,
        words: ArrayLike,
        rows: int,
        cols: int,
        offsets: ArrayLike | None = None,
        parameters: Parameters = OPEN,
    ) -> Decoded:
        """Read an array as the hardware does, faults and all; words after the end are not looked at."""

    @abstractmethod
    def check(
        self,
        words: ArrayLike,
        rows: int,
        cols: int,
        offsets: ArrayLike | None = None,
        parameters: Parameters = OPEN,
    ) -> Decoded:
        """Decode a whole array. Raises FormatError at its first fault, a word too much included."""

    def unpack(
        self,
        words: ArrayLike,
        rows: int,
        cols: int,
        offsets: ArrayLike | None = None,
        parameters: Parameters = OPEN,
    ) -> Float16:
        """The matrix (rows, cols) float16 of a well-formed array.

        Raises FormatError, ValueError when a place holds two values.
        """
        return matrix_of(self.check(words, rows, cols, offsets, parameters))

    @abstractmethod
    def read(self, load: Callable[[int], int], rows: int, cols: int, offsets: ArrayLike | None = None) -> Words:
        """An array word by word, as far as its heads or its offsets say: ``load(n)`` gives word n.

        Raises FormatError as soon as the words leave open where the array goes on.
        """

    @abstractmethod
    def zero_items(self, words: Words, start: int, rows: int) -> int:
        """PE cycles without a value that the unit from word ``start`` takes when it is the first of a sum."""

    def takes(self, parameters: Parameters) -> bool:
        """Whether the format has these gap bits and units; what it says of tables is not looked at."""
        return parameters.gap_bits is None and parameters.unit_cols == BLOCK_COLS

    def units(self, cols: int, parameters: Parameters = OPEN) -> int:
        """Units of a padded matrix."""
        return cols // parameters.unit_cols
