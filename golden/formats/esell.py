"""The eSELL format: pack, check and decode (DAC'19 paper, section 4, with the 3-bit widths of its published code).

A block is 8 rows x 4 columns, two chunks of 4 rows: one head word, then the value words of chunk 0 and of chunk 1,
4 fp16 values a word. Blocks are numbered in the order of the array: block column by block column, in each from the
top row down. ``golden.tables.HEAD_LAYOUT`` is a head: of each chunk CHKw, the column-set codes and the row indices.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import BLOCK_COLS, BLOCK_ROWS, CHUNK_ROWS
from golden.formats.base import OPEN, Decoded, FormatError, Packed, Parameters, StoredFormat, matrix_of
from golden.formats.words import MAX_UNIT_WORDS, Words, unpack_halves
from golden.isa import Format as FormatNumber
from golden.numbers import Float16, fp16_bits, fp16_from_bits
from golden.tables import CHUNK_LAYOUT, COLUMN_SETS, COLUMN_TABLE, HEAD_LAYOUT

MAX_WIDTH = 4
_CHUNKS = range(BLOCK_ROWS // CHUNK_ROWS)


def _head_places(field: str, *inner: int) -> NDArray[np.uint64]:
    """The lowest bit of a field of each chunk, (2,)."""
    shifts = [HEAD_LAYOUT.place("chunks", chunk, field, *inner).shift for chunk in _CHUNKS]
    return np.array(shifts, dtype=np.uint64)


def _head_mask(field: str, *inner: int) -> np.uint64:
    """The bits of a field, from 0 up; those of both chunks are as many."""
    return np.uint64((1 << HEAD_LAYOUT.place("chunks", 0, field, *inner).bits) - 1)


_WIDTH_AT, _WIDTH_MASK = _head_places("width"), _head_mask("width")
_CODE_AT = np.stack([_head_places("codes", i) for i in range(CHUNK_ROWS)], axis=1)
_CODE_MASK = _head_mask("codes", 0)
_ROW_AT = np.stack([_head_places("rows", i) for i in range(CHUNK_ROWS)], axis=1)
_ROW_MASK = _head_mask("rows", 0)
_SPARE_BITS = np.uint64(sum(HEAD_LAYOUT.place("chunks", chunk, "spare").mask for chunk in _CHUNKS))

_LANES = np.uint64(16) * np.arange(4, dtype=np.uint64)
_TABLE = np.array(COLUMN_TABLE, dtype=np.int64)
_SETS = [tuple(c for c in range(BLOCK_COLS) if mask >> c & 1) for mask in range(1 << BLOCK_COLS)]
_CODE_OF_MASK = np.array([COLUMN_SETS[s] for s in _SETS], dtype=np.uint64)
_COLUMN_OF_MASK = np.array([s + (0,) * (BLOCK_COLS - len(s)) for s in _SETS])
_COUNT_OF_MASK = np.array([len(s) for s in _SETS])


class BlockFault(FormatError):
    """A malformed array. ``block``: its number in the array; ``chunk``: 0 or 1; ``word``: index in the array."""

    def __init__(self, block: int, chunk: int, word: int, reason: str) -> None:
        super().__init__(f"block {block}, chunk {chunk}, word {word}: {reason}")
        self.block, self.chunk, self.word, self.reason = block, chunk, word, reason


def _check_size(rows: int, cols: int) -> None:
    if rows < BLOCK_ROWS or rows % BLOCK_ROWS:
        raise ValueError(f"rows must be a positive multiple of {BLOCK_ROWS}, not {rows}")
    if cols < BLOCK_COLS or cols % BLOCK_COLS:
        raise ValueError(f"cols must be a positive multiple of {BLOCK_COLS}, not {cols}")


def pad(matrix: ArrayLike, row_multiple: int = BLOCK_ROWS, col_multiple: int = BLOCK_COLS) -> Float16:
    """A matrix (R, C) with zero rows and columns added up to the next multiples."""
    m = np.asarray(matrix)
    if m.dtype != np.float16:
        raise TypeError(f"matrix must be float16, not {m.dtype}")
    if m.ndim != 2 or 0 in m.shape:
        raise ValueError(f"matrix must have two dimensions, none 0, not shape {m.shape}")
    return np.pad(m, ((0, -m.shape[0] % row_multiple), (0, -m.shape[1] % col_multiple)))


def pack(matrix: ArrayLike) -> Packed:
    """Pack a float16 matrix (R, C) of any size and density; +-0 is no nonzero.

    Raises TypeError for another dtype, ValueError for another number of dimensions or when a block column needs more
    words than a 16-bit offset holds (dense: more than 58,248 rows).
    """
    m = pad(matrix)
    rows, cols = m.shape
    block_rows, block_cols = rows // BLOCK_ROWS, cols // BLOCK_COLS
    # (blocks, 8, 4) in the array's order
    by_column = m.reshape(block_rows, BLOCK_ROWS, block_cols, BLOCK_COLS).transpose(2, 0, 1, 3)
    blocks = np.ascontiguousarray(by_column).reshape(-1, BLOCK_ROWS, BLOCK_COLS)
    mask = ((blocks != 0) << np.arange(BLOCK_COLS)).sum(axis=2)
    order = np.argsort(-_COUNT_OF_MASK[mask], axis=1, kind="stable")
    mask = np.take_along_axis(mask, order, axis=1)
    count = _COUNT_OF_MASK[mask]
    column = _COLUMN_OF_MASK[mask]
    bits = fp16_bits(np.take_along_axis(blocks, order[:, :, None], axis=1))
    # Widened before any shift: 16-bit integers shifted left lose their upper bits silently
    bits = np.take_along_axis(bits, column, axis=2).astype(np.uint64)
    bits *= np.arange(BLOCK_COLS) < count[:, :, None]

    width = count[:, [0, CHUNK_ROWS]]
    fields = _CODE_OF_MASK[mask] << _CODE_AT.ravel() | order.astype(np.uint64) << _ROW_AT.ravel()
    widths = width.astype(np.uint64) << _WIDTH_AT
    lanes = bits.reshape(-1, 2, CHUNK_ROWS, BLOCK_COLS) << _LANES[:, None]
    values = np.bitwise_or.reduce(lanes, axis=2)

    everything = np.empty((len(blocks), 1 + 2 * BLOCK_COLS), dtype=np.uint64)
    everything[:, 0] = np.bitwise_or.reduce(fields, axis=1) | np.bitwise_or.reduce(widths, axis=1)
    everything[:, 1:] = values.reshape(-1, 2 * BLOCK_COLS)
    used = np.ones(everything.shape, dtype=bool)
    used[:, 1:] = (np.arange(BLOCK_COLS) < width[:, :, None]).reshape(-1, 2 * BLOCK_COLS)
    per_column = used.reshape(block_cols, -1).sum(axis=1)
    if per_column.max() > MAX_UNIT_WORDS:
        raise ValueError(f"a block column has {per_column.max()} words, a 16-bit offset holds {MAX_UNIT_WORDS}")
    return Packed(everything[used], per_column.astype(np.uint16), rows, cols, int(count.sum()), FormatNumber.ESELL)


def _head_fault(head: int) -> tuple[int, str]:
    """Chunk and reason of the first fault of a malformed head word."""
    seen: set[int] = set()
    for chunk in _CHUNKS:
        width = HEAD_LAYOUT.place("chunks", chunk, "width").of(head)
        spare = HEAD_LAYOUT.place("chunks", chunk, "spare").of(head)
        if width > MAX_WIDTH:
            return chunk, f"CHKw is {width}, more than {MAX_WIDTH}"
        if spare:
            return chunk, f"spare bits {CHUNK_LAYOUT.place('spare').text} are {spare:#x}, not 0"
        for i in range(CHUNK_ROWS):
            row = HEAD_LAYOUT.place("chunks", chunk, "rows", i).of(head)
            if row in seen:
                return chunk, f"IDXrow names row {row} twice"
            seen.add(row)
    raise ValueError(f"head {head:#x} is well-formed")


def _bad_heads(words: Words) -> NDArray[np.bool_]:
    """Where a word, read as a head, is malformed."""
    bad = (words & _SPARE_BITS) != 0
    seen = np.zeros(len(words), dtype=np.uint64)
    for shift in _WIDTH_AT:
        bad |= words >> shift & _WIDTH_MASK > MAX_WIDTH
    for shift in _ROW_AT.ravel():
        seen |= np.uint64(1) << (words >> shift & _ROW_MASK)
    return bad | (seen != (1 << BLOCK_ROWS) - 1)


def _walk(
    words: Words, column_blocks: int, columns: int, offsets: NDArray[np.uint16] | None
) -> tuple[list[int], list[int], dict[int, FormatError], int]:
    """Follow the heads. Returns their words, their blocks, the first fault of each block column and the end."""
    size = len(words)
    steps = (1 + sum((words >> shift & _WIDTH_MASK for shift in _WIDTH_AT), np.zeros(size, np.uint64))).tolist()
    bad = _bad_heads(words).tolist()
    heads: list[int] = []
    blocks: list[int] = []
    faults: dict[int, FormatError] = {}
    position = end = 0

    def fault(block: int, chunk: int, word: int, reason: str) -> None:
        faults[block // column_blocks] = BlockFault(block, chunk, word, reason)

    for column in range(columns):
        # Without offsets only the array's end limits a column
        if offsets is None:
            end = limit = size
        else:
            position, end = end, end + int(offsets[column])
            limit = min(end, size)
        what = "the array" if limit == size else f"block column {column}"
        first = position
        for block in range(column * column_blocks, (column + 1) * column_blocks):
            if position >= limit:
                fault(block, 0, position, f"{what} ends before this block's head")
                break
            if bad[position]:
                chunk, reason = _head_fault(int(words[position]))
                fault(block, chunk, position, reason)
                break
            after = position + steps[position]
            if after > limit:
                chunk = int(position + 1 + _widths(int(words[position]))[0] <= limit)
                fault(block, chunk, limit, f"{what} ends inside this block")
                break
            heads.append(position)
            blocks.append(block)
            position = after
        else:
            if offsets is None or position == end:
                continue
            reason = f"block column {column} has {position - first} words by its heads, {end - first} by its offset"
            fault((column + 1) * column_blocks - 1, 1, position, reason)
        if offsets is None:
            break
    return heads, blocks, faults, position


def decode(words: ArrayLike, rows: int, cols: int, offsets: ArrayLike | None = None) -> Decoded:
    """Read an array as the hardware's decoder does: any row order, any column-set code.

    With offsets each block column starts where they say and faults stay in their column; without, everything from the
    first fault on is unread. Words after the last block are not looked at. Raises ValueError for sizes that are no
    multiples of 8 and 4 or offsets of the wrong length.
    """
    _check_size(rows, cols)
    w = np.ascontiguousarray(words, dtype=np.uint64)
    lengths = None if offsets is None else np.asarray(offsets, dtype=np.uint16)
    if lengths is not None and lengths.shape != (cols // BLOCK_COLS,):
        raise ValueError(f"offsets must have shape ({cols // BLOCK_COLS},), not {lengths.shape}")
    column_blocks = rows // BLOCK_ROWS
    head_list, block_list, faults, words_read = _walk(w, column_blocks, cols // BLOCK_COLS, lengths)
    heads, blocks = np.array(head_list, dtype=np.int64), np.array(block_list, dtype=np.int64)

    head = w[heads]
    width = (head[:, None] >> _WIDTH_AT & _WIDTH_MASK).astype(np.int64)
    # One row per value word: its block (index into heads), chunk and number in the chunk
    at, chunk, j = np.nonzero(np.arange(MAX_WIDTH) < width[:, :, None])
    value_words = w[heads[at] + 1 + np.where(chunk == 1, width[at, 0], 0) + j]
    bits = unpack_halves(value_words, 4 * len(value_words)).reshape(-1, CHUNK_ROWS)
    code = (head[at, None] >> _CODE_AT[chunk] & _CODE_MASK).astype(np.int64)
    index = (head[at, None] >> _ROW_AT[chunk] & _ROW_MASK).astype(np.int64)
    row = blocks[at, None] % column_blocks * BLOCK_ROWS + index
    col = blocks[at, None] // column_blocks * BLOCK_COLS + _TABLE[j[:, None], code]
    present = (bits & 0x7FFF) != 0
    value = fp16_from_bits(bits[present])
    col = col[present]
    bad = np.unique(col[~np.isfinite(value)] // BLOCK_COLS)
    return Decoded(rows, cols, row[present], col, value, faults, bad, words_read)


def check(words: ArrayLike, rows: int, cols: int, offsets: ArrayLike | None = None) -> Decoded:
    """Decode a whole array; raises FormatError at its first fault, a word after the last block included."""
    w = np.asarray(words, dtype=np.uint64)
    decoded = decode(w, rows, cols, offsets)
    if decoded.faults:
        raise decoded.faults[min(decoded.faults)]
    if decoded.words_read < len(w):
        last = rows // BLOCK_ROWS * (cols // BLOCK_COLS) - 1
        extra = len(w) - decoded.words_read
        raise BlockFault(last, 1, decoded.words_read, f"{extra} words are left over after the last block")
    return decoded


def unpack(words: ArrayLike, rows: int, cols: int, offsets: ArrayLike | None = None) -> Float16:
    """The matrix (rows, cols) float16 of a well-formed array.

    Raises FormatError, also when a place holds two values: the hardware adds both products, a matrix cannot.
    """
    return matrix_of(check(words, rows, cols, offsets))


class Esell(StoredFormat):
    """The paper's format; a unit is a block column, 4 columns wide."""

    name = "eSELL"
    number = FormatNumber.ESELL
    row_multiple = BLOCK_ROWS

    def bits(self, matrix: Float16) -> int:
        return 64 * len(pack(matrix).words)

    def unit_words(self, matrix: Float16) -> NDArray[np.int64]:
        return pack(matrix).offsets.astype(np.int64)

    def unit_heads(self, rows: int) -> int:
        """A head a block: the decoder takes it while the PEs work on the block before."""
        return -(-rows // BLOCK_ROWS)

    def pack(self, matrix: ArrayLike, wanted: Parameters = OPEN) -> Packed:
        if (wanted.gap_bits, wanted.unit_cols, wanted.tables) != (None, BLOCK_COLS, None):
            raise ValueError("eSELL has no gap bits and no tables, and a unit of it is 4 columns")
        return pack(matrix)

    def decode(
        self,
        words: ArrayLike,
        rows: int,
        cols: int,
        offsets: ArrayLike | None = None,
        parameters: Parameters = OPEN,
    ) -> Decoded:
        return decode(words, rows, cols, offsets)

    def check(
        self,
        words: ArrayLike,
        rows: int,
        cols: int,
        offsets: ArrayLike | None = None,
        parameters: Parameters = OPEN,
    ) -> Decoded:
        return check(words, rows, cols, offsets)

    def read(self, load: Callable[[int], int], rows: int, cols: int, offsets: ArrayLike | None = None) -> Words:
        words: list[int] = []
        for block in range(rows // BLOCK_ROWS * (cols // BLOCK_COLS)):
            at = len(words)
            head = load(at)
            for chunk, width in enumerate(widths := _widths(head)):
                if width > MAX_WIDTH:
                    raise BlockFault(block, chunk, at, f"CHKw is {width}, more than {MAX_WIDTH}")
            words += [head, *(load(value) for value in range(at + 1, at + 1 + sum(widths)))]
        return np.array(words, dtype=np.uint64)

    def zero_items(self, words: Words, start: int, rows: int) -> int:
        """One for each chunk without a value: an item of zeros, so that its rows are written once."""
        empty = 0
        for _ in range(rows // BLOCK_ROWS):
            widths = _widths(int(words[start]))
            empty += widths.count(0)
            start += 1 + sum(widths)
        return empty


def _widths(head: int) -> tuple[int, int]:
    """CHKw of both chunks: value words of each."""
    first, second = (HEAD_LAYOUT.place("chunks", chunk, "width").of(head) for chunk in _CHUNKS)
    return first, second
