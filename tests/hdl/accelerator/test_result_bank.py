"""The result bank of the stream formats alone: a row group for each product, sums that are cleared, and eSELL beside
it, against sums in Python."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from golden.config import BANK_LANES
from hdl.accelerator.result_bank import ResultBank
from hdl.accelerator.spmv_pe import SpmvPe
from tests.hdl.accelerator.unit_bench import cycles, simulate

DEPTH = 6
COUNT = 250


class Traffic:
    """Words, reads and clearing at random, as far as the bank's contract allows, and what the sums must be."""

    def __init__(self, dut: ResultBank, seed: int) -> None:
        self.dut = dut
        self.rng = np.random.default_rng(seed)
        self.products = len(dut.products)
        # row groups that are read, and cleared, at once
        self.at_once = 2 if dut.pairs else 1
        self.sums = np.zeros((dut.memories, DEPTH, BANK_LANES), dtype=np.int64)
        self.kinds = ["stream-16", *["stream-8"] * (self.products == 8), *["esell"] * dut.crossbar]
        # Row groups (memory, row) that are in work: of the word before, of the read before, of those being cleared
        self.fetched: set[tuple[int, int]] = set()
        self.read: set[tuple[int, int]] = set()
        self.zeroed = np.zeros(BANK_LANES, dtype=bool)
        self.cleared: set[tuple[int, int]] = set()
        self.word: dict[str, Any] | None = None
        self.overflows = [False, False]
        self.forwarded = 0

    def beside(self, memory: int, addr: int) -> set[tuple[int, int]]:
        """The row groups that are read with one."""
        return {(memory, addr + i) for i in range(self.at_once)}

    def sums_from(self, memory: int, addr: int) -> np.ndarray:
        """What a read gives."""
        return self.sums[memory, addr : addr + self.at_once].reshape(-1).copy()

    def new_word(self, memory: int) -> dict[str, Any]:
        """A word for some rows, few of them, so that words meet at every distance."""
        rng, count = self.rng, self.products
        kind = rng.choice(self.kinds)
        streams = count if kind == "stream-8" else 4
        busy = self.read | self.cleared
        free = [a for a in range(DEPTH) if (memory, a) not in busy]
        addr = rng.choice(free[:2] if rng.random() < 0.7 else free, streams)
        lanes = rng.integers(0, BANK_LANES // streams, streams) * streams + np.arange(streams)
        used = rng.random(streams) < 0.8
        if kind == "esell":
            addr[:], lanes, used[:] = addr[0], rng.permutation(BANK_LANES)[:4], True
        values = rng.integers(-(2**31), 2**31, streams) >> rng.choice((0, 12))
        # what is for no sum may say anything
        addr = np.where(used, addr, rng.integers(0, DEPTH, streams))
        again = np.arange(count) % streams
        word = {
            "memory": memory,
            "addr": addr[again],
            "lanes": lanes[again],
            "used": used[again] & ((kind != "esell") | (np.arange(count) < 4)),
            "products": values[again],
            "first": kind == "esell" and rng.random() < 0.2,
        }
        rows = {(memory, int(a)) for a in addr[used]}
        self.forwarded += bool(rows & self.fetched)
        self.fetched = rows
        overflowed = False
        for a, lane, value in zip(addr[used], lanes[used], values[used], strict=True):
            total = int(value) + (0 if word["first"] else int(self.sums[memory, a, lane]))
            self.sums[memory, a, lane] = (total + 2**31) % 2**32 - 2**31
            overflowed |= total != self.sums[memory, a, lane]
        self.overflows.append(overflowed)
        return word

    def give_products(self, ctx: Any) -> None:
        """Set what belongs to the word fetched in the cycle before."""
        dut = self.dut
        if self.word:
            for i, product in enumerate(self.word["products"].tolist()):
                ctx.set(dut.products[i], product)

    def drive(self, ctx: Any) -> tuple[int, int] | None:
        """Set the inputs of a cycle; the row group that is read."""
        dut, rng = self.dut, self.rng
        self.give_products(ctx)
        before, self.word = self.fetched, None
        clearing = ctx.get(dut.clearing)
        if not clearing:
            self.cleared = set()
        memory = int(rng.integers(0, dut.memories))
        fetches = rng.random() < 0.8
        if fetches:
            self.word = self.new_word(memory)
            ctx.set(dut.memory, memory)
            for i, a in enumerate(self.word["addr"].tolist()):
                ctx.set(dut.addr[i], a)
            ctx.set(dut.lanes, self.word["lanes"].tolist())
            ctx.set(dut.used, sum(int(bit) << i for i, bit in enumerate(self.word["used"])))
            if dut.crossbar:
                ctx.set(dut.first, int(self.word["first"]))
        else:
            self.fetched = set()
            self.overflows.append(False)
        ctx.set(dut.fetch, int(fetches))

        before_read, self.read = self.read, set()
        memories = [m for m in range(dut.memories) if not (fetches and m == memory)]
        in_work = before | before_read | self.cleared
        rows = [(m, a) for m in memories for a in range(0, DEPTH, self.at_once) if not self.beside(m, a) & in_work]
        reads = rows[int(rng.integers(0, len(rows)))] if rows and rng.random() < 0.5 else None
        clears = int(rng.choice([0, 15, int(rng.integers(0, 16))]))
        ctx.set(dut.read, int(reads is not None))
        ctx.set(dut.read_clears, clears)
        self.zeroed = np.repeat([bool(clears >> i & 1) for i in range(4)], BANK_LANES // 4)
        if reads:
            ctx.set(dut.read_memory, reads[0])
            ctx.set(dut.read_addr, reads[1])
            self.read = self.beside(*reads) if clears else set()

        ctx.set(dut.clear_start, 0)
        if not clearing and rng.random() < 0.1:
            m, first, count = int(rng.integers(0, dut.memories)), int(rng.integers(0, DEPTH - 2)), 2
            first -= first % self.at_once
            rows_cleared = {(m, first + i) for i in range(count)}
            if not rows_cleared & (before | self.fetched | (self.beside(*reads) if reads else set())):
                self.cleared = rows_cleared
                ctx.set(dut.clear_start, 1)
                ctx.set(dut.clear_memory, m)
                ctx.set(dut.clear_addr, first)
                ctx.set(dut.clear_rows, count)
                self.sums[m, first : first + count] = 0
        return reads


@pytest.mark.parametrize(
    ("seed", "memories", "products", "crossbar", "pairs"),
    [
        (1, 1, 4, False, False),
        (2, 2, 8, False, False),
        (3, 2, 4, True, False),
        (4, 1, 8, True, False),
        (5, 2, 8, False, True),
    ],
)
def test_sums_of_streams(seed: int, memories: int, products: int, crossbar: bool, pairs: bool) -> None:
    dut = ResultBank(DEPTH, memories=memories, products=products, crossbar=crossbar, streams=True, pairs=pairs)
    traffic = Traffic(dut, seed)
    found = 0

    async def clear_all(ctx: Any) -> None:
        """Take all to zero; a memory's contents are anything at first."""
        for memory in range(memories):
            ctx.set(dut.clear_start, 1)
            ctx.set(dut.clear_memory, memory)
            ctx.set(dut.clear_addr, 0)
            ctx.set(dut.clear_rows, DEPTH)
            await ctx.tick()
            ctx.set(dut.clear_start, 0)
            async for cycle in cycles(ctx, lambda: "rows to be cleared", DEPTH + 3):
                if not ctx.get(dut.clearing):
                    assert cycle == DEPTH // traffic.at_once + 1, f"seed {seed}: {DEPTH} rows took {cycle} cycles"
                    break

    async def bench(ctx: Any) -> None:
        nonlocal found
        await clear_all(ctx)
        wanted: np.ndarray | None = None
        async for cycle in cycles(ctx, lambda: f"seed {seed}: {COUNT} cycles of traffic", COUNT + 3):
            overflow = ctx.get(dut.overflow)
            assert overflow == traffic.overflows[cycle], f"seed {seed}, cycle {cycle}: overflow is {overflow}"
            if wanted is not None:
                got = [ctx.get(value) for value in dut.read_data]
                assert got == wanted.tolist(), f"seed {seed}, cycle {cycle}: read {got}, not {wanted.tolist()}"
                found += bool(wanted.any())
            if cycle == COUNT:
                break
            reads = traffic.drive(ctx)
            wanted = None if reads is None else traffic.sums_from(*reads)
            for memory, row in traffic.read:
                traffic.sums[memory, row, traffic.zeroed] = 0
        traffic.give_products(ctx)
        ctx.set(dut.fetch, 0)
        ctx.set(dut.read, 0)
        ctx.set(dut.clear_start, 0)
        for _ in range(4):
            await ctx.tick()
        for memory, row in product(range(memories), range(0, DEPTH, traffic.at_once)):
            ctx.set(dut.read, 1)
            ctx.set(dut.read_clears, 0)
            ctx.set(dut.read_memory, memory)
            ctx.set(dut.read_addr, row)
            await ctx.tick()
            got = [ctx.get(value) for value in dut.read_data]
            want = traffic.sums_from(memory, row).tolist()
            assert got == want, f"seed {seed}: at the end memory {memory}, row group {row} has {got}, not {want}"

    simulate(dut, bench)
    assert found > 8 and traffic.forwarded > 30, f"seed {seed}: too little happened"


def test_parts_say_what_they_cannot_be() -> None:
    with pytest.raises(ValueError, match="products must be 4 or 8, not 6"):
        ResultBank(DEPTH, products=6)
    with pytest.raises(ValueError, match="macs must be 4 or 8, not 5"):
        SpmvPe(macs=5)
    with pytest.raises(ValueError, match="a bank without a crossbar is for streams"):
        ResultBank(DEPTH, crossbar=False)
    with pytest.raises(ValueError, match="reads pairs must be for streams and of an even depth, not 5"):
        ResultBank(5, streams=True, pairs=True)
