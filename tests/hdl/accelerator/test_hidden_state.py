"""The hidden state alone: which blocks are kept, and what the U path and the store unit read of them."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import VECTOR_UNITS, preset
from golden.sends import of_grid, sends
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


DELTA = replace(CFG, delta=True)
CONFIGS = {"DELTA": DELTA, **{str(units): replace(preset("event"), vector_units=units) for units in VECTOR_UNITS}}
NOBODY_LOADED = 777
"""Held values that a run before left, in units of 2^-10."""


@dataclass
class Seen:
    """What is read of a hidden state: of each row its keep bits, operands and blocks to store, of the last one h, and
    what is held in the end."""

    keep: list[int] = field(default_factory=list)
    operands: list[list[int]] = field(default_factory=list)
    rows: list[tuple[int, list[int]]] = field(default_factory=list)
    last: list[list[int]] = field(default_factory=list)
    held: list[int] = field(default_factory=list)


def read_all(dut: HiddenState, h: np.ndarray, held: np.ndarray | None, seed: int, **values: int) -> Seen:
    """Give ``dut`` the rows h (N, H) fp16, the first of a state where ``held`` (H,) is loaded, some elements at once,
    and read everything of it, with random stalls."""
    stalls = random.Random(seed)
    width = dut.cfg.vector_units
    state, blocks = int(held is not None), h.shape[1] // 4
    bits = numbers.fp16_bits(h)
    loaded = np.full(h.shape[1], NOBODY_LOADED) if held is None else held
    seen = Seen()

    async def bench(ctx: Any) -> None:
        single = values.pop("single")
        parameters(ctx, dut, h_blocks=blocks, steps=len(h) - state, state_in=state, **values)
        ctx.set(dut.parameters.u_matrix.single, single)
        for unit, value in enumerate(loaded.tolist()):
            ctx.set(dut.held.en, 1)
            ctx.set(dut.held.addr, unit)
            ctx.set(dut.held.data, value)
            await ctx.tick()
        ctx.set(dut.held.en, 0)
        feeds = [
            (row, row < state, bits[row, i : i + (1 if row < state else width)].tolist())
            for row in range(len(h))
            for i in range(0, h.shape[1], 1 if row < state else width)
        ]
        published = done = 0
        looking = False
        reading: int | None = None
        async for _ in cycles(ctx, lambda: f"seed {seed}: {h.size // 4} blocks, {len(seen.keep)} read"):
            if looking:
                seen.keep.append(ctx.get(dut.keep.keep))
                seen.operands.append(list(ctx.get(dut.block.h)))
            if reading is not None:
                seen.rows.append((ctx.get(dut.row.keep), list(ctx.get(dut.row.h))))
            if len(seen.keep) == h.size // 4 and len(seen.rows) == (len(h) - state) * blocks:
                break
            # a step begins when all of h before it is known and read, and a row may be overwritten when it is stored
            feed = bool(feeds) and stalls.random() < 0.7 and len(seen.keep) >= feeds[0][0] * blocks
            feed = feed and done * blocks - len(seen.rows) <= blocks
            ctx.set(dut.unit.valid, 0)
            ctx.set(dut.state.valid, 0)
            if feed:
                _, of_state, elements = feeds.pop(0)
                source = dut.state if of_state else dut.unit
                ctx.set(source.valid, 1)
                for i, element in enumerate(elements):
                    ctx.set(source.h if len(elements) == 1 else source.h[i], element)
            done += ctx.get(dut.row.done)
            looking = len(seen.keep) < published and stalls.random() < 0.7
            published += ctx.get(dut.keep.published)
            ctx.set(dut.keep.en, int(looking))
            ctx.set(dut.block.en, int(looking))
            ctx.set(dut.keep.addr, len(seen.keep) % blocks if looking else stalls.randrange(blocks))
            ctx.set(dut.block.addr, len(seen.keep) % blocks if looking else stalls.randrange(blocks))
            ready = len(seen.rows) < (done - ctx.get(dut.row.done)) * blocks
            reading = len(seen.rows) if ready and stalls.random() < 0.7 else None
            if reading is not None:
                ctx.set(dut.row.half, reading // blocks % 2)
                ctx.set(dut.row.addr, reading % blocks)
        ctx.set(dut.block.en, 0)
        ctx.set(dut.row.raw, 1)
        for block in range(blocks):
            ctx.set(dut.row.addr, block)
            await ctx.tick()
            seen.last.append(list(ctx.get(dut.row.h)))
        ctx.set(dut.held_state.read, 1)
        for unit in range(4 * blocks):
            ctx.set(dut.held_state.addr, unit)
            await ctx.tick()
            seen.held.append(ctx.get(dut.held_state.value))

    simulate(dut, bench)
    return seen


def drawn(rng: np.random.Generator, rows: int, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of h that change little or much, and what is held at first."""
    steps = rng.normal(size=(rows, hidden)) * rng.choice([0.5, 0.02, 1e-3, 0], (rows, hidden))
    h = np.clip(np.cumsum(steps, axis=0), -1, 1).astype(np.float16)
    held = np.clip(np.rint(h[0].astype(np.float64) * 1024) + rng.integers(-40, 41, hidden), -1024, 1024)
    return h, held.astype(np.int32)


