"""The stream formats: entries of a gap and a value, four or eight streams side by side in each word, no heads.

A matrix (R, C), R a multiple of 16, is cut into units of u adjacent columns. Of S streams, stream k holds the rows r
with r mod S = k of a unit, place p = (r div S) u + column in the unit. Word j of a unit has entry j of every stream,
stream 0 lowest. An entry is the gap, g bits, below its code: from place -1 on, each entry moves gap + 1 places on and
puts its value there. Code 0 is no value: a filler in a run longer than a gap can say, or the end of a short stream.
Lengths of units are in the offsets alone. A 16-bit entry's code is the upper 16 - g bits of an fp16, an 8-bit entry's
a number in the table of its row's gate (the gates are the quarters of R).
"""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import GATES
from golden.formats.base import OPEN, WORD_BITS, Decoded, FormatError, NotHeld, Packed, Parameters, StoredFormat
from golden.formats.codebook import codebook, codes
from golden.formats.entries import Codes, Entries, Nonzeros
from golden.formats.esell import pad
from golden.formats.words import Words
from golden.isa import Format as FormatNumber
from golden.numbers import Float16, fp16_bits, fp16_from_bits
from golden.tables import STREAM_GAP_BITS, STREAM_UNIT_COLS, TABLE_VALUES

ROW_MULTIPLE = 16
INFINITE = 0x7C00
"""Bits of an infinite fp16 without its sign."""
TABLE_BITS = 16 * TABLE_VALUES * GATES


class StreamFault(FormatError):
    """A malformed array. ``unit``: of columns; ``stream``: in the word; ``word``: index in the array."""

    def __init__(self, unit: int, stream: int, word: int, reason: str) -> None:
        super().__init__(f"unit {unit}, stream {stream}, word {word}: {reason}")
        self.unit, self.stream, self.word, self.reason = unit, stream, word, reason


