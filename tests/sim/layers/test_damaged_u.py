"""U whose offsets and heads disagree, at both memory ports: golden's answer in every case, then an exact run."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from golden.config import BLOCK_COLS, AcceleratorConfig, preset
from golden.isa import Counter, Error, Flags, Funct, StatusWord
from golden.layer import Layer, PackedLayer, pack_layer
from golden.memory import h_from_bytes
from sim.engines import registry
from sim.layers.jobs import MEMORY_BASE, LayerCall, layer_segments, start_steps
from sim.protocol.accelerator import AcceleratorJob, Command, Step, WaitIdle
from sim.protocol.base import Design, Engine, Segment
from sim.protocol.timing import AxiTiming, MemoryTiming
from tests.hdl.accelerator.axi_engine import AxiEngine

TINY = Design("accelerator", preset("tiny"))
SMALLEST = Design("accelerator", AcceleratorConfig(n_pe=2, slots=4, max_x=16, max_h=16, max_t=15, window=16))
"""For Amaranth's own simulator."""
SPARE_WORDS = 4
"""Words behind U that exist, so that a column that is said to be longer can be read."""


def sparse_layer(seed: int | None, hidden: int) -> PackedLayer:
    """X = 4, H = ``hidden``; one value in U, U[0, 0], or with a seed about one in nine."""
    rng = np.random.default_rng(seed)
    u = np.zeros((4 * hidden, hidden), np.float16)
    u[0, 0] = 0.5
    if seed is not None:
        u[rng.random(u.shape) < 0.1] = 0.25
    w = np.full((4 * hidden, 4), 0.25, np.float16)
    return pack_layer(w, u, np.full(4 * hidden, 0.125, np.float16))


def with_u(packed: PackedLayer, words: np.ndarray, offsets: np.ndarray) -> PackedLayer:
    return replace(packed, u=replace(packed.u, words=words, offsets=offsets))


def damages(packed: PackedLayer) -> Iterator[tuple[str, PackedLayer]]:
    """Every offset up to three words off, every CHKw with every other value."""
    words = np.concatenate([packed.u.words, np.zeros(SPARE_WORDS, np.uint64)])
    offsets = packed.u.offsets
    for column in range(len(offsets)):
        for by in (-3, -2, -1, 1, 2, 3):
            changed = offsets.copy()
            changed[column] = max(0, int(offsets[column]) + by)
            yield f"offset {column} {by:+}", with_u(packed, words, changed)
    at = 0
    while at < len(packed.u.words):
        head = int(words[at])
        for chunk in range(2):
            for width in range(8):
                if width == head >> 32 * chunk & 7:
                    continue
                altered = words.copy()
                altered[at] = head & ~(7 << 32 * chunk) | width << 32 * chunk
                yield f"CHKw {chunk} of the head at word {at} = {width}", with_u(packed, altered, offsets)
        at += 1 + (head & 7) + (head >> 32 & 7)


def call_of(packed: PackedLayer) -> LayerCall:
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, BLOCK_COLS)
    # every column of U is kept, at step 0 too
    return LayerCall(packed, x, 0.0, 1, Flags.H_SEQ)


def check(engine: Engine, design: Design, packed: PackedLayer) -> int:
    """All damages of a U in one job, each followed by a right run; returns how many there were."""
    cases = list(damages(packed))
    good = call_of(packed)
    right = Layer(packed).run(good.x, good.threshold)
    segments: list[Segment] = []
    steps: list[Step] = []
    base = MEMORY_BASE
    for number, (_, broken) in enumerate(cases):
        for kind, call in (("bad", call_of(broken)), ("good", good)):
            own = layer_segments(call, base)
            base += 0x20000
            segments += [replace(s, name=f"{kind}_{number}_{s.name}") for s in own]
            status = Command.of(Funct.COUNTER, Counter.STATUS, rd=1)
            steps += [*start_steps(call, own), WaitIdle(), status]
    job = AcceleratorJob(tuple(segments), tuple(steps), MemoryTiming(latency=4), 10**7, 5_000)
    outcome = engine.run(design, job)
    ended = len(outcome.responses)
    assert outcome.stopped is None, f"{outcome.stopped} in case {cases[min(ended // 2, len(cases) - 1)][0]}"
    assert not outcome.violations
    answers = [StatusWord.decode(response.data) for response in outcome.responses]
    for number, (name, broken) in enumerate(cases):
        golden = Layer(broken).run(good.x, good.threshold)
        bad, after = answers[2 * number : 2 * number + 2]
        assert bad.code in (golden.errors or {Error.NONE}), f"{name}: {bad.code.name}, golden says {golden.errors}"
        assert not bad.busy and not after.busy
        for kind, found, result in (("bad", bad, golden), ("good", after, right)):
            if found.code == Error.NONE:
                h = h_from_bytes(outcome.memory[f"{kind}_{number}_h"], packed.h)
                assert (h.view(np.uint32) == result.h.view(np.uint32)).all(), f"{name}: wrong h of the {kind} run"
        assert after == StatusWord(False, True, False, Error.NONE, good.steps), f"{name}: the right run after it"
    return len(cases)


@pytest.mark.parametrize(("seed", "hidden"), [(None, 4), (1, 8), (2, 12)])
def test_at_the_rocc_port(seed: int | None, hidden: int) -> None:
    assert check(registry.get("accelerator", registry.DEFAULT), TINY, sparse_layer(seed, hidden)) > 30


@pytest.mark.parametrize(("seed", "hidden"), [(None, 4), pytest.param(1, 8, marks=pytest.mark.slow)])
def test_at_the_axi4_port(seed: int | None, hidden: int) -> None:
    assert check(AxiEngine(AxiTiming(latency=4)), SMALLEST, sparse_layer(seed, hidden)) > 30
