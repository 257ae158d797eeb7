"""One layer's run as a record of the result schema, with what the cycle models say of the same data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.config import BLOCK_COLS, BLOCK_ROWS, AcceleratorConfig, LayerShape
from golden.cycles import FULL_PORT, WordModel, bound_cycles, published_cycles, u_words_of_steps, word_model
from golden.isa import Counter, Flags
from golden.layer import LayerResult
from sim.layers.compare import Verdict, judge
from sim.layers.jobs import LayerCall, LayerOutcome, decode
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Design, Engine, Progress
from sim.results.result import FloatCheck, LayerRun


@dataclass(frozen=True)
class Predicted:
    """Cycles by the word-level model, the published formula and the bound, for the blocks that golden kept."""

    word: WordModel
    published: int
    bound: int


@dataclass(frozen=True, eq=False)
class RunWords:
    """All that the cycle models know of a run.

    shape: of the layer; w_values, w_heads: value and head words of W; kept: (T, H/4) bool, the blocks of h that each
    step keeps; u_offsets: (H/4,) words of U's block columns; h_seq, state_in, state_out: what is stored and loaded.
    """

    shape: LayerShape
    w_values: int
    w_heads: int
    kept: NDArray[np.bool_]
    u_offsets: NDArray[np.uint16]
    h_seq: bool = True
    state_in: bool = False
    state_out: bool = False

    @classmethod
    def of(cls, call: LayerCall, golden: LayerResult) -> "RunWords":
        """Of a call and golden's result of this one sequence."""
        packed = call.packed
        heads = packed.w.rows // BLOCK_ROWS * (packed.x // BLOCK_COLS)
        return cls(
            packed.shape(call.steps),
            len(packed.w.words) - heads,
            heads,
            golden.kept,
            packed.u.offsets,
            bool(call.flags & Flags.H_SEQ),
            call.state is not None,
            bool(call.flags & Flags.STATE_OUT),
        )

    def predicted(self, n_fuse: int, n_pe: int, port_permille: int = FULL_PORT) -> Predicted:
        """What the models say; the published formula knows a full port only."""
        shape, values, heads = self.shape, self.w_values, self.w_heads
        u_words = u_words_of_steps(self.kept, self.u_offsets)
        word = word_model(
            shape, values, heads, u_words, n_fuse, n_pe,
            h_seq=self.h_seq, state_in=self.state_in, state_out=self.state_out, port_permille=port_permille,
        )  # fmt: skip
        published = published_cycles(shape, values + heads, u_words, n_fuse, n_pe)
        bound = bound_cycles(shape, values, heads, self.kept, self.u_offsets, n_pe, port_permille)
        return Predicted(word, published, bound)

    def best_n_fuse(self, config: AcceleratorConfig, port_permille: int = FULL_PORT) -> int:
        """The N_fuse within the capacity with the fewest cycles by the word-level model; of several the smallest."""
        choices = range(1, config.fuse_capacity + 1)
        return min(choices, key=lambda n: (self.predicted(n, config.n_pe, port_permille).word.cycles, n))


def predicted(call: LayerCall, golden: LayerResult, n_fuse: int, n_pe: int) -> Predicted:
    """What the models say of a run; ``golden``: the result of this one sequence."""
    return RunWords.of(call, golden).predicted(n_fuse, n_pe)


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


@dataclass(frozen=True, eq=False)
class Simulated:
    """One layer's run on the RTL: its record, what is wrong with it in words, and the engine's outcome."""

    row: LayerRun
    problems: list[str]
    outcome: Outcome


def simulate(
    engine: Engine,
    design: Design,
    job: AcceleratorJob,
    title: str,
    name: str,
    call: LayerCall,
    golden: LayerResult,
    progress: Progress | None = None,
) -> Simulated:
    """Run ``job``, which is the call's, and compare every h with golden; ``title`` begins each problem.

    Raises EngineError when the engine cannot, RunFailed when the run gives no result.
    """
    config = design.config
    assert isinstance(config, AcceleratorConfig)
    outcome = engine.run(design, job, progress)
    rtl = decode(call, outcome)
    verdict = judge(title, call, golden, rtl, config)
    return Simulated(layer_run(name, call, golden, rtl, verdict, config.n_pe), verdict.problems, outcome)
