"""The accelerator's AXI4 adapter against a memory with random ready, latency, order and errors; seeds in the names."""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.sim import Simulator

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind
from hdl.accelerator.port.axi_memory import AxiMemory
from sim.protocol.base import Segment
from sim.protocol.timing import AxiTiming
from tests.hdl.axi_bench import AxiBench

CFG = AcceleratorConfig(max_x=64, max_h=64, max_t=255, window=16)
BASE, PAGES = 0x8000_0000, 4
MEMORY = range(BASE, BASE + 4096 * PAGES)
LIMIT = 20_000


@dataclass(frozen=True)
class Offer:
    """A burst for the adapter; ``data`` are the words of a store."""

    addr: int
    words: int
    kind: Kind = Kind.W
    index: int = 0
    data: tuple[int, ...] = ()


@dataclass
class Run:
    """What the adapter did with the offers."""

    fills: list[tuple[int, Kind, int, int]] = field(default_factory=list)
    """(cycle, kind, index, data)"""
    stored: int = 0
    answered: int = 0
    load_errors: int = 0
    store_errors: int = 0
    cycles: int = 0
    busy: int = 0
    taken: list[int] = field(default_factory=list)
    requests: int = 0
    after_stop: int = 0
    most_words: int = 0
    read_beats: int = 0
    contents: bytes = b""


def content(seed: int) -> bytes:
    return random.Random(seed).randbytes(4096 * PAGES)


