"""One layer's run as a record of the result schema, with what the cycle models say of the same data."""

from dataclasses import dataclass

from golden.config import BLOCK_COLS, BLOCK_ROWS
from golden.cycles import WordModel, bound_cycles, published_cycles, u_words_of_steps, word_model
from golden.isa import Counter, Flags
from golden.layer import LayerResult
from sim.compare import Verdict
from sim.jobs import LayerCall, LayerOutcome
from sim.result import FloatCheck, LayerRun


@dataclass(frozen=True)
class Predicted:
    """Cycles by the word-level model, the published formula and the bound, for the blocks that golden kept."""

    word: WordModel
    published: int
    bound: int


def predicted(call: LayerCall, golden: LayerResult, n_fuse: int, n_pe: int) -> Predicted:
    """What the models say of a run; ``golden``: the result of this one sequence."""
    packed, shape = call.packed, call.packed.shape(call.steps)
    heads = packed.w.rows // BLOCK_ROWS * (packed.x // BLOCK_COLS)
    values = len(packed.w.words) - heads
    u_words = u_words_of_steps(golden.kept, packed.u.offsets)
    word = word_model(
        shape, values, heads, u_words, n_fuse, n_pe,
        h_seq=bool(call.flags & Flags.H_SEQ),
        state_in=call.state is not None,
        state_out=bool(call.flags & Flags.STATE_OUT),
    )  # fmt: skip
    published = published_cycles(shape, values + heads, u_words, n_fuse, n_pe)
    return Predicted(word, published, bound_cycles(shape, values, heads, golden.kept, packed.u.offsets, n_pe))


def layer_run(
    name: str,
    call: LayerCall,
    golden: LayerResult,
    rtl: LayerOutcome,
    verdict: Verdict,
    n_pe: int,
    check: FloatCheck | None = None,
) -> LayerRun:
    """The record of a run."""
    counters = rtl.counters
    models = predicted(call, golden, max(1, counters[Counter.N_FUSE]), n_pe)
    return LayerRun(
        layer=name,
        x=call.packed.x,
        h=call.packed.h,
        t=call.steps,
        n_pe=n_pe,
        n_fuse=counters[Counter.N_FUSE],
        threshold=call.threshold,
        cycles=counters[Counter.CYCLES],
        harness_cycles=rtl.harness_cycles,
        w_words=len(call.packed.w.words),
        u_words=len(call.packed.u.words),
        w_words_loaded=counters[Counter.W_WORDS],
        u_words_loaded=counters[Counter.U_WORDS],
        kept_blocks=counters[Counter.KEPT_BLOCKS],
        exact=verdict.exact,
        mismatch=verdict.mismatch,
        max_abs_error=check.max_abs_error if check else None,
        float_check=check,
        word_model_cycles=models.word.cycles,
        word_model_port_words=models.word.port_words,
        published_model_cycles=models.published,
        bound_cycles=models.bound,
        port_busy=counters[Counter.PORT_BUSY],
        counters={counter.name: count for counter, count in counters.items()},
    )
