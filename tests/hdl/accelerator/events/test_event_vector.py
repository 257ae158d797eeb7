"""Gates and cell by events: from sums of changes to h, of one to eight units a cycle."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth import Module
from amaranth.lib.wiring import connect

from golden import numbers
from golden.config import BANK_LANES, VECTOR_UNITS, preset
from hdl.accelerator.events.event_cell import EventCell
from hdl.accelerator.events.event_gates import EventGates
from tests.hdl.accelerator.unit_bench import cycles, simulate

CFG = preset("event")
ONE = 0x3C00
"""1 in fp16."""


def lane_of(row: int, h: int) -> tuple[int, int]:
    """Row group and lane of a row: gates 0 and 1 of two blocks of units, then their gates 2 and 3."""
    gate, unit = divmod(row, h)
    block = unit // 4
    return block // 2 * 2 + gate // 2, 8 * (gate % 2) + 4 * (row // 4 % 2) + unit % 4


@pytest.mark.parametrize(
    ("units", "seed", "blocks", "state"),
    [
        pytest.param(units, seed, blocks, state, marks=[pytest.mark.slow] if units == 8 and seed < 4 else [])
        for seed, blocks, state in ((1, 1, 0), (2, 4, 1), (3, 5, 0), (4, 7, 1))
        for units in VECTOR_UNITS
    ],
)
def test_sums_become_h(units: int, seed: int, blocks: int, state: int) -> None:
    """The sums of steps are added to those before, of the state or none, and give h and c as golden's do."""
    cfg = replace(CFG, vector_units=units)
    at_once = 2 if units == 8 else 1
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    h, steps = 4 * blocks, 4
    bias = rng.normal(size=4 * h).astype(np.float16)
    changes = rng.integers(-(1 << 20), 1 << 20, (steps, 4 * h))
    empty = rng.random(steps) < 0.3
    changes[empty] = 0
    # what memories have at first counts only in a run with a state
    old_held, old_c = rng.integers(-(1 << 20), 1 << 20, 4 * h), rng.integers(-(1 << 21), 1 << 21, (1, h))
    held, c, wanted = old_held * state, old_c * state, []
    for t in range(steps):
        sums = held + changes[: t + 1].sum(axis=0) + numbers.bias_q20(bias)
        c, row = numbers.gates(sums.reshape(1, 4, h), c)
        wanted.append(numbers.fp16_bits(row[0]).tolist())
    m = Module()
    m.submodules.gates = gates = EventGates(cfg)
    m.submodules.cell = cell = EventCell(cfg)
    connect(m, gates.gates, cell.gates)
    found: list[int] = []
    passes = 0

    async def bench(ctx: Any) -> None:
        # a run of a block more leaves sums behind that overflow by their bias
        ctx.set(gates.parameters.h_blocks, blocks + 1)
        for gate in range(4):
            for unit in range(h, h + 4):
                ctx.set(gates.held_sums.en, 1)
                ctx.set(gates.held_sums.addr, gate * (h + 4) + unit)
                ctx.set(gates.held_sums.data, (1 << 31) - 1)
                ctx.set(gates.bias.en, 1)
                ctx.set(gates.bias.addr, gate * (blocks + 1) + blocks)
                ctx.set(gates.bias.data, [ONE] * 4)
                await ctx.tick()
        ctx.set(gates.held_sums.en, 0)
        for part in (gates, cell):
            ctx.set(part.parameters.h_blocks, blocks)
            ctx.set(part.parameters.state_in, state)
        for n in range(h):
            ctx.set(gates.bias.en, 1)
            ctx.set(gates.bias.addr, n)
            ctx.set(gates.bias.data, numbers.fp16_bits(bias[4 * n :][:4]).tolist())
            await ctx.tick()
        ctx.set(gates.bias.en, 0)
        for n in range(4 * h):
            ctx.set(gates.held_sums.en, 1)
            ctx.set(gates.held_sums.addr, n)
            ctx.set(gates.held_sums.data, int(old_held[n]))
            ctx.set(cell.c.en, int(n < h))
            ctx.set(cell.c.addr, n % h)
            ctx.set(cell.c.data, int(old_c[0, n % h]))
            await ctx.tick()
        ctx.set(gates.held_sums.en, 0)
        ctx.set(cell.c.en, 0)
        nonlocal passes
        told, rows, sums = 0, 0, [0] * (BANK_LANES * at_once)
        async for _ in cycles(ctx, lambda: f"{steps * h} units, {len(found)} came"):
            if len(found) == steps * h:
                break
            # a step's sums are complete when the row before is known; rows are stored a little later
            tell = told < steps and len(found) == told * h and stalls.random() < 0.5
            ctx.set(gates.step.done, int(tell))
            ctx.set(gates.step.empty, int(tell and empty[told]))
            told += tell
            stored = rows * h < len(found) - h * (rows + 1) + 1 + rows * h and stalls.random() < 0.1
            ctx.set(gates.row_free, int(stored))
            rows += stored
            for lane, value in enumerate(sums):
                ctx.set(gates.sums.sums[lane], value)
            if ctx.get(gates.sums.read):
                step = told - 1
                assert not empty[step], "sums that are nowhere"
                assert ctx.get(gates.sums.half) == step % 2 and ctx.get(gates.sums.clears) == 15
                group = ctx.get(gates.sums.row_group)
                assert group % at_once == 0
                sums = [0] * (BANK_LANES * at_once)
                for row in range(4 * h):
                    row_group, lane = lane_of(row, h)
                    if row_group // at_once == group // at_once:
                        sums[row_group % at_once * BANK_LANES + lane] = int(changes[step, row])
            if ctx.get(cell.unit.valid):
                new = [ctx.get(cell.unit.h)] if units == 1 else [ctx.get(cell.unit.h[i]) for i in range(units)]
                # of an odd number of blocks the last pair has but one
                found.extend(new[: h - len(found) % h])
            passes += ctx.get(gates.events.gate_busy)
            assert not ctx.get(gates.faults.acc_overflow)
        for _ in range(8):
            await ctx.tick()
        for n in range(h):
            ctx.set(cell.read.read, 1)
            ctx.set(cell.read.addr, n)
            await ctx.tick()
            assert ctx.get(cell.read.c) == c[0, n]
        for n in range(4 * h):
            ctx.set(gates.state.read, 1)
            ctx.set(gates.state.addr, n)
            await ctx.tick()
            assert ctx.get(gates.state.value) == held[n] + changes[:, n].sum()

    simulate(m, bench)
    assert passes == steps * -(-h // units)
    assert [found[t * h :][:h] for t in range(steps)] == wanted, f"seed {seed}"