@pytest.mark.parametrize(
    ("name", "seed", "blocks", "threshold", "unit", "state", "pruned"),
    [
        ("DELTA", 1, 1, 0.02, 1, 0, 1),
        ("DELTA", 2, 5, 0.05, 4, 1, 1),
        ("1", 3, 3, 0.0, 1, 1, 0),
        ("2", 4, 4, 0.1, 4, 0, 1),
        ("2", 5, 2, 0.01, 1, 1, 0),
        ("4", 6, 1, 0.02, 1, 0, 1),
        ("4", 7, 5, 0.05, 4, 1, 1),
    ],
)
def test_changes_are_those_of_golden(
    name: str, seed: int, blocks: int, threshold: float, unit: int, state: int, pruned: int
) -> None:
    """Also what is stored of a row, and that the last row leaves h as it is and what is held as it was."""
    cfg = CONFIGS[name]
    h, at_first = drawn(np.random.default_rng(seed), 5 + state, 4 * blocks)
    limit = numbers.threshold_q24(threshold)
    held = at_first[None] if state else np.zeros((1, 4 * blocks), np.int32)
    keep: list[int] = []
    operands: list[list[int]] = []
    rows: list[list[int]] = []
    for row in h[:, None]:
        found = sends(numbers.q24_of_fp16(row), held, limit, unit)
        keep += (np.repeat(found.sent, unit, axis=1).reshape(blocks, 4) @ (1, 2, 4, 8)).tolist()
        operands += numbers.fp16_bits(found.change).reshape(-1, 4).tolist()
        rows += numbers.fp16_bits(of_grid(found.held) if pruned else row).reshape(-1, 4).tolist()
        before, held = held, found.held
    seen = read_all(
        HiddenState(cfg), h, at_first if state else None, seed,
        delta=1, threshold=limit, h_pruned=pruned, single=int(unit == 1),
    )  # fmt: skip
    where = f"seed {seed}, {name}"
    assert sum(keep) > 0, f"{where}: some must be sent"
    # nobody takes anything of the last row
    assert seen.keep[:-blocks] == keep[:-blocks], where
    assert seen.operands[:-blocks] == operands[:-blocks], where
    assert seen.rows == [(15, row) for row in rows[state * blocks :]], where
    assert seen.last == numbers.fp16_bits(h[-1]).reshape(-1, 4).tolist(), where
    assert seen.held == before[0].tolist(), where


@pytest.mark.parametrize(
    ("name", "seed", "threshold", "unit", "state"), [("DELTA", 1, 0.4, 4, 1), ("DELTA", 2, 0.2, 1, 0)]
)
def test_a_build_with_delta_prunes_as_golden_says(
    name: str, seed: int, threshold: float, unit: int, state: int
) -> None:
    """Nothing is held then, whatever there is in that memory, and what is there stays."""
    blocks = 4
    h = rows_of_h(np.random.default_rng(seed), 4 + state, 4 * blocks)
    limit = numbers.threshold_q24(threshold)
    kept = np.repeat(numbers.keep_units(h, limit, unit), unit, axis=1).reshape(-1, 4) @ (1, 2, 4, 8)
    bits = numbers.fp16_bits(h).reshape(-1, 4).tolist()
    held = np.full(4 * blocks, NOBODY_LOADED) if state else None
    seen = read_all(HiddenState(DELTA), h, held, seed, threshold=limit, h_pruned=1, single=int(unit == 1))
    where = f"seed {seed}"
    assert seen.keep == kept.tolist(), where
    assert seen.operands == bits, where
    assert seen.rows == list(zip(kept.tolist(), bits, strict=True))[state * blocks :], where
    assert set(seen.held) == {NOBODY_LOADED}, where
