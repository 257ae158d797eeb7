"""What the list is made of, each unit alone: sizes of groups, places in the banks, units of W and who needs them."""

import random
from collections import deque
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from golden.config import AcceleratorConfig, LayerShape
from golden.cycles.list.work import Work, groups_of
from golden.isa import GROUP_SIZES
from hdl.accelerator.layout import ACTIVE_BITS
from hdl.accelerator.w.group_sizes import GroupSizes
from hdl.accelerator.w.list_sequencer import LISTS, ListSequencer
from hdl.accelerator.w.slot_count import SlotCount
from hdl.accelerator.w.unit_walker import UnitWalker
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

LISTED = replace(CFG, group_list=True)
STREAMS = replace(LISTED, stream16=True)
W = 0x3_21F7


def set_sizes(ctx: Any, dut: Any, sizes: tuple[int, ...]) -> None:
    for i in range(GROUP_SIZES):
        ctx.set(dut.parameters.sizes[i], sizes[i] if i < len(sizes) else 0)


def groups_taken(cfg: AcceleratorConfig, run: dict[str, int], sizes: tuple[int, ...], capacity: int, seed: int) -> Any:
    """The sizes that GroupSizes gives, each taken when it is shown or a while after."""
    rng = random.Random(seed)
    dut = GroupSizes(cfg)
    taken: list[int] = []
    late = 3 if run.get("list") else 2

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, **run)
        set_sizes(ctx, dut, sizes)
        none_yet = 3
        known_by = none_yet + 2 if run.get("list") else 1
        async for cycle in cycles(ctx, lambda: f"seed {seed}: {run['steps']} steps in groups, {taken} yet", 3000):
            take = False
            if cycle >= none_yet:
                ctx.set(dut.capacity, capacity)
                size = ctx.get(dut.size)
                if sum(taken) == run["steps"]:
                    assert size == 0, f"seed {seed}: a group of {size} after the last"
                    if ctx.get(dut.exhausted):
                        break
                    assert cycle < known_by, f"seed {seed}: not told that there are no more"
                else:
                    assert not ctx.get(dut.exhausted), f"seed {seed}: exhausted at {taken}"
                    assert size or cycle < known_by, f"seed {seed}: no group in time after {taken}"
                take = size != 0 and rng.random() < 0.6
                if take:
                    # if this one came late, so does the next
                    known_by = max(cycle, known_by) + late
                    taken.append(size)
            elif run.get("list"):
                assert ctx.get(dut.size) == 0, "a group before it is known how many steps fit"
            ctx.set(dut.take, int(take))

    simulate(dut, bench)
    return taken


@pytest.mark.parametrize(
    ("steps", "sizes", "capacity"),
    [(11, (3,), 12), (40, (1, 5, 2), 12), (30, (63, 4), 7), (96, tuple(range(1, 17)), 9), (5, (6,), 12)],
)
def test_the_last_size_repeats_and_none_is_over_the_capacity(steps: int, sizes: tuple[int, ...], capacity: int) -> None:
    found = groups_taken(LISTED, {"list": 1, "steps": steps}, sizes, capacity, seed=steps)
    assert found == [len(group) for group in groups_of(sizes, steps, capacity)]


@pytest.mark.parametrize(("cfg", "n_fuse"), [(CFG, 2), (LISTED, 3)])
def test_cell_fusion_has_groups_of_n_fuse_steps_a_pe(cfg: AcceleratorConfig, n_fuse: int) -> None:
    """Whatever sizes and capacity of the list are."""
    size = n_fuse * cfg.w_pes
    found = groups_taken(cfg, {"steps": 3 * size + 1, "n_fuse": n_fuse}, (1,), 1, seed=n_fuse)
    assert found == [size] * 3 + [1]


