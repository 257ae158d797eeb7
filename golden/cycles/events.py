"""Cycles of a layer by events: of W and of U only the columns whose x or h changed come, each word once.

One PE takes a word a cycle, so the port is all that words wait for, and a step's columns wait for what sends them:
those of W for x, those of U for the units of h before. The rules:

- Setup moves bias, offsets, tables and the first x.
- A step's columns of W come when its x is there, whatever the gates do; then the x of the step after.
- Unit i of a step's h is known i / v cycles after its first (the vector unit gives v units a cycle), and if it is sent
  its column of U comes no sooner. The row is stored behind the last unit.
- The gates of a step begin when the last of its words has been added, which takes ``latency`` cycles from the port, and
  not before those of the step before are done. The first unit of h is known ``gate_latency`` cycles later.
- After the last step its row is stored, and with state_out the state.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from golden.config import LayerShape
from golden.cycles.group import GATE_LATENCY
from golden.cycles.words import FULL_PORT, HALVES, checked_permille, integer, moved
from golden.layer import LayerResult, PackedLayer
from golden.memory import table_words

LATENCY = 14
"""Cycles from a word's request to its last sum: memory's latency, and the stages of the PE."""


@dataclass(frozen=True, eq=False)
class EventWords:
    """All that the model knows of a run.

    shape: of the layer; w_units, u_units: (units,) words of W's and of U's columns; x_sent: (T, W's units) bool; sent:
    (T, U's units) bool, of h before each step; x_words: words of a row of x; row_words: words of a stored row of h;
    setup: words of offsets, bias and tables; state: words that are loaded, and stored at the end; h_seq: every row is
    stored, not only the last.
    """

    shape: LayerShape
    w_units: NDArray[np.int64]
    u_units: NDArray[np.int64]
    x_sent: NDArray[np.bool_]
    sent: NDArray[np.bool_]
    x_words: int
    row_words: int
    setup: int
    state_in: int = 0
    state_out: int = 0
    h_seq: bool = True

    @classmethod
    def of_run(
        cls, packed: PackedLayer, result: LayerResult, *, x_bits: int = 32, row_bits: int = 32, h_seq: bool = True
    ) -> Self:
        """Of a packed layer and golden's result of one sequence; x_bits: 32, 16 or 8; row_bits: 32 or 16, an element.

        Raises ValueError for other widths.
        """
        if x_bits not in (32, 16, 8) or row_bits not in (32, 16):
            raise ValueError(f"x has 32, 16 or 8 bits an element and a row of h 32 or 16, not {x_bits} and {row_bits}")
        steps = len(result.kept)
        offsets = sum(-(-len(matrix.offsets) // HALVES) for matrix in (packed.w, packed.u))
        return cls(
            packed.shape(steps),
            packed.w.offsets.astype(np.int64),
            packed.u.offsets.astype(np.int64),
            result.x_sent,
            result.kept,
            -(-packed.x * x_bits // 64),
            packed.h * row_bits // 64,
            packed.h + offsets + len(table_words(packed)),
            h_seq=h_seq,
        )

    @property
    def port_words(self) -> int:
        """Words that the port moves in all."""
        rows = self.shape.t if self.h_seq else 1
        columns = int((self.x_sent @ self.w_units).sum() + (self.sent @ self.u_units).sum())
        fixed = self.setup + self.state_in + self.state_out
        return fixed + columns + self.shape.t * self.x_words + rows * self.row_words


@dataclass(frozen=True)
class EventModel:
    """Cycles of a run, and words that the port moves in it."""

    cycles: int
    port_words: int


def event_model(
    words: EventWords,
    vector_units: int = 1,
    gate_latency: int = GATE_LATENCY,
    latency: int = LATENCY,
    port_permille: int = FULL_PORT,
) -> EventModel:
    """What a run by events takes; vector_units: units of h that the vector unit gives a cycle.

    Raises TypeError and ValueError for arguments that are no such numbers.
    """
    width, permille = integer("vector_units", vector_units, 1), checked_permille(port_permille)
    hidden = words.shape.h
    units = hidden // len(words.u_units)
    # the first cycle at which each unit's last element is known, from that of the first of all
    known = np.arange(units - 1, hidden, units) // width
    port = moved(words.setup + words.state_in + words.x_words, permille) + latency
    gates_done = first_known = 0
    for t in range(words.shape.t):
        port += moved(int(words.w_units[words.x_sent[t]].sum()), permille)
        if t + 1 < words.shape.t:
            port += moved(words.x_words, permille)
        if t:
            sends = words.sent[t]
            counts = words.u_units[sends] * FULL_PORT / permille
            # each column after those before it, and none before its unit
            behind = np.cumsum(counts[::-1])[::-1]
            port = int(np.ceil(max([port + counts.sum(), *(first_known + known[sends] + behind)])))
            port = max(port, first_known + hidden // width)
            if words.h_seq:
                port += moved(words.row_words, permille)
        gates_done = max(port + latency, gates_done) + -(-hidden // width)
        first_known = gates_done - -(-hidden // width) + gate_latency
    last = max(port, first_known + -(-hidden // width))
    return EventModel(last + moved(words.row_words + words.state_out, permille) + latency, words.port_words)
