"""Between the end of a run and the last answer of memory: what waits, what is told, and that nothing is lost."""

from dataclasses import replace

import numpy as np
import pytest

from golden.config import AcceleratorConfig
from golden.isa import Counter, Error, Flags, Funct, StatusWord
from golden.layer import Layer, pack_layer
from golden.memory import h_from_bytes
from sim.engines import registry
from sim.layers.jobs import LayerCall, layer_segments, start_steps
from sim.protocol.accelerator import AcceleratorJob, Command, Outcome, Step, WaitCycles, WaitIdle, WaitReads
from sim.protocol.base import Design, Segment
from sim.protocol.timing import MemoryTiming

DESIGN = Design("accelerator", AcceleratorConfig(n_pe=2, slots=4, max_x=16, max_h=16, max_t=15, window=16))
SLOW = MemoryTiming(latency=100)
ABORT = Command.of(Funct.ABORT)
SECOND_BASE = 0x9000_0000


def call_of(seed: int) -> LayerCall:
    rng = np.random.default_rng(seed)
    w, u = (rng.normal(size=(32, n)).astype(np.float16) / 2 for n in (4, 8))
    packed = pack_layer(w, u, rng.normal(size=32).astype(np.float16))
    return LayerCall(packed, rng.normal(size=(6, 4)).astype(np.float32), 0.0, 1, Flags.H_SEQ)


CALL = call_of(1)
SEGMENTS = layer_segments(CALL)
START = start_steps(CALL, SEGMENTS)


def status(rd: int) -> Command:
    return Command.of(Funct.COUNTER, Counter.STATUS, rd=rd)


def run(steps: list[Step], segments: tuple[Segment, ...] = SEGMENTS) -> Outcome:
    job = AcceleratorJob(segments, tuple(steps), SLOW, 10**6, 20_000)
    outcome = registry.get("accelerator").run(DESIGN, job)
    assert outcome.stopped is None and not outcome.violations
    return outcome


def answer(outcome: Outcome, rd: int) -> StatusWord:
    return StatusWord.decode(next(response.data for response in outcome.responses if response.rd == rd))


def damaged() -> tuple[Segment, ...]:
    """W with a head that has a spare bit, so that the run ends while most of its loads are under way."""
    return tuple(
        replace(s, data=s.data[:3] + bytes([s.data[3] | 0x80]) + s.data[4:]) if s.name == "w" else s for s in SEGMENTS
    )


def test_busy_is_told_until_the_last_answer() -> None:
    for steps, segments in (([*START, WaitReads(9), ABORT], SEGMENTS), ([*START, WaitCycles(140)], damaged())):
        outcome = run([*steps, status(1), WaitIdle(), status(2)], segments)
        assert answer(outcome, 1).busy and not answer(outcome, 2).busy
        assert not answer(outcome, 1).done and answer(outcome, 2).done


@pytest.mark.parametrize("more", [1, 2, 5])
def test_aborted_stays_aborted_however_often_it_is_said(more: int) -> None:
    outcome = run([*START, WaitReads(9), *[ABORT] * more, WaitIdle(), status(1)])
    assert answer(outcome, 1) == StatusWord(False, True, True, Error.ABORTED, 0)


@pytest.mark.parametrize("cycles", [1200, 2800, 3600, 4400])
def test_rows_that_were_complete_stay_complete_after_an_abort(cycles: int) -> None:
    outcome = run([*START, WaitCycles(cycles), status(1), ABORT, WaitIdle(), status(2)])
    before, after = answer(outcome, 1).rows, answer(outcome, 2).rows
    assert before <= after <= before + 1
    golden = Layer(CALL.packed).run(CALL.x, CALL.threshold)
    h = h_from_bytes(outcome.memory["h"], CALL.packed.h)
    assert (h[:after].view(np.uint32) == golden.h[:after].view(np.uint32)).all()
    assert answer(outcome, 2).code == Error.ABORTED


def test_some_of_those_aborts_come_between_rows() -> None:
    rows = {
        answer(run([*START, WaitCycles(c), ABORT, WaitIdle(), status(1)]), 1).rows for c in (1200, 2800, 3600, 4400)
    }
    assert len(rows & set(range(1, CALL.steps))) >= 2


@pytest.mark.parametrize("first", ["damaged", "aborted"])
def test_commands_of_the_next_run_wait_for_the_last_answer(first: str) -> None:
    second = call_of(2)
    others = layer_segments(second, SECOND_BASE)
    begin = [*START, WaitReads(9), ABORT] if first == "aborted" else START
    named = tuple(replace(s, name=f"other_{s.name}") for s in others)
    segments = (*(damaged() if first == "damaged" else SEGMENTS), *named)
    outcome = run([*begin, *start_steps(second, others), WaitIdle(), status(1)], segments)
    assert answer(outcome, 1) == StatusWord(False, True, False, Error.NONE, second.steps)
    h = h_from_bytes(outcome.memory["other_h"], second.packed.h)
    assert (h.view(np.uint32) == Layer(second.packed).run(second.x, second.threshold).h.view(np.uint32)).all()
    assert len(outcome.busy_cycles) == 2
