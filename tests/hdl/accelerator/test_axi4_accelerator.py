"""The accelerator behind its AXI4 port: golden's bits, the cycles of the bare one, errors and aborts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.config import AcceleratorConfig
from golden.isa import Counter, Error, Flags, Funct, StatusWord
from golden.layer import Layer, pack_layer
from sim.engines.pysim.accelerator import PysimEngine
from sim.layers import random_layer
from sim.layers.jobs import MEMORY_BASE, LayerCall, decode, layer_job, layer_segments, read_counters, start_steps
from sim.protocol.accelerator import AcceleratorJob, Command, WaitCycles, WaitIdle
from sim.protocol.base import Design, Segment
from sim.protocol.timing import AxiTiming, MemoryTiming
from tests.hdl.accelerator.axi_engine import AxiEngine

SMALL = Design("accelerator", AcceleratorConfig(n_pe=2, slots=4, max_x=16, max_h=16, max_t=15, window=32))
HARD = AxiTiming(latency=3, jitter=20, order="beats", stall_permille=200, writes="data first")


def call_of(seed: int, inputs: int = 8, hidden: int = 8, steps: int = 3) -> LayerCall:
    rng = np.random.default_rng(seed)
    w, u = (rng.normal(size=(4 * hidden, n)).astype(np.float16) / 2 for n in (inputs, hidden))
    for matrix in (w, u):
        matrix[rng.random(matrix.shape) < 0.4] = 0
    packed = pack_layer(w, u, rng.normal(size=4 * hidden).astype(np.float16))
    flags = Flags.H_SEQ | Flags.STATE_OUT
    return LayerCall(packed, rng.normal(size=(steps, inputs)).astype(np.float32), 0.3, 2, flags)


CALL = call_of(1, steps=2)
slow = pytest.mark.slow


@pytest.mark.parametrize("seed", [2, *(pytest.param(seed, marks=slow) for seed in (3, 6, 20, 21, 22, 25, 26))])
def test_random_layers_are_goldens(seed: int) -> None:
    case = random_layer.generate(seed, "axi", random_layer.Traits(max_size=24, max_steps=4))
    assert random_layer.check(case, AxiEngine(replace(HARD, seed=seed))) == ([], pytest.approx(1000, abs=1000))


@pytest.mark.parametrize("latency", [pytest.param(2, marks=slow), 25])
def test_it_takes_the_cycles_of_the_bare_accelerator(latency: int) -> None:
    call = call_of(2, 16, 8, 2)
    engine = AxiEngine(AxiTiming(latency=latency))
    runs = [
        decode(call, which.run(SMALL, layer_job(call, MemoryTiming(latency=latency))))
        for which in (PysimEngine(), engine)
    ]
    bare, axi = (run.counters for run in runs)
    assert (runs[0].h == runs[1].h).all()
    assert axi[Counter.CYCLES] == pytest.approx(bare[Counter.CYCLES], rel=0.02)
    words = axi[Counter.PORT_BUSY]
    assert words == bare[Counter.PORT_BUSY] == engine.read_beats + engine.write_beats
    assert engine.write_beats == axi[Counter.STORE_WORDS]
    # many bursts at once are what hides the latency
    assert engine.most_read_bursts >= 2


def test_arrays_across_a_page_are_read_and_written_in_bursts_that_end_there() -> None:
    segments = layer_segments(CALL, MEMORY_BASE + 0xF18)
    assert all(s.address // 0x1000 != (s.address + s.size - 1) // 0x1000 for s in segments if s.name in "wuh")
    job = layer_job(CALL, segments=segments, steps=(*start_steps(CALL, segments), WaitIdle(), *read_counters()))
    run = decode(CALL, AxiEngine(AxiTiming()).run(SMALL, job))
    assert not run.raw.violations and run.status.code == 0
    assert (run.h == Layer(CALL.packed).run(np.asarray(CALL.x), CALL.threshold).h).all()


def status_after(job: AcceleratorJob, timing: AxiTiming = HARD) -> StatusWord:
    outcome = AxiEngine(timing).run(SMALL, job)
    assert outcome.stopped is None and not outcome.violations
    return StatusWord.decode(next(r.data for r in outcome.responses if r.rd == Counter.STATUS + 1))


@pytest.mark.parametrize(
    ("array", "field", "code"),
    [
        ("u", "read_error", Error.MEM_READ),
        ("h", "write_error", Error.MEM_WRITE),
        pytest.param("state", "write_error", Error.MEM_WRITE, marks=slow),
    ],
)
def test_an_error_response_ends_the_run(array: str, field: str, code: Error) -> None:
    job = layer_job(CALL)

    def changed(segment: Segment) -> Segment:
        at: dict[str, Any] = {field: segment.size - 8}
        return replace(segment, **at) if segment.name == array else segment

    status = status_after(replace(job, segments=tuple(map(changed, job.segments))))
    assert (status.code, status.busy) == (code, False)
    # the last word of h belongs to the last row, that of the state to no row that counts before it
    assert status.rows < CALL.steps if array == "u" else status.rows == CALL.steps - 1


@pytest.mark.parametrize(
    ("funct", "operand", "code"),
    [
        (Funct.DATA, "rs2", Error.MEM_WRITE),
        pytest.param(Funct.START, "rs1", Error.MEM_READ, marks=slow),
    ],
)
def test_an_address_that_does_not_exist_ends_the_run(funct: Funct, operand: str, code: Error) -> None:
    job = layer_job(CALL)
    outside: Any = {operand: 0x1_8000_0000}
    is_it = Command.of(funct).inst
    steps = (replace(s, **outside) if isinstance(s, Command) and s.inst == is_it else s for s in job.steps)
    status = status_after(replace(job, steps=tuple(steps)))
    assert (status.code, status.rows) == (code, 0)


@pytest.mark.parametrize("cycles", [*(pytest.param(cycles, marks=slow) for cycles in range(0, 400, 40)), 290])
def test_after_an_abort_the_next_run_is_exact(cycles: int) -> None:
    segments = layer_segments(CALL)
    start = start_steps(CALL, segments)
    abort = [WaitCycles(cycles), Command.of(Funct.ABORT, rd=31), WaitIdle()]
    job = layer_job(CALL, steps=(*start, *abort, *start, WaitIdle(), *read_counters()))
    run = decode(CALL, AxiEngine(replace(HARD, seed=cycles)).run(SMALL, job))
    assert not run.raw.violations and run.status.code == 0
    expected = Layer(CALL.packed).run(np.asarray(CALL.x), CALL.threshold)
    assert run.state is not None
    assert (run.h == expected.h).all()
    assert (run.state.h == expected.state.h).all() and (run.state.c == expected.state.c).all()