@pytest.mark.parametrize("seed", range(6))
def test_as_many_steps_fit_as_golden_says(seed: int) -> None:
    rng = random.Random(seed)
    n_pe = rng.randint(2, 5)
    most_x, most_h = (4 * rng.randint(1, 16) for _ in range(2))
    cfg = AcceleratorConfig(
        n_pe=n_pe, slots=rng.randint(2 * (n_pe - 1), 24), max_x=most_x, max_h=most_h, max_t=999, group_list=True
    )
    shape = LayerShape(4 * rng.randint(1, most_x // 4), 4 * rng.randint(1, most_h // 4), rng.choice([1, 7, 999]))
    dut = SlotCount(cfg)
    words: Any = SimpleNamespace(shape=shape)
    work = Work(words, cfg)
    # no more than a number of 8 bits counts, nor than one step of each bank more than the run has
    limit = min((1 << ACTIVE_BITS) - 1, shape.t + cfg.n_pe - 1) // cfg.n_pe * cfg.n_pe

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, x_blocks=shape.x_blocks, h_blocks=shape.h_blocks, steps=shape.t)
        # known from the start or after a while, never again unknown
        async for cycle in cycles(ctx, lambda: f"seed {seed}: slots to be counted", 300):
            if cycle and ctx.get(dut.counted):
                break
        found = [ctx.get(value) for value in (dut.steps, dut.rows_of_x, dut.group, dut.sum_rows)]
        steps, inputs = min(work.slots, limit), min(work.rows, limit)
        group = min(steps, inputs, cfg.max_group)
        assert found == [steps, inputs, group, steps // cfg.n_pe * shape.h_blocks], f"seed {seed}: {cfg}, {shape}"
        assert group >= min(work.most, shape.t), f"seed {seed}"
        for _ in range(5):
            await ctx.tick()
            assert ctx.get(dut.counted), f"seed {seed}"
            assert found == [ctx.get(value) for value in (dut.steps, dut.rows_of_x, dut.group, dut.sum_rows)]

    simulate(dut, bench)


@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.5)])
@pytest.mark.parametrize("single", [0, 1])
def test_addresses_pass_the_units_that_are_left_out(seed: int, stall: float, single: int) -> None:
    rng = random.Random(seed)
    count, passes = 23 if single else 9, 3
    limit = 4 * (4 if single else 16)
    lengths = [rng.choice([0, 1, rng.randrange(limit + 1)]) for _ in range(count)]
    entries: list[dict[str, Any]] = []
    for _ in range(passes):
        entries += [{"unit": i, "needed": rng.randint(0, 1), "end": 0, "tag": rng.randrange(16)} for i in range(count)]
        entries += [{"unit": 0, "needed": 0, "end": 1, "tag": 0}]
    segments = [(W + sum(lengths[: e["unit"]]), lengths[e["unit"]]) for e in entries if e["needed"]]
    columns = [
        (e["unit"], lengths[e["unit"]], e["tag"], 0) if not e["end"] else (None, None, None, 1)
        for e in entries
        if e["needed"] or e["end"]
    ]
    dut = UnitWalker(STREAMS)
    found: tuple[list[Any], list[Any]] = ([], [])

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, w=W, h_blocks=4)
        ctx.set(dut.parameters.w_matrix.stream, 1)
        ctx.set(dut.parameters.w_matrix.single, single)
        todo, row = deque(entries), 0
        async for _ in cycles(ctx, lambda: f"seed {seed}: {len(columns)} columns, {len(found[1])} yet"):
            if len(found[1]) == len(columns) and not todo:
                break
            ctx.set(dut.offsets, [lengths[4 * row + i] if 4 * row + i < count else 0 for i in range(4)])
            give, room = bool(todo) and rng.random() >= stall, rng.random() >= stall
            ctx.set(dut.room, int(room))
            ctx.set(dut.units.valid, int(give))
            if give:
                entry = {key: todo[0][key] for key in ("unit", "needed", "end")}
                ctx.set(dut.units.payload, entry | {"mark": {"first": 0, "half": 0, "tag": todo[0]["tag"]}})
            row = ctx.get(dut.offset_addr)
            if give and ctx.get(dut.units.ready):
                todo.popleft()
            if ctx.get(dut.segments.valid):
                found[0].append((ctx.get(dut.segments.payload.addr), ctx.get(dut.segments.payload.words)))
            if ctx.get(dut.columns.valid):
                entry = dut.columns.payload
                values = [ctx.get(value) for value in (entry.column, entry.words, entry.mark.tag)]
                found[1].append((None, None, None, 1) if ctx.get(entry.end) else (*values, 0))
            assert not ctx.get(dut.bad_format), f"seed {seed}"

    simulate(dut, bench)
    assert found == (segments, columns), f"seed {seed}"


