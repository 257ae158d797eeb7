"""x by events alone: what is sent of each row, as golden decides, in every format; and which x is refused."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from golden import numbers
from golden.config import AcceleratorConfig, preset
from golden.isa import InputFormat
from golden.memory import INPUT_STEPS, x_from_bytes, x_row_bytes
from golden.sends import sends
from hdl.accelerator.events.input_changes import InputChanges
from hdl.accelerator.layout import Kind
from tests.hdl.accelerator.unit_bench import Memory, cycles, parameters, simulate

CFG = replace(preset("event"), max_x=64)
X = 0x5B9
"""Word address of x: no burst of 16 begins there."""
STORED_AS = {InputFormat.FP32: "<f4", InputFormat.FP16: "<f2"}
LEFT_OVER = -555
"""Held values that a run before left, in units of 2^-10."""


def stored_rows(rng: np.random.Generator, x: np.ndarray, form: InputFormat) -> bytes:
    """Rows (T, X) in memory; of bytes what fills a row up is no zero, as nothing may look at it."""
    if form != InputFormat.UINT8:
        return x.astype(STORED_AS[form]).tobytes()
    k = np.abs(x * INPUT_STEPS).clip(0, INPUT_STEPS - 1).astype(np.uint8)
    rows = rng.integers(1, 256, (len(x), x_row_bytes(x.shape[1], form)), dtype=np.uint8)
    rows[:, : x.shape[1]] = k
    return rows.tobytes()


def refused(word: int, form: InputFormat) -> bool:
    """Whether a word has a value that is over 1 in magnitude, or none, once it is fp16."""
    if form == InputFormat.UINT8:
        return False
    values = numbers.to_fp16(np.frombuffer(word.to_bytes(8, "little"), STORED_AS[form]).astype(np.float32))
    return not (np.abs(values) <= 1).all()


class Bench:
    """Loads rows of x, and reads what is sent of them, with random stalls.

    keep, changes: of each block, in order; refused: words that BAD_X told of; held: what is held in the end.
    """

    def __init__(self, cfg: AcceleratorConfig, data: bytes, seed: int, stall: float) -> None:
        self.dut = InputChanges(cfg)
        self.cfg, self.seed, self.stall = cfg, seed, stall
        self.words = np.frombuffer(data, "<u8").tolist()
        self.rng = random.Random(seed)
        self.keep: list[int] = []
        self.changes: list[list[int]] = []
        self.refused = 0
        self.held: list[int] = []

    def run(self, blocks: int, steps: int, form: InputFormat, held: np.ndarray | None, **values: int) -> None:
        dut, rng = self.dut, self.rng
        memory = Memory(rng, lambda addr: self.words[addr - X], self.stall)
        loaded = np.full(4 * blocks, LEFT_OVER) if held is None else held

        async def bench(ctx: Any) -> None:
            single = values.pop("single")
            parameters(
                ctx, dut, x_blocks=blocks, steps=steps, x=X, x_format=form, state_in=int(held is not None), **values
            )
            ctx.set(dut.parameters.w_matrix.single, single)
            to_hold = list(enumerate(loaded.tolist()))
            published = given_back = words = 0
            looking = bad = False
            async for _ in cycles(ctx, lambda: f"seed {self.seed}: {steps} rows, {len(self.keep)} blocks read"):
                if looking:
                    self.keep.append(ctx.get(dut.keep.keep))
                    self.changes.append(list(ctx.get(dut.block.h)))
                ctx.set(dut.step_done, 0)
                # long after the next row is there
                if given_back < len(self.keep) // blocks and rng.random() < 0.03:
                    ctx.set(dut.step_done, 1)
                    given_back += 1
                # a state is loaded while the first row comes, and only then looked at
                ctx.set(dut.held.en, int(bool(to_hold)))
                if to_hold:
                    ctx.set(dut.held.addr, to_hold[0][0])
                    ctx.set(dut.held.data, to_hold[0][1])
                ctx.set(dut.enable, int(not to_hold))
                to_hold = to_hold[1:]

                assert ctx.get(dut.faults.bad_x) == bad, f"seed {self.seed}: word {words}"
                self.refused += bad
                words_now = memory.accept(ctx, dut.burst)
                memory.answer(ctx, dut.fill, words_now)
                bad = bool(ctx.get(dut.fill.valid)) and refused(ctx.get(dut.fill.data), form)
                words += ctx.get(dut.fill.valid)
                assert ctx.get(dut.events.x_words) == ctx.get(dut.fill.valid)
                if not ctx.get(dut.fill.valid) and rng.random() < 0.3:
                    # words of others come by
                    ctx.set(dut.fill.valid, 1)
                    ctx.set(dut.fill.kind, Kind.U)
                    ctx.set(dut.fill.index, rng.randrange(2 * blocks))
                    ctx.set(dut.fill.data, rng.getrandbits(64))

                looking = len(self.keep) < published and rng.random() >= self.stall
                published += ctx.get(dut.keep.published)
                assert published <= (given_back + 2) * blocks, f"seed {self.seed}: a third row overwrites one in use"
                step, block = divmod(len(self.keep), blocks)
                place = block + step % 2 * self.cfg.x_blocks
                for port in (dut.keep, dut.block):
                    ctx.set(port.en, int(looking))
                    ctx.set(port.addr, place if looking else rng.randrange(2 * self.cfg.x_blocks))
                if len(self.keep) == steps * blocks:
                    break
            ctx.set(dut.fill.valid, 0)
            await ctx.tick().repeat(8)
            for unit in range(4 * blocks):
                ctx.set(dut.state.read, 1)
                ctx.set(dut.state.addr, unit)
                await ctx.tick()
                self.held.append(ctx.get(dut.state.value))

        simulate(dut, bench)
        assert words_of(memory) == list(range(X, X + len(self.words)))


def words_of(memory: Memory) -> list[int]:
    """Addresses of the words that were asked for, in order."""
    return [addr + i for addr, count, _ in memory.taken for i in range(count)]


def drawn(rng: np.random.Generator, steps: int, width: int) -> np.ndarray:
    """Rows of x that change little or much, up to 1 in magnitude, not all of which fp16 holds."""
    moves = rng.normal(size=(steps, width)) * rng.choice([0.5, 0.02, 1e-3, 0], (steps, width))
    x = np.clip(np.cumsum(moves, axis=0), -1, 1).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = rng.choice(np.array([1.0, -1.0, 1.0004, 0.0, -0.0, 6e-8], np.float32))
    return x


@pytest.mark.parametrize(
    ("seed", "form", "blocks", "threshold", "unit", "state", "stall"),
    [
        (1, InputFormat.FP32, 1, 0.02, 1, 0, 0.3),
        (2, InputFormat.FP32, 9, 0.0, 4, 1, 0.0),
        (3, InputFormat.FP16, 16, 0.05, 1, 1, 0.3),
        (4, InputFormat.FP16, 3, 0.05, 4, 0, 0.0),
        (5, InputFormat.UINT8, 5, 0.0, 1, 0, 0.0),
        (6, InputFormat.UINT8, 6, 0.1, 4, 1, 0.5),
        (7, InputFormat.UINT8, 1, 0.01, 1, 1, 0.7),
    ],
)
def test_changes_are_those_of_golden(
    seed: int, form: InputFormat, blocks: int, threshold: float, unit: int, state: int, stall: float
) -> None:
    rng = np.random.default_rng(seed)
    steps, width = 6, 4 * blocks
    data = stored_rows(rng, drawn(rng, steps, width), form)
    half = numbers.to_fp16(x_from_bytes(data, width, form))
    limit = numbers.threshold_q24(threshold)
    at_first = rng.integers(-1024, 1025, width).astype(np.int32) if state else None
    held = np.zeros((1, width), np.int32) if at_first is None else at_first[None]
    keep: list[int] = []
    changes: list[list[int]] = []
    for row in half[:, None]:
        found = sends(numbers.q24_of_fp16(row), held, limit, unit)
        keep += (np.repeat(found.sent, unit, axis=1).reshape(blocks, 4) @ (1, 2, 4, 8)).tolist()
        changes += numbers.fp16_bits(found.change).reshape(-1, 4).tolist()
        held = found.held
    bench = Bench(CFG, data, seed, stall)
    bench.run(blocks, steps, form, at_first, x_threshold=limit, single=int(unit == 1))
    where = f"seed {seed}"
    assert bench.keep == keep, where
    assert bench.changes == changes, where
    assert bench.held == held[0].tolist(), where
    assert sum(keep) > 0 == bench.refused, where


WRONG = {
    InputFormat.FP32: (1.0005, -1.0005, 65520.0, -1e30, np.inf, np.nan, 2.0),
    InputFormat.FP16: (1.001, -1.001, 65504.0, -np.inf, np.nan, -2.0),
}


@pytest.mark.parametrize("form", WRONG)
def test_an_x_over_one_is_told(form: InputFormat) -> None:
    """With its word, and no x that rounds to 1 or less: the bench asks golden of every word."""
    values = WRONG[form]
    rng = np.random.default_rng(len(values))
    x = drawn(rng, len(values) + 2, 8)
    for step, value in enumerate(values):
        x[step, rng.integers(8)] = value
    x[-2:, ::3] = (-1.0, 1.0004, 1.0)
    bench = Bench(CFG, stored_rows(rng, x, form), len(values), 0.2)
    bench.run(2, len(x), form, None, single=1)
    assert bench.refused == len(values)
