"""The core's address map alone: RAM with random stalls, the timer's registers, and faults; seeded."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hdl.core.data_router import MTIME, MTIMECMP, DataRouter

MEMORY = range(0x8000_0000, 0x8000_1000)
ONES = 2**64 - 1


class Bench:
    """A core that does one access after the other, and RAM that answers ``~address`` and fails in its last word."""

    def __init__(self, seed: int, stall: float) -> None:
        self.r, self.stall = random.Random(seed), stall
        self.dut = DataRouter(MEMORY)
        self.cycle = 0
        self.forwarded: list[tuple[int, ...]] = []
        self._due: tuple[int, int] | None = None

    async def tick(self, ctx: Any) -> None:
        """One cycle of the RAM."""
        ram = self.dut.ram
        answer = self._due[1] if self._due and self._due[0] <= self.cycle else None
        ctx.set(ram.resp_valid, answer is not None)
        ctx.set(ram.resp_data, ~answer & ONES if answer is not None else ONES)
        ctx.set(ram.resp_error, answer is None or answer >> 3 == MEMORY.stop - 8 >> 3)
        if answer is not None:
            self._due = None
        ctx.set(ram.req_ready, self.r.random() >= self.stall)
        if ctx.get(ram.req_valid) and ctx.get(ram.req_ready):
            names = ("req_addr", "req_write", "req_size", "req_data", "req_mask")
            self.forwarded.append(tuple(ctx.get(getattr(ram, name)) for name in names))
            self._due = self.cycle + 1 + self.r.randrange(1 + int(8 * self.stall)), self.forwarded[-1][0]

    async def access(self, ctx: Any, address: int, size: int, write: bool = False, data: int = 0) -> tuple[int, int]:
        """(lanes, error) of one access."""
        cpu = self.dut.cpu
        mask = (1 << (1 << size)) - 1 << (address & 7)
        request = {"addr": address, "write": write, "size": size, "data": data, "mask": mask}
        accepted = False
        for _ in range(200):
            await self.tick(ctx)
            ctx.set(cpu.req_valid, not accepted)
            for name, value in request.items():
                ctx.set(getattr(cpu, f"req_{name}"), value)
            answer = (ctx.get(cpu.resp_data), ctx.get(cpu.resp_error)) if ctx.get(cpu.resp_valid) else None
            assert accepted or answer is None
            accepted |= bool(ctx.get(cpu.req_ready))
            await ctx.tick()
            self.cycle += 1
            if answer:
                return answer
        raise AssertionError(f"no answer from {address:#x}")

    def run(self, body: Any) -> None:
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(body)
        simulator.run()


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("seed", [1, 2])
def test_ram_gets_what_is_its_own_and_the_rest_are_faults(seed: int, stall: float) -> None:
    b = Bench(seed, stall)

    async def body(ctx: Any) -> None:
        expected = []
        for _ in range(150):
            size, write, data = b.r.randrange(4), b.r.random() < 0.5, b.r.getrandbits(64)
            address = b.r.choice(
                (
                    MEMORY.start, MEMORY.stop - 8, MEMORY.start - 8, MEMORY.stop, b.r.choice(MEMORY), 0, 0x0200_0000,
                    MTIME - 8, MTIME + 8, MTIMECMP - 8, MTIMECMP + 8, MEMORY.start | 1 << 32, 2**64 - 8,
                )
            ) >> size << size  # fmt: skip
            mask = (1 << (1 << size)) - 1 << (address & 7)
            lanes, error = await b.access(ctx, address, size, write, data)
            if address in MEMORY:
                expected.append((address, int(write), size, data, mask))
                assert (lanes, error) == (~address & ONES, address >= MEMORY.stop - 8)
            else:
                assert error
        assert b.forwarded == expected and len(expected) > 20

    b.run(body)


def test_the_timer() -> None:
    b = Bench(1, 0.0)

    async def body(ctx: Any) -> None:
        assert ctx.get(b.dut.timer) == 1, "pending after reset, as mtimecmp is 0"
        assert await b.access(ctx, MTIMECMP, 3, True, ONES) == (0, 0)
        assert ctx.get(b.dut.timer) == 0
        assert await b.access(ctx, MTIMECMP + 4, 2, True, 0) == (ONES, 0)
        assert await b.access(ctx, MTIMECMP, 3) == (0xFFFF_FFFF, 0)
        before, _ = await b.access(ctx, MTIME, 3)
        start = b.cycle
        after, _ = await b.access(ctx, MTIME, 2)
        assert after - before == b.cycle - start
        due = after + 30
        await b.access(ctx, MTIMECMP, 3, True, due)
        for _ in range(40):
            assert ctx.get(b.dut.timer) == (ctx.get(b.dut.mtime) >= due)
            await ctx.tick()
        assert ctx.get(b.dut.timer) == 1
        await b.access(ctx, MTIME, 3, True, 5)
        assert ctx.get(b.dut.timer) == 0
        assert (await b.access(ctx, MTIME, 3))[0] < 10
        assert b.forwarded == []

    b.run(body)
