"""The instruction cache alone: a fetcher that changes its mind, memory that changes, fence.i, errors; seeded."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from hdl.core.bus import FETCH_DEPTH
from hdl.core.instruction_cache import LINE_BYTES, LINE_WORDS, InstructionCache

BASE = 0x8000_0000
BYTES = 8 * LINE_BYTES
OUTSIDE = (0, BASE - 4, BASE + BYTES, BASE + (1 << 32), 2**64 - 4)


class Bench:
    """Drives the cache; ``memory`` holds instructions by address and ``bad`` the words that answer with an error."""

    def __init__(self, seed: int, lines: int = 4, latency: int = 1, stall: float = 0.0) -> None:
        self.r = random.Random(seed)
        self.cache = InstructionCache(lines, range(BASE, BASE + BYTES))
        self.latency, self.stall = latency, stall
        self.memory = {BASE + i: self.r.getrandbits(32) for i in range(0, BYTES, 4)}
        self.bad: set[int] = set()
        self.cycle = 0
        self.filled: list[int] = []
        self.answers: list[tuple[int, int, int, int]] = []
        """(cycle, address, error, instruction)"""
        self._line: deque[tuple[int, int, int]] = deque()
        self._asked: deque[tuple[int, int]] = deque()

    async def step(self, ctx: Any, address: int | None, flush: bool = False) -> bool:
        """One cycle in which ``address`` is asked for, or nothing; was it accepted?"""
        cpu, line = self.cache.cpu, self.cache.line
        beat = self._line.popleft() if self._line and self._line[0][0] <= self.cycle and not self.stalls() else None
        ctx.set(line.resp_valid, beat is not None)
        ctx.set(line.resp_data, beat[1] if beat else 2**64 - 1)
        ctx.set(line.resp_error, beat[2] if beat else 1)
        ctx.set(line.req_ready, not self.stalls())
        ctx.set(cpu.req_valid, address is not None)
        ctx.set(cpu.req_addr, 2**64 - 4 if address is None else address)
        ctx.set(cpu.flush, flush)
        if ctx.get(cpu.resp_valid):
            asked, since = self._asked.popleft()
            assert since < self.cycle
            self.answers.append((self.cycle, asked, ctx.get(cpu.resp_error), ctx.get(cpu.resp_data)))
        if ctx.get(line.req_valid) and ctx.get(line.req_ready):
            assert not self._line
            at = ctx.get(line.req_addr)
            assert at % LINE_BYTES == 0 and BASE <= at < BASE + BYTES
            self.filled.append(at)
            for i, word in enumerate(range(at, at + LINE_BYTES, 8)):
                value = self.memory[word] | self.memory[word + 4] << 32
                self._line.append((self.cycle + self.latency + i, value, word in self.bad))
        accepted = address is not None and bool(ctx.get(cpu.req_ready))
        if address is not None and accepted:
            self._asked.append((address, self.cycle))
        await ctx.tick()
        self.cycle += 1
        assert len(self._asked) <= FETCH_DEPTH
        return accepted

    async def fetch(self, ctx: Any, *addresses: int) -> None:
        """Ask for them one after the other and wait for the answers."""
        wanted = deque(addresses)
        for _ in range(10_000):
            if wanted and await self.step(ctx, wanted[0]):
                wanted.popleft()
            elif not wanted:
                await self.step(ctx, None)
            if not wanted and not self._asked:
                return
        raise AssertionError(f"no answer to {[hex(a) for a, _ in self._asked]}")

    def stalls(self) -> bool:
        return self.r.random() < self.stall

    def run(self, body: Any) -> None:
        simulator = Simulator(self.cache)
        simulator.add_clock(1e-6)
        simulator.add_testbench(body)
        simulator.run()


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_every_fetch_sees_memory_as_of_the_last_fence_i(seed: int, stall: float) -> None:
    b = Bench(seed, lines=random.Random(seed).choice((2, 4)), latency=seed % 3 + 1, stall=stall)

    async def body(ctx: Any) -> None:
        r = b.r
        since = dict.fromkeys(b.memory, 0)
        before: dict[int, set[int]] = {address: {value} for address, value in b.memory.items()}
        pc, asked, last_flush = BASE, deque[tuple[int, int]](), 0
        for _ in range(1500):
            flush = r.random() < 0.02
            if r.random() < 0.1:
                changed = r.choice(list(b.memory))
                b.memory[changed] = r.getrandbits(32)
                before[changed].add(b.memory[changed])
                since[changed] = b.cycle
            if r.random() < 0.1:
                pc = r.choice([*b.memory, *OUTSIDE])
            count = len(b.answers)
            # the core asks anew every cycle, perhaps for something else
            if await b.step(ctx, pc if r.random() < 0.9 else None, flush):
                asked.append((pc, b.cycle - 1))
                pc = (pc + 4) % 2**64
            if flush:
                last_flush = b.cycle - 1
            for _, address, error, value in b.answers[count:]:
                expected, accepted = asked.popleft()
                assert address == expected
                assert error == (address not in b.memory)
                if error:
                    continue
                assert value in before[address]
                if accepted >= last_flush > since[address]:
                    assert value == b.memory[address], "an instruction from before fence.i"
        await b.fetch(ctx)
        assert len(b.answers) > 100

    b.run(body)


def test_a_line_that_a_fence_i_overtakes_is_not_kept() -> None:
    b = Bench(1)

    async def body(ctx: Any) -> None:
        word = BASE + LINE_BYTES - 4
        for delay in range(16):
            await b.step(ctx, None, flush=True)
            assert await b.step(ctx, BASE)
            for _ in range(delay):
                await b.step(ctx, None)
            b.memory[word] = delay
            await b.step(ctx, None, flush=True)
            await b.fetch(ctx, word)
            assert b.answers[-1][1:] == (word, 0, delay)

    b.run(body)


def test_a_line_is_asked_for_once_and_then_gives_an_instruction_a_cycle() -> None:
    b = Bench(1, lines=4)

    async def body(ctx: Any) -> None:
        addresses = [*range(BASE, BASE + 4 * LINE_BYTES, 4)]
        await b.fetch(ctx, *addresses)
        assert b.filled == [*range(BASE, BASE + 4 * LINE_BYTES, LINE_BYTES)]
        del b.answers[:]
        await b.fetch(ctx, *addresses)
        assert len(b.filled) == 4
        cycles = [cycle for cycle, *_ in b.answers]
        assert cycles == [*range(cycles[0], cycles[0] + len(addresses))]
        # the line that shares its place
        await b.fetch(ctx, BASE + 4 * LINE_BYTES, BASE)
        assert b.filled[4:] == [BASE + 4 * LINE_BYTES, BASE]
        assert [value for _, _, _, value in b.answers[-2:]] == [b.memory[BASE + 4 * LINE_BYTES], b.memory[BASE]]

    b.run(body)


@pytest.mark.parametrize("word", [0, 3, LINE_WORDS - 1])
def test_only_the_word_with_the_error_is_an_error(word: int) -> None:
    b = Bench(1)
    b.bad.add(BASE + 8 * word)

    async def body(ctx: Any) -> None:
        await b.fetch(ctx, *range(BASE, BASE + LINE_BYTES, 4))
        for _, address, error, value in b.answers:
            assert error == (address & ~7 in b.bad)
            assert error or value == b.memory[address]
        # such a line is not kept, so it is good as soon as memory is
        b.bad.clear()
        await b.fetch(ctx, BASE + 8 * word)
        assert b.answers[-1][2:] == (0, b.memory[BASE + 8 * word])

    b.run(body)


def test_what_does_not_exist_is_an_error_without_a_request() -> None:
    b = Bench(1)

    async def body(ctx: Any) -> None:
        await b.fetch(ctx, *OUTSIDE)
        assert [error for _, _, error, _ in b.answers] == [1] * len(OUTSIDE)
        assert b.filled == []

    b.run(body)


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_the_number_of_lines_is_checked(lines: int) -> None:
    with pytest.raises(ValueError, match=f"lines must be a power of two and at least 2, not {lines}"):
        InstructionCache(lines, range(BASE, BASE + BYTES))
