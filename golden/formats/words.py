"""16-bit numbers in 64-bit words: what offsets, biases and fp16 values have in common in every format."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]

MAX_UNIT_WORDS = 0xFFFF
"""Words of one unit of columns: offsets are 16 bits."""
_LANES = np.uint64(16) * np.arange(4, dtype=np.uint64)


def pack_offsets(offsets: ArrayLike) -> Words:
    """Column offsets, 4 to a word, lowest first: ceil(n / 4) words. Raises ValueError for one over 16 bits."""
    o = np.asarray(offsets)
    if o.size and not (o.min() >= 0 and o.max() <= MAX_UNIT_WORDS):
        raise ValueError(f"offsets must be in 0..{MAX_UNIT_WORDS}, not {int(o.min())}..{int(o.max())}")
    return pack_halves(o.astype(np.uint16))


def pack_halves(halves: ArrayLike) -> Words:
    """16-bit numbers, 4 to a word, lowest first, the last word filled with 0."""
    h = np.ascontiguousarray(halves, dtype=np.uint16).astype(np.uint64)
    return np.bitwise_or.reduce(np.pad(h, (0, -len(h) % 4)).reshape(-1, 4) << _LANES, axis=1)


def unpack_halves(words: ArrayLike, count: int) -> NDArray[np.uint16]:
    """The first ``count`` 16-bit numbers of an array of words."""
    w = np.asarray(words, dtype=np.uint64)
    lanes = w[:, None] >> _LANES & np.uint64(0xFFFF)
    return lanes.astype(np.uint16).ravel()[:count]