def run(
    offers: list[Offer],
    timing: AxiTiming,
    *,
    gap: float = 0.0,
    segment: dict[str, Any] | None = None,
    stop_at: int | None = None,
    cfg: AcceleratorConfig = CFG,
) -> Run:
    """Make the offers one after the other until everything is answered, or stop in cycle ``stop_at`` and drain."""
    dut, result, r = AxiMemory(cfg, MEMORY), Run(), random.Random(timing.seed)
    stores = sum(bool(offer.data) for offer in offers)
    segments = (Segment("ram", BASE, 4096 * PAGES, content(timing.seed), write=True, **(segment or {})),)

    async def bench(ctx: Any) -> None:
        port = AxiBench(ctx, dut.axi, segments, timing)
        todo, data = list(offers), [word for offer in offers for word in offer.data]
        shown: Offer | None = None
        before: dict[str, int] = {}
        for cycle in range(LIMIT):
            port.drive()
            stopped = stop_at is not None and cycle >= stop_at
            ctx.set(dut.control.stop, stopped)
            shown = shown or (todo[0] if todo and r.random() >= gap else None)
            ctx.set(dut.burst.valid, shown is not None)
            if shown:
                ctx.set(dut.burst.addr, shown.addr // 8)
                ctx.set(dut.burst.words, shown.words)
                ctx.set(dut.burst.kind, shown.kind)
                ctx.set(dut.burst.index, shown.index)
            # after a stop there are no data any more
            has_data = bool(data) and not stopped and r.random() >= gap
            ctx.set(dut.store.data.valid, has_data)
            ctx.set(dut.store.data.payload, data[0] if has_data else (1 << 64) - 1)
            if ctx.get(dut.burst.taken):
                assert not stopped, "a burst was taken after the stop"
                todo.pop(0)
                shown = None
                result.taken.append(cycle)
            if has_data and ctx.get(dut.store.data.ready):
                data.pop(0)
            wires = port.sample()
            for channel in ("ar", "aw"):
                fresh = wires[f"{channel}valid"] and not (
                    before.get(f"{channel}valid") and not before[f"{channel}ready"]
                )
                result.requests += bool(fresh)
                # what is registered in the cycle of the stop was issued before it
                result.after_stop += bool(fresh and stop_at is not None and cycle > stop_at)
            before = wires
            if ctx.get(dut.fill.valid):
                kind = Kind(ctx.get(dut.fill.kind))
                result.fills.append((cycle, kind, ctx.get(dut.fill.index), ctx.get(dut.fill.data)))
            result.stored += ctx.get(dut.store.stored)
            result.busy += ctx.get(dut.control.events.port_busy)
            # the last word of a burst counts when the burst is answered
            result.answered += port.wires["bvalid"]
            assert result.stored <= sum(len(o.data) for o in offers) - stores + result.answered
            result.load_errors += ctx.get(dut.control.faults.mem_read)
            result.store_errors += ctx.get(dut.control.faults.mem_write)
            assert sum(ctx.get(getattr(dut.control.events, name)) for name in dut.control.events.signature.members) == 1
            quiet = stopped or not (todo or data)
            if quiet and ctx.get(dut.control.idle) and cycle > (result.taken or [0])[-1] + 1:
                assert port.checker.idle, "idle with something under way"
                break
            await ctx.tick()
        else:
            raise AssertionError(f"not idle after {LIMIT} cycles, {len(todo)} bursts left, seed {timing.seed}")
        port.finish()
        result.cycles = cycle
        result.most_words = port.checker.most_read_beats
        result.read_beats = port.checker.read_beats
        result.contents = port.image.contents()["ram"]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return result


def random_offers(r: random.Random, count: int) -> list[Offer]:
    """Bursts of every length anywhere in a line; loads in the lower pages, stores in the upper, each line once."""
    lines = random.Random(r.random()).sample(range(4096 * PAGES // 256), count)
    offers = []
    for i, line in enumerate(lines):
        first = r.randrange(16)
        words = r.randint(1, 16 - first)
        store = r.random() < 0.3
        data = tuple(r.getrandbits(64) for _ in range(words)) if store else ()
        kind = Kind.STORE if store else r.choice((Kind.W, Kind.U, Kind.X))
        addr = BASE + 4096 * PAGES // 2 * store + 128 * line + 8 * first
        offers.append(Offer(addr, words, kind, 0 if store else i % 16 << 4, data))
    return offers


def check(offers: list[Offer], result: Run, seed: int) -> None:
    """Every word went where it belongs, once."""
    memory = bytearray(content(seed))
    expected = []
    for offer in offers:
        at = offer.addr - BASE
        if offer.kind == Kind.STORE:
            memory[at : at + 8 * offer.words] = b"".join(word.to_bytes(8, "little") for word in offer.data)
        else:
            words = (int.from_bytes(memory[at + 8 * i :][:8], "little") for i in range(offer.words))
            expected += [(offer.kind.value, offer.index + i, word) for i, word in enumerate(words)]
    found = [(kind.value, index, word) for _, kind, index, word in result.fills]
    assert sorted(found) == sorted(expected)
    assert result.contents == bytes(memory)
    assert result.stored == sum(len(offer.data) for offer in offers)
    assert result.busy == sum(offer.words for offer in offers)
    assert (result.load_errors, result.store_errors) == (0, 0)
    assert result.requests == len(offers)


@pytest.mark.parametrize("writes", ["together", "address first", "data first"])
@pytest.mark.parametrize("order", ["fifo", "bursts", "beats"])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_word_arrives_where_it_belongs(seed: int, order: Any, writes: Any) -> None:
    r = random.Random(f"{seed} {order} {writes}")
    offers = random_offers(r, 60)
    timing = AxiTiming(
        latency=r.choice((1, 2, 9)),
        jitter=r.choice((0, 30)),
        order=order,
        stall_permille=r.choice((0, 300, 700)),
        writes=writes,
        seed=seed,
    )
    result = run(offers, timing, gap=r.choice((0.0, 0.5)))
    check(offers, result, seed)
    assert result.most_words <= CFG.window + 15


@pytest.mark.parametrize("words", [16, 1, 3])
def test_loads_come_one_a_cycle_up_to_the_latency_that_the_window_hides(words: int) -> None:
    latency = CFG.window - 4
    count = 320 // words
    offers = [Offer(BASE + 128 * (i % 64), words, index=0) for i in range(count)]
    result = run(offers, AxiTiming(latency=latency, order="bursts"))
    first, last = result.fills[0][0], result.fills[-1][0]
    assert last - first + 1 == len(result.fills) == count * words


def test_a_smaller_window_is_what_limits_beyond() -> None:
    offers = [Offer(BASE + 128 * i, 1) for i in range(100)]
    result = run(offers, AxiTiming(latency=2 * CFG.window))
    assert result.fills[-1][0] - result.fills[0][0] >= 190
    assert result.most_words == CFG.window


def test_an_id_is_not_used_again_while_its_burst_is_in_flight() -> None:
    offers = [Offer(BASE + 128 * (i % 128), 1) for i in range(300)]
    result = run(offers, AxiTiming(latency=1, jitter=60, order="bursts"))
    assert len(result.fills) == 300


@pytest.mark.parametrize("words", [16, 1])
def test_stores_go_one_a_cycle(words: int) -> None:
    count = 160 // words
    data = tuple(range(words))
    offers = [Offer(BASE + 128 * i, words, Kind.STORE, data=data) for i in range(min(count, 128))]
    result = run(offers, AxiTiming(latency=4))
    assert result.stored == result.busy == words * len(offers)
    assert result.cycles <= words * len(offers) + 12


@pytest.mark.parametrize("order", ["fifo", "beats"])
def test_a_read_error_is_reported_and_its_word_is_not_filled(order: Any) -> None:
    offers = [Offer(BASE + 128 * i, 16, index=16 * i) for i in range(4)]
    result = run(offers, AxiTiming(order=order), segment={"read_error": 128 + 24})
    assert (result.load_errors, result.store_errors) == (1, 0)
    assert sorted(index for _, _, index, _ in result.fills) == [i for i in range(64) if i != 19]


def test_a_write_error_is_reported() -> None:
    offers = [Offer(BASE + 128 * i, 8, Kind.STORE, data=tuple(range(8))) for i in range(3)]
    result = run(offers, AxiTiming(), segment={"write_error": 128 + 16})
    assert (result.load_errors, result.store_errors) == (0, 1)


@pytest.mark.parametrize("addr", [BASE - 128, MEMORY.stop, 0x200_BFF8 & ~127, BASE + (1 << 32), 2**64 - 128])
def test_what_does_not_exist_is_an_error_without_a_request(addr: int) -> None:
    load = run([Offer(addr, 16)], AxiTiming())
    assert (load.load_errors, load.store_errors, load.requests) == (1, 0, 0)
    store = run([Offer(addr, 2, Kind.STORE)], AxiTiming())
    assert (store.load_errors, store.store_errors, store.requests, store.stored) == (0, 1, 0, 0)


@pytest.mark.parametrize("stop_at", range(3, 60, 4))
def test_after_a_stop_bursts_are_completed_and_nothing_new_is_asked(stop_at: int) -> None:
    r = random.Random(stop_at)
    offers = random_offers(r, 60)
    result = run(offers, AxiTiming(stall_permille=300, order="beats", seed=stop_at), stop_at=stop_at)
    assert result.requests == len(result.taken) < 60
    assert result.after_stop == 0
    # words that were not there yet are not written
    old, new = content(stop_at), result.contents
    allowed = bytearray(old)
    for offer in offers[: result.requests]:
        for i, word in enumerate(offer.data):
            at = offer.addr - BASE + 8 * i
            if new[at : at + 8] != old[at : at + 8]:
                allowed[at : at + 8] = word.to_bytes(8, "little")
    assert new == bytes(allowed)


def test_the_range_of_memory_is_checked() -> None:
    with pytest.raises(ValueError, match="memory must be a range of bytes between multiples of 128, not range"):
        AxiMemory(CFG, range(BASE, BASE + 100))
