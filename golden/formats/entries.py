"""Packing of streams: where the values of a matrix go, and the words that they make."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.formats.words import MAX_UNIT_WORDS, Words
from golden.numbers import Float16

Codes = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Nonzeros:
    """The nonzeros of a padded matrix, line after line, each line in the order of its places.

    A line is one stream of one unit. rows: of the matrix; streams, lines: how many; width: columns of a unit; line,
    place: (n,) int64; value: (n,) float16.
    """

    rows: int
    streams: int
    lines: int
    width: int
    line: NDArray[np.int64]
    place: NDArray[np.int64]
    value: Float16

    @classmethod
    def of(cls, m: Float16, streams: int, width: int) -> "Nonzeros":
        """Of a matrix (R, C), R a multiple of the streams, C of the width."""
        rows, cols = m.shape
        places = rows // streams * width
        by_line = m.reshape(rows // streams, streams, cols // width, width).transpose(2, 1, 0, 3)
        flat = np.ascontiguousarray(by_line).ravel()
        at = np.flatnonzero(flat)
        return cls(rows, streams, m.size // places, width, at // places, at % places, flat[at])

    @property
    def row(self) -> NDArray[np.int64]:
        """(n,) rows of the matrix."""
        return self.place // self.width * self.streams + self.line % self.streams

    @property
    def col(self) -> NDArray[np.int64]:
        """(n,) columns of the matrix."""
        return self.line // self.streams * self.width + self.place % self.width


@dataclass(frozen=True, eq=False)
class Entries:
    """Where values go. line, code, gap: (n,) of those that have a code; fillers: (n,) entries before each; counts: of
    each line; lengths: words of each unit."""

    streams: int
    gap_bits: int
    line: NDArray[np.int64]
    code: Codes
    gap: NDArray[np.int64]
    fillers: NDArray[np.int64]
    counts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, nonzeros: Nonzeros, code: Codes, gap_bits: int) -> "Entries":
        """Raises ValueError for a unit of more words than an offset holds."""
        present = code != 0
        line, place = nonzeros.line[present], nonzeros.place[present]
        last = np.empty_like(place)
        last[1:] = np.where(line[1:] == line[:-1], place[:-1], -1)
        last[:1] = -1
        run = place - last - 1
        fillers = run >> gap_bits
        counts = np.bincount(line, weights=fillers + 1, minlength=nonzeros.lines).astype(np.int64)
        lengths = counts.reshape(-1, nonzeros.streams).max(axis=1)
        if lengths.max() > MAX_UNIT_WORDS:
            raise ValueError(f"a unit has {lengths.max()} words, a 16-bit offset holds {MAX_UNIT_WORDS}")
        gap = run & (1 << gap_bits) - 1
        return cls(nonzeros.streams, gap_bits, line, code[present], gap, fillers, counts, lengths)

    def words(self, entry_bits: int) -> Words:
        """All units, one after the other."""
        # Of each value the number of its entry in its line, after its own fillers
        entry = np.cumsum(self.fillers + 1) - 1 - (np.cumsum(self.counts) - self.counts)[self.line]
        first_word = np.cumsum(self.lengths) - self.lengths
        table = np.zeros((int(self.lengths.sum()), self.streams), dtype=np.uint64)
        word, stream = first_word[self.line // self.streams] + entry, self.line % self.streams
        # Widened before any shift, which would else cut the upper bits off
        table[word, stream] = self.code.astype(np.uint64) << np.uint64(self.gap_bits) | self.gap.astype(np.uint64)
        before = np.repeat(np.cumsum(self.fillers) - self.fillers, self.fillers)
        back = np.arange(int(self.fillers.sum())) - before + 1
        filler = (1 << self.gap_bits) - 1
        table[np.repeat(word, self.fillers) - back, np.repeat(stream, self.fillers)] = filler
        lanes = table << np.uint64(entry_bits) * np.arange(self.streams, dtype=np.uint64)
        return np.bitwise_or.reduce(lanes, axis=1)
