"""Every error of the table in RTL: its code, an idle accelerator, no stray access, and an exact run right after it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from golden.config import preset
from golden.isa import Counter, Error, Flags, Funct, StatusWord, encode
from golden.layer import Layer, PackedLayer, pack_layer
from golden.memory import h_from_bytes
from golden.recurrence import State
from sim.engines import registry
from sim.layers.compare import judge
from sim.layers.jobs import LayerCall, decode, layer_job, layer_segments, start_steps
from sim.protocol.accelerator import AcceleratorJob, Command, Outcome, Step, WaitCycles, WaitIdle, WaitReads
from sim.protocol.base import Design, Segment
from sim.protocol.timing import MemoryTiming

DESIGN = Design("accelerator", preset("tiny"))
SECOND_BASE = 0x9000_0000
STATUS = 30
"""Register of the status read after the first run; that of the second is one more."""


def layer(seed: int = 3, x: int = 12, h: int = 20, scale: float = 0.3) -> PackedLayer:
    rng = np.random.default_rng(seed)
    w, u = rng.normal(size=(4 * h, x)) * scale, rng.normal(size=(4 * h, h)) * scale
    w[rng.random(w.shape) < 0.4] = 0
    u[rng.random(u.shape) < 0.4] = 0
    return pack_layer(w.astype(np.float16), u.astype(np.float16), (rng.normal(size=4 * h) * 0.2).astype(np.float16))


def sequence(seed: int = 4, steps: int = 5, x: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, x)).astype(np.float32)


def good_call(**fields: object) -> LayerCall:
    return replace(LayerCall(layer(), sequence(), 0.3, 2), **fields)  # type: ignore[arg-type]


def status_read(rd: int) -> Command:
    return Command.of(Funct.COUNTER, Counter.STATUS, rd=rd)


def run(segments: tuple[Segment, ...], steps: list[Step], timing: MemoryTiming = MemoryTiming()) -> Outcome:
    """The steps on the RTL, then a good run, which must be exact, whatever the steps did."""
    call = good_call()
    second = tuple(replace(s, name=f"good_{s.name}") for s in layer_segments(call, SECOND_BASE))
    steps = [*steps, status_read(STATUS), *start_steps(call, layer_segments(call, SECOND_BASE)), WaitIdle()]
    job = AcceleratorJob((*segments, *second), (*steps, status_read(STATUS + 1)), timing, 2_000_000, 20_000)
    outcome = registry.get("accelerator", registry.DEFAULT).run(DESIGN, job)
    assert outcome.stopped is None, outcome.stopped
    assert not outcome.violations
    after = StatusWord.decode(outcome.responses[-1].data)
    assert after == StatusWord(False, True, False, Error.NONE, call.steps)
    golden = Layer(call.packed).run(call.x, call.threshold)
    h = h_from_bytes(outcome.memory["good_h"], call.packed.h)
    assert (h.view(np.uint32) == golden.h_pruned.view(np.uint32)).all(), "the run after the error is not exact"
    return outcome


def status_of(outcome: Outcome) -> StatusWord:
    return StatusWord.decode(next(r.data for r in outcome.responses if r.rd == STATUS))


def expect(outcome: Outcome, code: Error) -> StatusWord:
    status = status_of(outcome)
    assert (status.busy, status.done, status.error, status.code) == (False, True, True, code)
    return status


def altered(steps: list[Step], funct: Funct, **operands: int) -> list[Step]:
    """The steps with other operands in the command of that funct."""
    return [replace(s, **operands) if isinstance(s, Command) and s.inst >> 25 == funct else s for s in steps]


@dataclass(frozen=True)
class Refused:
    """A START that must be refused: which command gets which operand."""

    code: Error
    funct: Funct
    operand: str
    value: int


REFUSED = (
    Refused(Error.BAD_SIZE, Funct.SIZES, "rs1", 0),
    Refused(Error.BAD_SIZE, Funct.SIZES, "rs1", 6),
    Refused(Error.BAD_SIZE, Funct.SIZES, "rs1", 68),
    Refused(Error.BAD_SIZE, Funct.SIZES, "rs2", 0),
    Refused(Error.BAD_SIZE, Funct.SIZES, "rs2", 68),
    Refused(Error.BAD_SIZE, Funct.SIZES, "rs2", 1 << 40 | 20),
    Refused(Error.BAD_T, Funct.STEPS, "rs2", 0),
    Refused(Error.BAD_T, Funct.STEPS, "rs2", 256),
    Refused(Error.BAD_T, Funct.STEPS, "rs2", 1 << 63 | 5),
    Refused(Error.BAD_N_FUSE, Funct.FUSION, "rs2", 0),
    Refused(Error.MISALIGNED, Funct.WEIGHTS, "rs1", 0x8000_0004),
    Refused(Error.MISALIGNED, Funct.WEIGHTS, "rs2", 0x8000_0001),
    Refused(Error.MISALIGNED, Funct.FUSION, "rs1", 0x8000_0002),
    Refused(Error.MISALIGNED, Funct.DATA, "rs1", 0x8000_0004),
    Refused(Error.MISALIGNED, Funct.DATA, "rs2", 0x8000_0004),
    Refused(Error.MISALIGNED, Funct.START, "rs1", 0x8000_0004),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", Flags.X_SKIP),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", 1 << 7),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", 1 << 8),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", 1 << 12),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", 1 << 14),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", 1 << 63),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", Flags.STATE_IN),
    Refused(Error.BAD_FLAGS, Funct.START, "rs2", Flags.STATE_OUT),
    Refused(Error.BAD_THRESHOLD, Funct.STEPS, "rs1", 0x7FC0_0000),
    Refused(Error.BAD_THRESHOLD, Funct.STEPS, "rs1", 0xFF80_0001),
)


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: f"{c.code.name}-{c.funct.name}-{c.operand}={c.value:#x}")
def test_start_is_refused_before_memory_is_touched(case: Refused) -> None:
    call = good_call()
    segments = layer_segments(call)
    steps = altered(start_steps(call, segments), case.funct, **{case.operand: case.value})
    # the run must not have touched memory when its status is read: nothing but the good run reads
    outcome = run(segments, [*steps, WaitCycles(50)])
    assert expect(outcome, case.code).rows == 0
    assert len(outcome.busy_cycles) == 1
    assert set(outcome.memory["h"]) == {0xFF}


def test_checks_are_made_in_the_order_of_the_table() -> None:
    call = good_call()
    segments = layer_segments(call)
    steps = start_steps(call, segments)
    for case in reversed([c for c in REFUSED if c.operand == "rs2" or c.code == Error.BAD_THRESHOLD]):
        steps = altered(steps, case.funct, **{case.operand: case.value})
        if case.code != Error.MISALIGNED:
            expect(run(segments, list(steps)), case.code)


BAD_COMMANDS = {
    "unknown funct": Command(encode(12)),
    "largest funct": Command(encode(127)),
    "other opcode": Command(encode(Funct.SIZES, opcode=0x2B)),
    "no rs1": Command(encode(Funct.SIZES, xs1=False)),
    "no rs2": Command(encode(Funct.START, xs2=False)),
    "no index": Command(encode(Funct.COUNTER, xs1=False, xs2=False)),
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
def test_a_bad_command_changes_nothing_and_is_reported_by_the_next_start(name: str) -> None:
    call = good_call()
    segments = layer_segments(call)
    steps = start_steps(call, segments)
    expect(run(segments, [*steps[:-1], BAD_COMMANDS[name], steps[-1]]), Error.BAD_COMMAND)
    # reported once: the same START again, without setting anything anew, runs
    outcome = run(segments, [*steps[:-1], BAD_COMMANDS[name], steps[-1], steps[-1], WaitIdle()])
    assert status_of(outcome) == StatusWord(False, True, False, Error.NONE, call.steps)


def test_unneeded_operands_may_be_missing() -> None:
    bare = Command(encode(Funct.COUNTER, xd=True, xs2=False, rd=5), Counter.VERSION)
    abort = Command(encode(Funct.ABORT, xs1=False, xs2=False))
    outcome = run((), [abort, bare])
    cfg = preset("tiny")
    assert next(r.data for r in outcome.responses if r.rd == 5) == (
        1 | cfg.n_pe << 16 | cfg.slots << 24 | cfg.max_x << 32 | cfg.max_h << 48
    )
    assert status_of(outcome) == StatusWord(False, False, False, Error.NONE, 0)


def with_word(segment: Segment, index: int, change: Callable[[int], int]) -> Segment:
    """The segment with one 64-bit word changed."""
    content = bytearray(segment.data)
    word = int.from_bytes(content[8 * index : 8 * index + 8], "little")
    content[8 * index : 8 * index + 8] = change(word).to_bytes(8, "little")
    return replace(segment, data=bytes(content))


def half(value: float) -> int:
    return int(np.float16(value).view(np.uint16))


def single(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def low(bits: int) -> Callable[[int], int]:
    """Replace the low 16 or 32 bits."""
    width = 32 if bits > 0xFFFF else 16
    return lambda word: word >> width << width | bits


DATA_ERRORS: dict[str, tuple[Error, str, int, Callable[[int], int]]] = {
    "CHKw of chunk 0 is 5": (Error.BAD_FORMAT, "w", 0, lambda w: w & ~7 | 5),
    "CHKw of chunk 1 is 7": (Error.BAD_FORMAT, "w", 0, lambda w: w | 7 << 32),
    "spare bit 31": (Error.BAD_FORMAT, "w", 0, lambda w: w | 1 << 31),
    "spare bit 59": (Error.BAD_FORMAT, "u", 0, lambda w: w | 1 << 59),
    "rows no permutation": (Error.BAD_FORMAT, "w", 0, lambda w: w ^ 1 << 15),
    "a column longer than its heads": (Error.BAD_FORMAT, "u_offsets", 0, lambda w: w + 1),
    "a column shorter than its heads": (Error.BAD_FORMAT, "u_offsets", 0, lambda w: w - 1),
    "a column of no words": (Error.BAD_FORMAT, "u_offsets", 0, lambda w: w >> 16 << 16),
    "a column of too many words": (Error.BAD_FORMAT, "u_offsets", 0, lambda w: w | 0xFFFF),
    "infinite W": (Error.BAD_WEIGHT, "w", 1, low(half(np.inf))),
    "NaN in U": (Error.BAD_WEIGHT, "u", 1, low(half(np.nan))),
    "bias 2048": (Error.BAD_BIAS, "bias", 3, low(half(2048))),
    "bias -infinity": (Error.BAD_BIAS, "bias", 0, low(half(-np.inf))),
    "x NaN": (Error.BAD_X, "x", 7, low(single(np.nan))),
    "x above fp16": (Error.BAD_X, "x", 29, low(single(65520.0))),
    "x infinite": (Error.BAD_X, "x", 0, low(single(-np.inf))),
    "state above 1": (Error.BAD_STATE, "state", 2, low(single(1.0009765625))),
    "state not exact in fp16": (Error.BAD_STATE, "state", 9, low(single(0.1))),
    "state NaN": (Error.BAD_STATE, "state", 0, low(single(np.nan))),
    "state below fp16": (Error.BAD_STATE, "state", 0, low(single(2.0**-30) | 0)),
}


def state_call(**fields: object) -> LayerCall:
    state = State(np.full(20, 0.5, np.float32), np.zeros(20, np.int32))
    return good_call(state=state, threshold=0.0, **fields)


@pytest.mark.parametrize("name", DATA_ERRORS)
@pytest.mark.parametrize("flags", [Flags.H_SEQ, Flags(0)], ids=["every row", "last row"])
def test_bad_data_ends_the_run(name: str, flags: Flags) -> None:
    code, array, index, change = DATA_ERRORS[name]
    call = state_call(flags=flags | Flags.STATE_OUT)
    segments = tuple(with_word(s, index, change) if s.name == array else s for s in layer_segments(call))
    outcome = run(segments, [*start_steps(call, segments), WaitIdle()])
    rows = expect(outcome, code).rows
    clean = Layer(call.packed).run(call.x, call.threshold, call.state)
    h = h_from_bytes(outcome.memory["h"], 20)
    if flags & Flags.H_SEQ:
        assert (h[:rows].view(np.uint32) == clean.h[:rows].view(np.uint32)).all()
    else:
        assert np.isnan(h).all()
    assert outcome.memory["state"] == next(s.data for s in segments if s.name == "state")


@pytest.mark.parametrize("value", [2047.0, -2047.0])
def test_the_largest_bias_is_taken(value: float) -> None:
    call = good_call()
    segments = tuple(with_word(s, 3, low(half(value))) if s.name == "bias" else s for s in layer_segments(call))
    assert not status_of(run(segments, [*start_steps(call, segments), WaitIdle()])).error


@pytest.mark.parametrize("array", ["w", "u", "u_offsets", "bias", "x", "state"])
@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_failing_load_ends_the_run(array: str, where: str, seed: int) -> None:
    call = state_call(flags=Flags.H_SEQ | Flags.STATE_OUT)
    segments = tuple(
        replace(s, read_error=0 if where == "first" else s.size - 8) if s.name == array else s
        for s in layer_segments(call)
    )
    timing = MemoryTiming(latency=5, jitter=20, order="random", stall_permille=200, seed=seed)
    expect(run(segments, [*start_steps(call, segments), WaitIdle()], timing), Error.MEM_READ)


@pytest.mark.parametrize(("array", "offset"), [("h", 0), ("h", 392), ("state", 0), ("state", 152)])
def test_a_failing_store_ends_the_run(array: str, offset: int) -> None:
    call = state_call(flags=Flags.H_SEQ | Flags.STATE_OUT)
    segments = tuple(replace(s, write_error=offset) if s.name == array else s for s in layer_segments(call))
    rows = expect(run(segments, [*start_steps(call, segments), WaitIdle()]), Error.MEM_WRITE).rows
    assert rows == (offset // 80 if array == "h" else call.steps - 1)


def overflow_call(w: float, u: float, x: float, bias: float) -> LayerCall:
    """One weight a row: the sums are products of chosen size."""
    ws, us = np.zeros((16, 4), np.float16), np.zeros((16, 4), np.float16)
    ws[:, 0], us[:, 0] = w, u
    packed = pack_layer(ws, us, np.full(16, bias, np.float16))
    state = State(np.full(4, 1, np.float32), np.zeros(4, np.int32))
    return LayerCall(packed, np.full((1, 4), x, np.float32), 0.0, 1, Flags.H_SEQ, state)


@pytest.mark.parametrize(
    ("operands", "class_"),
    [
        ((64.0, 0.5, 32.0, 0.0), "must"),  # one product: 2^11
        ((1024.0, 1024.0, 1.0, 0.0), "must"),  # the sum of two products
        ((1024.0, 1023.0, 1.0, 1.0), "must"),  # with the bias
        ((1024.0, 1023.0, 1.0, 0.5), "none"),
        ((-1024.0, -1024.0, 1.0, 0.0), "may"),  # exactly -2^11 fits, its magnitude does not
        ((60000.0, 0.0, 60000.0, 0.0), "must"),  # far outside
    ],
)
def test_overflow_is_reported_when_it_must_and_not_when_it_must_not(
    operands: tuple[float, float, float, float], class_: str
) -> None:
    call = overflow_call(*operands)
    golden = Layer(call.packed).run(call.x, call.threshold, call.state)
    assert golden.overflow == class_
    segments = layer_segments(call)
    status = status_of(run(segments, [*start_steps(call, segments), WaitIdle()]))
    if class_ == "must":
        assert (status.error, status.code, status.rows) == (True, Error.ACC_OVERFLOW, 0)
    elif class_ == "none":
        assert not status.error


@pytest.mark.parametrize("latency", [1, 8, 60])
def test_an_overflow_that_comes_before_a_bad_bias_is_right(latency: int) -> None:
    """W x overflows while the bias is still on its way; the judge must know that golden allows both."""
    w = np.zeros((16, 64), np.float16)
    w[:, ::4] = 60000
    bias = np.zeros(16, np.float16)
    bias[0] = np.inf
    call = LayerCall(pack_layer(w, np.zeros((16, 4), np.float16), bias), np.full((1, 64), 60000, np.float32), 0.0, 1)
    golden = Layer(call.packed).run(call.x, call.threshold)
    assert golden.errors == {Error.BAD_BIAS, Error.ACC_OVERFLOW}
    outcome = registry.get("accelerator", registry.DEFAULT).run(DESIGN, layer_job(call, MemoryTiming(latency=latency)))
    verdict = judge("layer", call, golden, decode(call, outcome), preset("tiny"))
    assert verdict.exact, verdict.problems


@pytest.mark.parametrize("reads", [0, 1, 20, 100, 300, 700, 1000])
@pytest.mark.parametrize("latency", [1, 100])
def test_abort_in_the_middle(reads: int, latency: int) -> None:
    call = good_call()
    segments = layer_segments(call)
    abort = Command.of(Funct.ABORT, rd=7)
    steps = [*start_steps(call, segments), WaitReads(reads), abort, WaitIdle()]
    outcome = run(segments, steps, MemoryTiming(latency=latency))
    assert expect(outcome, Error.ABORTED).rows < call.steps
    assert outcome.busy_cycles[0] < outcome.busy_cycles[1]
    # abort clears the registers: a START right after it has no sizes
    again = run(segments, [*steps, start_steps(call, segments)[-1]], MemoryTiming(latency=latency))
    expect(again, Error.BAD_SIZE)


@pytest.mark.parametrize("reads", [0, 20, 300, 1000])
@pytest.mark.parametrize("latency", [1, 100])
def test_a_run_that_abort_ends_raises_its_interrupt_once_busy_has_fallen(reads: int, latency: int) -> None:
    call = good_call(flags=Flags.H_SEQ | Flags.IRQ)
    segments = layer_segments(call)
    timing = MemoryTiming(latency=latency)
    abort = Command.of(Funct.ABORT)
    ended = [*start_steps(call, segments), WaitReads(reads), abort, WaitIdle()]
    # the interrupt is a level: it stays for the 500 cycles, and until the good run's START
    held = run(segments, [*ended, WaitCycles(500)], timing)
    expect(held, Error.ABORTED)
    assert 500 <= held.interrupt_cycles < 600
    # a second ABORT while the first one's answers are awaited does not lose it, one after it takes it back
    twice = [*start_steps(call, segments), WaitReads(reads), abort, abort, WaitIdle(), WaitCycles(500)]
    assert run(segments, twice, timing).interrupt_cycles >= 500
    assert run(segments, [*ended, abort, WaitCycles(500)], timing).interrupt_cycles < 20
    # without the flag there is none
    silent = start_steps(replace(call, flags=Flags.H_SEQ), segments)
    assert run(segments, [*silent, WaitReads(reads), abort, WaitIdle(), WaitCycles(500)], timing).interrupt_cycles == 0


@pytest.mark.parametrize(
    ("offsets", "code"),
    [(0x8000_0004, Error.MISALIGNED), (0x8000_0001, Error.MISALIGNED), (0x8000_0008, Error.BAD_FLAGS)],
)
def test_w_offsets_are_checked_for_alignment_before_the_flag_that_uses_them(offsets: int, code: Error) -> None:
    call = good_call(flags=Flags.X_SKIP)
    segments = layer_segments(call)
    steps = altered(start_steps(call, segments), Funct.EXTENSION, rs1=offsets)
    expect(run(segments, steps), code)
    # unused, they may be anything
    unused = altered(steps, Funct.START, rs2=0)
    assert not status_of(run(segments, [*unused, WaitIdle()])).error


def test_runs_back_to_back_without_a_fence() -> None:
    """The original's loop: commands of the next run wait, counters and their order do not."""
    first, second = good_call(), good_call(x=sequence(9), flags=Flags.H_SEQ | Flags.H_PRUNED | Flags.IRQ)
    base = 0xA000_0000
    segments = layer_segments(first)
    others = tuple(replace(s, name=f"other_{s.name}") for s in layer_segments(second, base))
    steps = [
        *start_steps(first, segments),
        status_read(1),
        Command.of(Funct.SIZES, 12, 20, rd=2),
        *start_steps(second, layer_segments(second, base)),
        status_read(3),
        WaitIdle(),
    ]
    outcome = run((*segments, *others), steps)
    answers = [(r.rd, StatusWord.decode(r.data)) for r in outcome.responses]
    assert [rd for rd, _ in answers] == [1, 2, 3, STATUS, STATUS + 1]
    assert answers[0][1].busy
    assert answers[1][1] == StatusWord(False, True, False, Error.NONE, first.steps)
    assert answers[2][1].busy
    for call, name in ((first, "h"), (second, "other_h")):
        golden = Layer(call.packed).run(call.x, call.threshold)
        h = h_from_bytes(outcome.memory[name], 20)
        assert (h.view(np.uint32) == golden.h_pruned.view(np.uint32)).all()
    assert outcome.interrupt_cycles > 0


