"""What is sent of a block, against golden."""

import random
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.sends import HELD_LIMIT, sends
from hdl.accelerator.vector.block_sends import SENDS_LATENCY, BlockSends
from tests.hdl.accelerator.unit_bench import simulate

THRESHOLDS = (0, 1, 1 << 14, (1 << 14) + 1, 1 << 20, 1 << 24, (1 << 30) - 1, 1 << 30)


def edges(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Values (count, 4) fp16 and what is held of them: anything, equal, near, at the ends, subnormal, -0."""
    value = rng.uniform(-1, 1, (count, 4)).astype(np.float16)
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.0**-24, -(2.0**-24), 2.0**-11, -(2.0**-11), 3 * 2.0**-11], np.float16)
    at = rng.random(value.shape) < 0.3
    value[at] = rng.choice(special, at.sum())
    held = rng.integers(-HELD_LIMIT, HELD_LIMIT + 1, value.shape)
    near = rng.random(value.shape) < 0.6
    steps = rng.integers(-2, 3, value.shape)
    held = np.where(near, np.clip(np.rint(value.astype(np.float64) * 1024).astype(int) + steps, -1024, 1024), held)
    at = rng.random(value.shape) < 0.1
    held[at] = rng.choice([-HELD_LIMIT, 0, HELD_LIMIT], at.sum())
    return value, held.astype(np.int32)


@pytest.mark.parametrize("cols", [1, 4])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_sent_is_what_golden_sends(seed: int, cols: int) -> None:
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    dut = BlockSends()
    sent_at_all = 0

    async def bench(ctx: Any) -> None:
        nonlocal sent_at_all
        for threshold in (*THRESHOLDS, int(rng.integers(1, 1 << 22))):
            value, held = edges(rng, 150)
            # a distance of exactly the threshold, and one less
            exact = rng.integers(0, 150, 20)
            value[exact, 0], held[exact, 0] = np.float16(0), min(threshold >> 14, HELD_LIMIT)
            found = sends(numbers.q24_of_fp16(value), held, threshold, cols)
            sent = np.repeat(found.sent, cols, axis=1)
            sent_at_all += int(sent.sum())
            wanted = [
                (int(s @ (1, 2, 4, 8)), numbers.fp16_bits(c).tolist(), h.tolist(), numbers.fp16_bits(v).tolist())
                for s, c, h, v in zip(sent, found.change, found.held, value, strict=True)
            ]
            ctx.set(dut.threshold, threshold)
            ctx.set(dut.single, int(cols == 1))
            due: list[int] = []
            given = 0
            for cycle in range(4 * len(value)):
                done = ctx.get(dut.done)
                assert done == (bool(due) and due[0] == cycle), f"seed {seed}, threshold {threshold}"
                if done:
                    due.pop(0)
                    got = (
                        ctx.get(dut.sent),
                        [ctx.get(dut.changes[i]) for i in range(4)],
                        [ctx.get(dut.held_after[i]) for i in range(4)],
                        [ctx.get(dut.values_after[i]) for i in range(4)],
                    )
                    assert got == wanted.pop(0), f"seed {seed}, threshold {threshold}"
                if not wanted:
                    break
                valid = given < len(value) and stalls.random() < 0.8
                ctx.set(dut.valid, int(valid))
                ctx.set(dut.values, numbers.fp16_bits(value[given % 150]).tolist())
                ctx.set(dut.held, held[given % 150].tolist())
                if valid:
                    given += 1
                    due.append(cycle + SENDS_LATENCY)
                await ctx.tick()
            assert not wanted
            ctx.set(dut.valid, 0)
            await ctx.tick().repeat(SENDS_LATENCY)

    simulate(dut, bench)
    assert sent_at_all > 500, "some must be sent"
