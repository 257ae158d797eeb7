"""A layer as bytes: every array exactly as the hardware reads or writes it, little-endian, whole 64-bit words.

Header, image, firmware and simulation all take their bytes from here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import isa
from golden.config import GATES
from golden.formats import pack_halves, pack_offsets
from golden.layer import PackedLayer
from golden.numbers import fp16_bits
from golden.tables import TABLE_VALUES


def word_bytes(words: ArrayLike) -> bytes:
    """64-bit words as bytes."""
    return np.asarray(words, dtype="<u8").tobytes()


@dataclass(frozen=True)
class LayerBytes:
    """The weights of a layer, each array a multiple of 8 bytes long.

    w, u: words of the packed matrices; w_offsets, u_offsets: words of each unit of columns, uint16; bias: fp16;
    tables: of the values of W and of U, 4 x 16 fp16 each, zeros for a matrix without; empty when neither has any.
    """

    w: bytes
    u: bytes
    w_offsets: bytes
    u_offsets: bytes
    bias: bytes
    tables: bytes = b""


def table_words(packed: PackedLayer) -> NDArray[np.uint64]:
    """The tables of W, then of U, 4 fp16 values to a word, (32,); (0,) when neither matrix has any."""
    tables = [matrix.parameters.tables for matrix in (packed.w, packed.u)]
    if all(table is None for table in tables):
        return np.zeros(0, dtype=np.uint64)
    none = np.zeros((GATES, TABLE_VALUES), dtype=np.float16)
    return pack_halves(fp16_bits(np.stack([none if table is None else table for table in tables])).ravel())


def streams_word(packed: PackedLayer) -> int:
    """The parameters of both matrices as the hardware takes them; gap bits 0 and units of 4 columns of a matrix in
    eSELL, and 0 when both are."""
    w, u = packed.w.parameters, packed.u.parameters
    if w.gap_bits is u.gap_bits is None:
        return 0
    return isa.streams_word(w.gap_bits or 0, w.unit_cols, u.gap_bits or 0, u.unit_cols)


def bias_words(packed: PackedLayer) -> NDArray[np.uint64]:
    """The bias, 4 fp16 values to a word, (H,)."""
    return pack_halves(fp16_bits(packed.bias))


def layer_bytes(packed: PackedLayer) -> LayerBytes:
    """The arrays of a layer as the hardware reads them."""
    return LayerBytes(
        w=word_bytes(packed.w.words),
        u=word_bytes(packed.u.words),
        w_offsets=word_bytes(pack_offsets(packed.w.offsets)),
        u_offsets=word_bytes(pack_offsets(packed.u.offsets)),
        bias=word_bytes(bias_words(packed)),
        tables=word_bytes(table_words(packed)),
    )


def padded_x(packed: PackedLayer, x: ArrayLike) -> NDArray[np.float32]:
    """x (..., T, inputs) as float32 (..., T, X), zeros in the padding. Raises ValueError for another width."""
    values = np.asarray(x, dtype=np.float32)
    if values.ndim < 2 or values.shape[-1] not in (packed.inputs, packed.x):
        raise ValueError(f"x must have shape (..., T, {packed.inputs}), not {values.shape}")
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, packed.x - values.shape[-1])])


def x_bytes(packed: PackedLayer, x: ArrayLike) -> bytes:
    """One sequence (T, inputs) or several (N, T, inputs), one after the other: rows of X fp32, all 8-byte aligned."""
    return padded_x(packed, x).astype("<f4").tobytes()


def h_bytes(h: ArrayLike) -> bytes:
    """Rows of h (T, H) as the hardware stores them: fp32."""
    return np.asarray(h, dtype="<f4").tobytes()


def h_from_bytes(data: bytes, hidden: int) -> NDArray[np.float32]:
    """The rows (T, H) of a stored h. Raises ValueError when the length is no whole number of rows."""
    if not data or len(data) % (4 * hidden):
        raise ValueError(f"h has rows of {4 * hidden} bytes, not {len(data)} bytes")
    return np.frombuffer(data, dtype="<f4").reshape(-1, hidden).astype(np.float32)