@pytest.mark.parametrize(
    ("packing", "words", "bad"),
    [
        ({"stream": 1}, 32, 0),
        ({"stream": 1}, 33, 1),
        ({"stream": 1, "single": 1}, 8, 0),
        ({"stream": 1, "single": 1}, 9, 1),
        ({"stream": 1, "narrow": 1}, 16, 0),
        ({"stream": 1, "narrow": 1}, 17, 1),
        ({"stream": 1, "narrow": 1, "single": 1}, 4, 0),
        ({"stream": 1, "narrow": 1, "single": 1}, 5, 1),
        ({}, 36, 0),
        ({}, 37, 1),
    ],
)
@pytest.mark.parametrize("needed", [0, 1])
def test_a_unit_too_long_is_told_if_it_is_to_be_loaded(
    packing: dict[str, int], words: int, bad: int, needed: int
) -> None:
    """Of H = 8: a word for each place of a unit, or two heads and eight values for each 4 columns of 16 rows."""
    dut = UnitWalker(STREAMS)
    seen = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=2)
        for name, value in packing.items():
            ctx.set(getattr(dut.parameters.w_matrix, name), value)
        ctx.set(dut.room, 1)
        ctx.set(dut.offsets, [words] * 4)
        ctx.set(dut.units.payload, {"unit": 1, "needed": needed, "end": 0})
        for valid in (0, 1, 0, 0):
            ctx.set(dut.units.valid, valid)
            await ctx.tick()
            seen.append(ctx.get(dut.bad_format))

    simulate(dut, bench)
    assert max(seen) == (bad & needed)


