"""The store unit alone: what it asks for, what it stores, and when it counts a row."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import AcceleratorConfig
from golden.memory import h_bytes
from golden.recurrence import Held, State
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


DELTA = replace(CFG, stream16=True, delta=True, max_h=128, max_x=128)
EVENTS = replace(DELTA, n_pe=1, slots=0, esell=False, events=True)


@pytest.mark.parametrize(
    ("seed", "cfg", "blocks", "x_blocks", "stall", "flags"),
    [
        (1, DELTA, 1, 0, 0.0, {"h_seq": 1, "h_fp16": 1, "delta": 1, "state_out": 1}),
        (2, DELTA, 5, 0, 0.5, {"h_seq": 1, "delta": 1, "state_out": 1}),
        (3, DELTA, 32, 0, 0.0, {"h_seq": 1, "h_fp16": 1, "h_pruned": 1}),
        (4, DELTA, 32, 0, 0.4, {"h_seq": 1, "h_fp16": 1, "h_pruned": 1, "delta": 1, "state_out": 1}),
        (5, DELTA, 9, 0, 0.2, {"h_fp16": 1, "h_pruned": 1, "state_out": 1}),
        (6, EVENTS, 3, 7, 0.3, {"h_seq": 1, "h_fp16": 1, "h_pruned": 1, "delta": 1, "state_out": 1}),
        (7, EVENTS, 8, 1, 0.0, {"delta": 1, "state_out": 1}),
        (8, EVENTS, 2, 32, 0.8, {"h_seq": 1, "delta": 1, "state_out": 1}),
        (9, DELTA, 6, 0, 0.3, {"h_seq": 1, "h_pruned": 1}),
    ],
)
def test_rows_and_all_that_is_held_are_stored(
    seed: int, cfg: AcceleratorConfig, blocks: int, x_blocks: int, stall: float, flags: dict[str, int]
) -> None:
    """Rows may be fp16, and of the last h a state has what it is, not what its row is to show. Where nothing was asked
    for the memories give anything."""
    rng, stalls = np.random.default_rng(seed), random.Random(seed)
    steps, hidden = 4, 4 * blocks
    h = rng.uniform(-1, 1, (steps, hidden)).astype(np.float16)
    keep = rng.random((steps, hidden)) < 0.6
    if "delta" in flags:
        # what is held is shown as it is
        keep[:] = True
    last = rng.uniform(-1, 1, hidden).astype(np.float16) if "delta" in flags else h[-1]
    c = rng.integers(-(2**31), 2**31, hidden)
    held = Held(
        rng.integers(-1024, 1025, hidden).astype(np.int32),
        rng.integers(-(2**31), 2**31, 4 * hidden).astype(np.int32),
        rng.integers(-1024, 1025, 4 * x_blocks).astype(np.int32) if cfg.events else None,
    )
    shown = np.where(keep, h, np.float16(0)) if "h_pruned" in flags else h
    rows = shown if "h_seq" in flags else shown[-1:]
    wanted: dict[int, int] = {}
    stored = rows.astype("<f2" if "h_fp16" in flags else "<f4").tobytes()
    wanted |= {H + i: word for i, word in enumerate(np.frombuffer(stored, "<u8").tolist())}
    if "state_out" in flags:
        state = State(last.astype(np.float32), c.astype(np.int32), held if "delta" in flags else None).to_bytes()
        wanted |= {STATE + i: word for i, word in enumerate(np.frombuffer(state, "<u8").tolist())}
    bits = numbers.fp16_bits(h).reshape(steps, blocks, 4)
    last_bits = numbers.fp16_bits(last).reshape(blocks, 4)
    keep_words = keep.reshape(steps, blocks, 4) @ (1, 2, 4, 8)
    integers = {"held": held.h, "held_sums": held.sums, **({} if held.x is None else {"x_held": held.x})}

    dut = StoreUnit(cfg)
    found: dict[int, int] = {}

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, x_blocks=x_blocks, steps=steps, h=H, state=STATE, **flags)
        due: list[int] = []
        unanswered = computed = freed = 0
        row_read: tuple[int, int, int] | None = None
        reads: dict[str, int] = {}
        waited = f"seed {seed}: {len(wanted)} stored words"
        async for _ in cycles(ctx, lambda: f"{waited}, {len(found)} yet, {ctx.get(dut.progress.rows)} rows"):
            # memories answer what was asked for in the cycle before, and nothing that was not
            ctx.set(dut.row.h, [stalls.getrandbits(16) for _ in range(4)])
            ctx.set(dut.row.keep, stalls.getrandbits(4))
            if row_read is not None:
                half, raw, block = row_read
                row = next((r for r in range(computed - 1, max(-1, computed - 3), -1) if r % 2 == half), None)
                if block < blocks and (raw or row is not None):
                    ctx.set(dut.row.h, (last_bits if raw else bits[row])[block].tolist())
                    ctx.set(dut.row.keep, int(keep_words[row, block]) if row is not None else 0)
            ctx.set(dut.cells.c, int(c[reads["c"]]) if "c" in reads else stalls.getrandbits(31))
            for name, values in integers.items():
                value = int(values[reads[name]]) if name in reads else stalls.getrandbits(31)
                ctx.set(getattr(dut, name).value, value)

            complete = computed < steps and computed - freed < 2 and stalls.random() >= stall
            ctx.set(dut.row.done, int(complete))
            computed += complete
            take = ctx.get(dut.burst.valid) and not due and stalls.random() >= stall
            ctx.set(dut.burst.taken, int(take))
            if take:
                addr, words = ctx.get(dut.burst.addr), ctx.get(dut.burst.words)
                assert addr // 16 == (addr + words - 1) // 16
                due = list(range(addr, addr + words))
            accept = bool(due) and not take and stalls.random() >= stall
            ctx.set(dut.store.data.ready, int(accept))
            if accept:
                assert ctx.get(dut.store.data.valid), f"seed {seed}: a burst is asked for, its words are not there"
                assert due[0] not in found, f"seed {seed}: word {due[0]:#x} is stored twice"
                found[due.pop(0)] = ctx.get(dut.store.data.payload)
                unanswered += 1
            answer = unanswered > accept and stalls.random() >= stall
            ctx.set(dut.store.stored, int(answer))
            unanswered -= answer
            if ctx.get(dut.row_free):
                assert not unanswered and not due, f"seed {seed}: a row is given back before its answers are in"
                freed += 1
            if ctx.get(dut.progress.finished):
                break
            row_read = (ctx.get(dut.row.half), ctx.get(dut.row.raw), ctx.get(dut.row.addr))
            reads = {
                name: addr
                for name in integers
                if ctx.get(getattr(dut, name).read) and (addr := ctx.get(getattr(dut, name).addr)) < len(integers[name])
            }
            if ctx.get(dut.cells.read) and ctx.get(dut.cells.addr) < hidden:
                reads["c"] = ctx.get(dut.cells.addr)
        assert not unanswered and ctx.get(dut.progress.rows) == steps

    simulate(dut, bench)
    wrong = {
        addr: (found.get(addr), wanted.get(addr)) for addr in {*found, *wanted} if found.get(addr) != wanted.get(addr)
    }
    assert not wrong, f"seed {seed}: word address, found and wanted: {sorted(wrong.items())[0]}"


def test_a_row_of_fp16_takes_a_cycle_a_word() -> None:
    """While the port takes every word at once, and answers at once."""
    blocks = 32
    taken_at: list[int] = []
    dut = StoreUnit(DELTA)

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=blocks, steps=1, h=0x1000, h_seq=1, h_fp16=1)
        due = 0
        accepted = False
        async for cycle in cycles(ctx, lambda: f"{blocks} words, {len(taken_at)} yet", 200):
            ctx.set(dut.row.done, int(cycle == 2))
            ctx.set(dut.store.stored, int(accepted))
            take = ctx.get(dut.burst.valid) and due == 0
            ctx.set(dut.burst.taken, int(take))
            accepted = due > 0
            ctx.set(dut.store.data.ready, int(accepted))
            if accepted:
                taken_at.append(cycle)
            due = ctx.get(dut.burst.words) if take else due - accepted
            if ctx.get(dut.progress.finished):
                break

    simulate(dut, bench)
    assert len(taken_at) == blocks
    # the second burst is asked for once all its 16 words are there; until then the port is free for others
    assert taken_at[15] - taken_at[0] == taken_at[31] - taken_at[16] == 15
    assert taken_at[16] - taken_at[15] == 6
