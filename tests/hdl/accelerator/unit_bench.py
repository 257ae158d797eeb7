"""One unit on Amaranth's simulator: a bench that drives it cycle by cycle, and cannot wait for ever."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from amaranth.sim import Simulator

from golden.config import preset

CFG = preset("tiny")
LIMIT = 20_000


def simulate(dut: Any, bench: Callable[[Any], Awaitable[None]]) -> None:
    """Run a bench to its end."""
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


async def cycles(ctx: Any, waited_for: Callable[[], str], limit: int = LIMIT) -> AsyncIterator[int]:
    """A cycle after the other: inputs are set and outputs looked at in the body, the clock ticks after it."""
    for cycle in range(limit):
        yield cycle
        await ctx.tick()
    raise AssertionError(f"{limit} cycles, and still waiting for {waited_for()}")


def parameters(ctx: Any, dut: Any, **values: int) -> None:
    """Set parameters of the run; the others stay 0."""
    for name, value in values.items():
        ctx.set(getattr(dut.parameters, name), value)


class Memory:
    """Answers to bursts of words, in any order and at any time, as fills.

    load: the word at a word address; taken: (address, words, index) of each burst. The bench calls ``accept`` with the
    offer and ``answer`` with the fill once a cycle.
    """

    def __init__(self, rng: random.Random, load: Callable[[int], int], stall: float) -> None:
        self.rng, self.load, self.stall = rng, load, stall
        self.taken: list[tuple[int, int, int]] = []
        self.owed: list[tuple[int, int, int]] = []

    def accept(self, ctx: Any, burst: Any) -> int:
        """Take the offer or let it wait; the words that were taken."""
        take = ctx.get(burst.valid) and self.rng.random() >= self.stall
        ctx.set(burst.taken, int(take))
        if not take:
            return 0
        addr, words, index = ctx.get(burst.addr), ctx.get(burst.words), ctx.get(burst.index)
        kind = ctx.get(burst.kind)
        assert 1 <= words <= 16 and addr // 16 == (addr + words - 1) // 16, f"{words} words at {addr} cross 128 bytes"
        self.taken.append((addr, words, index))
        self.owed += [(kind, index + i, self.load(addr + i)) for i in range(words)]
        return words

    def answer(self, ctx: Any, fill: Any, newest: int = 0) -> None:
        """Fill a word, or none; the last ``newest`` were asked for in this cycle and cannot be answered yet."""
        ready = len(self.owed) - newest
        give = ready > 0 and self.rng.random() >= self.stall
        ctx.set(fill.valid, int(give))
        if give:
            kind, index, word = self.owed.pop(self.rng.randrange(ready))
            ctx.set(fill.kind, kind)
            ctx.set(fill.index, index)
            ctx.set(fill.data, word)