class Sequence:
    """A run of the list with random x: what the sequencer is to say, and the banks that work on it."""

    def __init__(self, cfg: AcceleratorConfig, seed: int, single: bool, skip: bool) -> None:
        rng = np.random.default_rng(seed)
        self.cfg, self.single, self.skip = cfg, single, skip
        self.x_blocks, self.h_blocks = (int(rng.integers(1, most + 1)) for most in (4, 8))
        self.steps = int(rng.integers(25, 45))
        self.groups = groups_of(tuple(int(size) for size in rng.integers(1, 7, 3)), self.steps, 12)
        # of each step and block of x, which of its four values are not 0
        self.nonzero = rng.integers(0, 16, (self.steps, self.x_blocks)) * (
            rng.random((self.steps, self.x_blocks)) < 0.5
        )
        self.units = self.x_blocks * (4 if single else 1)

    def step_of(self, step: int) -> tuple[int, int]:
        """First rows of a step's sums and x: each bank's slots are a ring."""
        turn = step // self.cfg.n_pe
        rows = []
        for stride, most in ((self.h_blocks, self.cfg.row_groups), (self.x_blocks, self.cfg.x_blocks)):
            rows.append(turn % (self.cfg.bank_slots * most // stride) * stride)
        return rows[0], rows[1]

    def lists(self, group: range, unit: int) -> list[list[int]]:
        """Of each bank, the steps that a unit is for."""
        found: list[list[int]] = [[] for _ in range(self.cfg.n_pe)]
        for step in group:
            block, column = divmod(unit, 4) if self.single else (unit, None)
            flags = int(self.nonzero[step, block])
            if not self.skip or (flags >> column & 1 if column is not None else flags):
                found[step % self.cfg.n_pe].append(step)
        return found


@pytest.mark.parametrize(
    ("seed", "single", "skip", "stall"),
    [(1, False, False, 0.0), (2, False, True, 0.3), (3, True, True, 0.0), (4, True, False, 0.6), (5, True, True, 0.8)],
)
def test_units_come_with_the_steps_that_need_them(seed: int, single: bool, skip: bool, stall: float) -> None:
    rng = random.Random(seed)
    cfg = replace(STREAMS, n_pe=rng.choice([2, 3, 4]), slots=12, max_x=16, max_h=32)
    run = Sequence(cfg, seed, single, skip)
    banks = range(cfg.n_pe)
    capacity = rng.randint(6, 12)
    # gates are slow or not, and one bank is slower than the others
    free_rate = rng.choice([0.02, 0.3])
    rates = [0.04 if b == seed % cfg.n_pe else 0.5 for b in banks]
    dut = ListSequencer(cfg)
    expected = [(group, unit) for group in run.groups for unit in range(run.units)]
    seen = 0

    async def bench(ctx: Any) -> None:
        nonlocal seen
        parameters(ctx, dut, x_blocks=run.x_blocks, h_blocks=run.h_blocks, steps=run.steps, x_skip=int(skip), list=1)
        ctx.set(dut.parameters.w_matrix.single, int(single))
        ctx.set(dut.capacity, capacity)
        begun = loaded = freed = ended = 0
        lists: dict[tuple[int, int], dict[int, tuple[int, int]]] = {(b, i): {} for b in banks for i in range(LISTS)}
        addrs = [0 for _ in banks]
        # tags on their way: of units that are asked for, that are decoded, and that each bank works on
        asked: deque[int] = deque()
        decoded: deque[int] = deque()
        working: list[deque[int]] = [deque() for _ in banks]
        last_taken = tag = 0
        due = deque(expected)
        async for _ in cycles(ctx, lambda: f"seed {seed}: unit {len(expected) - len(due)} of {len(expected)}"):
            if ended == len(run.groups):
                break
            # the x of the banks: those of steps that are there, one cycle after the look
            for b in banks:
                ring = {run.step_of(step)[1]: step for step in range(b, run.steps, cfg.n_pe) if step < loaded}
                base = max((row for row in ring if row <= addrs[b]), default=None)
                block = addrs[b] - base if base is not None else run.x_blocks
                flags = int(run.nonzero[ring[base], block]) if base is not None and block < run.x_blocks else 15
                ctx.set(dut.looks[b].nonzero, flags)
            size = len(run.groups[begun]) if begun < len(run.groups) else 0
            ctx.set(dut.size, size)
            room = sum(map(len, run.groups[: min(begun + 1, len(run.groups))]))
            comes = loaded < room and rng.random() >= stall
            ctx.set(dut.x_ready, int(comes))
            of_ended = sum(map(len, run.groups[:ended]))
            frees = freed < of_ended and rng.random() < free_rate
            ctx.set(dut.freed, int(frees))
            # units are decoded in order, at most three at once, and banks work on them
            if asked and len(decoded) < 3 and rng.random() >= stall:
                last_taken = asked.popleft()
                decoded.append(last_taken)
            if decoded and rng.random() < 0.6:
                done = decoded.popleft()
                for b in banks:
                    if lists_due[done][b]:
                        working[b].append(done)
            for b in banks:
                if working[b] and rng.random() < rates[b]:
                    working[b].popleft()
                ctx.set(dut.oldest[b], (working[b][0] if working[b] else last_taken) % 16)
            ready = len(asked) < 5 and rng.random() >= stall
            ctx.set(dut.units.ready, int(ready))
            addrs = [ctx.get(dut.looks[b].addr) for b in banks]
            for b in banks:
                steps = dut.steps[b]
                if ctx.get(steps.en):
                    at = ctx.get(steps.tag) % LISTS
                    used = {*asked, *decoded, *working[b]}
                    assert all(t % LISTS != at for t in used), f"seed {seed}: list {at} of bank {b} is in use"
                    lists[b, at][ctx.get(steps.place)] = (ctx.get(steps.step.sums), ctx.get(steps.step.x))
            if ctx.get(dut.begin):
                assert loaded >= room and size, f"seed {seed}: a group begins without its x"
                begun += 1
                of_begun = sum(map(len, run.groups[:begun]))
                assert of_begun - freed <= capacity, f"seed {seed}: a step has no place"
            if ctx.get(dut.units.valid) and ready:
                entry = dut.units.payload
                if ctx.get(entry.end):
                    assert not due or due[0][1] == 0, f"seed {seed}: the group has units left"
                    ended += 1
                else:
                    group, unit = due.popleft()
                    wanted = run.lists(group, unit)
                    where = f"seed {seed}: steps {group.start}..{group.stop - 1}, unit {unit}"
                    assert (ctx.get(entry.unit), ctx.get(entry.needed)) == (unit, int(any(wanted))), where
                    if any(wanted):
                        assert ctx.get(entry.mark.tag) == tag % 16, where
                        # the lengths are there in the next cycle
                        checks.append((where, tag, wanted))
                        lists_due[tag] = wanted
                        asked.append(tag)
                        tag += 1
            comes_now, frees_now = comes, frees
            loaded = room if comes_now else loaded
            freed += frees_now
            while late:
                where, number, wanted = late.pop()
                counts = [ctx.get(dut.counts[number % LISTS][b]) for b in banks]
                assert counts == [len(steps) for steps in wanted], where
                for b, steps in enumerate(wanted):
                    found = [lists[b, number % LISTS][i] for i in range(len(steps))]
                    assert found == [run.step_of(step) for step in steps], f"{where}, bank {b}"
                seen += 1
            late.extend(checks)
            checks.clear()

    lists_due: dict[int, list[list[int]]] = {}
    checks: list[tuple[str, int, list[list[int]]]] = []
    late: list[tuple[str, int, list[list[int]]]] = []
    simulate(dut, bench)
    assert seen >= sum(any(run.lists(group, unit)) for group, unit in expected) - 1
    assert seen > LISTS
