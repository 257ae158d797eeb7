"""A second, plain model of a run under a list: every word is an object, every cycle is walked."""

from dataclasses import dataclass

import numpy as np

from golden.config import AcceleratorConfig
from golden.cycles import FULL_PORT, GATE_LATENCY, LayerWords

LIMIT = 1_000_000


@dataclass(eq=False)
class Word:
    """A word of W: PE cycles that each bank needs for it; ``there``: when it arrives, None before it is asked for."""

    needs: list[int]
    value: bool
    group: int
    there: int | None = None


@dataclass
class Step:
    """Number of its pass, whether it has a slot, when its gates began."""

    group: int
    slot: bool = False
    gates: int | None = None


def kinds(values: int, heads: int) -> list[bool]:
    """Value words (True) and heads, evenly: each of the rarer kind with as many of the other, the longer runs last."""
    rare, often = min(values, heads), max(values, heads)
    if not rare:
        return [values > 0] * often
    runs = sorted(often // rare + (n < often % rare) for n in range(rare))
    many = values >= heads
    return [kind for run in runs for kind in ([False] + [True] * run if many else [False] * run + [True])]


def runs_of(rows: np.ndarray) -> list[list[int]]:
    """Numbers of rows that are alike, one after the other."""
    found: list[list[int]] = []
    for n, row in enumerate(rows):
        if found and (rows[found[-1][-1]] == row).all():
            found[-1].append(n)
        else:
            found.append([n])
    return found


def walk(words: LayerWords, config: AcceleratorConfig, sizes: list[int], latency: int, permille: int) -> int:
    """Cycles of a run; ``sizes`` of its groups, which add up to its steps."""
    shape, n_pe = words.shape, config.n_pe
    share = -(-(config.slots // (2 * n_pe - 2) * (2 * n_pe - 2)) // n_pe)
    slots, x_rows = share * config.max_h // shape.h * n_pe, share * config.max_x // shape.x * n_pe
    w_values, w_heads = words.w_unit_words
    u_values, u_heads = words.u_unit_words
    zero = np.zeros((shape.t, len(w_values)), bool) if words.x_zero is None else words.x_zero

    passes: list[list[Word]] = []
    steps: list[Step] = []
    for number, size in enumerate(sizes):
        first = len(steps)
        need = np.zeros((len(w_values), n_pe), int)
        for t in range(first, first + size):
            need[:, t % n_pe] += ~zero[t]
            steps.append(Step(number))
        wanted = [n for n in range(len(w_values)) if need[n].any() and w_values[n] + w_heads[n]]
        passes.append([])
        for run in runs_of(need[wanted]):
            units = [wanted[n] for n in run]
            some = kinds(int(w_values[units].sum()), int(w_heads[units].sum()))
            passes[-1] += [Word(need[units[0]].tolist(), value, number) for value in some]

    now, credit = 0, 0
    stores: list[tuple[int, int]] = []
    setup = shape.h + -(-len(words.u_offsets) // 4) + shape.h * words.state_in
    offsets = words.w_setup
    x_asked = x_words = 0
    opened = 0
    asking: list[Word] = []
    queues: list[list[Word]] = [[] for _ in range(n_pe)]
    part = [0] * n_pe
    current, column = 0, 0
    u_asking: list[bool] = []
    u_flying: list[int] = []
    gates_from: list[int] = []
    while now < LIMIT:
        # gates that end give their slot back; rows that are complete are stored
        used = sum(step.slot for step in steps)
        for step in steps:
            if step.slot and step.gates is not None and now >= step.gates + shape.h:
                step.slot, used = False, used - 1
        for _ in range(len(sizes) + 1):
            if opened < len(sizes):
                start = sum(sizes[:opened])
                while x_asked < start + sizes[opened] and used + (x_asked - start) < x_rows:
                    x_asked, x_words = x_asked + 1, x_words + shape.x // 2
                full = x_asked >= start + sizes[opened] and not x_words and not offsets
                if not asking and full and slots - used >= sizes[opened]:
                    for t in range(start, start + sizes[opened]):
                        steps[t].slot = True
                    used += sizes[opened]
                    asking = list(passes[opened])
                    for queue in queues:
                        queue += [word for word in asking if word.value]
                    opened += 1
        if current < shape.t:
            known_from = gates_from[current - 1] if current else None
            kept = np.flatnonzero(words.kept[current])
            told = shape.h_blocks if known_from is None else (now - known_from - GATE_LATENCY) // 4 + 1
            if not u_asking and not setup:
                ready = [n for n in kept[column:] if n * shape.h_blocks // len(u_values) < told]
                column += len(ready)
                u_asking = kinds(int(u_values[ready].sum()), int(u_heads[ready].sum()))
            u_in = not setup and not u_asking and not u_flying and column == len(kept) and told >= shape.h_blocks
            b = current % n_pe
            mine = steps[current]
            w_in = mine.slot and not any(word.group <= mine.group for word in queues[b])
            free = not gates_from or now >= gates_from[-1] + shape.h
            if u_in and w_in and free:
                mine.gates = now
                gates_from.append(now)
                if words.h_seq or current == shape.t - 1:
                    last = now + GATE_LATENCY + shape.h - 4
                    state = shape.h * (words.state_out and current == shape.t - 1)
                    stores.append((last, shape.h // 2 + state))
                current, column = current + 1, 0
        if current == shape.t and not stores:
            return now + latency
        pass_needless(queues, now)
        # the port
        credit += permille
        due = [n for n, (when, _) in enumerate(stores) if when <= now]
        moved = credit >= FULL_PORT
        waiting = {id(word) for queue in queues for word in queue if word.there is not None}
        if not moved:
            pass
        elif due:
            when, left = stores[due[0]]
            stores[due[0]] = (when, left - 1)
            stores = [store for store in stores if store[1]]
        elif x_words:
            x_words -= 1
        elif offsets:
            offsets -= 1
        elif asking and (not asking[0].value or len(waiting) < config.window):
            asking.pop(0).there = now + latency
        elif setup:
            setup -= 1
        elif u_asking and (not u_asking[0] or len(u_flying) < config.window):
            if u_asking.pop(0):
                u_flying.append(now + latency)
        else:
            moved = False
        credit = credit - FULL_PORT if moved else min(credit, FULL_PORT - permille if credit >= FULL_PORT else credit)
        # the PEs
        pes = n_pe
        if u_flying and u_flying[0] <= now:
            u_flying.pop(0)
            pes -= 1
        gate = gates_from[-1] if gates_from else None
        read = (current - 1) % n_pe if gate is not None and now < gate + shape.h and (now - gate) % 4 == 0 else -1
        behind = [-sum(arrived(word, now) for word in queue) for queue in queues]
        for b in sorted((b for b in range(n_pe) if b != read and behind[b]), key=lambda b: (behind[b], b))[:pes]:
            part[b] += 1
            if part[b] == queues[b][0].needs[b]:
                part[b] = 0
                queues[b].pop(0)
        pass_needless(queues, now)
        now += 1
    raise AssertionError(f"no end within {LIMIT} cycles, at step {current}")


def pass_needless(queues: list[list[Word]], now: int) -> None:
    """Take the words that have arrived from banks that need nothing of them."""
    for b, queue in enumerate(queues):
        while queue and not queue[0].needs[b] and arrived(queue[0], now):
            queue.pop(0)


def arrived(word: Word, now: int) -> bool:
    return word.there is not None and word.there <= now
