"""A call with DELTA and by events: memory, commands, counters, state and errors, on golden as engine and as twin."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden.config import preset
from golden.isa import Counter, Error, Flags, Format, Funct, InputFormat, Schedule, StatusWord, start_word
from golden.layer import Layer
from golden.recurrence import Held, State
from sim.layers.compare import judge
from sim.layers.counters import expected
from sim.layers.jobs import LayerCall, decode, layer_job, layer_segments, start_steps
from sim.layers.random_layer import DELTA_CONFIGS, EVENT_CONFIGS, FULL_CONFIGS, Traits, calls, check, generate
from sim.layers.words import predicted
from sim.protocol.accelerator import Command
from sim.protocol.base import Design
from sim.spike.accelerator import Command as Ask
from tests.golden.test_delta import packed_in
from tests.sim.golden_engine import GoldenEngine
from tests.sim.spike.test_twin import begin, status

EVENT = preset("event")
DELTA_SEEDS, EVENT_SEEDS = range(6000, 6040), range(7000, 7060)


def call_of(**changes: Any) -> LayerCall:
    """By events, of W and U in stream-16 with units of one column, X = 12, H = 16; x is k/256."""
    packed = packed_in(1, 2, 12, 16)
    x = (np.random.default_rng(5).integers(0, 256, (6, 12)) / 256).astype(np.float32)
    flags = Flags.H_SEQ | Flags.H_PRUNED | Flags.DELTA
    return replace(LayerCall(packed, x, 0.1, 1, flags, schedule=Schedule.EVENTS), **changes)


def commands(call: LayerCall) -> dict[int, Command]:
    return {step.inst >> 25: step for step in layer_job(call).steps if isinstance(step, Command)}


@pytest.mark.parametrize(("x_format", "row"), [(InputFormat.FP32, 48), (InputFormat.FP16, 24), (InputFormat.UINT8, 16)])
def test_memory_holds_x_rows_and_state_as_the_flags_say(x_format: InputFormat, row: int) -> None:
    call = call_of(x_format=x_format, flags=Flags.H_SEQ | Flags.DELTA | Flags.H_FP16 | Flags.STATE_OUT)
    held = {segment.name: segment for segment in layer_segments(call)}
    assert held["x"].size == 6 * row and held["h"].size == 6 * 16 * 2
    assert held["state"].size == 28 * 16 + 4 * 12 and held["state"].data == b""
    if x_format == InputFormat.UINT8:
        rows = np.frombuffer(held["x"].data, np.uint8).reshape(6, 16)
        assert (rows[:, :12] == np.asarray(call.x) * 256).all() and not rows[:, 12:].any()
    if x_format == InputFormat.FP16:
        assert held["x"].data == np.asarray(call.x).astype("<f2").tobytes()
    sent = commands(call)
    word = start_word(call.flags, Schedule.EVENTS, Format.STREAM16, Format.STREAM16, x_format)
    assert sent[Funct.START].rs2 == word
    assert sent[Funct.EVENTS].rs1 == 0 and sent[Funct.EXTENSION].rs1 == held["w_offsets"].address


def test_the_threshold_of_x_goes_with_events_alone() -> None:
    assert commands(call_of(x_threshold=0.25))[Funct.EVENTS].rs1 == 0x3E80_0000
    assert Funct.EVENTS not in commands(call_of(schedule=Schedule.LIST, groups=(2,)))


def test_x_that_uint8_does_not_hold_is_named() -> None:
    with pytest.raises(ValueError, match=r"x as uint8 must be k/256, k in 0..255, not 1.0"):
        layer_segments(call_of(x=np.ones((2, 12), np.float32), x_format=InputFormat.UINT8))
    with pytest.raises(ValueError, match="not nan"):
        layer_segments(call_of(x=np.full((2, 12), np.nan, np.float32), x_format=InputFormat.UINT8))


def test_a_state_without_what_is_held_is_one_that_holds_nothing() -> None:
    """And one that holds more than the run knows loses it: what is held belongs to a schedule."""
    bare = State(np.full(16, 0.5, np.float32), np.arange(16, dtype=np.int32))
    full = replace(bare, held=Held(np.ones(16, np.int32), np.ones(64, np.int32), np.ones(12, np.int32)))
    for call, size in (
        (call_of(), 496),
        (call_of(schedule=Schedule.LIST), 448),
        (call_of(schedule=Schedule.LIST, flags=Flags.H_SEQ), 128),
    ):
        with_state = replace(call, state=bare)
        (segment,) = (s for s in layer_segments(with_state) if s.name == "state")
        assert segment.size == size == len(segment.data)
        assert segment.data[: 8 * 16] == bare.to_bytes() and not any(segment.data[8 * 16 :])
        (segment,) = (s for s in layer_segments(replace(call, state=full)) if s.name == "state")
        assert len(segment.data) == segment.size


def test_golden_of_a_call_is_what_its_flags_say() -> None:
    call = call_of(x_threshold=0.2)
    plain = Layer(call.packed, delta=True, events=True).run(np.asarray(call.x), 0.1, x_threshold=0.2)
    assert (call.golden().h == plain.h).all() and call.golden().x_sent.sum() == plain.x_sent.sum() > 0
    with pytest.raises(ValueError, match="they need delta"):
        call_of(flags=Flags.H_SEQ).layer()


def test_counters_by_events_by_hand() -> None:
    call = call_of(x_format=InputFormat.UINT8, state=State.zeros(16), flags=call_of().flags | Flags.H_FP16)
    golden = call.golden()
    said = expected(call, golden, EVENT)
    sent = [(t, unit) for t in range(6) for unit in range(12) if golden.x_sent[t, unit]]
    w_words = sum(int(call.packed.w.offsets[unit]) for _, unit in sent)
    kept = [(t, unit) for t in range(6) for unit in range(16) if golden.kept[t, unit]]
    u_words = sum(int(call.packed.u.offsets[unit]) for _, unit in kept)
    assert 0 < len(sent) <= 72 and 0 < len(kept) < 96
    assert (said[Counter.X_SENT], said[Counter.X_SKIPPED]) == (len(sent), 72 - len(sent))
    assert (said[Counter.KEPT_BLOCKS], said[Counter.SKIPPED_BLOCKS]) == (len(kept), 96 - len(kept))
    assert (said[Counter.W_WORDS], said[Counter.U_WORDS]) == (w_words, u_words)
    assert said[Counter.PE_BUSY] == said[Counter.W_BUSY] == w_words + u_words
    assert (said[Counter.X_WORDS], said[Counter.STORE_WORDS]) == (6 * 2, 6 * 4)
    assert said[Counter.SETUP_WORDS] == 16 + 3 + 4 + 3.5 * 16 + 12 / 2
    assert (said[Counter.N_FUSE], said[Counter.GATE_BUSY]) == (0, 6 * 16 // 4)


def test_counters_of_delta_without_events_count_no_x() -> None:
    call = call_of(schedule=Schedule.LIST, groups=(2,), flags=call_of().flags | Flags.STATE_OUT)
    said = expected(call, call.golden(), DELTA_CONFIGS[0])
    assert (said[Counter.X_SENT], said[Counter.X_SKIPPED]) == (0, 0)
    assert said[Counter.STORE_WORDS] == 6 * 8 + 3.5 * 16


@pytest.mark.parametrize(
    ("lie", "text"),
    [
        (Counter.X_SENT, "counter X_SENT is"),
        (Counter.FEATURES, "counter FEATURES is"),
        (Counter.SETUP_WORDS, "counter SETUP_WORDS is"),
    ],
)
def test_a_counter_that_lies_is_named(lie: Counter, text: str) -> None:
    call = call_of()
    rtl = decode(call, GoldenEngine().run(Design("accelerator", EVENT), layer_job(call)))
    assert judge("L1", call, call.golden(), rtl, EVENT).problems == []
    lying = replace(rtl, counters=rtl.counters | {lie: rtl.counters[lie] + 1})
    assert any(text in problem for problem in judge("L1", call, call.golden(), lying, EVENT).problems)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda held: replace(held, h=held.h + 1), "state held h[0] is"),
        (lambda held: replace(held, sums=held.sums - 1), "state sums[0] is"),
        (lambda held: replace(held, x=held.x + 1), "state held x[0] is"),
    ],
)
def test_a_wrong_state_is_named(spoil: Callable[[Any], Held], text: str) -> None:
    call = call_of(flags=call_of().flags | Flags.STATE_OUT)
    rtl = decode(call, GoldenEngine().run(Design("accelerator", EVENT), layer_job(call)))
    assert rtl.state is not None
    wrong = replace(rtl, state=replace(rtl.state, held=spoil(rtl.state.held)))
    assert any(text in problem for problem in judge("L1", call, call.golden(), wrong, EVENT).problems)


def test_seeds_cover_what_they_should() -> None:
    cases = [generate(seed, config=DELTA_CONFIGS[seed % 4]) for seed in DELTA_SEEDS]
    assert {bool(case.flags & Flags.DELTA) for case in cases} == {True, False}
    assert {case.schedule for case in cases} == {Schedule.CELL_FUSION, Schedule.LIST}
    assert {case.x_format for case in cases} == {InputFormat.FP32, InputFormat.FP16}
    by_events = [generate(seed, config=EVENT_CONFIGS[seed % 4]) for seed in EVENT_SEEDS]
    assert {case.schedule for case in by_events} == {Schedule.EVENTS}
    assert {case.x_format for case in by_events} == set(InputFormat)
    assert {bool(case.flags & Flags.H_FP16) for case in by_events} == {True, False}
    results = [case.whole.golden() for case in by_events]
    assert {result.error for result in results} == {Error.NONE}
    shares = [result.x_sent.mean() for result in results]
    assert sum(share == 0 for share in shares) > 2 and sum(0.1 < share < 0.9 for share in shares) > 20
    assert sum(0.1 < result.kept.mean() < 0.9 for result in results) > 15
    for case in by_events[:10]:
        assert generate(case.seed, config=case.config).text == case.text and "events" in case.text
    assert not Traits(delta=True).fits(FULL_CONFIGS[0]) and not Traits(x_format=InputFormat.UINT8).fits(FULL_CONFIGS[0])


@pytest.mark.parametrize("seeds", [DELTA_SEEDS, EVENT_SEEDS])
def test_golden_agrees_with_itself(seeds: range) -> None:
    configs = DELTA_CONFIGS if seeds is DELTA_SEEDS else EVENT_CONFIGS
    for seed in seeds:
        case = generate(seed, config=configs[seed % 4])
        problems, _ = check(case, GoldenEngine())
        assert not problems, (case.text, problems)


@pytest.mark.parametrize("config", [*DELTA_CONFIGS[1:3], *EVENT_CONFIGS[1:3]])
def test_the_twin_s_are_goldens(config: Any) -> None:
    for seed in range(8000, 8010):
        case = generate(seed, traits=Traits(split=False, delta=True), config=config)
        (call,) = calls(case)
        memory, unit, starts = begin(call, config)
        unit.fence()
        golden = call.golden()
        rows = golden.h_pruned if call.flags & Flags.H_PRUNED else golden.h
        wanted = rows if call.flags & Flags.H_SEQ else rows[-1:]
        assert memory.content("h") == wanted.astype("<f2" if call.h_fp16 else "<f4").tobytes(), case.text
        if call.flags & Flags.STATE_OUT:
            assert memory.content("state") == golden.state.to_bytes(), case.text
        for counter, value in expected(call, golden, config).items():
            assert unit.command(Ask(Funct.COUNTER, counter)) == value, (counter.name, case.text)
        assert starts[0].error == "NONE" and starts[0].h == call.packed.h
        if call.events:
            assert starts[0].cycles == predicted(call, golden, config).word.cycles


@pytest.mark.parametrize(
    ("change", "config", "error"),
    [
        ({"flags": Flags.H_SEQ}, EVENT, Error.BAD_FLAGS),
        ({"schedule": Schedule.LIST, "groups": (2,)}, EVENT, Error.BAD_FLAGS),
        ({}, DELTA_CONFIGS[0], Error.BAD_FLAGS),
        ({"schedule": Schedule.CELL_FUSION}, FULL_CONFIGS[0], Error.BAD_FLAGS),
        ({"schedule": Schedule.CELL_FUSION}, DELTA_CONFIGS[0], Error.NONE),
        ({"schedule": Schedule.CELL_FUSION, "flags": Flags.H_FP16}, FULL_CONFIGS[0], Error.BAD_FLAGS),
        ({"schedule": Schedule.CELL_FUSION, "flags": Flags(0), "x_format": 1}, FULL_CONFIGS[0], Error.BAD_FLAGS),
        ({"schedule": Schedule.CELL_FUSION, "flags": Flags(0), "x_format": 1}, DELTA_CONFIGS[0], Error.NONE),
        ({"schedule": Schedule.CELL_FUSION, "x_format": InputFormat.UINT8}, DELTA_CONFIGS[0], Error.BAD_FLAGS),
        ({"x_threshold": float("nan")}, EVENT, Error.BAD_THRESHOLD),
        ({"flags": call_of().flags | Flags.X_SKIP}, EVENT, Error.NONE),
        ({"x": np.full((2, 12), 1.5, np.float32)}, EVENT, Error.BAD_X),
    ],
)
def test_what_the_twin_refuses(change: dict[str, Any], config: Any, error: Error) -> None:
    _, unit, starts = begin(call_of(**change), config)
    unit.fence()
    assert status(unit).code == error and starts[0].error == error.name


def test_the_twin_says_what_it_has_and_clears_the_threshold() -> None:
    memory, unit, _ = begin(call_of(x_threshold=float("nan")), EVENT)
    assert status(unit) == StatusWord(False, True, True, Error.BAD_THRESHOLD, 0)
    assert unit.command(Ask(Funct.COUNTER, Counter.FEATURES)) == EVENT.features
    unit.command(Ask(Funct.ABORT))
    for step in start_steps(call_of(), memory.segments):
        assert isinstance(step, Command)
        if step.inst >> 25 != Funct.EVENTS:
            unit.command(Ask(step.inst >> 25, step.rs1, step.rs2))
    unit.fence()
    assert status(unit).code == Error.NONE
