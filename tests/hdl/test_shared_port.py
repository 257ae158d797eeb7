"""The SoC's port with its three users at work at once: everything arrives at the right one; seeded."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from hdl.core.instruction_cache import LINE_BYTES, LINE_WORDS
from hdl.shared_port import SharedPort
from sim.protocol.base import Segment
from sim.protocol.timing import AxiTiming
from tests.hdl.axi_bench import AxiBench

BASE, SIZE, STORES = 0x8000_0000, 0x4000, 0x8000_4000
ID_BITS = 3
CONTENT = random.Random(0).randbytes(SIZE)
NAMES = (
    "arvalid",
    "arid",
    "araddr",
    "arlen",
    "awvalid",
    "awid",
    "awaddr",
    "awlen",
    "wvalid",
    "wdata",
    "wstrb",
    "wlast",
)


def word(address: int) -> int:
    return int.from_bytes(CONTENT[(address & ~7) - BASE :][:8], "little")


class Users:
    """A cache, a core and an accelerator that ask at random, and check what they get."""

    def __init__(self, dut: SharedPort, seed: int, eager: bool) -> None:
        self.dut, self.r = dut, random.Random(seed)
        self.often = 1.0 if eager else 0.3
        self.stored = bytearray(b"\xff" * SIZE)
        self._places = [STORES + 128 * i for i in range(SIZE // 128)]
        self.r.shuffle(self._places)
        # what the accelerator shows on its port, read bursts {id: addresses to come}, and its writes
        self.shown: dict[str, int] = dict.fromkeys(NAMES, 0)
        self.reads: dict[int, deque[int]] = {}
        self.words: deque[tuple[int, int, int]] = deque()
        self.writes = self.answers = 0
        self.line: deque[int] = deque()
        self.line_shown = 0
        self.data: tuple[int, bool] | None = None
        self.data_shown = False
        self.done = {"line": 0, "load": 0, "store": 0, "read": 0, "write": 0}
        self.longest_wait = self._wait = 0

    def ask(self, ctx: Any, more: bool) -> None:
        """Before the wires of a cycle are looked at."""
        dut, r, s = self.dut, self.r, self.shown
        free = [i for i in range(1 << ID_BITS) if i not in self.reads]
        if more and not s["arvalid"] and free and r.random() < self.often:
            count = r.randint(1, 16)
            address = BASE + 128 * r.randrange(SIZE // 128)
            s |= {"arvalid": 1, "arid": r.choice(free), "araddr": address, "arlen": count - 1}
        if more and not s["awvalid"] and len(self.words) < 20 and self._places and r.random() < self.often / 8:
            count, address = r.randint(1, 16), self._places.pop()
            s |= {"awvalid": 1, "awaddr": address, "awlen": count - 1}
            for i in range(count):
                value = r.getrandbits(64)
                at = address - STORES + 8 * i
                self.stored[at : at + 8] = value.to_bytes(8, "little")
                self.words.append((value, 0xFF, int(i == count - 1)))
            self.writes += 1
        if not s["wvalid"] and self.words and r.random() < 0.9:
            value, strobes, last = self.words.popleft()
            s |= {"wvalid": 1, "wdata": value, "wstrb": strobes, "wlast": last}
        for name, value in s.items():
            ctx.set(getattr(dut.accelerator, name), value)
        if more and not self.line_shown and not self.line and r.random() < self.often:
            self.line_shown = BASE + LINE_BYTES * r.randrange(SIZE // LINE_BYTES)
        ctx.set(dut.fetch.req_valid, bool(self.line_shown))
        ctx.set(dut.fetch.req_addr, self.line_shown)
        if more and self.data is None and r.random() < self.often:
            write = bool(self._places) and r.random() < 0.5
            place = self._places.pop() if write else BASE + r.randrange(SIZE)
            self.data, self.data_shown = (place, write), True
            ctx.set(dut.data.req_write, write)
            ctx.set(dut.data.req_addr, place + 5 if write else place)
            ctx.set(dut.data.req_data, place * 0x0101_0101)
            ctx.set(dut.data.req_mask, 1 << 5)
            if write:
                self.stored[place - STORES + 5] = place * 0x0101_0101 >> 40 & 0xFF
        ctx.set(dut.data.req_valid, self.data_shown)

    def look(self, ctx: Any) -> None:
        """When the wires have settled."""
        dut, s = self.dut, self.shown
        a = dut.accelerator
        if ctx.get(a.rvalid):
            identifier = ctx.get(a.rid)
            assert ctx.get(a.rdata) == word(self.reads[identifier].popleft())
            assert ctx.get(a.rlast) == (not self.reads[identifier])
            if not self.reads[identifier]:
                del self.reads[identifier]
                self.done["read"] += 1
        self.answers += ctx.get(a.bvalid)
        self.done["write"] += ctx.get(a.bvalid)
        if s["arvalid"] and ctx.get(a.arready):
            s["arvalid"] = 0
            self.reads[s["arid"]] = deque(s["araddr"] + 8 * i for i in range(s["arlen"] + 1))
        if s["awvalid"] and ctx.get(a.awready):
            s["awvalid"] = 0
        if s["wvalid"] and ctx.get(a.wready):
            s["wvalid"] = 0
        if ctx.get(dut.fetch.resp_valid):
            assert ctx.get(dut.fetch.resp_data) == word(self.line.popleft())
            self.done["line"] += not self.line
        if self.line_shown and ctx.get(dut.fetch.req_ready):
            self.line.extend(self.line_shown + 8 * i for i in range(LINE_WORDS))
            self.line_shown = 0
        if ctx.get(dut.data.resp_valid):
            assert self.data and not self.data_shown
            place, write = self.data
            assert write or ctx.get(dut.data.resp_data) == word(place)
            self.done["store" if write else "load"] += 1
            self.data = None
        self._wait = self._wait + 1 if self.data_shown else 0
        self.longest_wait = max(self.longest_wait, self._wait)
        if self.data_shown and ctx.get(dut.data.req_ready):
            self.data_shown = False

    @property
    def quiet(self) -> bool:
        busy = self.shown["arvalid"] or self.shown["awvalid"] or self.shown["wvalid"] or self.reads or self.words
        return not (busy or self.writes != self.answers or self.line or self.line_shown or self.data)


def run(seed: int, timing: AxiTiming, eager: bool) -> Users:
    dut = SharedPort(32, ID_BITS)
    users = Users(dut, seed, eager)

    async def bench(ctx: Any) -> None:
        segments = (Segment("loads", BASE, SIZE, CONTENT), Segment("stores", STORES, SIZE, write=True))
        port = AxiBench(ctx, dut.axi, segments, timing)
        for cycle in range(20_000):
            port.drive()
            users.ask(ctx, cycle < 1200)
            users.look(ctx)
            port.sample()
            if cycle > 1200 and users.quiet:
                break
            await ctx.tick()
        else:
            raise AssertionError("not everything is answered")
        port.finish()
        assert port.image.contents()["stores"] == bytes(users.stored)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return users


@pytest.mark.parametrize("writes", ["together", "address first", "data first"])
@pytest.mark.parametrize("seed", [1, 2])
def test_everything_arrives_at_its_user(seed: int, writes: Any) -> None:
    r = random.Random(f"{seed} {writes}")
    timing = AxiTiming(r.choice((1, 5)), r.choice((0, 12)), r.choice(("bursts", "beats")), 300, writes, seed)
    users = run(seed, timing, eager=False)
    assert min(users.done.values()) > 4, users.done


def test_nobody_starves() -> None:
    users = run(3, AxiTiming(latency=2, order="beats"), eager=True)
    # the core's turn comes with the next free cycle of its channel; a store waits for at most two bursts' data
    assert users.longest_wait <= 40
    assert users.done["load"] + users.done["store"] > 60
    assert users.done["read"] > 60, users.done
