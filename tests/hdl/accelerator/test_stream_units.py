"""Decoder, bank and ring alone, with random stalls on both sides; the seed is in the test's name."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from golden.config import preset
from golden.formats import esell
from hdl.accelerator.formats.esell_decoder import EsellDecoder
from hdl.accelerator.layout import Kind
from hdl.accelerator.result_bank import ResultBank
from hdl.accelerator.ring import Ring
from hdl.common.queue import Queue
from hdl.common.ram import Ram

CFG = preset("tiny")
LIMIT = 20_000


def simulate(dut: Any, *benches: Any) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for bench in benches:
        sim.add_testbench(bench)
    sim.run()


async def put(ctx: Any, stream: Any, payload: Any, stall: float, rng: random.Random) -> None:
    while rng.random() < stall:
        await ctx.tick()
    ctx.set(stream.valid, 1)
    ctx.set(stream.payload, payload)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


async def get(ctx: Any, stream: Any, stall: float, rng: random.Random) -> Any:
    while rng.random() < stall:
        await ctx.tick()
    ctx.set(stream.ready, 1)
    for _ in range(LIMIT):
        _, _, valid, payload = await ctx.tick().sample(stream.valid, stream.payload)
        if valid:
            ctx.set(stream.ready, 0)
            return payload
    raise AssertionError(f"nothing on the stream in {LIMIT} cycles")


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize(
    ("seed", "density", "rows"), [(1, 0.0, 48), (2, 0.15, 48), (3, 0.6, 48), (4, 1.0, CFG.max_rows)]
)
def test_decoder_gives_back_the_matrix(seed: int, density: float, rows: int, stall: float) -> None:
    rng = np.random.default_rng(seed)
    cols = 20 if rows == 48 else 4
    matrix = rng.normal(size=(rows, cols)).astype(np.float16)
    matrix[rng.random(matrix.shape) >= density] = 0
    packed = esell.pack(matrix)
    dut = EsellDecoder(CFG, known_length=True)
    seen = np.zeros((rows, cols), dtype=np.float16)
    touched = np.zeros(rows, dtype=int)
    ends: list[int] = []
    stalls = random.Random(seed)

    async def words(ctx: Any) -> None:
        for word in packed.words:
            await put(ctx, dut.words, int(word), stall, stalls)

    async def columns(ctx: Any) -> None:
        ctx.set(dut.blocks, rows // 8)
        ctx.set(dut.check, 1)
        for column, count in enumerate(packed.offsets):
            mark = {"first": int(column == 0), "half": 1}
            entry = {"column": column, "words": int(count), "mark": mark, "end": 0}
            await put(ctx, dut.columns, entry, stall, stalls)
        await put(ctx, dut.columns, {"column": 0, "words": 0, "mark": {"half": 1}, "end": 1}, stall, stalls)

    async def items(ctx: Any) -> None:
        while not ends:
            item = await get(ctx, dut.items, stall, stalls)
            if item.end:
                ends.append(item.mark.half)
                continue
            for i in range(4):
                row = 16 * item.row_groups[0] + item.lanes[i]
                column = 4 * item.column + item.selects[i]
                seen[row, column] += np.uint16(item.values[i]).view(np.float16)
                touched[row] += item.mark.first
                assert item.mark.first or item.column or touched[row]

    async def no_errors(ctx: Any) -> None:
        while not ends:
            _, _, bad_format, bad_weight = await ctx.tick().sample(dut.bad_format, dut.bad_weight)
            assert not bad_format and not bad_weight

    simulate(dut, words, columns, items, no_errors)
    assert (seen == matrix).all()
    # every sum is overwritten exactly once, whatever chunks the first column has
    assert (touched == 1).all()
    assert ends == [1]


def test_decoder_takes_a_word_every_cycle() -> None:
    packed = esell.pack(np.ones((32, 16), np.float16))
    dut = EsellDecoder(CFG, known_length=True)
    taken: list[int] = []

    async def feed(ctx: Any) -> None:
        ctx.set(dut.blocks, 4)
        ctx.set(dut.check, 1)
        ctx.set(dut.items.ready, 1)
        ctx.set(dut.columns.valid, 1)
        ctx.set(dut.columns.payload, {"column": 0, "words": int(packed.offsets[0]), "end": 0})
        await ctx.tick()
        ctx.set(dut.words.valid, 1)
        for cycle, word in enumerate(packed.words):
            ctx.set(dut.words.payload, int(word))
            (wrong,) = await ctx.tick().sample(dut.bad_format).until(dut.words.ready)
            assert not wrong
            taken.append(cycle)

    async def count(ctx: Any) -> None:
        cycles = 0
        while len(taken) < len(packed.words):
            await ctx.tick()
            cycles += 1
        assert cycles <= len(packed.words) + 2

    simulate(dut, feed, count)


@pytest.mark.parametrize("seed", [1, 2])
def test_bank_adds_a_word_every_cycle_in_any_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    depth = 4
    dut = ResultBank(depth, memories=2)
    expected = np.zeros((2, depth, 16), dtype=np.int64)
    count = 600
    # few rows, so that words meet the same sums at every distance
    memories, addrs = rng.integers(0, 2, count), rng.integers(0, depth, count) * (rng.random(count) < 0.4)
    lanes = np.array([rng.permutation(16)[:4] for _ in range(count)])
    products = rng.integers(-(2**31), 2**31, (count, 4))
    idle = rng.random(count) < 0.1
    first = np.zeros(count, dtype=bool)
    start = [(m, a, list(range(4 * q, 4 * q + 4))) for m in range(2) for a in range(depth) for q in range(4)]
    for i, (memory, addr, quad) in enumerate(start):
        memories[i], addrs[i], lanes[i], first[i], idle[i] = memory, addr, quad, True, False
    overflowed = False
    for i in np.flatnonzero(~idle).tolist():
        row = expected[memories[i], addrs[i]]
        total = np.where(first[i], 0, row[lanes[i]]) + products[i]
        row[lanes[i]] = (total + 2**31) % 2**32 - 2**31
        overflowed |= bool((row[lanes[i]] != total).any())
    overflow_seen: list[int] = []
    found = np.zeros_like(expected)

    async def drive(ctx: Any) -> None:
        for i in range(count + 1):
            ctx.set(dut.fetch, int(i < count and not idle[i]))
            if i < count:
                ctx.set(dut.memory, int(memories[i]))
                ctx.set(dut.addr[0], int(addrs[i]))
                ctx.set(dut.first, int(first[i]))
                ctx.set(dut.lanes, [int(v) for v in lanes[i]])
            if i:
                for k in range(4):
                    ctx.set(dut.products[k], int(products[i - 1, k]))
            overflow_seen.append(ctx.get(dut.overflow))
            await ctx.tick()
        ctx.set(dut.fetch, 0)
        for memory in range(2):
            for addr in range(depth):
                ctx.set(dut.read, 1)
                ctx.set(dut.read_memory, memory)
                ctx.set(dut.read_addr, addr)
                await ctx.tick()
                ctx.set(dut.read, 0)
                await ctx.tick()
                found[memory, addr] = [ctx.get(dut.read_data[lane]) for lane in range(16)]

    simulate(dut, drive)
    assert (found == expected).all()
    assert bool(any(overflow_seen)) == overflowed


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ring_restores_the_order(seed: int) -> None:
    rng = random.Random(seed)
    dut = Ring(CFG, Kind.U)
    count = 300
    asked: list[int] = []
    got: list[int] = []

    async def request(ctx: Any) -> None:
        waiting: list[tuple[int, int]] = []
        number = 0
        while len(got) < count:
            words = min(rng.randint(0, 16) * ctx.get(dut.space.roomy), count - number)
            ctx.set(dut.space.alloc, words)
            index = ctx.get(dut.space.next_index)
            for i in range(words):
                waiting.append(((index + i) % dut.depth, number))
                asked.append(number)
                number += 1
            fill = bool(waiting) and rng.random() < 0.8
            ctx.set(dut.fill.valid, int(fill))
            if fill:
                # words of this cycle's request cannot be answered in it
                position = rng.randrange(len(waiting) - words) if len(waiting) > words else None
                ctx.set(dut.fill.valid, int(position is not None))
                if position is not None:
                    place, value = waiting.pop(position)
                    ctx.set(dut.fill.kind, Kind.U)
                    ctx.set(dut.fill.index, place)
                    ctx.set(dut.fill.data, value)
            elif rng.random() < 0.5:
                # somebody else's word
                ctx.set(dut.fill.valid, 1)
                ctx.set(dut.fill.kind, Kind.W)
                ctx.set(dut.fill.index, rng.randrange(dut.depth))
                ctx.set(dut.fill.data, 0xDEAD)
            await ctx.tick()

    async def take(ctx: Any) -> None:
        while len(got) < count:
            got.append(await get(ctx, dut.words, 0.3, rng))

    simulate(dut, request, take)
    assert got == asked == list(range(count))


@pytest.mark.parametrize("seed", [1])
def test_queue_keeps_order_and_counts_room(seed: int) -> None:
    rng = random.Random(seed)
    dut = Queue(unsigned(16), 4)
    sent = list(range(200))
    got: list[int] = []

    async def send(ctx: Any) -> None:
        for value in sent:
            await put(ctx, dut.i, value, 0.3, rng)

    async def take(ctx: Any) -> None:
        assert ctx.get(dut.room) == 4
        while len(got) < len(sent):
            got.append(await get(ctx, dut.o, 0.4, rng))
        assert ctx.get(dut.room) == 4

    simulate(dut, send, take)
    assert got == sent


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="depth must be a power of two and at least 2, not 3"):
        Queue(unsigned(4), 3)
    with pytest.raises(ValueError, match="width must be a multiple of lane_bits = 5, not 12"):
        Ram(12, 4, lane_bits=5)
    with pytest.raises(ValueError, match="not 0 rows of 8 bits"):
        Ram(8, 0)
