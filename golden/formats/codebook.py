"""Tables of values: the few numbers that stand for all weights of a gate, chosen by k-means."""

import numpy as np
from numpy.typing import NDArray

from golden.numbers import Float16, fp16_bits, fp16_from_bits

ROUNDS = 200
"""Of k-means at most; it has converged long before."""

_EVERY = fp16_from_bits(np.arange(1 << 16))
_FINITE = np.flatnonzero(np.isfinite(_EVERY) & (_EVERY != 0))
_ASCENDING = _FINITE[np.argsort(_EVERY[_FINITE], kind="stable")]
"""Bits of every finite fp16 but +-0, the least value first."""


def _means(
    values: NDArray[np.float64], counts: NDArray[np.float64], centres: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Lloyd's algorithm in one dimension from these centres: where they end, and the sum of squares that is left.

    values: (n,) ascending; counts: (n,) how often each occurs; centres: (k,) ascending.
    """
    weight, moment = (np.concatenate(([0.0], np.cumsum(a))) for a in (counts, counts * values))
    for _ in range(ROUNDS):
        edges = np.searchsorted(values, (centres[1:] + centres[:-1]) / 2, side="right")
        bounds = np.concatenate(([0], edges, [len(values)]))
        size = np.diff(weight[bounds])
        # A centre that no value is nearest to stays where it is
        moved = np.where(size > 0, np.diff(moment[bounds]) / np.maximum(size, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    nearest = centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, values)]
    return centres, float((counts * (values - nearest) ** 2).sum())


def codebook(values: Float16, size: int) -> Float16:
    """A table (size,) of fp16 for the nonzeros among finite values: entry 0 is 0, the others ascend.

    With less than ``size`` different nonzeros these are the table, and the rest of it is 0. The start is
    deterministic: quantiles, and equal steps from the least to the largest; the better end is taken.
    """
    occurs = np.bincount(fp16_bits(values).ravel(), minlength=len(_EVERY))
    ascending = _ASCENDING[occurs[_ASCENDING] > 0]
    different, counts = _EVERY[ascending], occurs[ascending]
    table = np.zeros(size, dtype=np.float16)
    if len(different) < size:
        table[1 : len(different) + 1] = different
        return table
    exact, weights = different.astype(np.float64), counts.astype(np.float64)
    part = (np.arange(size - 1) + 0.5) / (size - 1)
    quantiles = exact[np.searchsorted(np.cumsum(weights), part * weights.sum())]
    starts = (quantiles, exact[0] + part * (exact[-1] - exact[0]))
    centres, _ = min((_means(exact, weights, start) for start in starts), key=lambda end: end[1])
    table[1:] = np.sort(centres).astype(np.float16)
    return table


def codes(values: Float16, table: Float16) -> NDArray[np.uint16]:
    """The entry 1.. of the table nearest to each finite value, of two equally near the lower number; 0 for +-0.

    A value whose nearest entry is +-0 gets 0, too: it is no value.
    """
    nonzero = _EVERY[_ASCENDING].astype(np.float64)
    wide = table[1:].astype(np.float64)
    order = np.argsort(wide, kind="stable")
    sides = np.clip(np.searchsorted(wide[order], nonzero) - [[1], [0]], 0, len(wide) - 1)
    near = wide[order][sides]
    # Of equal entries the first
    number = order[np.searchsorted(wide[order], near)] + 1
    distance = np.abs(nonzero - near)
    lower = (distance[0] < distance[1]) | ((distance[0] == distance[1]) & (number[0] < number[1]))
    found = np.where(lower, number[0], number[1])
    of_bits = np.zeros(len(_EVERY), dtype=np.uint16)
    of_bits[_ASCENDING] = np.where(table[found] == 0, 0, found)
    return of_bits[fp16_bits(values)]
