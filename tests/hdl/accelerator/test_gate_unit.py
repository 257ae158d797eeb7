"""The gate unit alone: which sums it reads when, and the gates that it makes of them, against golden's functions."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.vector.gate_unit import GateUnit
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

NOBODY = 0x5EADBEEF
"""What memories give when nobody asked."""


def places(
    cfg: AcceleratorConfig, steps: int, blocks: int, sizes: list[int], whole: bool
) -> list[tuple[int, int, int]]:
    """Bank and first row group of the sums W x of each step, and the steps of its group.

    Steps go around the banks. Under cell fusion (``whole``) each second group begins in the upper half of the slots,
    else each where the one before ended, in a ring of the slots that fit.
    """
    upper_slot, upper_bank = divmod(cfg.fuse_capacity * cfg.w_pes, cfg.w_banks)
    rows = cfg.bank_slots * cfg.row_groups
    found = []
    place = 0
    for number, size in enumerate(sizes):
        for j in range(size):
            if whole and number % 2:
                bank = (upper_bank + j) % cfg.w_banks
                start = (upper_slot + (bank < upper_bank)) * cfg.row_groups
                turn = (upper_bank + j) // cfg.w_banks - (bank < upper_bank)
                found.append((bank, start + turn * blocks, size))
            elif whole:
                found.append((j % cfg.w_banks, j // cfg.w_banks * blocks, size))
            else:
                found.append((place % cfg.w_banks, place // cfg.w_banks % (rows // blocks) * blocks, size))
                place += 1
    return found[:steps]


@pytest.mark.parametrize(
    ("seed", "blocks", "group", "stall", "pooled", "listed", "held"),
    [
        (1, 1, 6, 0.0, 0, 0, None),
        (2, 3, 2, 0.5, 0, 0, None),
        (3, 6, 4, 0.9, 0, 0, None),
        (4, 5, 6, 0.5, 1, 0, None),
        (5, 4, 4, 0, 1, 0, None),
        (6, 16, 3, 0.3, 1, 1, None),
        (7, 7, 5, 0.5, 1, 1, None),
        (8, 1, 3, 0.0, 0, 0, "fresh"),
        (9, 5, 4, 0.4, 1, 1, "fresh"),
        (10, 6, 4, 0.2, 0, 0, "state"),
        (11, 4, 2, 0.0, 1, 1, "state"),
        (12, 3, 5, 0.5, 1, 0, "unused"),
    ],
)
def test_gates_are_those_of_golden(
    seed: int, blocks: int, group: int, stall: float, pooled: int, listed: int, held: str | None
) -> None:
    """``held``: in a build with DELTA what runs is a first run, one with a state, or one that sends h itself."""
    cfg = replace(CFG, group_list=bool(pooled), delta=held is not None)
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    steps, hidden = 16 if listed else 7, 4 * blocks
    rows = 4 * hidden
    scale = rng.choice([2**18, 2**21, 2**24], (steps, rows))
    w = (rng.normal(size=(steps, rows)) * scale).astype(np.int64)
    u = (rng.normal(size=(steps, rows)) * scale).astype(np.int64)
    empty = rng.random(steps) < 0.3
    bias = rng.normal(size=rows).astype(np.float16)
    recurrent = np.where(empty[:, None], 0, u)
    # what memory has at first counts only in a run with a state
    found_sums = (rng.normal(size=rows) * 2**22).astype(np.int64)
    delta = held in ("fresh", "state")
    if delta:
        recurrent = recurrent.cumsum(axis=0) + (found_sums if held == "state" else 0)
    z = w + recurrent + numbers.bias_q20(bias)
    z = z.reshape(steps, 4, hidden)
    expected = np.where(np.arange(4)[:, None] == 2, numbers.tanh(z), numbers.sigmoid(z))
    sizes = [min(group, steps - first) for first in range(0, steps, group)]
    where = places(cfg, steps, blocks, sizes, whole=not listed)
    dut = GateUnit(cfg)
    found = np.zeros_like(expected)
    released: list[int] = []
    kept_sums: list[int] = []
    row_groups = -(-rows // BANK_LANES)
    cleared = np.zeros((steps, row_groups, 4), dtype=int)
    cleared_u = np.zeros_like(cleared)

    def sums(values: np.ndarray, group: int) -> list[int]:
        part = values[BANK_LANES * group : BANK_LANES * (group + 1)]
        return [int(part[lane]) if lane < len(part) else NOBODY for lane in range(BANK_LANES)]

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, list=listed, delta=int(delta), state_in=int(held == "state"))
        for row, value in enumerate(found_sums.tolist() if held else ()):
            ctx.set(dut.held_sums.en, 1)
            ctx.set(dut.held_sums.addr, row)
            ctx.set(dut.held_sums.data, value)
            await ctx.tick()
        if held:
            ctx.set(dut.held_sums.en, 0)
        words = numbers.fp16_bits(bias).reshape(-1, 4)
        for row, word in enumerate(words):
            ctx.set(dut.bias.en, 1)
            ctx.set(dut.bias.addr, row)
            ctx.set(dut.bias.data, word.tolist())
            await ctx.tick()
        ctx.set(dut.bias.en, 0)
        w_reads: list[list[int] | None] = [None] * 3
        u_data = [NOBODY] * BANK_LANES
        filled = started = rows_free = complete = taken = freed = 0
        quads: list[int] = []
        told: int | None = None
        wanted: int | None = None
        waited = f"seed {seed}: {steps * blocks} blocks of gates"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(quads)} yet"):
            if wanted is not None:
                step, block = divmod(wanted, blocks)
                quad = [[ctx.get(dut.quad.gates[gate][unit]) for unit in range(4)] for gate in range(4)]
                found[step, :, 4 * block : 4 * block + 4] = quad
            # a block is read from the cycle after it is done
            wanted, told = told, None
            if wanted is not None:
                ctx.set(dut.quad.addr, wanted % blocks % 8)
            if len(quads) == steps * blocks and wanted is None and len(released) == len(sizes):
                break
            # data of the reads of earlier cycles: W's for one cycle, U's until the next
            due = w_reads.pop(0)
            for lane in range(BANK_LANES):
                ctx.set(dut.w_sums.sums[lane], due[lane] if due else NOBODY)
                ctx.set(dut.u_sums.sums[lane], u_data[lane])
            # groups of W x become complete, at most two
            if filled < steps and complete < 2 and stalls.random() >= stall:
                complete += 1
                filled += where[filled][2]
            ctx.set(dut.groups.ready, int(complete > 0))
            ctx.set(dut.groups.size, sizes[min(taken, len(sizes) - 1)])
            # a step's U h is complete when the h before it is
            done = started < steps and len(quads) == started * blocks and stalls.random() >= stall
            ctx.set(dut.step.done, int(done))
            ctx.set(dut.step.empty, int(done and empty[started]))
            started += done
            free = rows_free < len(quads) // blocks and stalls.random() >= stall
            ctx.set(dut.row_free, int(free))
            rows_free += free

            if ctx.get(dut.groups.next):
                complete -= 1
                taken += 1
            freed += ctx.get(dut.groups.free)
            if ctx.get(dut.groups.free) and ctx.get(dut.groups.last):
                released.append(freed)
            read = None
            if ctx.get(dut.w_sums.read):
                step = started - 1
                bank, base, _ = where[step]
                row = ctx.get(dut.w_sums.addr) - base
                assert ctx.get(dut.w_sums.bank) == bank, f"seed {seed}: step {step} reads another bank than {bank}"
                assert 0 <= row < row_groups, f"seed {seed}: step {step} reads row {base + row}"
                assert filled > step, f"seed {seed}: step {step} is read before its W x is complete"
                read = sums(w[step], row)
                cleared[step, row] += [ctx.get(dut.w_sums.clears) >> i & 1 for i in range(4)]
            w_reads.append(read)
            if ctx.get(dut.u_sums.read):
                step = started - 1
                assert not empty[step] and ctx.get(dut.u_sums.half) == step % 2
                u_data = sums(u[step], ctx.get(dut.u_sums.row_group))
                cleared_u[step, ctx.get(dut.u_sums.row_group)] += [
                    ctx.get(dut.u_sums.clears) >> i & 1 for i in range(4)
                ]
            if ctx.get(dut.quad.done):
                told = len(quads)
                quads.append(told)
            assert not ctx.get(dut.faults.acc_overflow)
        for row in range(rows if held else 0):
            ctx.set(dut.state.read, 1)
            ctx.set(dut.state.addr, row)
            await ctx.tick()
            kept_sums.append(ctx.get(dut.state.value))

    simulate(dut, bench)
    wrong = np.argwhere(found != expected)
    assert not len(wrong), f"seed {seed}: step, gate, unit {wrong[0]}: {found[tuple(wrong[0])]}"
    if held:
        assert kept_sums == (recurrent[-1] if delta else found_sums).tolist(), f"seed {seed}"
    # a group is given back when the sums of its last step are read
    assert released == np.cumsum(sizes).tolist()
    # every quarter of a row group that has rows is cleared once, and by the read that takes it
    quarters = np.arange(4 * row_groups).reshape(row_groups, 4) < rows // 4
    assert (cleared == quarters).all()
    assert (cleared_u == quarters * ~empty[:, None, None]).all()


def told_of_step(dut: GateUnit, load: Callable[[Any], Awaitable[None]], w: int, u: int) -> int:
    """Whether an overflow is told in a step of one block, w and u being the sums of row 5; load: what comes before."""
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        await load(ctx)
        for lane in range(BANK_LANES):
            ctx.set(dut.w_sums.sums[lane], w if lane == 5 else 0)
            ctx.set(dut.u_sums.sums[lane], u if lane == 5 else 0)
        ctx.set(dut.groups.ready, 1)
        ctx.set(dut.groups.size, 1)
        ctx.set(dut.step.done, 1)
        await ctx.tick()
        ctx.set(dut.step.done, 0)
        async for _ in cycles(ctx, lambda: "the gates of one block", 100):
            seen.append(ctx.get(dut.faults.acc_overflow))
            if ctx.get(dut.quad.done):
                break

    simulate(dut, bench)
    return max(seen)


@pytest.mark.parametrize(
    ("w", "u", "overflow"), [(2**31 - 1, 1, 1), (2**31 - 1, 0, 0), (-(2**31), -1, 1), (2**30, -5, 0)]
)
def test_a_sum_that_leaves_32_bits_is_told(w: int, u: int, overflow: int) -> None:
    dut = GateUnit(CFG)

    async def load(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=1)
        for row in range(4):
            ctx.set(dut.bias.en, 1)
            ctx.set(dut.bias.addr, row)
            await ctx.tick()
        ctx.set(dut.bias.en, 0)

    assert told_of_step(dut, load, w, u) == overflow


@pytest.mark.parametrize(
    ("held", "w", "u", "overflow"),
    [
        (2**31 - 1, 0, 1, 1),
        (2**31 - 1, 0, 0, 0),
        (2**31 - 1, 1, 0, 1),
        (-(2**31), 0, -1, 1),
        (-(2**31), -1, 1, 0),
        # M after the step leaves the range although z does not
        (2**31 - 1, -1, 1, 1),
        (-(2**31), -1, 0, 1),
    ],
)
def test_a_sum_of_changes_that_leaves_32_bits_is_told(held: int, w: int, u: int, overflow: int) -> None:
    dut = GateUnit(replace(CFG, delta=True))

    async def load(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=1, delta=1, state_in=1)
        for row in range(16):
            ctx.set(dut.bias.en, int(row < 4))
            ctx.set(dut.bias.addr, row % 4)
            ctx.set(dut.held_sums.en, 1)
            ctx.set(dut.held_sums.addr, row)
            ctx.set(dut.held_sums.data, held if row == 5 else 0)
            await ctx.tick()
        ctx.set(dut.held_sums.en, 0)

    assert told_of_step(dut, load, w, u) == overflow
