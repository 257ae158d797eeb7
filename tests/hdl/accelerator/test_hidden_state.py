"""The hidden state alone: which blocks are kept, and what the U path and the store unit read of them."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import BLOCK_COLS, VECTOR_UNITS, AcceleratorConfig
from golden.sends import HELD_LIMIT, of_grid, sends
from hdl.accelerator.vector.block_sends import SENDS_LATENCY
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


def with_changes(units: int) -> AcceleratorConfig:
    """A build with DELTA; by events where there are more units a cycle than one."""
    cfg = replace(CFG, stream16=True, delta=True)
    return cfg if units == 1 else replace(cfg, n_pe=1, slots=0, esell=False, events=True, vector_units=units)


def drift(rng: np.random.Generator, rows: int, hidden: int) -> np.ndarray:
    """h that changes little from row to row, now and then much, and often not at all on the grid of what is held."""
    steps = rng.normal(size=(rows, hidden)) * rng.choice([0, 2.0**-13, 2.0**-9, 0.1, 1], (rows, hidden))
    return np.clip(rng.uniform(-1, 1, hidden) + steps.cumsum(axis=0), -1, 1).astype(np.float16)


@pytest.mark.parametrize(
    ("seed", "threshold", "unit", "state", "units", "delta", "pruned"),
    [
        (1, 0.2, 4, 0, 1, 1, 1),
        (2, 0.1, 1, 1, 1, 1, 1),
        (3, 0.0, 4, 1, 2, 1, 0),
        (4, 0.05, 1, 0, 4, 1, 1),
        (5, 0.3, 4, 1, 4, 1, 1),
        (6, float("inf"), 4, 1, 1, 1, 1),
        (7, 0.0, 1, 0, 2, 1, 0),
        (8, 0.2, 4, 1, 4, 0, 1),
        (9, 0.2, 1, 0, 1, 0, 1),
        (10, 1.0, 1, 1, 1, 1, 0),
        (11, 0.05, 1, 1, 8, 1, 1),
        (12, 0.1, 4, 1, 8, 1, 0),
        (13, 0.2, 4, 1, 8, 1, 1),
        (15, 0.2, 1, 0, 8, 0, 1),
    ],
)
def test_changes_are_sent_as_golden_says(
    seed: int, threshold: float, unit: int, state: int, units: int, delta: int, pruned: int
) -> None:
    """In a build with DELTA: what is sent and by how much, rows as they are stored, what is held in the end, last h.

    ``units``: elements of h in a cycle; without ``delta`` h itself is kept or not.
    """
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    blocks, steps = (5, 1, 4)[seed % 3], 5
    hidden = 4 * blocks
    limit = numbers.threshold_q24(threshold)
    h = drift(rng, steps + state, hidden)
    q24 = numbers.q24_of_fp16(h)
    # what memory has at first counts only in a run with a state
    in_memory = rng.choice([-HELD_LIMIT, HELD_LIMIT, *rng.integers(-HELD_LIMIT, HELD_LIMIT + 1, 6)], hidden)
    held = in_memory.astype(np.int32) if state else np.zeros(hidden, np.int32)
    sent, given, shown = [], [], []
    for row in range(len(h)):
        found = sends(q24[row : row + 1], held[None], limit, unit)
        if not delta:
            sent.append(numbers.keep_units(h[row : row + 1], limit, unit)[0])
            given.append(h[row])
            shown.append(h[row])
            continue
        sent.append(found.sent[0])
        # after the last step nothing is sent any more; its h is what a state has, and what is held is from before
        given.append(found.change[0] if row < len(h) - 1 else h[row])
        shown.append(of_grid(found.held)[0] if pruned else h[row])
        held = found.held[0] if row < len(h) - 1 else held
    wanted = np.repeat(np.array(sent), unit, axis=1).reshape(-1, blocks, 4) @ (1, 2, 4, 8)
    values = numbers.fp16_bits(np.array(given)).reshape(-1, blocks, 4)
    row_values = numbers.fp16_bits(np.array(shown)).reshape(-1, blocks, 4)
    keep_rows = np.full_like(wanted, 15) if delta else wanted

    dut = HiddenState(with_changes(units))
    bits = numbers.fp16_bits(h)
    kept: list[tuple[int, list[int]]] = []
    stored: list[tuple[int, list[int]]] = []
    raw: list[list[int]] = []
    left: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, threshold=limit, state_in=state, steps=steps, delta=delta)
        parameters(ctx, dut, h_pruned=pruned)
        ctx.set(dut.parameters.u_matrix.single, int(unit == 1))
        for addr, value in enumerate(in_memory.tolist()):
            ctx.set(dut.held.en, 1)
            ctx.set(dut.held.addr, addr)
            ctx.set(dut.held.data, value)
            await ctx.tick()
        ctx.set(dut.held.en, 0)
        queue = [
            (bits[row, i : i + (1 if row < state else units)].tolist(), row)
            for row in range(len(h))
            for i in range(0, hidden, 1 if row < state else units)
        ]
        published = done = 0
        reading: tuple[int, int] | None = None
        looking = False
        waited = f"seed {seed}: all blocks published and read"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(kept)} of {h.size // 4} yet"):
            shown_now = (ctx.get(dut.keep.keep), list(ctx.get(dut.block.h)))
            if looking:
                kept.append(shown_now)
            assert not kept or shown_now == kept[-1], f"seed {seed}: a block that was asked for does not stay"
            if reading is not None:
                stored.append((ctx.get(dut.row.keep), list(ctx.get(dut.row.h))))
            if len(kept) == h.size // 4 and len(stored) == steps * blocks:
                break
            # an h follows from all of the h before it, and its row may be overwritten when it is stored
            row = queue[0][1] if queue else 0
            feed = bool(queue) and len(kept) >= row * blocks and stalls.random() < 0.8
            feed = feed and len(stored) >= (row - state - 1) * blocks
            ctx.set(dut.unit.valid, 0)
            ctx.set(dut.state.valid, 0)
            if feed:
                new, row = queue.pop(0)
                source = dut.state if row < state else dut.unit
                ctx.set(source.valid, 1)
                for i, element in enumerate(new):
                    ctx.set(source.h if len(new) == 1 else source.h[i], element)
            done += ctx.get(dut.row.done)
            looking = len(kept) < published and stalls.random() < 0.7
            published += ctx.get(dut.keep.published)
            ctx.set(dut.block.en, looking)
            ctx.set(dut.keep.en, looking)
            for port in (dut.keep, dut.block):
                ctx.set(port.addr, len(kept) % blocks if looking else stalls.randrange(blocks))
            ready = len(stored) < (done - ctx.get(dut.row.done)) * blocks
            reading = (len(stored) // blocks, len(stored) % blocks) if ready and stalls.random() < 0.7 else None
            if reading is not None:
                ctx.set(dut.row.half, reading[0] % 2)
                ctx.set(dut.row.addr, reading[1])
        ctx.set(dut.block.en, 0)
        ctx.set(dut.row.raw, 1)
        for block in range(blocks):
            ctx.set(dut.row.addr, block)
            await ctx.tick()
            raw.append(list(ctx.get(dut.row.h)))
        ctx.set(dut.row.raw, 0)
        ctx.set(dut.held_state.read, 1)
        for unit_ in range(hidden):
            ctx.set(dut.held_state.addr, unit_)
            await ctx.tick()
            left.append(ctx.get(dut.held_state.value))

    simulate(dut, bench)
    every = [(row, block) for row in range(len(h)) for block in range(blocks)]
    assert kept == [(int(wanted[r, b]), values[r, b].tolist()) for r, b in every], f"seed {seed}"
    assert stored == [(int(keep_rows[r, b]), row_values[r, b].tolist()) for r, b in every[state * blocks :]]
    assert raw == bits[-1].reshape(blocks, 4).tolist()
    assert left == (held if delta else in_memory).tolist()


@pytest.mark.parametrize("units", VECTOR_UNITS)
def test_a_block_can_be_read_soon_after_its_last_element(units: int) -> None:
    """The next step waits for it: what is sent is decided at once of a block that comes whole, of one that is collected
    in the cycle after, and told of when it is written."""
    dut = HiddenState(with_changes(units))
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=2, steps=2, delta=1)
        async for cycle in cycles(ctx, lambda: "two blocks", 40):
            ctx.set(dut.unit.valid, int(cycle < 8 // units))
            seen.extend([cycle] * ctx.get(dut.keep.published))
            if len(seen) == 2:
                break

    simulate(dut, bench)
    last = [max(4 // units, 1) - 1, 8 // units - 1]
    assert seen == [cycle + SENDS_LATENCY + (units < BLOCK_COLS) for cycle in last]
