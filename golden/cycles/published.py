"""The formula that the published behavioural model prints as its cycles."""

from numpy.typing import ArrayLike

from golden.config import LayerShape
from golden.cycles.words import in_groups, integer


def published_cycles(shape: LayerShape, w_words: int, u_words: ArrayLike, n_fuse: int, n_pe: int = 3) -> int:
    """Cycles that the published behavioural model prints for one run.

    w_words: words of W, heads and values alike; u_words: (T,) words of U that each step loads.

        H + (H // 16 + 1) + sum over groups of [n X / 2 + max(W N_fuse, u + W)] + u of the last group

    with n = N_fuse (N_pe - 1) and u the U words of the group before (0 for the first). A head word counts like a
    value word, a shorter last group like a full one; gates, stores, the state and memory latency are left out.
    Raises TypeError and ValueError for arguments that are no such numbers.
    """
    n_fuse, n_pe = integer("n_fuse", n_fuse, 1), integer("n_pe", n_pe, 2)
    w = integer("w_words", w_words, 0)
    n = n_fuse * (n_pe - 1)
    u = [int(group.sum()) for group in in_groups(shape, u_words, n)]
    before = [0, *u[:-1]]
    groups = sum(n * shape.x // 2 + max(w * n_fuse, previous + w) for previous in before)
    return shape.h + (shape.h // 16 + 1) + groups + u[-1]
