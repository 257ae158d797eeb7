"""The store unit alone: what it asks for, what it stores, and when it counts a row."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.memory import h_bytes
from hdl.accelerator.layout import Kind
from hdl.accelerator.vector.store_unit import StoreUnit
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

H, STATE = 0x1003, 0x20F1
"""Word addresses of rows and of the state: neither begins a burst of 16."""


@pytest.mark.parametrize(
    ("seed", "blocks", "stall", "flags"),
    [
        (1, 1, 0.0, {"h_seq": 1}),
        (2, 5, 0.5, {"h_seq": 1, "h_pruned": 1}),
        (3, 9, 0.3, {"h_seq": 1, "h_pruned": 1, "state_out": 1}),
        (4, 4, 0.8, {"h_pruned": 1}),
        (5, 16, 0.2, {"state_out": 1}),
        (6, 3, 0.2, {"h_seq": 1, "h_pruned": 1, "state_out": 1}),
    ],
)
def test_rows_and_state_are_stored(seed: int, blocks: int, stall: float, flags: dict[str, int]) -> None:
    """Also where each element of a block has a keep bit of its own."""
    cfg = replace(CFG, stream16=True) if seed == 6 else CFG
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    steps, hidden = 5, 4 * blocks
    h = rng.uniform(-1, 1, (steps, hidden)).astype(np.float16)
    h[rng.random(h.shape) < 0.1] = 0
    keep = rng.random((steps, blocks * cfg.keep_bits)) < 0.6
    keep_words = keep.reshape(steps, blocks, cfg.keep_bits) @ (1 << np.arange(cfg.keep_bits))
    c = rng.integers(-(2**31), 2**31, hidden)
    bits = numbers.fp16_bits(h).reshape(steps, blocks, 4)

    shown = np.where(np.repeat(keep, 4 // cfg.keep_bits, axis=1), h, np.float16(0)) if "h_pruned" in flags else h
    rows = range(steps) if "h_seq" in flags else [steps - 1]
    wanted: dict[int, int] = {}
    for number, row in enumerate(rows):
        words = np.frombuffer(h_bytes(shown[row : row + 1].astype(np.float32)), "<u8").tolist()
        wanted |= {H + number * 2 * blocks + i: word for i, word in enumerate(words)}
    if "state_out" in flags:
        state = h_bytes(h[-1:].astype(np.float32)) + c.astype("<i4").tobytes()
        wanted |= {STATE + i: word for i, word in enumerate(np.frombuffer(state, "<u8").tolist())}

    dut = StoreUnit(cfg)
    found: dict[int, int] = {}

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, steps=steps, h=H, state=STATE, **flags)
        due: list[int] = []
        unanswered = computed = freed = 0
        row_read = cell_read = 0
        half = 0
        waited = f"seed {seed}: {len(wanted)} stored words"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(found)} yet, {ctx.get(dut.progress.rows)} rows"):
            # memories answer what was asked for in the cycle before: of two rows the last of that half
            row = next((r for r in range(computed - 1, max(-1, computed - 3), -1) if r % 2 == half), None)
            if row is not None and row_read < blocks:
                ctx.set(dut.row.keep, int(keep_words[row, row_read]))
                ctx.set(dut.row.h, bits[row, row_read].tolist())
            ctx.set(dut.cells.c, int(c[cell_read]) if cell_read < hidden else 0)

            complete = computed < steps and computed - freed < 2 and stalls.random() >= stall
            ctx.set(dut.row.done, int(complete))
            computed += complete
            take = ctx.get(dut.burst.valid) and not due and stalls.random() >= stall
            ctx.set(dut.burst.taken, int(take))
            if take:
                addr, words = ctx.get(dut.burst.addr), ctx.get(dut.burst.words)
                assert ctx.get(dut.burst.kind) == Kind.STORE
                assert addr // 16 == (addr + words - 1) // 16
                due = list(range(addr, addr + words))
            accept = bool(due) and not take and stalls.random() >= stall
            ctx.set(dut.store.data.ready, int(accept))
            if accept:
                assert ctx.get(dut.store.data.valid), f"seed {seed}: a burst is asked for, its words are not there"
                found[due.pop(0)] = ctx.get(dut.store.data.payload)
                unanswered += 1
            answer = unanswered > accept and stalls.random() >= stall
            ctx.set(dut.store.stored, int(answer))
            unanswered -= answer
            assert ctx.get(dut.events.store_words) == answer
            if ctx.get(dut.row_free):
                assert not unanswered and not due, f"seed {seed}: a row is given back before its answers are in"
                freed += 1
            if ctx.get(dut.progress.finished):
                break
            half, row_read = ctx.get(dut.row.half), ctx.get(dut.row.addr)
            cell_read = ctx.get(dut.cells.addr)
        assert not unanswered and ctx.get(dut.progress.rows) == steps

    simulate(dut, bench)
    wrong = {
        addr: (found.get(addr), wanted.get(addr)) for addr in {*found, *wanted} if found.get(addr) != wanted.get(addr)
    }
    assert not wrong, f"seed {seed}: word address, found and wanted: {sorted(wrong.items())[0]}"
