"""Cycles of a layer counted from its words alone: the published model's formula, and the word-level model.

Both know the packed words, the U words of every step, N_fuse and N_pe; neither holds a constant taken from the RTL.
The paper's schedule takes the steps in groups of N_fuse (N_pe - 1). W is streamed once per group, each W word
occupies the N_pe - 1 W PEs for N_fuse cycles, and in the port's free cycles come the U words of the group before, one
per cycle (by the word-level model then also those of the group's own first step, which waits for nothing). Words have
64 bits and the port moves one per cycle, or fewer where ``port_permille`` says so.
"""

from dataclasses import dataclass
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import LayerShape

GATE_LATENCY = 40
"""Cycles from the last U word of a step until its h blocks are known: what the word-level model allows at most."""
FULL_PORT = 1000
"""``port_permille`` of a memory that takes a request in every cycle."""
_HALVES = 4
"""16-bit numbers in a word."""
_SINGLES = 2
"""32-bit numbers in a word."""


def _integer(name: str, value: int, low: int) -> int:
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if number < low:
        raise ValueError(f"{name} must be {low} or more, not {number}")
    return number


def _steps(shape: LayerShape, u_words: ArrayLike) -> NDArray[np.int64]:
    words = np.asarray(u_words)
    if words.dtype.kind not in "ui":
        raise TypeError(f"u_words must be integers, not {words.dtype}")
    if words.shape != (shape.t,):
        raise ValueError(f"u_words must have shape ({shape.t},), not {words.shape}")
    if words.min() < 0:
        raise ValueError(f"u_words must be 0 or more, not {int(words.min())}")
    return words.astype(np.int64)


def _groups(shape: LayerShape, u_words: ArrayLike, size: int) -> list[NDArray[np.int64]]:
    """The U words of every step, group by group; only the last group may be shorter."""
    words = _steps(shape, u_words)
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


