"""Tables that golden and RTL share: tanh's points, eSELL's head and column sets, the streams' sizes. Numbers only."""

from decimal import Decimal, localcontext

from golden.config import BLOCK_ROWS, CHUNK_ROWS
from golden.fields import Layout, Repeated

TANH_SEGMENTS = 512
"""Segments of 1/64 that cover |z| < 8."""


def _tanh_point(i: int) -> int:
    # Decimal.exp is correctly rounded everywhere; the platform's tanh is not, and one wrong unit breaks bit-exactness
    with localcontext() as context:
        context.prec = 40
        square = (Decimal(i) / 32).exp()
        return min(65535, int(65536 * (square - 1) / (square + 1) + Decimal("0.5")))


TANH: tuple[int, ...] = tuple(_tanh_point(i) for i in range(TANH_SEGMENTS + 1))
"""K[i] = min(65535, floor(65536 tanh(i / 64) + 0.5)), i = 0..512: unsigned 16 bits, nondecreasing."""

CHUNK_LAYOUT = Layout({"width": 3, "codes": Repeated(3, CHUNK_ROWS), "rows": Repeated(3, CHUNK_ROWS), "spare": 5})
"""A chunk in eSELL's head: CHKw, EIDXcol and IDXrow of its rows, bits that must be 0."""

HEAD_LAYOUT = Layout({"chunks": Repeated(CHUNK_LAYOUT, BLOCK_ROWS // CHUNK_ROWS)})
"""eSELL's head word."""

COLUMN_TABLE: tuple[tuple[int, ...], ...] = (
    (0, 0, 0, 0, 1, 1, 2, 3),
    (1, 1, 2, 3, 2, 3, 3, 0),
    (2, 3, 3, 0, 3, 0, 0, 0),
    (3, 0, 0, 0, 0, 0, 0, 0),
)
"""COLUMN_TABLE[j][e]: column (0..3) of the j-th value of a row whose column-set code is e (0..7)."""

COLUMN_SETS: dict[tuple[int, ...], int] = {
    (): 0,
    (0,): 0,
    (1,): 4,
    (2,): 6,
    (3,): 7,
    (0, 1): 0,
    (0, 2): 2,
    (0, 3): 3,
    (1, 2): 4,
    (1, 3): 5,
    (2, 3): 6,
    (0, 1, 2): 0,
    (0, 1, 3): 1,
    (0, 2, 3): 2,
    (1, 2, 3): 4,
    (0, 1, 2, 3): 0,
}
"""Column-set code that a packer writes for the ascending columns of a row's nonzeros."""

STREAM_GAP_BITS: dict[int, tuple[int, ...]] = {16: (4, 5, 6), 8: (4,)}
"""Widths of the gap, g, that the stream formats may have, by the bits of an entry; a word has one of every stream."""

STREAM_UNIT_COLS: tuple[int, ...] = (4, 1)
"""Columns of a unit, u, that a stream format may have."""

TABLE_VALUES = 16
"""Values of a table of stream-8, of which the first is not used."""
