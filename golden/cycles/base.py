"""What a schedule is: a cycle model, its parameters and the search for the best of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from golden.config import AcceleratorConfig, LayerShape
from golden.cycles.words import FULL_PORT, bound_cycles, u_words_of_steps
from golden.isa import Schedule as ScheduleNumber

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

    shape: of the layer; w_values, w_heads: words of W that occupy PEs, and that only move over the port; kept: (T, H/4)
    bool, the blocks of h that each step keeps; u_offsets: (H/4,) words of U's units; h_seq, state_in, state_out: what
    is stored and loaded; u_heads: head words of a unit of U, None for eSELL's, one a block.
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

    @property
    def u_words(self) -> NDArray[np.int64]:
        """(T,) words of U that each step loads."""
        return u_words_of_steps(self.kept, self.u_offsets)

    def bound(self, n_pe: int, port_permille: int = FULL_PORT) -> int:
        """``bound_cycles``, which holds for every schedule."""
        return bound_cycles(
            self.shape, self.w_values, self.w_heads, self.kept, self.u_offsets, n_pe, port_permille, self.u_heads
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

    def named(self, values: Parameters) -> dict[str, int]:
        """The parameters by name."""
        return dict(zip(self.parameters, values, strict=True))

    def published(self, words: LayerWords, config: AcceleratorConfig, values: Parameters) -> int | None:
        """Cycles by the paper's own formula at a full port; None where there is none."""
        return None
