"""The loaders alone: what they ask of memory, in which bursts, and never a word more."""

import random
from typing import Any

import numpy as np
import pytest

from golden.formats import esell
from hdl.accelerator.layout import Widths
from hdl.accelerator.u.segment_loader import SegmentLoader
from hdl.accelerator.w.weight_loader import WeightLoader
from tests.hdl.accelerator.unit_bench import CFG, Memory, cycles, parameters, simulate

DEPTH = Widths(CFG).ring_depth
W = 0x7F3


class RingSpace:
    """The requester's side of a ring: entries are taken by requests and given back, in order, by a consumer."""

    def __init__(self) -> None:
        self.free, self.next_index = DEPTH, 0

    def show(self, ctx: Any, space: Any) -> None:
        ctx.set(space.roomy, self.free >= 16)
        ctx.set(space.next_index, self.next_index)

    def take(self, ctx: Any, space: Any, words: int, index: int) -> None:
        assert ctx.get(space.alloc) == words, "entries are taken with the burst, and only then"
        assert words <= self.free and (not words or index == self.next_index)
        self.free -= words
        self.next_index = (self.next_index + words) % DEPTH


@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.4), (3, 0.8)])
def test_segments_are_loaded_one_after_the_other(seed: int, stall: float) -> None:
    rng = random.Random(seed)
    segments = [(rng.getrandbits(20), rng.choice([0, 1, 2, 15, 16, 17, rng.randrange(200)])) for _ in range(12)]
    expected = [addr + i for addr, words in segments for i in range(words)]
    dut = SegmentLoader(CFG)
    memory = Memory(rng, lambda addr: addr, stall)
    asked: list[int] = []

    async def bench(ctx: Any) -> None:
        ring = RingSpace()
        todo = list(segments)
        async for _ in cycles(ctx, lambda: f"seed {seed}: {len(expected)} words, {len(asked)} asked for yet"):
            if len(asked) == len(expected) and not todo:
                break
            ring.show(ctx, dut.space)
            give = bool(todo) and rng.random() >= stall
            ctx.set(dut.segments.valid, int(give))
            if give:
                ctx.set(dut.segments.payload, {"addr": todo[0][0], "words": todo[0][1]})
            words = memory.accept(ctx, dut.burst)
            if words:
                addr = memory.taken[-1][0]
                asked.extend(range(addr, addr + words))
            ring.take(ctx, dut.space, words, memory.taken[-1][2] if words else 0)
            if give and ctx.get(dut.segments.ready):
                todo.pop(0)
            ring.free += min(DEPTH - ring.free, rng.randrange(4) if stall else DEPTH)

    simulate(dut, bench)
    assert asked == expected, f"seed {seed}"
    # as long as they can be where the ring has room: to a boundary of 128 bytes or the segment's end
    lines = sum((addr + words - 1) // 16 - addr // 16 + 1 for addr, words in segments if words)
    assert stall or len(memory.taken) == lines


@pytest.mark.parametrize(
    ("seed", "density", "x_blocks", "h_blocks", "steps", "stall"),
    [(1, 0.5, 3, 2, 5, 0.0), (2, 0.0, 2, 3, 7, 0.4), (3, 1.0, 4, 1, 3, 0.7), (4, 0.7, 1, 4, 13, 0.2)],
)
def test_w_is_loaded_once_a_group_and_never_past_its_end(
    seed: int, density: float, x_blocks: int, h_blocks: int, steps: int, stall: float
) -> None:
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    n_fuse = 2
    matrix = rng.normal(size=(16 * h_blocks, 4 * x_blocks)).astype(np.float16)
    matrix[rng.random(matrix.shape) >= density] = 0
    words = esell.pack(matrix).words.tolist()
    passes = -(-steps // (n_fuse * CFG.w_pes))
    dut = WeightLoader(CFG)
    memory = Memory(stalls, lambda addr: words[addr - W], stall)
    asked: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, x_blocks=x_blocks, h_blocks=h_blocks, steps=steps, n_fuse=n_fuse, w=W)
        ring = RingSpace()
        decoded = values = quiet = 0
        waited = f"seed {seed}: {passes} passes over {len(words)} words"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(asked)} words asked for yet"):
            # the decoder takes words in the order of requests, some cycles after them
            take = decoded < len(asked) and stalls.random() >= stall
            is_head = take and not values
            ctx.set(dut.heads.valid, int(is_head))
            if is_head:
                values = sum(words[decoded % len(words)] >> shift & 7 for shift in (0, 32))
                ctx.set(dut.heads.values, values)
            elif take:
                values -= 1
            ring.show(ctx, dut.space)
            count = memory.accept(ctx, dut.burst)
            if count:
                addr = memory.taken[-1][0]
                assert addr >= W and addr + count <= W + len(words), f"seed {seed}: {count} words at {addr - W} of W"
                asked.extend(range(addr, addr + count))
            ring.take(ctx, dut.space, count, memory.taken[-1][2] if count else 0)
            assert not ctx.get(dut.bad_format)
            decoded += take
            ring.free += take
            quiet = 0 if count or decoded < len(asked) else quiet + 1
            if quiet > 30:
                break

    simulate(dut, bench)
    assert asked == passes * list(range(W, W + len(words))), f"seed {seed}"


@pytest.mark.parametrize(("change", "bad"), [(0, 0), (1, 1), (-1, 1)])
def test_a_second_pass_of_another_length_is_told(change: int, bad: int) -> None:
    dut = WeightLoader(CFG)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        # two blocks a pass; the first pass has 3 and 4 value words
        parameters(ctx, dut, x_blocks=1, h_blocks=1, steps=8, n_fuse=1, w=W)
        ctx.set(dut.space.roomy, 1)
        async for cycle in cycles(ctx, lambda: "two passes", 200):
            ctx.set(dut.burst.taken, ctx.get(dut.burst.valid))
            heads = {40: 3, 60: 4, 100: 3, 120: 4 + change}
            ctx.set(dut.heads.valid, int(cycle in heads))
            ctx.set(dut.heads.values, heads.get(cycle, 0))
            seen.append(ctx.get(dut.bad_format))
            if cycle == 150:
                break

    simulate(dut, bench)
    assert max(seen) == bad
