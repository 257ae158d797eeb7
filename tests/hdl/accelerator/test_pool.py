"""The pool of PEs alone: what they and the banks make of decoded words, against golden's products."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.pool import Pool
from hdl.accelerator.spmv_bank import LANE_LATENCY
from tests.hdl.accelerator.unit_bench import CFG, cycles, simulate

CONFIGS = {
    "fixed": CFG,
    "pooled": replace(CFG, group_list=True),
    "streams": replace(CFG, group_list=True, stream16=True),
    "wide": replace(CFG, group_list=True, stream16=True, stream8=True, esell=False),
}
ROWS = 3
"""Row groups that words are for, of each bank."""


class Words:
    """Words for one bank at random: each is issued or not, and meets operands of its own."""

    def __init__(self, cfg: AcceleratorConfig, rng: np.random.Generator, count: int, idle: float, first: bool) -> None:
        n = cfg.entries
        shape = (count, n)
        scale = rng.choice([0.01, 1, 3], shape)
        self.values = (rng.normal(size=shape) * scale).astype(np.float16)
        self.operands = rng.normal(size=(count, 4)).astype(np.float16)
        self.selects = rng.integers(0, 4, shape)
        self.used = rng.random(shape) < 0.8 if cfg.streams else np.ones(shape, dtype=bool)
        self.rows = rng.integers(0, ROWS, shape) if cfg.streams else np.repeat(rng.integers(0, ROWS, (count, 1)), n, 1)
        own = np.arange(n) + n * rng.integers(0, BANK_LANES // n, shape)
        anywhere = np.array([rng.permutation(BANK_LANES)[:n] for _ in range(count)])
        self.lanes = own if cfg.streams else anywhere
        self.issued = rng.random(count) >= idle
        self.memory = rng.integers(0, 2, count)
        self.marks = rng.integers(0, 2, count)
        self.first = np.zeros(count, dtype=bool)
        if first:
            # every sum is overwritten before it is added to
            for i, (memory, row, quad) in enumerate(np.ndindex(2, ROWS, 4)):
                self.memory[i], self.rows[i], self.lanes[i] = memory, row, range(4 * quad, 4 * quad + 4)
                self.first[i] = self.issued[i] = True

    def sums(self, memories: int) -> np.ndarray:
        """What the words that were issued come to, (memories, ROWS, 16)."""
        sums = np.zeros((memories, ROWS, BANK_LANES), dtype=np.int64)
        for i in np.flatnonzero(self.issued):
            used = self.used[i]
            products = numbers.products(self.values[i], self.operands[i, self.selects[i]])[used]
            place = (self.memory[i] % memories, self.rows[i][used], self.lanes[i][used])
            sums[place] = numbers.wrap32(np.where(self.first[i], 0, sums[place]) + products)
        return sums

    def set(self, ctx: Any, bank: Any, cycle: int) -> None:
        item = bank.item
        ctx.set(item.values, numbers.fp16_bits(self.values[cycle]).tolist())
        ctx.set(item.selects, self.selects[cycle].tolist())
        ctx.set(item.lanes, self.lanes[cycle].tolist())
        ctx.set(item.mark.first, int(self.first[cycle]))
        if "used" in item.shape().members:
            ctx.set(item.used, sum(int(bit) << i for i, bit in enumerate(self.used[cycle])))
        for k, addr in enumerate(bank.addr):
            ctx.set(addr, int(self.rows[cycle][k]))
        ctx.set(bank.issue, int(self.issued[cycle]))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("seed", "idle"), [(1, 0.0), (2, 0.5)])
def test_words_are_added_to_the_sums_of_their_banks(name: str, seed: int, idle: float) -> None:
    cfg, rng, count = CONFIGS[name], np.random.default_rng(seed), 200
    dut = Pool(cfg)
    banks = [*dut.w, dut.u]
    words = [Words(cfg, rng, count, idle, first=not cfg.clears) for _ in banks]
    u = words[-1]
    # U's words take the PE that is spare; W's bank of that PE must not issue then
    spare = rng.integers(0, cfg.n_pe, count) if cfg.group_list else np.full(count, cfg.n_pe - 1)
    for i in range(count):
        if spare[i] < cfg.w_banks and u.issued[i]:
            words[spare[i]].issued[i] = False
    expected = [each.sums(2 if each is u else 1) for each in words]
    found = [np.zeros_like(each) for each in expected]
    marked: list[int] = []

    async def bench(ctx: Any) -> None:
        if cfg.clears:
            for memory in range(2):
                for bank in banks:
                    ctx.set(bank.clear, int(memory == 0 or bank is dut.u))
                    ctx.set(bank.clear_memory, memory * (bank is dut.u))
                    ctx.set(bank.clear_rows, ROWS)
                await ctx.tick()
                for bank in banks:
                    ctx.set(bank.clear, 0)
                async for _ in cycles(ctx, lambda: "sums to be cleared", 20):
                    if not any(ctx.get(bank.clearing) for bank in banks):
                        break
        async for cycle in cycles(ctx, lambda: f"seed {seed}: {count} words", count + LANE_LATENCY + 2):
            marked.append(ctx.get(dut.w[0].marked))
            for bank, each in zip(banks, words, strict=True):
                ctx.set(bank.issue, 0)
                if cycle < count:
                    each.set(ctx, bank, cycle)
                if 0 < cycle <= count:
                    ctx.set(bank.operands, numbers.fp16_bits(each.operands[cycle - 1]).tolist())
                assert not ctx.get(bank.overflow)
            if cycle < count:
                ctx.set(dut.u.memory, int(u.memory[cycle]))
                ctx.set(dut.spare, int(spare[cycle]))
                ctx.set(dut.w[0].mark, int(words[0].marks[cycle]))
            if cycle == count + LANE_LATENCY + 1:
                break
        for number, bank in enumerate(banks):
            for memory, row in np.ndindex(*expected[number].shape[:2]):
                ctx.set(bank.read, 1)
                ctx.set(bank.read_memory, memory)
                ctx.set(bank.read_addr, row)
                await ctx.tick()
                found[number][memory, row] = [ctx.get(value) for value in bank.sums]

    simulate(dut, bench)
    for number, (want, got) in enumerate(zip(expected, found, strict=True)):
        wrong = np.argwhere(want != got)
        assert not len(wrong), f"seed {seed}, bank {number}: memory, row group, lane {wrong[0]}: {got[tuple(wrong[0])]}"
    marks = words[0].marks.tolist()
    assert marked[LANE_LATENCY : LANE_LATENCY + count] == marks


@pytest.mark.parametrize("name", ["fixed", "pooled"])
@pytest.mark.parametrize(("value", "issued", "overflow"), [(60000.0, 1, 1), (60000.0, 0, 0), (1.0, 1, 0)])
def test_an_overflow_counts_for_words_that_were_issued(name: str, value: float, issued: int, overflow: int) -> None:
    bits = int(numbers.fp16_bits(np.array([value], np.float16))[0])
    dut = Pool(CONFIGS[name])
    seen: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        for bank in (dut.w[0], dut.u):
            ctx.set(bank.item.values, [bits, 0, 0, 0])
            ctx.set(bank.item.mark.first, 1)
            ctx.set(bank.operands, [bits] * 4)
            ctx.set(bank.issue, issued)
        ctx.set(dut.spare, 1)
        await ctx.tick()
        for bank in (dut.w[0], dut.u):
            ctx.set(bank.issue, 0)
        async for cycle in cycles(ctx, lambda: "the product of a word", 10):
            seen.append([ctx.get(bank.overflow) for bank in (dut.w[0], dut.u, dut.w[1])])
            if cycle == LANE_LATENCY + 2:
                break

    simulate(dut, bench)
    assert np.max(seen, axis=0).tolist() == [overflow, overflow, 0]
