"""The cell unit alone: c and h from gates, against golden's cell."""

import random
from typing import Any

import numpy as np
import pytest

from golden import numbers
from hdl.accelerator.vector.cell_unit import CellUnit
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

MOST = int(numbers.tanh(2**31))
"""The largest that tanh and sigmoid come to: just below 1."""


def cell(f: Any, i: Any, g: Any, o: Any, c: Any) -> tuple[np.ndarray, np.ndarray]:
    """One step from gates, as ``golden.numbers.gates`` takes it from sums."""
    new = numbers.saturate32(numbers.rhu(f * c, 20) + numbers.rhu(i * g, 20))
    return new, numbers.fp16_of_q20(numbers.rhu(o * numbers.tanh(new), 20))


@pytest.mark.parametrize("state", [0, 1])
@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.5), (3, 0.9)])
def test_cells_and_h_are_those_of_golden(seed: int, stall: float, state: int) -> None:
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    blocks, steps = 6, 4
    hidden = 4 * blocks
    f, i, o = (rng.integers(0, MOST + 1, (steps, hidden)) for _ in range(3))
    g = rng.integers(-MOST, MOST + 1, (steps, hidden))
    # one unit grows as far as it can, one stays near zero
    f[:, 0], i[:, 0], g[:, 0] = MOST, MOST, MOST
    i[:, 1] = 0
    c = rng.integers(-(2**31), 2**31, hidden) if state else np.zeros(hidden, np.int64)
    c[0] = 2**31 - 1 if state else 0
    loaded = c.copy()
    expected = []
    for t in range(steps):
        c, h = cell(f[t], i[t], g[t], o[t], c)
        expected += numbers.fp16_bits(h).tolist()
    gates = np.stack([f, i, g, o])
    dut = CellUnit(CFG)
    units: list[int] = []
    cells: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, state_in=state)
        if state:
            for unit in range(hidden):
                ctx.set(dut.c.en, 1)
                ctx.set(dut.c.addr, unit)
                ctx.set(dut.c.data, int(loaded[unit]))
                await ctx.tick()
            ctx.set(dut.c.en, 0)
        given = 0
        asked = 0
        memory: dict[int, int] = {}
        waited = f"seed {seed}: {steps * hidden} units of h"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(units)} yet"):
            # what was asked for in the cycle before is there in this one
            if asked in memory:
                step, block = divmod(memory[asked], blocks)
                for gate in range(4):
                    for lane in range(4):
                        ctx.set(dut.quad.gates[gate][lane], int(gates[gate, step, 4 * block + lane]))
            if ctx.get(dut.unit.valid):
                units.append(ctx.get(dut.unit.h))
            if len(units) == steps * hidden:
                break
            # a step follows when the one before has left the pipeline, as it needs its h
            free = given % blocks or len(units) == 4 * given
            give = given < steps * blocks and free and given - len(units) // 4 < 4 and stalls.random() >= stall
            ctx.set(dut.quad.done, int(give))
            if give:
                memory[given % blocks % 8] = given
                given += 1
            asked = ctx.get(dut.quad.addr)
        for unit in range(hidden):
            ctx.set(dut.read.read, 1)
            ctx.set(dut.read.addr, unit)
            await ctx.tick()
            cells.append(ctx.get(dut.read.c))

    simulate(dut, bench)
    assert units == expected
    assert cells == c.tolist()
