"""One layer's run as a record of the result schema, with what the cycle models say of the same data."""

from dataclasses import dataclass

from golden.config import AcceleratorConfig
from golden.isa import Counter, Flags
from golden.layer import LayerResult
from sim.layers.compare import Verdict, judge
from sim.layers.jobs import LayerCall, LayerOutcome, decode
from sim.layers.words import RunWords, predicted
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Design, Engine, Progress
from sim.results.result import FloatCheck, LayerRun


def layer_run(
    name: str,
    call: LayerCall,
    golden: LayerResult,
    rtl: LayerOutcome,
    verdict: Verdict,
    config: AcceleratorConfig,
    check: FloatCheck | None = None,
) -> LayerRun:
    """The record of a run on a design of this configuration."""
    counters = rtl.counters
    models = predicted(call, golden, config)
    return LayerRun(
        layer=name,
        x=call.packed.x,
        h=call.packed.h,
        t=call.steps,
        n_pe=config.n_pe,
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
        published_model_cycles=models.published or 0,
        bound_cycles=models.bound,
        port_busy=counters[Counter.PORT_BUSY],
        counters={counter.name: count for counter, count in counters.items()},
        schedule=call.schedule,
        group_sizes=[*call.groups],
        x_skip=bool(call.flags & Flags.X_SKIP),
        delta=call.delta,
        x_threshold=call.x_threshold,
        x_format=call.x_format.name.lower(),
        h_fp16=call.h_fp16,
        format=call.packed.format_names,
        w_gap_bits=call.packed.w.parameters.gap_bits or 0,
        w_unit_cols=call.packed.w.parameters.unit_cols,
        u_gap_bits=call.packed.u.parameters.gap_bits or 0,
        u_unit_cols=call.packed.u.parameters.unit_cols,
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
    return Simulated(layer_run(name, call, golden, rtl, verdict, config), verdict.problems, outcome)


__all__ = ["RunWords", "Simulated", "layer_run", "predicted", "simulate"]
