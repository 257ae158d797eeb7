"""The gate unit alone: which sums it reads when, and the gates that it makes of them, against golden's functions."""

import random
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import BANK_LANES
from hdl.accelerator.vector.gate_unit import GateUnit
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

NOBODY = 0x5EADBEEF
"""What memories give when nobody asked."""


def places(steps: int, n_fuse: int) -> list[tuple[int, int, int, int]]:
    """Half, bank and slot of the sums W x of each step, and the steps of its group."""
    capacity = n_fuse * CFG.w_pes
    found = []
    for first in range(0, steps, capacity):
        size = min(capacity, steps - first)
        half = first // capacity % 2
        found += [(half, j % CFG.w_pes, half * CFG.fuse_capacity + j // CFG.w_pes, size) for j in range(size)]
    return found


@pytest.mark.parametrize(
    ("seed", "blocks", "n_fuse", "stall"),
    [(1, 1, 3, 0.0), (2, 3, 1, 0.5), (3, 6, 2, 0.9), (4, 5, 3, 0.5), (5, 4, 2, 0)],
)
def test_gates_are_those_of_golden(seed: int, blocks: int, n_fuse: int, stall: float) -> None:
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    steps, hidden = 7, 4 * blocks
    rows = 4 * hidden
    scale = rng.choice([2**18, 2**21, 2**24], (steps, rows))
    w = (rng.normal(size=(steps, rows)) * scale).astype(np.int64)
    u = (rng.normal(size=(steps, rows)) * scale).astype(np.int64)
    empty = rng.random(steps) < 0.3
    bias = rng.normal(size=rows).astype(np.float16)
    z = w + np.where(empty[:, None], 0, u) + numbers.bias_q20(bias)
    z = z.reshape(steps, 4, hidden)
    expected = np.where(np.arange(4)[:, None] == 2, numbers.tanh(z), numbers.sigmoid(z))
    where = places(steps, n_fuse)
    dut = GateUnit(CFG)
    found = np.zeros_like(expected)
    released: list[int] = []
    row_groups = -(-rows // BANK_LANES)

    def sums(values: np.ndarray, group: int) -> list[int]:
        part = values[BANK_LANES * group : BANK_LANES * (group + 1)]
        return [int(part[lane]) if lane < len(part) else NOBODY for lane in range(BANK_LANES)]

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks)
        words = numbers.fp16_bits(bias).reshape(-1, 4)
        for row, word in enumerate(words):
            ctx.set(dut.bias.en, 1)
            ctx.set(dut.bias.addr, row)
            ctx.set(dut.bias.data, word.tolist())
            await ctx.tick()
        ctx.set(dut.bias.en, 0)
        w_reads: list[list[int] | None] = [None] * 3
        u_data = [NOBODY] * BANK_LANES
        filled = started = rows_free = 0
        ready = [0, 0]
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
            if len(quads) == steps * blocks and wanted is None and not any(ready):
                break
            # data of the reads of earlier cycles: W's for one cycle, U's until the next
            due = w_reads.pop(0)
            for lane in range(BANK_LANES):
                ctx.set(dut.w_sums.sums[lane], due[lane] if due else NOBODY)
                ctx.set(dut.u_sums.sums[lane], u_data[lane])
            # groups of W x become complete, at most two
            half = where[filled][0] if filled < steps else 0
            if filled < steps and not ready[half] and stalls.random() >= stall:
                ready[half] = 1
                ctx.set(dut.groups.rows[half], where[filled][3])
                filled += where[filled][3]
            ctx.set(dut.groups.ready, ready[0] | ready[1] << 1)
            # a step's U h is complete when the h before it is
            done = started < steps and len(quads) == started * blocks and stalls.random() >= stall
            ctx.set(dut.step.done, int(done))
            ctx.set(dut.step.empty, int(done and empty[started]))
            started += done
            free = rows_free < len(quads) // blocks and stalls.random() >= stall
            ctx.set(dut.row_free, int(free))
            rows_free += free

            if ctx.get(dut.groups.release):
                ready[ctx.get(dut.groups.release_half)] = 0
                released.append(started)
            read = None
            if ctx.get(dut.w_sums.read):
                step = started - 1
                bank, slot = ctx.get(dut.w_sums.bank), ctx.get(dut.w_sums.slot)
                assert (bank, slot) == where[step][1:3], f"seed {seed}: step {step} reads bank {bank}, slot {slot}"
                assert filled > step, f"seed {seed}: step {step} is read before its W x is complete"
                group = ctx.get(dut.w_sums.row_group)
                assert group < row_groups
                read = sums(w[step], group)
            w_reads.append(read)
            if ctx.get(dut.u_sums.read):
                step = started - 1
                assert not empty[step] and ctx.get(dut.u_sums.half) == step % 2
                u_data = sums(u[step], ctx.get(dut.u_sums.row_group))
            if ctx.get(dut.quad.done):
                told = len(quads)
                quads.append(told)
            assert not ctx.get(dut.faults.acc_overflow)

    simulate(dut, bench)
    wrong = np.argwhere(found != expected)
    assert not len(wrong), f"seed {seed}: step, gate, unit {wrong[0]}: {found[tuple(wrong[0])]}"
    # a group is given back when the sums of its last step are read
    ends = [min(first + n_fuse * CFG.w_pes, steps) for first in range(0, steps, n_fuse * CFG.w_pes)]
    assert released == ends


@pytest.mark.parametrize(
    ("w", "u", "overflow"), [(2**31 - 1, 1, 1), (2**31 - 1, 0, 0), (-(2**31), -1, 1), (2**30, -5, 0)]
)
def test_a_sum_that_leaves_32_bits_is_told(w: int, u: int, overflow: int) -> None:
    dut = GateUnit(CFG)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=1)
        for row in range(4):
            ctx.set(dut.bias.en, 1)
            ctx.set(dut.bias.addr, row)
            await ctx.tick()
        ctx.set(dut.bias.en, 0)
        for lane in range(BANK_LANES):
            ctx.set(dut.w_sums.sums[lane], w if lane == 5 else 0)
            ctx.set(dut.u_sums.sums[lane], u if lane == 5 else 0)
        ctx.set(dut.groups.ready, 1)
        ctx.set(dut.groups.rows[0], 1)
        ctx.set(dut.step.done, 1)
        await ctx.tick()
        ctx.set(dut.step.done, 0)
        async for _ in cycles(ctx, lambda: "the gates of one block", 100):
            seen.append(ctx.get(dut.faults.acc_overflow))
            if ctx.get(dut.quad.done):
                break

    simulate(dut, bench)
    assert max(seen) == overflow
