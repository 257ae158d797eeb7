"""What a schedule is: a cycle model, its parameters and the search for the best of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import WORD_BYTES, AcceleratorConfig, LayerShape
from golden.cycles.words import FULL_PORT, HALVES, WORD_BITS, bound_cycles, u_words_of_steps
from golden.formats import stored
from golden.isa import Schedule as ScheduleNumber
from golden.layer import PackedLayer
from golden.memory import state_size, table_words

Parameters = tuple[int, ...]
"""What a schedule leaves open, as whole numbers: N_fuse, or group sizes."""


class Counted(Protocol):
    """What a cycle model says: cycles of the run, and words that the port moves in it."""

    @property
    def cycles(self) -> int: ...

    @property
    def port_words(self) -> int: ...


@dataclass(frozen=True)
class Cycles:
    """A model's answer without its causes."""

    cycles: int
    port_words: int


@dataclass(frozen=True, eq=False)
class LayerWords:
    """All that the cycle models know of a run.

    shape: of the layer; w_values, w_heads: words of W that occupy PEs, and that only move over the port; kept: (T, U's
    units) bool, the units of h that each step keeps; u_offsets: (U's units,) words of them; h_seq, state_in, state_out:
    what is stored and loaded; u_heads: head words of a unit of U, None for eSELL's, one a block; w_units: (W's units,)
    words of them, heads included, None where nobody counted them: then those of X/4 units alike; x_zero: (T, W's units)
    bool, where all of a step's x is zero, None where zero x is not skipped; w_setup: words that W waits for, its
    offsets and the tables of values; x_sent: (T, W's units) bool, what by events is sent of x, or None; x_bits,
    row_bits: of an element of x, 32, 16 or 8, and of a stored row of h, 32 or 16; delta: changes of h are sent, so that
    a state has held values and sums too. Raises ValueError for other widths.
    """

    shape: LayerShape
    w_values: int
    w_heads: int
    kept: NDArray[np.bool_]
    u_offsets: NDArray[np.integer]
    h_seq: bool = True
    state_in: bool = False
    state_out: bool = False
    u_heads: int | None = None
    w_units: NDArray[np.integer] | None = None
    x_zero: NDArray[np.bool_] | None = None
    w_setup: int = 0
    x_sent: NDArray[np.bool_] | None = None
    x_bits: int = 32
    row_bits: int = 32
    delta: bool = False

    def __post_init__(self) -> None:
        if self.x_bits not in (32, 16, 8) or self.row_bits not in (32, 16):
            raise ValueError(
                f"x has 32, 16 or 8 bits an element and a row of h 32 or 16, not {self.x_bits} and {self.row_bits}"
            )

    @classmethod
    def of_layer(
        cls,
        packed: PackedLayer,
        kept: NDArray[np.bool_],
        x: ArrayLike | None = None,
        *,
        h_seq: bool = True,
        state_in: bool = False,
        state_out: bool = False,
        x_sent: NDArray[np.bool_] | None = None,
        x_bits: int = 32,
        row_bits: int = 32,
        delta: bool = False,
    ) -> Self:
        """Of a packed layer on one sequence, of which each step keeps the units ``kept`` (T, U's units) bool of h.

        x: (T, inputs), or padded (T, X), where zero x is skipped: what is +-0 as fp16. The others: as the attributes.
        """
        w, u = stored(packed.w.format), stored(packed.u.format)
        units = w.units(packed.x, packed.w.parameters)
        heads = units * w.unit_heads(packed.w.rows)
        zero: NDArray[np.bool_] | None = None
        if x is not None:
            halves = np.zeros((len(kept), packed.x), dtype=np.float16)
            halves[:, : np.shape(x)[1]] = x
            zero = np.logical_not(halves.reshape(len(kept), units, -1).any(axis=2))
        return cls(
            packed.shape(len(kept)),
            len(packed.w.words) - heads,
            heads,
            kept,
            packed.u.offsets,
            h_seq,
            state_in,
            state_out,
            u.unit_heads(packed.u.rows),
            packed.w.offsets,
            zero,
            (-(-units // HALVES) if w.needs_offsets or x is not None else 0) + len(table_words(packed)),
            x_sent,
            x_bits,
            row_bits,
            delta,
        )

    @property
    def by_events(self) -> bool:
        """Whether the run was by events, not only what these would send is known."""
        return self.delta and self.x_sent is not None

    @property
    def x_words(self) -> int:
        """Words of a row of x."""
        return -(-self.shape.x * self.x_bits // WORD_BITS)

    @property
    def row_words(self) -> int:
        """Words of a stored row of h."""
        return self.shape.h * self.row_bits // WORD_BITS

    @property
    def state_words(self) -> int:
        """Words of a state."""
        words = state_size(self.shape.h, self.shape.x, delta=self.delta, events=self.by_events)
        return words // WORD_BYTES

    @property
    def offsets(self) -> int:
        """Words that a run loads of the offsets of U and of W, and of tables."""
        return -(-len(self.u_offsets) // HALVES) + self.w_setup

    @property
    def u_words(self) -> NDArray[np.int64]:
        """(T,) words of U that each step loads."""
        return u_words_of_steps(self.kept, self.u_offsets)

    @property
    def w_unit_words(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(W's units,) value words and head words of each. Raises ValueError when they do not add up to W's."""
        total, places = self.w_values + self.w_heads, self.shape.x_blocks if self.w_units is None else len(self.w_units)
        if self.w_units is None:
            counts = np.diff(np.arange(places + 1, dtype=np.int64) * total // places)
        else:
            counts = np.asarray(self.w_units, dtype=np.int64)
            if int(counts.sum()) != total:
                raise ValueError(f"the units of W have {int(counts.sum())} words, W has {total}")
        heads = np.diff(np.arange(places + 1, dtype=np.int64) * self.w_heads // places)
        return counts - heads, heads

    @property
    def u_unit_words(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(U's units,) value words and head words of each."""
        counts = np.asarray(self.u_offsets, dtype=np.int64)
        heads = np.full_like(counts, self.shape.blocks_per_column if self.u_heads is None else self.u_heads)
        return counts - heads, heads

    def bound(self, n_pe: int, port_permille: int = FULL_PORT) -> int:
        """``bound_cycles``, which holds for every schedule; where zero x is skipped, of the words that are left."""
        w_values, w_heads, taken = self.w_values, self.w_heads, None
        if self.by_events and self.x_sent is not None:
            # every word comes as often as it is needed
            values, heads = self.w_unit_words
            w_values, w_heads = int((self.x_sent @ values).sum()), int((self.x_sent @ heads).sum())
            taken = w_values
        elif self.x_zero is not None:
            values, heads = self.w_unit_words
            needed = ~self.x_zero.all(axis=0)
            w_values, w_heads = int(values[needed].sum()), int(heads[needed].sum())
            taken = int((~self.x_zero @ values).sum())
        return bound_cycles(
            self.shape, w_values, w_heads, self.kept, self.u_offsets, n_pe, port_permille, self.u_heads, taken
        )


class Schedule(ABC):
    """A schedule: with a model alone it enters the tuner and sweeps.

    name: for tables and files; number: in START's flags, None when no hardware runs it; parameters: names of what it
    leaves open, as the axes of a sweep call them.
    """

    name: str
    number: ScheduleNumber | None = None
    parameters: tuple[str, ...] = ()

    @abstractmethod
    def model(
        self, words: LayerWords, config: AcceleratorConfig, values: Parameters, port_permille: int = FULL_PORT
    ) -> Counted:
        """Cycles of a run, from its words alone; the port moves ``port_permille`` of 1000 words a cycle."""

    def choices(self, words: LayerWords, config: AcceleratorConfig) -> Sequence[Parameters]:
        """Parameters to choose among; the one that needs least stands first."""
        return [()]

    def search(
        self, words: LayerWords, config: AcceleratorConfig, port_permille: int = FULL_PORT, **fixed: int
    ) -> Parameters:
        """The parameters with the fewest cycles by the model; of several the first choice.

        fixed: parameters that are settled, by name. Raises ValueError when no choice has them.
        """
        choices = [values for values in self.choices(words, config) if fixed.items() <= self.named(values).items()]
        if not choices:
            raise ValueError(f"schedule {self.name} has no choice with {fixed}")
        return min(choices, key=lambda values: self.model(words, config, values, port_permille).cycles)

    def named(self, values: Parameters) -> dict[str, Any]:
        """The parameters by name: numbers, or lists of them."""
        return dict(zip(self.parameters, values, strict=True))

    def published(self, words: LayerWords, config: AcceleratorConfig, values: Parameters) -> int | None:
        """Cycles by the paper's own formula at a full port; None where there is none."""
        return None
