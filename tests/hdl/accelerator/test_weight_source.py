"""W's words from memory to items, alone: of the units that are asked for, where memory has the lengths of them."""

import random
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.formats import Parameters, stored
from golden.formats.base import matrix_of
from golden.isa import Format
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.w.weight_source import WeightSource
from tests.hdl.accelerator.unit_bench import CFG, Memory, cycles, parameters, simulate

ALL = replace(CFG, group_list=True, stream16=True, stream8=True)
W = 0x1_0BF5
KINDS = {
    "esell": (Format.ESELL, 0, 4),
    "stream16": (Format.STREAM16, 5, 4),
    "single": (Format.STREAM16, 4, 1),
    "stream8": (Format.STREAM8, 4, 4),
}


@pytest.mark.parametrize(
    ("kind", "seed", "stall"), [("esell", 1, 0.5), ("stream16", 2, 0.0), ("single", 3, 0.4), ("stream8", 4, 0.2)]
)
def test_units_that_are_needed_become_items(kind: str, seed: int, stall: float) -> None:
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    number, gap_bits, unit_cols = KINDS[kind]
    x_blocks, h_blocks, passes = 4, 2, 3
    matrix = rng.normal(size=(16 * h_blocks, 4 * x_blocks)).astype(np.float16)
    matrix[rng.random(matrix.shape) < 0.7] = 0
    # of this unit nothing is left
    matrix[:, 4:8] = 0
    wanted = Parameters(gap_bits, unit_cols) if number != Format.ESELL else Parameters()
    form = stored(number)
    packed = form.pack(matrix, wanted)
    known = matrix_of(form.decode(packed.words, 16 * h_blocks, 4 * x_blocks, packed.offsets, packed.parameters))
    units = 4 * x_blocks // unit_cols
    words = packed.words.tolist()
    offsets = [int(length) for length in packed.offsets] + [0] * 3
    asked = [[bool(rng.random() < 0.6) for _ in range(units)] for _ in range(passes)]
    entries: deque[dict[str, Any]] = deque()
    tag = 0
    for needed in asked:
        for unit, is_needed in enumerate(needed):
            entries.append({"unit": unit, "needed": int(is_needed), "end": 0, "mark": {"tag": tag % 16}})
            tag += is_needed
        entries.append({"unit": 0, "needed": 0, "end": 1, "mark": {"tag": tag % 16}})
    dut = WeightSource(ALL)
    memory = Memory(stalls, lambda addr: words[addr - W], stall)
    found = [np.zeros_like(known) for _ in range(passes)]
    tags: list[int] = []
    ended = taken = 0

    async def bench(ctx: Any) -> None:
        nonlocal ended, taken
        parameters(ctx, dut, x_blocks=x_blocks, h_blocks=h_blocks, w=W, w_known=1, list=1)
        described = dut.parameters.w_matrix
        ctx.set(described.stream, int(number != Format.ESELL))
        ctx.set(described.narrow, int(number == Format.STREAM8))
        ctx.set(described.gap_bits, gap_bits)
        ctx.set(described.single, int(unit_cols == 1))
        for row in range(-(-units // 4)):
            ctx.set(dut.offsets.en, 1)
            ctx.set(dut.offsets.addr, row)
            ctx.set(dut.offsets.data, offsets[4 * row : 4 * row + 4])
            await ctx.tick()
        ctx.set(dut.offsets.en, 0)
        if packed.parameters.tables is not None:
            rows = numbers.fp16_bits(packed.parameters.tables).reshape(TABLE_WORDS, 4)
            for row, values in enumerate(rows.tolist()):
                ctx.set(dut.tables.en, 1)
                ctx.set(dut.tables.addr, row)
                ctx.set(dut.tables.data, values)
                await ctx.tick()
            ctx.set(dut.tables.en, 0)
        async for cycle in cycles(ctx, lambda: f"seed {seed}: {passes} passes", 4000):
            if ended == passes:
                break
            ctx.set(dut.loaded, int(cycle > 5))
            give = bool(entries) and stalls.random() >= stall
            ctx.set(dut.units.valid, int(give))
            if give:
                ctx.set(dut.units.payload, entries[0])
            ready = stalls.random() >= stall
            ctx.set(dut.items.ready, int(ready))
            memory.answer(ctx, dut.fill, memory.accept(ctx, dut.burst))
            taken += ctx.get(dut.taken)
            if give and ctx.get(dut.units.ready):
                assert cycle > 5, f"seed {seed}: a unit is taken before the lengths are loaded"
                entries.popleft()
            assert not ctx.get(dut.bad_format) and not ctx.get(dut.bad_weight), f"seed {seed}"
            if ctx.get(dut.items.valid) and ready:
                item = dut.items.payload
                if ctx.get(item.end):
                    ended += 1
                    continue
                tags.append(ctx.get(item.mark.tag))
                assert (tags[-1] - ctx.get(dut.oldest)) % 16 == 0, f"seed {seed}: there are items of an older unit"
                # a word of four streams is repeated for a bank of eight products
                for i in range(4 if number == Format.STREAM16 else ALL.entries):
                    bits = ctx.get(item.values[i])
                    if ctx.get(item.used) >> i & 1 and bits & 0x7FFF:
                        row = 16 * ctx.get(item.row_groups[i]) + ctx.get(item.lanes[i])
                        column = 4 * ctx.get(item.column) + ctx.get(item.selects[i])
                        assert found[ended][row, column] == 0, f"seed {seed}: a value twice"
                        found[ended][row, column] = np.uint16(bits).view(np.float16)

    simulate(dut, bench)
    for needed, got in zip(asked, found, strict=True):
        assert (got == np.where(np.repeat(needed, unit_cols), known, 0)).all(), f"seed {seed}"
    starts = np.concatenate([[0], np.cumsum(packed.offsets)]).astype(int)
    loaded = [W + word for needed in asked for u in np.flatnonzero(needed) for word in range(starts[u], starts[u + 1])]
    assert [addr + i for addr, count, _ in memory.taken for i in range(count)] == loaded, f"seed {seed}"
    assert taken == len(loaded)
