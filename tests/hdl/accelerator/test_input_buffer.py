"""The input buffer alone: rows of x in groups, as fp16, in the memory of the PE that works on the step."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.isa import InputFormat
from hdl.accelerator.w.input_buffer import InputBuffer
from tests.hdl.accelerator.unit_bench import CFG, Memory, cycles, parameters, simulate

X = 0x5B9


@pytest.mark.parametrize(
    ("seed", "blocks", "steps", "n_fuse", "stall", "pooled", "form"),
    [
        (1, 1, 1, 1, 0.0, False, None),
        (2, 3, 9, 1, 0.4, False, None),
        (3, 5, 13, 3, 0.3, False, None),
        (4, 16, 8, 2, 0.1, True, None),
        (5, 2, 23, 3, 0.7, True, None),
        (6, 3, 9, 2, 0.3, True, InputFormat.FP32),
        (7, 1, 7, 1, 0.0, False, InputFormat.FP16),
        (8, 5, 13, 3, 0.3, False, InputFormat.FP16),
        (9, 16, 8, 2, 0.1, True, InputFormat.FP16),
        (10, 3, 23, 3, 0.6, True, InputFormat.FP16),
    ],
)
def test_every_bank_reads_the_x_of_its_steps(
    seed: int, blocks: int, steps: int, n_fuse: int, stall: float, pooled: bool, form: InputFormat | None
) -> None:
    """``form``: of x in memory, in a build with DELTA; fp16 has every bit of its own."""
    cfg = replace(CFG, group_list=pooled, delta=form is not None)
    banks = cfg.w_banks
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    x = (rng.normal(size=(steps, 4 * blocks)) * rng.choice([1, 1e-5, 1e4], (steps, 1))).astype(np.float32)
    if form is not None:
        x[rng.random(x.shape) < 0.5] = rng.choice([0.0, -0.0])
    if form == InputFormat.FP16:
        x = numbers.to_fp16(x)
    words = np.frombuffer(x.tobytes(), "<u8").tolist()
    expected = numbers.fp16_bits(numbers.to_fp16(x.astype(np.float32))).reshape(steps, blocks, 4)
    nonzero = ((expected & 0x7FFF) != 0) @ (1, 2, 4, 8)
    capacity = n_fuse * cfg.w_pes
    upper_slot, upper_bank = divmod(cfg.fuse_capacity * cfg.w_pes, banks)

    def steps_of(first: int, turn: int) -> list[tuple[int, int]]:
        """Bank and step of each that has its place in the banks' memories ``turn`` slots after the group's first."""
        begin = upper_bank if first // capacity % 2 else 0
        return [((begin + j) % banks, first + turn * banks + j) for j in range(banks)]

    dut = InputBuffer(cfg)
    memory = Memory(stalls, lambda addr: words[addr - X], stall)
    found = np.zeros_like(expected)
    read_steps: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, x_blocks=blocks, steps=steps, n_fuse=n_fuse, x=X)
        if form is not None:
            ctx.set(dut.parameters.x_format, form)
        groups = [range(first, min(first + capacity, steps)) for first in range(0, steps, capacity)]
        ready = freed = 0
        reads: list[tuple[int, int, int]] = []
        looking: tuple[int, int, int] | None = None
        waited = f"seed {seed}: the x of {steps} steps"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(read_steps)} yet"):
            if looking is not None:
                first, turn, column = looking
                for bank, step in steps_of(first, turn):
                    if step < min(first + capacity, steps):
                        found[step, column] = list(ctx.get(dut.reads[bank].operands))
                        if pooled:
                            assert ctx.get(dut.looks[bank].nonzero) == nonzero[step, column], f"seed {seed}"
                        read_steps.extend([step] if column == blocks - 1 else [])
                looking = None
            ctx.set(dut.group_free, 0)
            if freed == len(groups):
                break
            if not reads and freed < ready:
                group = groups[freed]
                turns = -(-len(group) // banks)
                reads = [(group.start, turn, column) for column in range(blocks) for turn in range(turns)]
            read = bool(reads) and stalls.random() >= stall
            for x in dut.reads:
                ctx.set(x.en, int(read))
            if read:
                looking = reads.pop(0)
                upper = freed % 2
                for bank, x in enumerate(dut.reads):
                    slot = (upper_slot + (bank < upper_bank)) * upper
                    addr = slot * cfg.x_blocks + looking[1] * blocks + looking[2]
                    ctx.set(x.addr, addr)
                    if pooled:
                        ctx.set(dut.looks[bank].addr, addr)
                if not reads:
                    ctx.set(dut.group_free, 1)
                    freed += 1
            words_now = memory.accept(ctx, dut.burst)
            memory.answer(ctx, dut.fill, words_now)
            ready += ctx.get(dut.group_ready)
            assert ready - freed <= 2, f"seed {seed}: a third group is loaded over one in use"
            assert not ctx.get(dut.bad_x)

    simulate(dut, bench)
    wrong = np.argwhere(found != expected)
    assert not len(wrong), f"seed {seed}: step, block, element {wrong[0]}"
    assert sorted(read_steps) == list(range(steps))
    assert [addr + i for addr, count, _ in memory.taken for i in range(count)] == list(range(X, X + len(words)))


@pytest.mark.parametrize(
    ("value", "bad"), [(65519.0, 0), (65520.0, 1), (np.inf, 1), (np.nan, 1), (-1e30, 1), (1e-30, 0), (-65504.0, 0)]
)
@pytest.mark.parametrize("place", [0, 3])
def test_an_x_that_is_not_finite_in_fp16_is_told(value: float, bad: int, place: int) -> None:
    x = np.zeros(4, np.float32)
    x[place] = value
    assert bool(bad) == (not np.isfinite(numbers.to_fp16(x)).all())
    words = np.frombuffer(x.tobytes(), "<u8").tolist()
    dut = InputBuffer(CFG)
    memory = Memory(random.Random(1), lambda addr: words[addr - X], 0.0)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, x_blocks=1, steps=1, n_fuse=1, x=X)
        async for _ in cycles(ctx, lambda: "a group of one row", 100):
            memory.answer(ctx, dut.fill, memory.accept(ctx, dut.burst))
            seen.append(ctx.get(dut.bad_x))
            if ctx.get(dut.group_ready):
                break

    simulate(dut, bench)
    assert max(seen) == bad


@pytest.mark.parametrize(("bits", "bad"), [(0x7BFF, 0), (0xFBFF, 0), (0x7C00, 1), (0xFC00, 1), (0x7E01, 1), (1, 0)])
@pytest.mark.parametrize("place", range(4))
def test_an_x_of_fp16_that_is_not_finite_is_told(bits: int, bad: int, place: int) -> None:
    """In the upper half of a word as in the lower; as fp32 the same words are others."""
    seen: list[int] = []
    dut = InputBuffer(replace(CFG, delta=True))
    memory = Memory(random.Random(1), lambda addr: bits << 16 * place, 0.0)

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, x_blocks=1, steps=1, n_fuse=1, x=X)
        ctx.set(dut.parameters.x_format, InputFormat.FP16)
        async for _ in cycles(ctx, lambda: "a group of one row", 100):
            memory.answer(ctx, dut.fill, memory.accept(ctx, dut.burst))
            seen.append(ctx.get(dut.bad_x))
            if ctx.get(dut.group_ready):
                break

    simulate(dut, bench)
    assert max(seen) == bad
