"""The scanner of blocks alone: which columns of W and of U it asks for, in which order, and where they lie."""

import random
from typing import Any

import numpy as np
import pytest

from golden.config import preset
from hdl.accelerator.u.block_scanner import BlockScanner
from tests.hdl.accelerator.unit_bench import cycles, parameters, simulate

CFG = preset("event")
W, U = 0x4567, 0x9123


class Matrix:
    """Lengths and addresses of the units of a matrix, and which of them are sent in each step."""

    def __init__(
        self, rng: np.random.Generator, steps: int, blocks: int, unit: int, density: float, base: int, most: int
    ) -> None:
        self.blocks, self.unit = blocks, unit
        units = 4 * blocks // unit
        self.offsets = rng.integers(0, most + 1, units)
        self.starts = base + np.concatenate([[0], np.cumsum(self.offsets)])
        self.sent = rng.random((steps, units)) < density
        # of each block a bit for each of its four units, or four times the same
        self.bits = np.repeat(self.sent, unit, axis=1).reshape(steps, blocks, 4) @ (1, 2, 4, 8)
        self.words = np.pad(self.offsets, (0, -units % 4)).reshape(-1, 4)

    def row(self, address: int) -> Any:
        return self.words[address].tolist() if address < len(self.words) else [0] * 4


@pytest.mark.parametrize("state", [0, 1])
@pytest.mark.parametrize(
    ("seed", "x_blocks", "h_blocks", "density", "stall", "w_unit", "u_unit"),
    [
        (1, 1, 1, 0.5, 0.0, 1, 1),
        (2, 3, 6, 0.5, 0.5, 1, 4),
        (3, 9, 4, 0.0, 0.3, 4, 1),
        (4, 5, 8, 1.0, 0.3, 1, 1),
        (5, 8, 5, 0.3, 0.0, 4, 4),
    ],
)
def test_units_that_are_sent_are_asked_for(
    seed: int, x_blocks: int, h_blocks: int, density: float, stall: float, w_unit: int, u_unit: int, state: int
) -> None:
    """Of x of the step and of h before it, x first, however late their blocks come."""
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    steps = 4
    w = Matrix(rng, steps, x_blocks, w_unit, density, W, min(8, 4 * h_blocks))
    u = Matrix(rng, steps, h_blocks, u_unit, density, U, min(8, 4 * h_blocks))
    if not state:
        u.sent[0] = False
    wanted: list[Any] = []
    segments_wanted: list[Any] = []
    for t in range(steps):
        of_step = [(0, w, n) for n in np.flatnonzero(w.sent[t])] + [(1, u, n) for n in np.flatnonzero(u.sent[t])]
        segments_wanted += [(int(m.starts[n]), int(m.offsets[n])) for _, m, n in of_step]
        wanted += [(int(n), int(m.offsets[n]), of_u, t % 2, 0) for of_u, m, n in of_step]
        wanted.append((None, int(not of_step), None, t % 2, 1))
    dut = BlockScanner(CFG)
    segments: list[Any] = []
    columns: list[Any] = []
    counts = dict.fromkeys(("x_sent", "x_skipped", "kept", "skipped"), 0)

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, x_blocks=x_blocks, h_blocks=h_blocks, steps=steps, state_in=state, w=W, u=U)
        ctx.set(dut.parameters.delta, 1)
        ctx.set(dut.parameters.w_matrix.single, int(w_unit == 1))
        ctx.set(dut.parameters.u_matrix.single, int(u_unit == 1))
        published = {0: 0, 1: 0}
        ends = 0
        ctx.set(dut.enable, 1)
        # rows of h that can be known: that of the state, and of a step once it has ended
        h_first = 0 if state else 1
        asked = dict.fromkeys(("x", "h", "offsets"), 0)
        async for _ in cycles(ctx, lambda: f"{len(wanted)} columns, {len(columns)} came"):
            if len(columns) == len(wanted):
                break
            # what was asked for in the cycle before
            x_row, x_block = asked["x"] // CFG.x_blocks, asked["x"] % CFG.x_blocks
            x_step = next((t for t in range(ends, min(ends + 2, steps)) if t % 2 == x_row), 0)
            ctx.set(dut.x_keep.keep, int(w.bits[x_step, x_block]) if x_block < x_blocks else 0)
            ctx.set(dut.keep.keep, int(u.bits[min(ends, steps - 1), asked["h"]]) if asked["h"] < h_blocks else 0)
            ctx.set(dut.w_offsets, w.row(asked["offsets"]))
            ctx.set(dut.offsets, u.row(asked["offsets"]))
            ctx.set(dut.room, int(stalls.random() >= stall))
            # x is known up to a step ahead, h of a step when it has ended
            x_may = published[0] < min(steps, ends + 2) * x_blocks and stalls.random() >= stall
            h_may = published[1] < (min(ends + 1, steps) - h_first) * h_blocks and stalls.random() >= stall
            ctx.set(dut.x_keep.published, int(x_may))
            ctx.set(dut.keep.published, int(h_may))
            published[0] += x_may
            published[1] += h_may
            # what was asked for stays until there is another question
            if ctx.get(dut.keep.en):
                assert ctx.get(dut.x_keep.en) and ctx.get(dut.offset_en)
                asked = {
                    "x": ctx.get(dut.x_keep.addr),
                    "h": ctx.get(dut.keep.addr),
                    "offsets": ctx.get(dut.offset_addr),
                }
            if ctx.get(dut.segments.valid):
                segments.append((ctx.get(dut.segments.payload.addr), ctx.get(dut.segments.payload.words)))
            if ctx.get(dut.columns.valid):
                entry = ctx.get(dut.columns.payload)
                if entry.end:
                    ends += 1
                    columns.append((None, entry.mark.first, None, entry.mark.half, 1))
                else:
                    columns.append((entry.column, entry.words, entry.mark.of_u, entry.mark.half, 0))
            for name in counts:
                counts[name] += ctx.get(getattr(dut, name))
            assert not ctx.get(dut.bad_format)

    simulate(dut, bench)
    assert columns == wanted, f"seed {seed}"
    assert segments == segments_wanted, f"seed {seed}"
    sent, all_units = [int(m.sent.sum()) for m in (w, u)], [m.sent.size for m in (w, u)]
    assert counts == {
        "x_sent": sent[0], "x_skipped": all_units[0] - sent[0], "kept": sent[1], "skipped": all_units[1] - sent[1],
    }  # fmt: skip
