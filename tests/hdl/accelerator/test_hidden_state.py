"""The hidden state alone: which blocks are kept, and what the U path and the store unit read of them."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from hdl.accelerator.vector.hidden_state import HiddenState
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate


def rows_of_h(rng: np.random.Generator, rows: int, hidden: int) -> np.ndarray:
    """h of all sizes: blocks that only a large element keeps, and sums near the threshold, among them."""
    h = rng.uniform(-1, 1, (rows, hidden)) * rng.choice([1, 0.3, 0.05, 1e-4], (rows, hidden))
    h[rng.random(h.shape) < 0.2] = 0
    return h.astype(np.float16)


@pytest.mark.parametrize("state", [0, 1])
@pytest.mark.parametrize(
    ("seed", "threshold", "unit"),
    [(1, 0.4, 4), (2, 0.0, 4), (3, 1.2, 4), (4, float("inf"), 4), (5, 0.2, 1), (6, 0.0, 1)],
)
def test_blocks_are_kept_as_golden_says(seed: int, threshold: float, unit: int, state: int) -> None:
    """Blocks, or single units of streams, of which each has a bit of its own."""
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    blocks, steps = 5, 4
    limit = numbers.threshold_q24(threshold)
    h = rows_of_h(rng, steps + state, 4 * blocks)
    keep = numbers.keep_units(h, limit, unit)
    wanted = keep if unit == 4 else keep.reshape(*keep.shape[:-1], blocks, 4) @ (1, 2, 4, 8)
    bits = numbers.fp16_bits(h)
    dut = HiddenState(CFG if unit == 4 else replace(CFG, stream16=True))
    kept: list[tuple[int, list[int]]] = []
    stored: list[tuple[int, list[int]]] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, threshold=limit, state_in=state)
        ctx.set(dut.parameters.u_matrix.single, int(unit == 1))
        units = [(int(bits[row, i]), row < state) for row in range(len(h)) for i in range(4 * blocks)]
        published = done = 0
        reading: tuple[int, int] | None = None
        looking = False
        waited = f"seed {seed}: all blocks published and read"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(kept)} of {h.size // 4} yet"):
            if looking:
                kept.append((ctx.get(dut.keep.keep), list(ctx.get(dut.block.h))))
            if reading is not None:
                stored.append((ctx.get(dut.row.keep), list(ctx.get(dut.row.h))))
            if len(kept) == h.size // 4 and len(stored) == steps * blocks:
                break
            feed = bool(units) and stalls.random() < 0.6
            # a row may be overwritten when it is stored
            feed = feed and (len(units) % (4 * blocks) != 0 or done * blocks - len(stored) <= blocks)
            ctx.set(dut.unit.valid, 0)
            ctx.set(dut.state.valid, 0)
            if feed:
                value, of_state = units.pop(0)
                source = dut.state if of_state else dut.unit
                ctx.set(source.valid, 1)
                ctx.set(source.h, value)
            done += ctx.get(dut.row.done)
            # a block is read from the cycle after it is published
            looking = len(kept) < published and stalls.random() < 0.7
            published += ctx.get(dut.keep.published)
            ctx.set(dut.block.en, looking)
            if looking:
                ctx.set(dut.keep.addr, len(kept) % blocks)
                ctx.set(dut.block.addr, len(kept) % blocks)
            # the last block of a row is written in the cycle of `done`
            ready = len(stored) < (done - ctx.get(dut.row.done)) * blocks
            reading = (len(stored) // blocks, len(stored) % blocks) if ready and stalls.random() < 0.7 else None
            if reading is not None:
                ctx.set(dut.row.half, reading[0] % 2)
                ctx.set(dut.row.addr, reading[1])

    simulate(dut, bench)
    blocks_of = bits.reshape(len(h), blocks, 4)
    expected = [(int(wanted[r, b]), blocks_of[r, b].tolist()) for r in range(len(h)) for b in range(blocks)]
    assert kept == expected
    assert stored == expected[state * blocks :]
