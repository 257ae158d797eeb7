"""The column scanner alone: which columns of U it asks for, and where they lie."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hdl.accelerator.u.column_scanner import ColumnScanner
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

U = 0x4567
STREAMS = replace(CFG, stream16=True)


@pytest.mark.parametrize("state", [0, 1])
@pytest.mark.parametrize(
    ("seed", "blocks", "density", "threshold", "stall", "unit"),
    [
        (1, 1, 0.5, 1, 0.0, 4),
        (2, 6, 0.5, 1, 0.5, 4),
        (3, 9, 0.0, 1, 0.3, 4),
        (4, 16, 1.0, 1, 0.7, 4),
        (5, 5, 0.4, 0, 0.4, 4),
        (6, 3, 0.5, 1, 0.3, 1),
        (7, 5, 0.4, 0, 0.0, 1),
    ],
)
def test_kept_columns_are_asked_for(
    seed: int, blocks: int, density: float, threshold: int, stall: float, unit: int, state: int
) -> None:
    """Of blocks of four columns, or of single ones, which only streams have."""
    units = 4 * blocks // unit
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    steps = 4
    offsets = rng.integers(0, (18 if unit == 4 else 4) * blocks + 1, units)
    starts = U + np.concatenate([[0], np.cumsum(offsets)])
    keep = rng.random((steps, units)) < density
    looked = keep.copy()
    if not state:
        # the zeros before the first step are kept by a threshold of 0 alone; row t is then h of step t - 1
        looked = np.vstack([np.full((1, units), threshold == 0), keep[: steps - 1]])
    wanted_segments: list[Any] = []
    wanted_columns: list[Any] = []
    for t in range(steps):
        kept = np.flatnonzero(looked[t]).tolist()
        wanted_segments += [(int(starts[b]), int(offsets[b])) for b in kept]
        wanted_columns += [(b, int(offsets[b]), int(b == kept[0]), t % 2, 0) for b in kept]
        wanted_columns.append((None, None, int(not kept), t % 2, 1))
    # of each block of h, a bit for each of its four units, or four times the same
    bits = np.repeat(keep, unit, axis=1).reshape(steps, blocks, 4) @ (1, 2, 4, 8)
    words = np.pad(offsets, (0, -units % 4)).reshape(-1, 4)
    dut = ColumnScanner(CFG if unit == 4 else STREAMS)
    segments: list[tuple[int, int]] = []
    columns: list[tuple[int | None, int | None, int, int, int]] = []
    counts = {"kept": 0, "skipped": 0}

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, steps=steps, threshold=threshold, state_in=state, u=U)
        ctx.set(dut.parameters.u_matrix.single, int(unit == 1))
        ctx.set(dut.parameters.u_matrix.stream, int(unit == 1))
        published = consumed = 0
        keep_addr = offset_addr = 0
        waited = f"seed {seed}: {steps} ends of a step"
        async for cycle in cycles(ctx, lambda: f"{waited}, {len(columns)} columns yet"):
            ctx.set(dut.enable, int(cycle >= 5))
            row = min(consumed // units, steps - 1)
            ctx.set(dut.keep.keep, int(bits[row, keep_addr]) & (15 if unit == 1 else 1) if keep_addr < blocks else 0)
            ctx.set(dut.offsets, words[min(offset_addr, len(words) - 1)].tolist())
            # h of a step is known when its sums are, so after the end of its columns; the state's from the start
            known = sum(column[4] for column in columns) + state
            publish = published < min(known, steps) * blocks and stalls.random() >= stall
            ctx.set(dut.keep.published, int(publish))
            published += publish
            ctx.set(dut.room, int(stalls.random() >= stall))
            if ctx.get(dut.segments.valid):
                segments.append((ctx.get(dut.segments.payload.addr), ctx.get(dut.segments.payload.words)))
            if ctx.get(dut.columns.valid):
                entry = ctx.get(dut.columns.payload)
                number = (entry.column, entry.words) if not entry.end else (None, None)
                columns.append((*number, entry.mark.first, entry.mark.half, entry.end))
            for name in counts:
                counts[name] += ctx.get(getattr(dut, name))
            assert cycle >= 5 or not columns, "nothing before it is enabled"
            assert not ctx.get(dut.bad_format)
            if ctx.get(dut.kept) + ctx.get(dut.skipped) and (state or sum(counts.values()) > units):
                consumed += 1
            if sum(column[4] for column in columns) == steps:
                break
            keep_addr, offset_addr = ctx.get(dut.keep.addr), ctx.get(dut.offset_addr)

    simulate(dut, bench)
    assert columns == wanted_columns, f"seed {seed}"
    assert segments == wanted_segments, f"seed {seed}"
    assert counts == {"kept": int(looked.sum()), "skipped": int((~looked).sum())}


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize(
    ("packing", "longest"),
    [
        ({}, 36),
        ({"stream": 1}, 32),
        ({"stream": 1, "single": 1}, 8),
        ({"stream": 1, "narrow": 1}, 16),
        ({"stream": 1, "narrow": 1, "single": 1}, 4),
    ],
)
def test_a_unit_longer_than_it_can_be_is_told(packing: dict[str, int], longest: int, bad: int) -> None:
    """Of H = 8: a word for each place of a unit of a stream, of eSELL as many as its blocks can have."""
    dut = ColumnScanner(replace(STREAMS, stream8=True) if packing else CFG)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        # a column has 2 blocks of 8 rows for each block of h: at most 2 heads and 16 value words
        parameters(ctx, dut, h_blocks=2, steps=1, threshold=0)
        ctx.set(dut.enable, 1)
        ctx.set(dut.room, 1)
        for name, value in packing.items():
            ctx.set(getattr(dut.parameters.u_matrix, name), value)
        ctx.set(dut.offsets, [longest + bad, 0, 0, 0])
        async for _ in cycles(ctx, lambda: "the end of the columns", 50):
            seen.append(ctx.get(dut.bad_format))
            if ctx.get(dut.columns.valid) and ctx.get(dut.columns.payload.end):
                break

    simulate(dut, bench)
    assert max(seen) == bad
