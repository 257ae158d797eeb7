"""The issue unit alone: every item meets its steps, in order, each in the bank of the step, and no PE has two words."""

import random
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import half_place
from hdl.accelerator.w.bank_feed import FEED_DEPTH, FUSED_ITEMS
from hdl.accelerator.w.issue_unit import IssueUnit
from hdl.accelerator.w.list_sequencer import LISTS
from tests.hdl.accelerator.unit_bench import CFG, cycles, parameters, simulate

POOLED = replace(CFG, group_list=True)
END = -1
"""In place of the number of an item: its group is complete."""


def fused_steps(
    cfg: AcceleratorConfig, rows: int, half: int, h_blocks: int, x_blocks: int
) -> list[tuple[int, int, int]]:
    """Bank and first rows of the sums and the x of each step of a group of cell fusion."""
    slot, bank = half_place(cfg)
    places = []
    turns = [0] * cfg.w_banks
    for j in range(rows):
        b = (bank * half + j) % cfg.w_banks
        base = half * (slot + (b < bank))
        places.append((b, base * cfg.row_groups + turns[b] * h_blocks, base * cfg.x_blocks + turns[b] * x_blocks))
        turns[b] += 1
    return places


@pytest.mark.parametrize("cfg", [CFG, POOLED, replace(POOLED, n_pe=4, slots=18)], ids=["fixed", "pooled", "four"])
@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.5)])
def test_cell_fusion_works_on_one_item_at_a_time(cfg: AcceleratorConfig, seed: int, stall: float) -> None:
    rng = random.Random(seed)
    h_blocks, x_blocks = 3, 2
    full = cfg.fuse_capacity * cfg.w_pes
    groups = [full, full, rng.randint(1, full)]
    counts = [rng.randint(1, 7) for _ in groups]
    numbers = [(group, i) for group, count in enumerate(counts) for i in [*range(1, count + 1), END]]
    # each item in turn: all steps of the group, w_pes of them a cycle
    expected = []
    item_ends = set()
    for group, item in numbers:
        if item != END:
            steps = fused_steps(cfg, groups[group], group % 2, h_blocks, x_blocks)
            turns = [steps[first : first + cfg.w_pes] for first in range(0, len(steps), cfg.w_pes)]
            expected += [(item, sorted(turn)) for turn in turns]
            item_ends.add(len(expected))
    dut = IssueUnit(cfg)
    found: list[tuple[int, list[tuple[int, int, int]]]] = []

    async def bench(ctx: Any) -> None:
        parameters(ctx, dut, h_blocks=h_blocks, x_blocks=x_blocks)
        todo, group = deque(numbers), 0
        waiting: deque[tuple[int, int]] = deque()
        async for _ in cycles(ctx, lambda: f"seed {seed}: {len(expected)} cycles of work, {len(found)} yet", 2000):
            if group == len(groups):
                break
            ctx.set(dut.rows, groups[group])
            reading = rng.random() < stall / 2
            ctx.set(dut.reading, int(reading))
            ctx.set(dut.read_bank, rng.randrange(cfg.w_banks))
            give = bool(todo) and rng.random() >= stall
            ctx.set(dut.items.valid, int(give))
            if give:
                item = todo[0][1]
                ctx.set(dut.items.payload.column, max(item, 0))
                ctx.set(dut.items.payload.end, int(item == END))
            issued = ctx.get(dut.issued)
            assert bool(issued) == bool(ctx.get(dut.waiting) and not reading), f"seed {seed}"
            at_work = [b for b in range(cfg.w_banks) if issued >> b & 1]
            if at_work:
                heads = {ctx.get(dut.heads[b].column) for b in at_work}
                assert len(heads) == 1, f"seed {seed}: {heads} at once"
                places = [(b, ctx.get(dut.steps[b].sums), ctx.get(dut.steps[b].x)) for b in at_work]
                found.append((heads.pop(), sorted(places)))
                # one PE is always left to U
                assert ctx.get(dut.spare) not in at_work, f"seed {seed}: no PE is left to U"
            ended = ctx.get(dut.ended)
            ready = ctx.get(dut.items.ready)
            assert ready == (len(waiting) < FUSED_ITEMS), f"seed {seed}: {len(waiting)} items wait"
            if ended or (at_work and len(found) in item_ends):
                waiting.popleft()
            group += ended
            if give and ready:
                waiting.append(todo.popleft())

    simulate(dut, bench)
    assert found == expected, f"seed {seed}"