def test_the_interrupt_falls_with_the_next_start_or_abort() -> None:
    call = good_call(flags=Flags.H_SEQ | Flags.IRQ)
    segments = layer_segments(call)
    idle = [*start_steps(call, segments), WaitIdle(), WaitCycles(100)]
    held = run(segments, idle).interrupt_cycles
    cleared = run(segments, [*idle, Command.of(Funct.ABORT), WaitCycles(100)]).interrupt_cycles
    assert 100 <= cleared <= held < 200


def test_a_counter_out_of_range_reads_zero_and_every_xd_gets_one_response() -> None:
    call = good_call()
    segments = layer_segments(call)
    reads = [Command.of(Funct.COUNTER, index, rd=1) for index in (len(Counter), 255, 2**63)]
    starts = [replace(s, inst=s.inst | 1 << 14 | 9 << 7) for s in start_steps(call, segments) if isinstance(s, Command)]
    bad = Command(encode(77, xd=True, rd=10))
    # the bad command is reported by a START of its own, so that the good run can follow
    outcome = run(segments, [*starts, WaitIdle(), *reads, bad, start_steps(call, segments)[-1]])
    expect(outcome, Error.BAD_COMMAND)
    assert [r.data for r in outcome.responses if r.rd == 1] == [0, 0, 0]
    assert sum(r.rd == 9 for r in outcome.responses) == len(starts)
    assert sum(r.rd == 10 for r in outcome.responses) == 1
    assert StatusWord.decode([r.data for r in outcome.responses if r.rd == 9][-1]).busy