class Stream(StoredFormat):
    """What both stream formats share: where entries lie, and where their values belong.

    entry_bits: width of an entry.
    """

    entry_bits: int
    row_multiple = ROW_MULTIPLE
    needs_offsets = True

    @property
    def streams(self) -> int:
        """Entries of a word, S."""
        return WORD_BITS // self.entry_bits

    @property
    def gap_bits(self) -> tuple[int, ...]:
        """What g may be."""
        return STREAM_GAP_BITS[self.entry_bits]

    def takes(self, parameters: Parameters) -> bool:
        return parameters.gap_bits in self.gap_bits and parameters.unit_cols in STREAM_UNIT_COLS

    @abstractmethod
    def _code(self, nonzeros: Nonzeros, gap_bits: int, tables: Float16 | None) -> tuple[Codes, Float16 | None]:
        """Codes of finite values, 0 for one that is none in this format, and the tables they are of."""

    @abstractmethod
    def _values(self, code: Codes, gate: NDArray[np.int64], parameters: Parameters) -> Float16:
        """The values of codes, each in a row of its gate 0..3."""

    def _check_parameters(self, parameters: Parameters, *, complete: bool) -> None:
        gap, unit, tables = parameters.gap_bits, parameters.unit_cols, parameters.tables
        if (complete or gap is not None) and gap not in self.gap_bits:
            raise ValueError(f"gap bits of {self.name} must be {_either(self.gap_bits)}, not {gap!r}")
        if unit not in STREAM_UNIT_COLS:
            raise ValueError(f"the columns of a unit must be {_either(STREAM_UNIT_COLS)}, not {unit!r}")
        self._check_tables(tables, complete=complete)

    def _check_tables(self, tables: Float16 | None, *, complete: bool) -> None:
        if tables is not None:
            raise ValueError(f"{self.name} has no tables")

    def pack(self, matrix: ArrayLike, wanted: Parameters = OPEN) -> Packed:
        """Pack a matrix; without gap bits those that take the fewest words, of equal ones the fewest bits.

        Raises TypeError for another dtype than float16, ValueError for a value that is not finite, before or after
        rounding (where g may be chosen: with every g), for parameters that there are not, and for too many rows.
        """
        self._check_parameters(wanted, complete=False)
        m = pad(matrix, ROW_MULTIPLE, wanted.unit_cols)
        bad = np.argwhere(~np.isfinite(m))
        if bad.size:
            r, c = bad[0]
            raise NotHeld(f"{self.name} holds finite values only, not {m[r, c]}", r, c)
        nonzeros = Nonzeros.of(m, self.streams, wanted.unit_cols)
        gaps = self.gap_bits if wanted.gap_bits is None else (wanted.gap_bits,)
        found, refused = [], []
        for gap_bits in gaps:
            try:
                code, tables = self._code(nonzeros, gap_bits, wanted.tables)
                found.append((Entries.of(nonzeros, code, gap_bits), Parameters(gap_bits, wanted.unit_cols, tables)))
            except ValueError as error:
                refused.append(error)
        if not found:
            raise refused[0]
        entries, parameters = min(found, key=lambda one: int(one[0].lengths.sum()))
        words = entries.words(self.entry_bits)
        lengths, (rows, cols) = entries.lengths.astype(np.uint16), m.shape
        return Packed(words, lengths, rows, cols, len(entries.code), self.number, parameters)

    def _lengths(self, rows: int, cols: int, offsets: ArrayLike | None, parameters: Parameters) -> NDArray[np.int64]:
        """Words of each unit. Raises ValueError for what a reader cannot take."""
        self._check_parameters(parameters, complete=True)
        width = parameters.unit_cols
        if rows < ROW_MULTIPLE or rows % ROW_MULTIPLE:
            raise ValueError(f"rows must be a positive multiple of {ROW_MULTIPLE}, not {rows}")
        if cols < width or cols % width:
            raise ValueError(f"cols must be a positive multiple of {width}, not {cols}")
        if offsets is None:
            raise ValueError(f"{self.name} needs the words of each unit")
        lengths = np.asarray(offsets, dtype=np.uint16).astype(np.int64)
        if lengths.shape != (cols // width,):
            raise ValueError(f"offsets must have shape ({cols // width},), not {lengths.shape}")
        return lengths

    def decode(
        self, words: ArrayLike, rows: int, cols: int, offsets: ArrayLike | None = None, parameters: Parameters = OPEN
    ) -> Decoded:
        """Read an array as the hardware does; a unit of more words than places, or that the array lacks words of, is
        faulty, too.
        """
        lengths = self._lengths(rows, cols, offsets, parameters)
        ends = np.cumsum(lengths)
        w = np.ascontiguousarray(words, dtype=np.uint64)[: int(ends[-1])]
        unit = np.repeat(np.arange(len(lengths)), lengths)[: len(w)]
        code, place = self._entries(w, np.minimum(ends - lengths, len(w))[unit], parameters)

        width, streams = parameters.unit_cols, self.streams
        places = rows // streams * width
        faults: dict[int, FormatError] = {}
        limits = ends - lengths + places
        used = np.minimum(limits * streams, code.size)
        outside = np.flatnonzero((code != 0) & (place >= places))
        outside = outside[outside // streams < limits[unit[outside // streams]]]
        faulty, first = np.unique(unit[outside // streams], return_index=True)
        used[faulty] = outside[first]
        for number, at in zip(faulty.tolist(), outside[first].tolist(), strict=True):
            reason = f"a value at place {place.flat[at]} of a unit that has {places}"
            faults[number] = StreamFault(number, at % streams, at // streams, reason)
        for number in np.flatnonzero((lengths > places) & (limits <= len(w))).tolist():
            reason = f"{lengths[number]} words of a unit that has {places} places"
            faults.setdefault(number, StreamFault(number, 0, int(limits[number]), reason))
        for number in np.flatnonzero((ends > len(w)) & (lengths > 0)).tolist():
            reason = f"the array ends before the {lengths[number]} words of this unit do"
            faults.setdefault(number, StreamFault(number, 0, len(w), reason))

        index = np.arange(code.size).reshape(code.shape)
        word, stream = np.nonzero((code != 0) & (index < used[unit][:, None]))
        row = place[word, stream] // width * streams + stream
        col = unit[word] * width + place[word, stream] % width
        value = self._values(code[word, stream], row // (rows // GATES), parameters)
        present = (fp16_bits(value) & 0x7FFF) != 0
        row, col, value = row[present], col[present], value[present]
        bad = np.unique(col[~np.isfinite(value)] // width)
        tables = parameters.tables
        bad_tables = tables is not None and not np.isfinite(tables[:, 1:]).all()
        return Decoded(rows, cols, row, col, value, faults, bad, len(w), bad_tables)

    def _entries(self, w: Words, starts: NDArray[np.int64], parameters: Parameters) -> tuple[Codes, NDArray[np.int64]]:
        """Code and place (n, streams) of each entry of the words (n,); starts: (n,) the first word of each's unit.

        Places go on beyond a unit's end, where they cannot come back from: a decoder may saturate there.
        """
        assert parameters.gap_bits is not None
        gap_bits = np.uint64(parameters.gap_bits)
        entries = w[:, None] >> np.uint64(self.entry_bits) * np.arange(self.streams, dtype=np.uint64)
        entries &= np.uint64((1 << self.entry_bits) - 1)
        steps = (entries & (np.uint64(1) << gap_bits) - np.uint64(1)).astype(np.int64) + 1
        moved = np.zeros((len(w) + 1, self.streams), dtype=np.int64)
        np.cumsum(steps, axis=0, out=moved[1:])
        return (entries >> gap_bits).astype(np.uint16), moved[1:] - 1 - moved[starts]

    def check(
        self, words: ArrayLike, rows: int, cols: int, offsets: ArrayLike | None = None, parameters: Parameters = OPEN
    ) -> Decoded:
        decoded = self.decode(words, rows, cols, offsets, parameters)
        if decoded.faults:
            raise decoded.faults[min(decoded.faults)]
        extra = len(np.asarray(words)) - decoded.words_read
        if extra:
            last = cols // parameters.unit_cols - 1
            raise StreamFault(last, 0, decoded.words_read, f"{extra} words are left over after the last unit")
        return decoded

    def read(self, load: Callable[[int], int], rows: int, cols: int, offsets: ArrayLike | None = None) -> Words:
        if offsets is None:
            raise ValueError(f"{self.name} needs the words of each unit")
        count = int(np.asarray(offsets, dtype=np.uint16).sum(dtype=np.int64))
        return np.array([load(word) for word in range(count)], dtype=np.uint64)

    def zero_items(self, words: Words, start: int, rows: int) -> int:
        """None: sums are cleared before the first word comes."""
        return 0

    def bits(self, matrix: Float16) -> int:
        packed = self.pack(matrix)
        return WORD_BITS * len(packed.words) + (0 if packed.parameters.tables is None else TABLE_BITS)

    def unit_words(self, matrix: Float16) -> NDArray[np.int64]:
        return self.pack(matrix).offsets.astype(np.int64)


class Stream16(Stream):
    """16-bit entries: g is 4, 5 or 6, a value the upper 16 - g bits of an fp16, to nearest even."""

    name = "stream-16"
    number = FormatNumber.STREAM16
    entry_bits = 16

    def _code(self, nonzeros: Nonzeros, gap_bits: int, tables: Float16 | None) -> tuple[Codes, Float16 | None]:
        bits = fp16_bits(nonzeros.value)
        magnitude = bits & np.uint16(0x7FFF)
        below_half = np.uint16((1 << (gap_bits - 1)) - 1)
        rounded = (magnitude + below_half + (magnitude >> gap_bits & np.uint16(1))) >> np.uint16(gap_bits)
        large = np.flatnonzero(rounded >= INFINITE >> gap_bits)
        if large.size:
            rows, cols = nonzeros.row[large], nonzeros.col[large]
            first = np.lexsort((cols, rows))[0]
            value, row, col = float(nonzeros.value[large[first]]), rows[first], cols[first]
            bits_left = f"{16 - gap_bits} bits (gap bits {gap_bits})"
            raise NotHeld(f"{value:g}", row, col, f" becomes infinite in {bits_left}")
        sign = bits >> np.uint16(15) << np.uint16(15 - gap_bits)
        return np.where(rounded != 0, sign | rounded, np.uint16(0)), None

    def _values(self, code: Codes, gate: NDArray[np.int64], parameters: Parameters) -> Float16:
        assert parameters.gap_bits is not None
        return fp16_from_bits(code << np.uint16(parameters.gap_bits))


class Stream8(Stream):
    """8-bit entries: g is 4, a value one of 15 of its gate; the packer chooses the 15 unless it is given tables."""

    name = "stream-8"
    number = FormatNumber.STREAM8
    entry_bits = 8
    word_values = WORD_BITS // entry_bits
    has_tables = True

    def _check_tables(self, tables: Float16 | None, *, complete: bool) -> None:
        if tables is None:
            if complete:
                raise ValueError(f"{self.name} needs the tables of its values")
            return
        if tables.dtype != np.float16 or tables.shape != (GATES, TABLE_VALUES):
            raise ValueError(
                f"tables must be float16 of shape ({GATES}, {TABLE_VALUES}), not {tables.dtype} {tables.shape}"
            )
        if not complete and not np.isfinite(tables[:, 1:]).all():
            gate, entry = np.argwhere(~np.isfinite(tables[:, 1:]))[0]
            raise ValueError(f"entry {entry + 1} of table {gate} is {tables[gate, entry + 1]}, not finite")

    def _code(self, nonzeros: Nonzeros, gap_bits: int, tables: Float16 | None) -> tuple[Codes, Float16 | None]:
        gate_of = nonzeros.row // (nonzeros.rows // GATES)
        gates = [gate_of == gate for gate in range(GATES)]
        if tables is None:
            tables = np.stack([codebook(nonzeros.value[gate], TABLE_VALUES) for gate in gates])
        code = np.zeros(len(nonzeros.value), dtype=np.uint16)
        for gate, table in zip(gates, tables, strict=True):
            code[gate] = codes(nonzeros.value[gate], table)
        return code, tables

    def _values(self, code: Codes, gate: NDArray[np.int64], parameters: Parameters) -> Float16:
        assert parameters.tables is not None
        return parameters.tables[gate, code.astype(np.int64)]


def _either(values: tuple[int, ...]) -> str:
    *first, last = map(str, values)
    return f"{', '.join(first)} or {last}" if first else last
