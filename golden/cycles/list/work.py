"""What a run under a list has to do: its groups of steps, and the words that each of them takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from golden.config import AcceleratorConfig
from golden.cycles.base import LayerWords, Parameters
from golden.cycles.words import HALVES, integer

MAX_SIZES = 16
MAX_SIZE = 63
"""A size has 6 bits."""


def checked_sizes(sizes: Parameters) -> Parameters:
    """The group sizes. Raises TypeError and ValueError for what no list holds."""
    if not 1 <= len(sizes) <= MAX_SIZES:
        raise ValueError(f"a list must have 1..{MAX_SIZES} sizes, not {len(sizes)}")
    for size in sizes:
        if integer("a size", size, 1) > MAX_SIZE:
            raise ValueError(f"a size must be {MAX_SIZE} or less, not {size}")
    return tuple(map(int, sizes))


def groups_of(sizes: Parameters, steps: int, most: int) -> list[range]:
    """The steps of every pass over W: the last size repeats, one over ``most`` is clipped."""
    groups: list[range] = []
    first = 0
    while first < steps:
        size = min(sizes[min(len(groups), len(sizes) - 1)], most, steps - first)
        groups.append(range(first, first + size))
        first += size
    return groups


@dataclass(frozen=True)
class Stretch:
    """Units of W, one after the other, whose words are worked on alike.

    needs: PE cycles that a value word takes in each bank; values, heads: their words.
    """

    needs: tuple[int, ...]
    values: int
    heads: int


@dataclass(frozen=True, eq=False)
class Work:
    """The words of a run, unit by unit, and the steps that the slots of a configuration hold."""

    words: LayerWords
    config: AcceleratorConfig

    def __post_init__(self) -> None:
        """Raises ValueError for a layer that the configuration does not hold."""
        shape = self.words.shape
        if over := self.config.exceeded(shape.x, shape.h, shape.t):
            name, value, limit = over
            raise ValueError(f"the layer has {name} = {value}, the configuration allows {limit}")

    @property
    def slots(self) -> int:
        """Steps whose sums W x fit in the banks, of which every PE has one, at the run's H."""
        return self._fit(self.config.max_h, self.words.shape.h)

    @property
    def rows(self) -> int:
        """Rows of x, of steps that have a slot and of those to come, that fit in the memories at the run's X."""
        return self._fit(self.config.max_x, self.words.shape.x)

    def _fit(self, most: int, used: int) -> int:
        """Steps that the memories of all banks hold: those of two groups of cell fusion, shared evenly by all PEs."""
        config = self.config
        share = -(-2 * config.fuse_capacity * config.w_pes // config.n_pe)
        return config.n_pe * (share * most // used)

    @property
    def most(self) -> int:
        """The largest group that runs."""
        return min(self.slots, self.rows, self.config.max_group)

    @property
    def x_words(self) -> int:
        """Words of a row of x."""
        return self.words.x_words

    @property
    def row_words(self) -> int:
        """Words of a stored row of h."""
        return self.words.row_words

    @property
    def setup(self) -> int:
        """Words that come before U: bias, U's offsets, the state."""
        shape = self.words.shape
        return shape.h + -(-len(self.words.u_offsets) // HALVES) + self.words.state_words * self.words.state_in

    @property
    def state_out(self) -> int:
        """Words of the state, stored after the last row."""
        return self.words.state_words * self.words.state_out

    def stores(self, step: int) -> bool:
        """Whether a step's row of h is stored."""
        return self.words.h_seq or step == self.words.shape.t - 1

    @cached_property
    def _units(self) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Value and head words of every unit of W, and of U."""
        return self.words.w_unit_words, self.words.u_unit_words

    def u_units(self, step: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Of the units of U that a step loads: the block of h that tells, value words, head words."""
        kept = np.flatnonzero(self.words.kept[step])
        _, (values, heads) = self._units
        return kept * self.words.shape.h_blocks // len(values), values[kept], heads[kept]

    def bank(self, step: int) -> int:
        """The bank of a step: steps take slots and give them back in their order, so that no bank has two more."""
        return step % self.config.n_pe

    def stretches(self, steps: range) -> list[Stretch]:
        """A pass over W for the steps; units that no step needs are left out."""
        (values, heads), _ = self._units
        banks = [self.bank(step) for step in steps]
        zero = self.words.x_zero
        if zero is None:
            needs = np.bincount(banks, minlength=self.config.n_pe)[:, None].repeat(len(values), axis=1)
        else:
            needs = np.zeros((self.config.n_pe, len(values)), dtype=np.int64)
            np.add.at(needs, banks, ~zero[steps.start : steps.stop])
        wanted = np.flatnonzero(needs.any(axis=0) & (values + heads > 0))
        if not len(wanted):
            return []
        needs, values, heads = needs[:, wanted], values[wanted], heads[wanted]
        first = np.flatnonzero(np.concatenate(([True], (needs[:, 1:] != needs[:, :-1]).any(axis=0))))
        return [
            Stretch(tuple(need), value, head)
            for need, value, head in zip(
                needs[:, first].T.tolist(),
                np.add.reduceat(values, first).tolist(),
                np.add.reduceat(heads, first).tolist(),
                strict=True,
            )
        ]

    def port_words(self, groups: Sequence[range]) -> int:
        """Words that the port moves in a run of these groups."""
        words, shape = self.words, self.words.shape
        w = sum(s.values + s.heads for group in groups for s in self.stretches(group))
        stores = (shape.t if words.h_seq else 1) * self.row_words + self.state_out
        return self.setup + words.w_setup + shape.t * self.x_words + w + int(words.u_words.sum()) + stores