@pytest.mark.parametrize("n_pe", [2, 3, 5])
@pytest.mark.parametrize(("seed", "stall"), [(1, 0.0), (2, 0.3), (3, 0.8)])
def test_under_the_list_each_bank_goes_on_by_itself(n_pe: int, seed: int, stall: float) -> None:
    rng = random.Random(10 * seed + n_pe)
    cfg = replace(POOLED, n_pe=n_pe, slots=4 * (n_pe - 1))
    banks = range(n_pe)
    groups, items = 3, 60
    sums, x = cfg.bank_slots * cfg.row_groups, cfg.bank_slots * cfg.x_blocks
    dut = IssueUnit(cfg)
    done = given = ends = 0

    async def bench(ctx: Any) -> None:
        nonlocal done, given, ends
        parameters(ctx, dut, list=1)
        unit = 0
        todo: deque[int] = deque()
        # what each bank has yet to do, item by item: (number, unit, steps), and the first that it waits for
        feeds: list[deque[tuple[int, int, deque[tuple[int, int]]]]] = [deque() for _ in banks]
        lists: list[list[tuple[int, int]]] = [[] for _ in banks]
        writes: list[tuple[int, int, tuple[int, int]]] = []
        levels = [0] * n_pe
        ends_given = 0
        async for _ in cycles(ctx, lambda: f"seed {seed}: {groups} groups to end", 6000):
            if ends == groups and not todo:
                break
            # the next unit's lists are written while no item of the unit before them is left
            if (
                not todo
                and not writes
                and given < items
                and all(u > unit - LISTS for feed in feeds for _, u, _ in feed)
            ):
                lengths = [rng.choice([0, 1, 1, 2, 5]) for _ in banks]
                lists = [[(rng.randrange(sums), rng.randrange(x)) for _ in range(length)] for length in lengths]
                if any(lists):
                    writes = [(b, i, step) for b in banks for i, step in enumerate(lists[b])]
                    for b in banks:
                        ctx.set(dut.counts[unit % LISTS][b], len(lists[b]))
                    todo.extend(range(given + 1, given + 1 + rng.randint(1, 6)))
                    if (given + len(todo)) * groups // items > ends_given and given + len(todo) <= items:
                        todo.append(END)
                        ends_given += 1
            elif not todo and not writes and given >= items and ends_given < groups:
                todo.append(END)
                ends_given += 1
            for b in banks:
                ctx.set(dut.lists[b].en, 0)
            busy = set()
            for write in list(writes):
                b, place, step = write
                if b not in busy:
                    busy.add(b)
                    writes.remove(write)
                    port = dut.lists[b]
                    ctx.set(port.en, 1)
                    ctx.set(port.tag, unit % 16)
                    ctx.set(port.place, place)
                    ctx.set(port.step, {"sums": step[0], "x": step[1]})
            reading, read_bank = rng.random() < stall / 2, rng.randrange(n_pe)
            ctx.set(dut.reading, int(reading))
            ctx.set(dut.read_bank, read_bank)
            give = bool(todo) and not busy and rng.random() >= stall
            ctx.set(dut.items.valid, int(give))
            if give:
                ctx.set(dut.items.payload.column, max(todo[0], 0) % 16)
                ctx.set(dut.items.payload.end, int(todo[0] == END))
                ctx.set(dut.items.payload.mark.tag, unit % 16)
            # how large the group is may be known late: it doesn't end before
            rows = rng.choice([0, 1, 6])
            ctx.set(dut.rows, rows)
            spare, u_issue = ctx.get(dut.spare), rng.random() < 0.5
            ctx.set(dut.u_issue, int(u_issue))
            issued = ctx.get(dut.issued)
            due = [bool(feed) and feed[0][0] != END for feed in feeds]
            wants = [due[b] and not (reading and read_bank == b) for b in banks]
            where = f"seed {seed}: items given {given}"
            assert [bool(ctx.get(dut.valid) >> b & 1) for b in banks] == [bool(feed) for feed in feeds], where
            for b in banks:
                assert bool(issued >> b & 1) == (wants[b] and not (u_issue and spare == b)), f"{where}: bank {b}"
            # U has a PE without a word, or that of the bank with the fewest items
            assert not wants[spare] or all(wants), f"{where}: a bank waits for U, and a PE for work"
            assert not all(wants) or levels[spare] == min(levels), f"{where}: {levels}, and {spare} waits"
            assert ctx.get(dut.ended) == (rows > 0 and all(feed and feed[0][0] == END for feed in feeds)), where
            levels = [len(feed) for feed in feeds]
            if ctx.get(dut.ended):
                ends += 1
                for feed in feeds:
                    feed.popleft()
            for b in banks:
                if issued >> b & 1:
                    number, _, steps = feeds[b][0]
                    step = steps.popleft()
                    head = dut.heads[b]
                    taken = (ctx.get(head.column), ctx.get(dut.steps[b].sums), ctx.get(dut.steps[b].x))
                    assert taken == (number % 16, *step), f"{where}: bank {b}"
                    done += 1
                    if not steps:
                        feeds[b].popleft()
            ready = ctx.get(dut.items.ready)
            assert ready == all(level < FEED_DEPTH for level in levels), where
            if give and ready:
                number = todo.popleft()
                for b in banks:
                    if number == END or lists[b]:
                        feeds[b].append((number, unit, deque(lists[b])))
                given += number != END
                unit += not todo

    simulate(dut, bench)
    assert given >= items and done > items
