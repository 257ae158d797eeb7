"""What the accelerator's counters must say of a run: the figures that follow from the data, and the sums."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from golden.config import WORD_BYTES, AcceleratorConfig
from golden.cycles.list.work import Work, groups_of
from golden.formats import Packed, pack_offsets, stored
from golden.isa import COUNTER_SUMS, Counter, Flags, Schedule
from golden.layer import LayerResult
from golden.memory import table_words, x_row_bytes
from sim.layers.jobs import LayerCall
from sim.layers.words import RunWords


def _first_columns(kept: NDArray[np.bool_]) -> dict[int, int]:
    """How many steps have each block of h as their first kept one."""
    columns, steps = np.unique(np.argmax(kept, axis=1)[kept.any(axis=1)], return_counts=True)
    return dict(zip(columns.tolist(), steps.tolist(), strict=True))


def _offset_words(call: LayerCall) -> int:
    """Words of the offsets that a run loads, and of the tables of its values."""
    packed = call.packed
    words = len(pack_offsets(packed.u.offsets)) + len(table_words(packed))
    if call.knows_w:
        words += len(pack_offsets(packed.w.offsets))
    return words


def _fused(call: LayerCall, golden: LayerResult, n_fuse: int, w_pes: int) -> dict[Counter, int]:
    """Of W under cell fusion, and the PE cycles that it takes.

    The first column of each sum overwrites what was there, so that an empty chunk in it takes a PE cycle of zeros.
    """
    packed, steps = call.packed, call.steps
    w = stored(packed.w.format)
    passes = -(-steps // (n_fuse * w_pes))
    turns = sum(-(-min(n_fuse * w_pes, steps - first) // w_pes) for first in range(0, steps, n_fuse * w_pes))
    heads = len(packed.w.offsets) * w.unit_heads(packed.w.rows)
    items = golden.w_words - heads + w.zero_items(packed.w.words, 0, packed.w.rows)
    return {
        Counter.W_WORDS: passes * golden.w_words,
        Counter.W_BUSY: turns * items,
        Counter.PE_BUSY: steps * items,
    }


def _listed(call: LayerCall, golden: LayerResult, config: AcceleratorConfig) -> dict[Counter, int]:
    """The same under the list, where sums are 0 before the first word. W_BUSY depends on which banks wait for which."""
    work = Work(RunWords.of(call, golden), config)
    stretches = [part for group in groups_of(call.groups, call.steps, work.most) for part in work.stretches(group)]
    return {
        Counter.W_WORDS: sum(part.values + part.heads for part in stretches),
        Counter.PE_BUSY: sum(part.values * sum(part.needs) for part in stretches),
    }


def _by_events(call: LayerCall, golden: LayerResult) -> dict[Counter, int]:
    """The same by events: the one PE takes every word of W and U that is loaded."""
    sent = int(golden.x_sent.sum())
    words = int((golden.x_sent @ call.packed.w.offsets.astype(np.int64)).sum())
    return {
        Counter.W_WORDS: words,
        Counter.X_SENT: sent,
        Counter.X_SKIPPED: golden.x_sent.size - sent,
        Counter.W_BUSY: words + int(golden.u_words_loaded),
        Counter.PE_BUSY: words,
    }


def _u_items(u: Packed, golden: LayerResult) -> int:
    """PE cycles of U. The first column of each sum overwrites what was there, as of W under cell fusion."""
    form, first = stored(u.format), _first_columns(golden.kept)
    starts = np.concatenate(([0], np.cumsum(u.offsets, dtype=np.int64)))
    zeros = sum(form.zero_items(u.words, int(starts[column]), u.rows) * steps for column, steps in first.items())
    return int(golden.u_words_loaded) - int(golden.kept_blocks) * form.unit_heads(u.rows) + zeros


def expected(call: LayerCall, golden: LayerResult, config: AcceleratorConfig) -> dict[Counter, int]:
    """The counters that follow from the data of a run that succeeds: golden's result of one sequence, what ran."""
    packed, steps = call.packed, call.steps
    n_fuse = min(call.n_fuse, config.fuse_capacity)
    of_w = {Counter.X_SENT: 0, Counter.X_SKIPPED: 0}
    if call.events:
        of_w |= _by_events(call, golden)
    elif call.schedule == Schedule.LIST:
        of_w |= _listed(call, golden, config)
    else:
        of_w |= _fused(call, golden, n_fuse, config.w_pes)
    kept, state = int(golden.kept_blocks), call.state_bytes // WORD_BYTES
    row = packed.h * (2 if call.h_fp16 else 4) // WORD_BYTES
    return of_w | {
        Counter.U_WORDS: int(golden.u_words_loaded),
        Counter.X_WORDS: steps * x_row_bytes(packed.x, call.x_format) // WORD_BYTES,
        Counter.SETUP_WORDS: packed.h + _offset_words(call) + (state if call.state is not None else 0),
        Counter.STORE_WORDS: call.rows * row + (state if call.flags & Flags.STATE_OUT else 0),
        Counter.KEPT_BLOCKS: kept,
        Counter.SKIPPED_BLOCKS: golden.kept.size - kept,
        Counter.N_FUSE: n_fuse,
        Counter.PE_BUSY: of_w[Counter.PE_BUSY] + _u_items(packed.u, golden),
        Counter.GATE_BUSY: steps * -(-packed.h // config.vector_units),
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
