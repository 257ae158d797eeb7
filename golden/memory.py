"""A layer as bytes: every array exactly as the hardware reads or writes it, little-endian, whole 64-bit words.

Header, image, firmware and simulation all take their bytes from here.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import isa
from golden.config import GATES, WORD_BYTES
from golden.formats import pack_halves, pack_offsets
from golden.isa import InputFormat
from golden.layer import PackedLayer
from golden.numbers import fp16_bits, to_fp16
from golden.recurrence import Held, State
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


INPUT_BITS = {InputFormat.FP32: 32, InputFormat.FP16: 16, InputFormat.UINT8: 8}
"""Bits of an element of x."""
INPUT_STEPS = 256
"""x as uint8 is a whole number of 1/256."""


def x_row_bytes(x: int, form: InputFormat = InputFormat.FP32) -> int:
    """Bytes of a row of X elements: whole words."""
    return -(-x * INPUT_BITS[form] // 64) * WORD_BYTES


def x_bytes(packed: PackedLayer, x: ArrayLike, form: InputFormat = InputFormat.FP32) -> bytes:
    """One sequence (T, inputs) or several (N, T, inputs), one after the other: rows of X, each from 8 bytes on.

    fp16 is what the hardware makes of fp32. Raises ValueError naming what uint8 does not hold: other than k/256.
    """
    values = padded_x(packed, x)
    if form == InputFormat.FP32:
        return values.astype("<f4").tobytes()
    if form == InputFormat.FP16:
        return to_fp16(values).astype("<f2").tobytes()
    with np.errstate(invalid="ignore"):
        k = values * np.float32(INPUT_STEPS)
        held = (k >= 0) & (k < INPUT_STEPS) & (k == np.floor(k))
    if not held.all():
        raise ValueError(f"x as uint8 must be k/{INPUT_STEPS}, k in 0..{INPUT_STEPS - 1}, not {values[~held][0]!s}")
    rows = np.pad(k.astype(np.uint8), [(0, 0)] * (k.ndim - 1) + [(0, x_row_bytes(packed.x, form) - packed.x)])
    return rows.tobytes()


def x_from_bytes(data: bytes, x: int, form: InputFormat = InputFormat.FP32) -> NDArray[np.float32]:
    """The rows (T, X) that lie there, as the hardware reads them."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, x_row_bytes(x, form))
    if form == InputFormat.UINT8:
        return (rows[:, :x] / np.float32(INPUT_STEPS)).astype(np.float32)
    return rows.view("<f4" if form == InputFormat.FP32 else "<f2").astype(np.float32)


def h_bytes(h: ArrayLike, half: bool = False) -> bytes:
    """Rows of h (T, H) as the hardware stores them: fp32, or fp16, which every h is exact in."""
    return np.asarray(h, dtype="<f2" if half else "<f4").tobytes()


def h_from_bytes(data: bytes, hidden: int, half: bool = False) -> NDArray[np.float32]:
    """The rows (T, H) of a stored h. Raises ValueError when the length is no whole number of rows."""
    row = (2 if half else 4) * hidden
    if not data or len(data) % row:
        raise ValueError(f"h has rows of {row} bytes, not {len(data)} bytes")
    return np.frombuffer(data, dtype="<f2" if half else "<f4").reshape(-1, hidden).astype(np.float32)


def state_size(hidden: int, inputs: int, *, delta: bool = False, events: bool = False) -> int:
    """Bytes of a state: h and c, with delta held values and sums, with events held values of x; hidden H, inputs X."""
    return (28 if delta else 8) * hidden + (4 * inputs if events else 0)


def state_bytes(state: State, inputs: int, *, delta: bool = False, events: bool = False) -> bytes:
    """A state as such a run reads it: what it has not is 0, as at first; inputs: X."""
    held = None
    if delta:
        held = state.held or Held.zeros(*state.h.shape)
        x = np.zeros(inputs, np.int32) if held.x is None else held.x
        held = replace(held, x=x if events else None)
    return replace(state, held=held).to_bytes()


def state_from_bytes(data: bytes, hidden: int, inputs: int, *, delta: bool = False, events: bool = False) -> State:
    """The state that such a run stored. Raises ValueError for another length."""
    if delta:
        return State.held_from_bytes(data, hidden, inputs if events else None)
    return State.from_bytes(data)