def published_cycles(shape: LayerShape, w_words: int, u_words: ArrayLike, n_fuse: int, n_pe: int = 3) -> int:
    """Cycles that the published behavioural model prints for one run.

    w_words: words of W, heads and values alike; u_words: (T,) words of U that each step loads.

        H + (H // 16 + 1) + sum over groups of [n X / 2 + max(W N_fuse, u + W)] + u of the last group

    with n = N_fuse (N_pe - 1) and u the U words of the group before (0 for the first). A head word counts like a
    value word, a shorter last group like a full one; gates, stores, the state and memory latency are left out.
    Raises TypeError and ValueError for arguments that are no such numbers.
    """
    n_fuse, n_pe = _integer("n_fuse", n_fuse, 1), _integer("n_pe", n_pe, 2)
    w = _integer("w_words", w_words, 0)
    n = n_fuse * (n_pe - 1)
    u = [int(group.sum()) for group in _groups(shape, u_words, n)]
    before = [0, *u[:-1]]
    groups = sum(n * shape.x // 2 + max(w * n_fuse, previous + w) for previous in before)
    return shape.h + (shape.h // 16 + 1) + groups + u[-1]


def _group(values: int, heads: int, n: int, others: int, port_permille: int = FULL_PORT) -> int:
    """Cycles of one pass over W whose value words take n PE cycles each, while the port also moves other words."""
    # Of n V cycles (n - 1) V are free at the port; each head that finds none makes it n V + heads - (n - 1) V, which
    # is V + heads, the port's own count
    return max(n * values, _moved(values + heads + others, port_permille))


def _moved(words: int, port_permille: int) -> int:
    """Cycles in which the port moves so many words."""
    return -(-words * FULL_PORT // port_permille)


def _permille(value: int) -> int:
    if (number := _integer("port_permille", value, 1)) > FULL_PORT:
        raise ValueError(f"port_permille must be {FULL_PORT} or less, not {number}")
    return number


@dataclass(frozen=True)
class WordModel:
    """Cycles of the word-level model by cause; they add up to ``cycles``.

    setup: bias, offsets and x of the first group; groups: one number per group of steps; last_u: U of the last group
    that came after its W; gates: all steps' latency; stores: rows of h; state: words read and written; port_words: all
    words moved (words, not cycles), so that at a full port ``cycles - port_words`` are its idle cycles that the
    schedule itself implies.
    """

    setup: int
    groups: tuple[int, ...]
    last_u: int
    gates: int
    stores: int
    state: int
    port_words: int

    @property
    def cycles(self) -> int:
        return self.setup + sum(self.groups) + self.last_u + self.gates + self.stores + self.state


def word_model(
    shape: LayerShape,
    w_values: int,
    w_heads: int,
    u_words: ArrayLike,
    n_fuse: int,
    n_pe: int = 3,
    *,
    h_seq: bool = False,
    state_in: bool = False,
    state_out: bool = False,
    port_permille: int = FULL_PORT,
) -> WordModel:
    """What the paper's schedule takes when nothing is lost but what the words themselves cost.

    w_values, w_heads: value and head words of W; u_words: (T,) words of U that each step loads; h_seq, state_in,
    state_out: what is stored and loaded beside the last row of h. The rules:

    - A group has up to N_fuse (N_pe - 1) steps; one of r steps occupies the W PEs n = ceil(r / (N_pe - 1)) cycles per
      value word. A head costs no PE cycle, only its port cycle; of the n cycles of a value word the port needs one,
      so heads beyond the (n - 1) V free cycles stop the PEs for one cycle each.
    - Meanwhile the port carries W, the U words of the group before and the x words of the next group (X/2 a step).
      The group takes the longer of the two.
    - Where the PEs take longer, the port has cycles left. The group's own first step needs no more than h of the step
      before, which is there once the U words of the group before are, or from the beginning: its U words take these
      cycles, as many as fit. Its other steps need what W gives and wait for all of it.
    - Before the first group come the bias (H words), the offsets of U (ceil(H / 16)) and the x words of that group;
      after the last one those of its own U words that are left.
    - Every step takes GATE_LATENCY cycles more, every stored row of h H/2 cycles (T rows with h_seq, else one), the
      state H words each way. None of them is overlapped with anything.
    - ``port_permille`` of 1000 cycles move a word: every count of words at the port takes that much longer, the PEs
      and the gates do not.

    Raises TypeError and ValueError for arguments that are no such numbers.
    """
    n_fuse, w_pes = _integer("n_fuse", n_fuse, 1), _integer("n_pe", n_pe, 2) - 1
    values, heads = _integer("w_values", w_values, 0), _integer("w_heads", w_heads, 0)
    permille = _permille(port_permille)
    steps = _groups(shape, u_words, n_fuse * w_pes)
    x = [len(group) * shape.x // _SINGLES for group in steps]
    groups, u_left = [], 0
    for group, x_next in zip(steps, [*x[1:], 0], strict=True):
        others = u_left + x_next
        groups.append(_group(values, heads, -(-len(group) // w_pes), others, permille))
        free = groups[-1] - _moved(values + heads + others, permille)
        u_left = int(group.sum()) - min(int(group[0]), free * permille // FULL_PORT)
    setup = shape.h + -(-shape.h_blocks // _HALVES) + x[0]
    stores = shape.h // _SINGLES * (shape.t if h_seq else 1)
    state = shape.h * (state_in + state_out)
    u = sum(int(group.sum()) for group in steps)
    port_words = setup + len(groups) * (values + heads) + sum(x[1:]) + u + stores + state
    setup, last_u, stores, state = (_moved(words, permille) for words in (setup, u_left, stores, state))
    return WordModel(setup, tuple(groups), last_u, GATE_LATENCY * shape.t, stores, state, port_words)


def word_model_cycles(
    shape: LayerShape,
    w_values: int,
    w_heads: int,
    kept: ArrayLike,
    u_offsets: ArrayLike,
    n_fuse: int,
    n_pe: int = 3,
    *,
    h_seq: bool = False,
    state_in: bool = False,
    state_out: bool = False,
) -> int:
    """``word_model(...).cycles`` from the blocks kept, (T, H/4) bool, and the words of U's block columns, (H/4,)."""
    u = u_words_of_steps(kept, u_offsets)
    model = word_model(shape, w_values, w_heads, u, n_fuse, n_pe, h_seq=h_seq, state_in=state_in, state_out=state_out)
    return model.cycles


def head_charging_cycles(
    shape: LayerShape, w_values: int, w_heads: int, kept: ArrayLike, u_offsets: ArrayLike, n_fuse: int, n_pe: int = 3
) -> int:
    """The word-level model with the published model's habits; equal to ``published_cycles``.

    Against ``word_model``: a head occupies the W PEs like a value word; the last group is filled up with steps that
    load no U but count otherwise; x of a group comes before it and is overlapped with nothing; the offsets have
    H // 16 + 1 words; there are no gates, no stores and no state.
    """
    n_fuse, w_pes = _integer("n_fuse", n_fuse, 1), _integer("n_pe", n_pe, 2) - 1
    w = _integer("w_values", w_values, 0) + _integer("w_heads", w_heads, 0)
    size = n_fuse * w_pes
    u = [int(group.sum()) for group in _groups(shape, u_words_of_steps(kept, u_offsets), size)]
    groups = sum(_group(w, 0, n_fuse, u_previous) for u_previous in [0, *u[:-1]])
    x = len(u) * size * (shape.x // _SINGLES)
    return shape.h + (shape.h // 16 + 1) + x + groups + u[-1]


def bound_cycles(
    shape: LayerShape,
    w_values: int,
    w_heads: int,
    kept: ArrayLike,
    u_offsets: ArrayLike,
    n_pe: int,
    port_permille: int = FULL_PORT,
) -> int:
    """What no schedule at this port with these MACs can beat.

    The port, which moves a word in ``port_permille`` of 1000 cycles, loads W once and every kept block column of U once
    a step; N_pe PEs take one value word a cycle each.
    """
    values, heads, n_pe = _integer("w_values", w_values, 0), _integer("w_heads", w_heads, 0), _integer("n_pe", n_pe, 2)
    u = int(_steps(shape, u_words_of_steps(kept, u_offsets)).sum())
    u_values = u - int(np.count_nonzero(kept)) * shape.blocks_per_column
    return max(_moved(values + heads + u, _permille(port_permille)), -(-(shape.t * values + u_values) // n_pe))
