"""Schedule 0, cell fusion: the word-level model of the paper's schedule.

It knows the packed words, the U words of every step, N_fuse and N_pe; it holds no constant taken from the RTL.
The paper's schedule takes the steps in groups of N_fuse (N_pe - 1). W is streamed once per group, each W word
occupies the N_pe - 1 W PEs for N_fuse cycles, and in the port's free cycles come the U words of the group before, one
per cycle (by the word-level model then also those of the group's own first step, which waits for nothing). Words have
64 bits and the port moves one per cycle, or fewer where ``port_permille`` says so.
"""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from golden.config import AcceleratorConfig, LayerShape
from golden.cycles.base import LayerWords, Parameters, Schedule
from golden.cycles.published import published_cycles
from golden.cycles.words import (
    FULL_PORT,
    HALVES,
    SINGLES,
    checked_permille,
    in_groups,
    integer,
    moved,
    u_words_of_steps,
)
from golden.isa import Schedule as ScheduleNumber

GATE_LATENCY = 40
"""Cycles from the last U word of a step until its h blocks are known: what the word-level model allows at most."""


def _group(values: int, heads: int, n: int, others: int, port_permille: int = FULL_PORT) -> int:
    """Cycles of one pass over W whose value words take n PE cycles each, while the port also moves other words."""
    # Of n V cycles (n - 1) V are free at the port; each head that finds none makes it n V + heads - (n - 1) V, which
    # is V + heads, the port's own count
    return max(n * values, moved(values + heads + others, port_permille))


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
    offsets: int | None = None,
    x_words: int | None = None,
    row_words: int | None = None,
    state_words: int | None = None,
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
    - Before the first group come the bias (H words), offsets and tables (``offsets`` words; None: those of U's block
      columns, ceil(H / 16)) and the x words of that group;
      after the last one those of its own U words that are left.
    - Every step takes GATE_LATENCY cycles more, every stored row of h H/2 cycles (T rows with h_seq, else one), the
      state H words each way. None of them is overlapped with anything. ``x_words``, ``row_words`` and ``state_words``
      are a row of x, a row of h and the state where they have other sizes.
    - ``port_permille`` of 1000 cycles move a word: every count of words at the port takes that much longer, the PEs
      and the gates do not.

    Raises TypeError and ValueError for arguments that are no such numbers.
    """
    n_fuse, w_pes = integer("n_fuse", n_fuse, 1), integer("n_pe", n_pe, 2) - 1
    values, heads = integer("w_values", w_values, 0), integer("w_heads", w_heads, 0)
    permille = checked_permille(port_permille)
    steps = in_groups(shape, u_words, n_fuse * w_pes)
    x_row, h_row, state_size = (
        usual if given is None else integer(name, given, 0)
        for name, given, usual in (
            ("x_words", x_words, shape.x // SINGLES),
            ("row_words", row_words, shape.h // SINGLES),
            ("state_words", state_words, shape.h),
        )
    )
    x = [len(group) * x_row for group in steps]
    groups, u_left = [], 0
    for group, x_next in zip(steps, [*x[1:], 0], strict=True):
        others = u_left + x_next
        groups.append(_group(values, heads, -(-len(group) // w_pes), others, permille))
        free = groups[-1] - moved(values + heads + others, permille)
        u_left = int(group.sum()) - min(int(group[0]), free * permille // FULL_PORT)
    offsets = -(-shape.h_blocks // HALVES) if offsets is None else integer("offsets", offsets, 0)
    setup = shape.h + offsets + x[0]
    stores = h_row * (shape.t if h_seq else 1)
    state = state_size * (state_in + state_out)
    u = sum(int(group.sum()) for group in steps)
    port_words = setup + len(groups) * (values + heads) + sum(x[1:]) + u + stores + state
    setup, last_u, stores, state = (moved(words, permille) for words in (setup, u_left, stores, state))
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
    n_fuse, w_pes = integer("n_fuse", n_fuse, 1), integer("n_pe", n_pe, 2) - 1
    w = integer("w_values", w_values, 0) + integer("w_heads", w_heads, 0)
    size = n_fuse * w_pes
    u = [int(group.sum()) for group in in_groups(shape, u_words_of_steps(kept, u_offsets), size)]
    groups = sum(_group(w, 0, n_fuse, u_previous) for u_previous in [0, *u[:-1]])
    x = len(u) * size * (shape.x // SINGLES)
    return shape.h + (shape.h // 16 + 1) + x + groups + u[-1]


class CellFusion(Schedule):
    """The paper's schedule; its parameter is N_fuse."""

    name = "cell-fusion"
    number: ScheduleNumber = ScheduleNumber.CELL_FUSION
    parameters = ("n_fuse",)

    def model(
        self, words: LayerWords, config: AcceleratorConfig, values: Parameters, port_permille: int = FULL_PORT
    ) -> WordModel:
        (n_fuse,) = values
        return word_model(
            words.shape, words.w_values, words.w_heads, words.u_words, n_fuse, config.n_pe,
            h_seq=words.h_seq, state_in=words.state_in, state_out=words.state_out, port_permille=port_permille,
            offsets=words.offsets, x_words=words.x_words, row_words=words.row_words, state_words=words.state_words,
        )  # fmt: skip

    def choices(self, words: LayerWords, config: AcceleratorConfig) -> list[Parameters]:
        """Every N_fuse that the slots hold."""
        return [(n,) for n in range(1, config.fuse_capacity + 1)]

    def published(self, words: LayerWords, config: AcceleratorConfig, values: Parameters) -> int:
        (n_fuse,) = values
        return published_cycles(words.shape, words.w_values + words.w_heads, words.u_words, n_fuse, config.n_pe)
