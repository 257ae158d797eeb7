"""What the accelerator's counters must say of a run: the figures that follow from the data, and the sums."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from golden.formats import pack_offsets, stored
from golden.isa import COUNTER_SUMS, Counter, Flags
from golden.layer import LayerResult
from golden.memory import table_words
from sim.layers.jobs import LayerCall


def _first_columns(kept: NDArray[np.bool_]) -> dict[int, int]:
    """How many steps have each block of h as their first kept one."""
    columns, steps = np.unique(np.argmax(kept, axis=1)[kept.any(axis=1)], return_counts=True)
    return dict(zip(columns.tolist(), steps.tolist(), strict=True))


def _offset_words(call: LayerCall) -> int:
    """Words of the offsets that a run loads, and of the tables of its values."""
    packed = call.packed
    words = len(pack_offsets(packed.u.offsets)) + len(table_words(packed))
    if call.flags & Flags.X_SKIP or stored(packed.w.format).needs_offsets:
        words += len(pack_offsets(packed.w.offsets))
    return words


def expected(call: LayerCall, golden: LayerResult, n_fuse: int, w_pes: int) -> dict[Counter, int]:
    """The counters that follow from the data of a run that succeeds: golden's result of one sequence, what ran.

    The first column of each sum overwrites what was there, so that an empty chunk in it takes a PE cycle of zeros.
    """
    packed, steps = call.packed, call.steps
    w, u = stored(packed.w.format), stored(packed.u.format)
    passes = -(-steps // (n_fuse * w_pes))
    turns = sum(-(-min(n_fuse * w_pes, steps - first) // w_pes) for first in range(0, steps, n_fuse * w_pes))
    w_heads = len(packed.w.offsets) * w.unit_heads(packed.w.rows)
    w_items = golden.w_words - w_heads + w.zero_items(packed.w.words, 0, packed.w.rows)
    starts = np.concatenate(([0], np.cumsum(packed.u.offsets, dtype=np.int64)))
    zeros = {
        column: u.zero_items(packed.u.words, int(starts[column]), packed.u.rows)
        for column in _first_columns(golden.kept)
    }
    u_words, kept = int(golden.u_words_loaded), int(golden.kept_blocks)
    u_items = (
        u_words - kept * u.unit_heads(packed.u.rows) + sum(zeros[c] * n for c, n in _first_columns(golden.kept).items())
    )
    return {
        Counter.W_WORDS: passes * golden.w_words,
        Counter.U_WORDS: u_words,
        Counter.X_WORDS: steps * packed.x // 2,
        Counter.SETUP_WORDS: packed.h + _offset_words(call) + (packed.h if call.state is not None else 0),
        Counter.STORE_WORDS: call.rows * packed.h // 2 + (packed.h if call.flags & Flags.STATE_OUT else 0),
        Counter.KEPT_BLOCKS: kept,
        Counter.SKIPPED_BLOCKS: golden.kept.size - kept,
        Counter.N_FUSE: n_fuse,
        Counter.W_BUSY: turns * w_items,
        Counter.PE_BUSY: steps * w_items + u_items,
        Counter.GATE_BUSY: steps * packed.h,
    }


def broken_sums(counters: Mapping[Counter, int], *, succeeded: bool) -> list[str]:
    """The sums of the counter table that a run breaks, in words; one that failed may have dropped words it loaded."""
    broken = []
    for row in COUNTER_SUMS:
        parts = sum(counters[part] for part in row.parts)
        if counters[row.total] != parts and (succeeded or row.always):
            names = " + ".join(part.name for part in row.parts)
            broken.append(f"counter {row.total.name} is {counters[row.total]}, {names} is {parts}")
    return broken
