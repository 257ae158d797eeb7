"""The fetch unit alone: every instruction once and in order, whatever memory does and however often redirected."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from hdl.core.bus import FETCH_DEPTH
from hdl.core.fetch import Fetch

RESET = 0x8000_0000


def word_at(address: int) -> int:
    return address * 0x9E37_79B1 >> 2 & 0xFFFF_FFFF


def fails_at(address: int) -> bool:
    return address % 52 == 0


@pytest.mark.parametrize(
    ("seed", "latency", "stall", "busy", "redirects"),
    [(1, 1, 0, 0, 10), (2, 1, 40, 30, 10), (3, 6, 0, 50, 25), (4, 9, 30, 0, 5), (5, 3, 20, 60, 0)],
)
def test_order(seed: int, latency: int, stall: int, busy: int, redirects: int) -> None:
    r = random.Random(seed)
    fetch = Fetch(RESET)
    taken = 0

    async def bench(ctx):
        nonlocal taken
        pending: deque[tuple[int, int]] = deque()
        expected = RESET
        for cycle in range(1500):
            answer = pending.popleft()[1] if pending and pending[0][0] <= cycle else None
            ctx.set(fetch.bus.resp_valid, answer is not None)
            ctx.set(fetch.bus.resp_data, -1 if answer is None else word_at(answer))
            ctx.set(fetch.bus.resp_error, answer is None or fails_at(answer))
            ctx.set(fetch.bus.req_ready, r.randrange(100) >= stall)
            redirect = r.randrange(100) < redirects
            target = RESET + 4 * r.randrange(1000)
            ctx.set(fetch.redirect, redirect)
            ctx.set(fetch.target, target)
            ctx.set(fetch.out.ready, not redirect and r.randrange(100) >= busy)
            if ctx.get(fetch.bus.req_valid) and ctx.get(fetch.bus.req_ready):
                address = ctx.get(fetch.bus.req_addr)
                assert address % 4 == 0
                due = cycle + r.randint(1, latency)
                pending.append((max(due, pending[-1][0] + 1) if pending else due, address))
            assert len(pending) <= FETCH_DEPTH
            assert ctx.get(fetch.out.pc) == expected
            if ctx.get(fetch.out.valid) and ctx.get(fetch.out.ready):
                assert ctx.get(fetch.out.error) == fails_at(expected), f"cycle {cycle}, {expected:#x}"
                assert ctx.get(fetch.out.insn) == word_at(expected), f"cycle {cycle}, {expected:#x}"
                expected += 4
                taken += 1
            if redirect:
                expected = target
            await ctx.tick()

    simulator = Simulator(fetch)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert taken > 100


def test_one_instruction_a_cycle() -> None:
    """From memory that answers in the next cycle, behind a start-up of one cycle."""
    fetch = Fetch(RESET)

    async def bench(ctx):
        address = None
        ctx.set(fetch.out.ready, 1)
        ctx.set(fetch.bus.req_ready, 1)
        for cycle in range(50):
            ctx.set(fetch.bus.resp_valid, address is not None)
            ctx.set(fetch.bus.resp_data, word_at(address or 0))
            address = ctx.get(fetch.bus.req_addr) if ctx.get(fetch.bus.req_valid) else None
            assert ctx.get(fetch.out.valid) == (cycle > 0)
            await ctx.tick()

    simulator = Simulator(fetch)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
