"""The pipeline of both paths alone: what PEs and banks make of decoded words, against golden's products."""

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import unsigned
from hdl.accelerator.spmv_lane import LANE_LATENCY, SpmvLane

from golden import numbers
from golden.config import BANK_LANES
from tests.hdl.accelerator.unit_bench import CFG, cycles, simulate

DEPTH = 3


@pytest.mark.parametrize(("seed", "pes", "memories", "idle"), [(1, 2, 1, 0.0), (2, 1, 2, 0.3), (3, 3, 2, 0.6)])
def test_words_are_added_to_the_sums_of_their_pes(seed: int, pes: int, memories: int, idle: float) -> None:
    rng = np.random.default_rng(seed)
    count = 250
    values, operands = (
        (rng.normal(size=size) * rng.choice([0.01, 1, 3], size)).astype(np.float16)
        for size in ((count, 4), (count, pes, 4))
    )
    selects = rng.integers(0, 4, (count, 4))
    lanes = np.array([rng.permutation(BANK_LANES)[:4] for _ in range(count)])
    memory, addr = rng.integers(0, memories, count), rng.integers(0, DEPTH, count)
    issue = (rng.random((count, pes)) >= idle).astype(int)
    marks = rng.integers(0, 256, count)
    first = np.zeros(count, dtype=bool)
    # every sum is overwritten before it is added to
    start = [(m, a, list(range(4 * q, 4 * q + 4))) for m in range(memories) for a in range(DEPTH) for q in range(4)]
    for i, (m, a, quad) in enumerate(start):
        memory[i], addr[i], lanes[i], first[i], issue[i] = m, a, quad, True, 1
    expected = np.zeros((pes, memories, DEPTH, BANK_LANES), dtype=np.int64)
    for i in range(count):
        for pe in np.flatnonzero(issue[i]):
            row = expected[pe, memory[i], addr[i]]
            products = numbers.products(values[i], operands[i, pe, selects[i]])
            row[lanes[i]] = numbers.wrap32(np.where(first[i], 0, row[lanes[i]]) + products)
    dut = SpmvLane(CFG, DEPTH, pes=pes, memories=memories, mark=unsigned(8))
    found = np.zeros_like(expected)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        async for cycle in cycles(ctx, lambda: f"seed {seed}: {count} words", count + LANE_LATENCY + 1):
            seen.append(ctx.get(dut.marked))
            ctx.set(dut.issue, 0)
            if cycle < count:
                ctx.set(dut.item.values, numbers.fp16_bits(values[cycle]).tolist())
                ctx.set(dut.item.selects, selects[cycle].tolist())
                ctx.set(dut.item.lanes, lanes[cycle].tolist())
                ctx.set(dut.item.first, int(first[cycle]))
                ctx.set(dut.issue, sum(int(bit) << pe for pe, bit in enumerate(issue[cycle])))
                ctx.set(dut.memory, int(memory[cycle]))
                ctx.set(dut.addr, int(addr[cycle]))
                ctx.set(dut.mark, int(marks[cycle]))
            if 0 < cycle <= count:
                for pe in range(pes):
                    ctx.set(dut.operands[pe], numbers.fp16_bits(operands[cycle - 1, pe]).tolist())
            assert not ctx.get(dut.overflow)
            if cycle == count + LANE_LATENCY:
                break
        for pe, m, a in np.ndindex(pes, memories, DEPTH):
            ctx.set(dut.read, 1 << pe)
            ctx.set(dut.read_memory, m)
            ctx.set(dut.read_addr, a)
            await ctx.tick()
            found[pe, m, a] = [ctx.get(value) for value in dut.sums[pe]]

    simulate(dut, bench)
    wrong = np.argwhere(found != expected)
    assert not len(wrong), f"seed {seed}: PE, memory, row group, lane {wrong[0]}: {found[tuple(wrong[0])]}"
    assert seen[LANE_LATENCY:] == [*marks.tolist(), marks[-1]][: len(seen) - LANE_LATENCY]


@pytest.mark.parametrize(("value", "issued", "overflow"), [(60000.0, 1, 1), (60000.0, 0, 0), (1.0, 1, 0)])
def test_an_overflow_counts_for_words_that_were_issued(value: float, issued: int, overflow: int) -> None:
    bits = int(numbers.fp16_bits(np.array([value], np.float16))[0])
    dut = SpmvLane(CFG, DEPTH)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.item.values, [bits, 0, 0, 0])
        ctx.set(dut.item.first, 1)
        ctx.set(dut.operands[0], [bits] * 4)
        ctx.set(dut.issue, issued)
        await ctx.tick()
        ctx.set(dut.issue, 0)
        async for cycle in cycles(ctx, lambda: "the product of a word", 10):
            seen.append(ctx.get(dut.overflow))
            if cycle == LANE_LATENCY + 1:
                break

    simulate(dut, bench)
    assert max(seen) == overflow
