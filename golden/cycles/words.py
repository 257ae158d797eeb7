"""Words and cycles that every schedule counts alike: U words of a step, words at the port, and the bound.

Words have 64 bits and the port moves one per cycle, or fewer where ``port_permille`` says so.
"""

from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import LayerShape

FULL_PORT = 1000
"""``port_permille`` of a memory that takes a request in every cycle."""
WORD_BITS = 64
HALVES = 4
"""16-bit numbers in a word."""
SINGLES = 2
"""32-bit numbers in a word."""


def integer(name: str, value: int, low: int) -> int:
    """``value`` as an int. Raises TypeError for no integer, ValueError below ``low``."""
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if number < low:
        raise ValueError(f"{name} must be {low} or more, not {number}")
    return number


def words_of_steps(shape: LayerShape, u_words: ArrayLike) -> NDArray[np.int64]:
    """u_words (T,) as int64. Raises TypeError and ValueError for what is none."""
    words = np.asarray(u_words)
    if words.dtype.kind not in "ui":
        raise TypeError(f"u_words must be integers, not {words.dtype}")
    if words.shape != (shape.t,):
        raise ValueError(f"u_words must have shape ({shape.t},), not {words.shape}")
    if words.min() < 0:
        raise ValueError(f"u_words must be 0 or more, not {int(words.min())}")
    return words.astype(np.int64)


def in_groups(shape: LayerShape, u_words: ArrayLike, size: int) -> list[NDArray[np.int64]]:
    """The U words of every step, group by group; only the last group may be shorter."""
    words = words_of_steps(shape, u_words)
    return [words[first : first + size] for first in range(0, shape.t, size)]


def u_words_of_steps(kept: ArrayLike, u_offsets: ArrayLike) -> NDArray[np.int64]:
    """U words loaded by each step, (..., T).

    kept: (..., T, H/4) bool, the h blocks that a step keeps; u_offsets: (H/4,), words of each block column of U.
    Raises TypeError for a mask that is not bool, ValueError for shapes that do not fit.
    """
    mask, offsets = np.asarray(kept), np.asarray(u_offsets)
    if mask.dtype != np.bool_:
        raise TypeError(f"kept must be bool, not {mask.dtype}")
    if offsets.ndim != 1 or mask.ndim < 2 or mask.shape[-1] != len(offsets):
        raise ValueError(f"kept must have shape (..., T, H/4) and u_offsets (H/4,), not {mask.shape}, {offsets.shape}")
    return mask @ offsets.astype(np.int64)


def moved(words: int, port_permille: int) -> int:
    """Cycles in which the port moves so many words."""
    return -(-words * FULL_PORT // port_permille)


def checked_permille(value: int) -> int:
    """A checked ``port_permille``. Raises TypeError, ValueError outside 1..FULL_PORT."""
    if (number := integer("port_permille", value, 1)) > FULL_PORT:
        raise ValueError(f"port_permille must be {FULL_PORT} or less, not {number}")
    return number


def bound_cycles(
    shape: LayerShape,
    w_values: int,
    w_heads: int,
    kept: ArrayLike,
    u_offsets: ArrayLike,
    n_pe: int,
    port_permille: int = FULL_PORT,
    u_heads: int | None = None,
    w_taken: int | None = None,
) -> int:
    """What no schedule at this port with these MACs can beat.

    The port, which moves a word in ``port_permille`` of 1000 cycles, loads W once and every kept block column of U once
    a step; N_pe PEs take one value word a cycle each. u_heads: head words of a unit of U, None for one a block;
    w_taken: value words of W that PEs take in all steps, None for all of them in each.
    """
    values, heads, n_pe = integer("w_values", w_values, 0), integer("w_heads", w_heads, 0), integer("n_pe", n_pe, 1)
    u = int(words_of_steps(shape, u_words_of_steps(kept, u_offsets)).sum())
    heads_of_unit = shape.blocks_per_column if u_heads is None else integer("u_heads", u_heads, 0)
    u_values = u - int(np.count_nonzero(kept)) * heads_of_unit
    taken = shape.t * values if w_taken is None else integer("w_taken", w_taken, 0)
    return max(moved(values + heads + u, checked_permille(port_permille)), -(-(taken + u_values) // n_pe))
