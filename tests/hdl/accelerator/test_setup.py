"""What a run loads first, alone: where it comes from, where it goes, and which values are refused."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import AcceleratorConfig
from golden.formats import pack_halves, pack_offsets
from golden.recurrence import Held, State
from golden.sends import HELD_LIMIT
from hdl.accelerator.u.setup import Setup
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

OFFSETS, BIAS, STATE = 0x100, 0x2000, 0x30000
DELTA = replace(CFG, stream16=True, delta=True)
EVENTS = replace(DELTA, n_pe=1, slots=0, esell=False, events=True)


def outcome(
    seed: int,
    stall: float,
    bias: np.ndarray,
    state: tuple[np.ndarray, np.ndarray] | None,
    unit: int = 4,
    held: Held | None = None,
    cfg: AcceleratorConfig | None = None,
) -> dict[str, Any]:
    """Everything that setup says of these biases (4H,), and of h and c (H,) of a state; ``unit``: columns of U's.

    ``held``: what the state has with DELTA.
    """
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    hidden = len(bias) // 4
    offsets = rng.integers(0, 2**16, hidden // unit)
    words = [*pack_offsets(offsets).tolist(), *pack_halves(numbers.fp16_bits(bias)).tolist()]
    wanted = [(OFFSETS, -(-len(offsets) // 4)), (BIAS, hidden)]
    if state is not None:
        data = State(state[0].astype(np.float32), state[1].astype(np.int32), held).to_bytes()
        in_memory = np.frombuffer(data, "<u8").tolist()
        # what is held comes before the h that is compared with it
        words += in_memory[hidden:] + in_memory[:hidden]
        if held is not None:
            wanted.append((STATE + hidden, len(in_memory) - hidden))
        wanted.append((STATE, hidden))
    cfg = cfg or (CFG if unit == 4 else replace(CFG, stream16=True))
    dut = Setup(cfg)
    parts: dict[str, list[int]] = {name: [] for name in ("held", "held_sums", "x_held") if hasattr(dut, name)}
    found: dict[str, Any] = {
        "offsets": [],
        "bias": [],
        "c": [],
        "h": [],
        "bad_bias": 0,
        "bad_state": 0,
        "segments": [],
        **parts,
    }

    async def bench(ctx: Any) -> None:
        parameters(
            ctx, dut, h_blocks=hidden // 4, u_offsets=OFFSETS, bias=BIAS, state=STATE, state_in=int(state is not None)
        )
        ctx.set(dut.parameters.u_matrix.single, int(unit == 1))
        if held is not None:
            ctx.set(dut.parameters.delta, 1)
        if held is not None and held.x is not None:
            ctx.set(dut.parameters.x_blocks, len(held.x) // 4)
        left = list(words)
        async for _ in cycles(ctx, lambda: f"seed {seed}: the end of setup, {len(left)} words left"):
            if ctx.get(dut.done):
                break
            give = bool(left) and stalls.random() >= stall
            ctx.set(dut.words.valid, int(give))
            ctx.set(dut.words.payload, left[0] if give else stalls.getrandbits(64))
            take = stalls.random() >= stall
            ctx.set(dut.segments.ready, int(take))
            if take and ctx.get(dut.segments.valid):
                found["segments"].append((ctx.get(dut.segments.payload.addr), ctx.get(dut.segments.payload.words)))
            for name in ("offsets", "bias", "c", *parts):
                write = getattr(dut, name)
                if ctx.get(write.en):
                    assert ctx.get(write.addr) == len(found[name])
                    value = ctx.get(write.data)
                    found[name].append(list(value) if name == "bias" else value)
            if ctx.get(dut.h.valid):
                assert held is None or len(found["held"]) == hidden, f"seed {seed}: h before what is held of it"
                found["h"].append(ctx.get(dut.h.h))
            for name in ("bad_bias", "bad_state"):
                found[name] |= ctx.get(getattr(dut, name))
            if give and ctx.get(dut.words.ready):
                left.pop(0)
        assert not left

    simulate(dut, bench)
    assert found["segments"] == wanted
    assert found["offsets"] == pack_offsets(offsets).tolist()
    assert found["bias"] == numbers.fp16_bits(bias).reshape(-1, 4).tolist()
    return found


@pytest.mark.parametrize(("seed", "hidden", "stall"), [(1, 4, 0.0), (2, 20, 0.5), (3, 64, 0.3)])
def test_everything_arrives_where_it_belongs(seed: int, hidden: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    bias = (rng.normal(size=4 * hidden) * 500).clip(-2047, 2047).astype(np.float16)
    alone = outcome(seed, stall, bias, None, unit=1 if seed == 2 else 4)
    assert not alone["h"] and not alone["c"]
    h = rng.uniform(-1, 1, hidden).astype(np.float16)
    c = rng.integers(-(2**31), 2**31, hidden)
    found = outcome(seed, stall, bias, (h.astype(np.float32), c))
    assert found["h"] == numbers.fp16_bits(h).tolist()
    assert found["c"] == c.tolist()
    assert (found["bad_bias"], found["bad_state"]) == (0, 0)


@pytest.mark.parametrize("value", [2047.0, 2048.0, -2048.0, np.inf, np.nan, 6e-8])
@pytest.mark.parametrize("place", [0, 13])
def test_a_bias_is_refused_as_golden_says(value: float, place: int) -> None:
    bias = np.zeros(16, np.float16)
    bias[place] = value
    assert outcome(1, 0.3, bias, None)["bad_bias"] == (not numbers.bias_valid(bias).all())


@pytest.mark.parametrize("value", [1.0, -1.0, 1.0009765625, 0.1, np.inf, np.nan, 2.0**-24, 2.0**-25, -0.0])
@pytest.mark.parametrize("place", [0, 3])
def test_a_state_is_refused_as_golden_says(value: float, place: int) -> None:
    h = np.zeros(4, np.float32)
    h[place] = value
    found = outcome(1, 0.3, np.zeros(16, np.float16), (h, np.zeros(4)))
    assert found["bad_state"] == (not numbers.state_h_valid(h).all())


def of_states(rng: np.random.Generator, hidden: int, inputs: int | None) -> Held:
    """Anything that may be held, the limits often."""

    def values(size: int) -> np.ndarray:
        inside = rng.integers(-HELD_LIMIT, HELD_LIMIT + 1, size)
        return np.where(rng.random(size) < 0.3, rng.choice([-HELD_LIMIT, HELD_LIMIT], size), inside).astype(np.int32)

    sums = rng.integers(-(2**31), 2**31, 4 * hidden).astype(np.int32)
    return Held(values(hidden), sums, None if inputs is None else values(inputs))


@pytest.mark.parametrize(
    ("seed", "hidden", "inputs", "stall"), [(1, 4, None, 0.0), (2, 20, None, 0.5), (3, 4, 12, 0.3), (4, 28, 4, 0.0)]
)
def test_what_is_held_arrives_before_h(seed: int, hidden: int, inputs: int | None, stall: float) -> None:
    rng = np.random.default_rng(seed)
    cfg = DELTA if inputs is None else EVENTS
    bias = rng.normal(size=4 * hidden).astype(np.float16)
    h = rng.uniform(-1, 1, hidden).astype(np.float16)
    c = rng.integers(-(2**31), 2**31, hidden)
    held = of_states(rng, hidden, inputs)
    found = outcome(seed, stall, bias, (h.astype(np.float32), c), held=held, cfg=cfg)
    assert found["h"] == numbers.fp16_bits(h).tolist()
    assert found["c"] == c.tolist()
    assert found["held"] == held.h.tolist()
    assert found["held_sums"] == held.sums.tolist()
    assert held.x is None or found["x_held"] == held.x.tolist()
    assert (found["bad_bias"], found["bad_state"]) == (0, 0)
    # a run without DELTA has a state of h and c, in any build
    plain = outcome(seed, stall, bias, (h.astype(np.float32), c), cfg=DELTA)
    assert (plain["h"], plain["c"]) == (found["h"], found["c"])
    assert plain["held"] == plain["held_sums"] == []


@pytest.mark.parametrize(
    ("part", "place", "value"),
    [
        *(("h", 3, value) for value in (1024, -1024, 1025, -1025, 1 << 12, -(1 << 31))),
        *(("x", 4, value) for value in (1024, -1024, 1025, -1025, 1 << 16, -(1 << 12))),
        ("sums", 2, -(1 << 31)),
    ],
)
def test_what_is_held_is_refused_as_golden_says(part: str, place: int, value: int) -> None:
    """All 32 bits are looked at."""
    held = Held.zeros(4, inputs=8)
    getattr(held, part)[place] = value
    state = (np.zeros(4, np.float32), np.zeros(4))
    found = outcome(1, 0.3, np.zeros(16, np.float16), state, held=held, cfg=EVENTS)
    assert found["bad_state"] == (not held.valid)
