"""The column-level model of schedule 1: what ranks lists of group sizes, in milliseconds each.

The rules are those of the word-level model (``golden.cycles.list.pool``), but between two events (a stretch of W's
columns is in, a step's U is in, gates begin or end) words flow at rates that do not change, and queues hold nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Self

from golden.cycles.group import GATE_LATENCY
from golden.cycles.list.pool import BLOCK_CYCLES
from golden.cycles.list.work import Stretch, Work
from golden.cycles.words import FULL_PORT, checked_permille

QUEUES = 4
"""Times W's queue: units of fewer words are taken together, as the queue evens out what each bank has to do."""
SMALL = 1e-6
"""Words fewer than that are none: rates are floating-point numbers."""


@dataclass(frozen=True)
class _Flow:
    """Units of W: port words a value word, mean PE cycles of one, those in the bank that has most, and port words."""

    port: float
    need: float
    most: float
    words: int

    @classmethod
    def of(cls, stretches: Sequence[Stretch]) -> Self:
        """Stretches one after the other: what some bank waits for in one it makes up for in the next."""
        values, heads = (sum(getattr(s, kind) for s in stretches) for kind in ("values", "heads"))
        needs = [sum(s.values * s.needs[bank] for s in stretches) for bank in range(len(stretches[0].needs))]
        count = max(1, values)
        return cls(1 + heads / count, sum(needs) / count, max(needs) / count, values + heads)

    def rate(self, port: float, n_pe: int, u: float) -> float:
        """Port words a cycle, at ``port`` words a cycle and ``u`` PE cycles for each word of U, 0 while there is none.

        W goes first at the port and U first at the PEs: W is as fast as the port and its fullest bank allow, or as the
        PEs that the U words in the other cycles leave it.
        """
        if not self.need:
            return port
        values = min(1 / self.most, port / self.port, n_pe / self.need)
        if self.need * values + u * (port - values * self.port) > n_pe:
            values = (n_pe - u * port) / (self.need - u * self.port)
        return values * self.port


def column_model(work: Work, port_permille: int = FULL_PORT) -> Callable[[list[range]], float]:
    """The model of this run: from its groups of steps to cycles. What does not depend on them is computed once."""
    port = checked_permille(port_permille) / FULL_PORT
    shape, n_pe = work.words.shape, work.config.n_pe
    last = GATE_LATENCY + BLOCK_CYCLES * (shape.h_blocks - 1)
    units = [work.u_units(step) for step in range(shape.t)]
    u_values = [int(values.sum()) for _, values, _ in units]
    u_words = [value + int(heads.sum()) for value, (_, _, heads) in zip(u_values, units, strict=True)]

    @lru_cache(maxsize=4096)
    def flows(first: int, stop: int) -> list[_Flow]:
        found, waiting = [], 0
        together: list[Stretch] = []
        for stretch in work.stretches(range(first, stop)):
            together.append(stretch)
            waiting += stretch.values
            if waiting >= QUEUES * work.config.window:
                found.append(_Flow.of(together))
                together, waiting = [], 0
        return [*found, _Flow.of(together)] if together else found

    def cycles(groups: list[range]) -> float:
        now, debt = 0.0, float(work.words.w_setup)
        setup = float(work.setup)
        opened, rows = 0, 0
        waiting: list[_Flow] = []
        w_left = 0.0
        w_done: list[float] = [inf] * shape.t
        u_left, step, known, gate_end = float(u_words[0]), 0, -inf, 0.0
        stores: list[tuple[float, int]] = []
        while step < shape.t or stores or debt > SMALL:
            # what happens at this moment
            used = (groups[opened - 1].stop if opened else 0) - (step - (now < gate_end - SMALL))
            while stores and stores[0][0] <= now + SMALL:
                debt += stores.pop(0)[1]
            if opened < len(groups):
                group = groups[opened]
                more = max(0, min(group.stop - rows, work.rows - used - (rows - group.start)))
                rows, debt = rows + more, debt + more * work.x_words
                if not waiting and debt <= SMALL and rows >= group.stop and work.slots - used >= len(group):
                    waiting, opened = list(flows(group.start, group.stop)), opened + 1
                    w_left = float(waiting[0].words) if waiting else 0.0
                    if not waiting:
                        w_done[group.start : group.stop] = [now] * len(group)
                    continue
            begins = max(now, gate_end, known + last) if setup <= SMALL and u_left <= SMALL else inf
            if step < shape.t:
                begins = max(begins, w_done[step])
                if begins <= now + SMALL:
                    if work.stores(step):
                        stores.append((now + last, work.row_words))
                    known, gate_end, step = now, now + BLOCK_CYCLES * shape.h_blocks, step + 1
                    u_left = float(u_words[step]) if step < shape.t else 0.0
                    continue
            # how fast words flow until something else happens
            ready = setup <= SMALL and now >= known + GATE_LATENCY - SMALL
            u_on = u_left > SMALL and ready
            w_rate = u_rate = 0.0
            blocked = debt > SMALL
            if not blocked:
                if waiting:
                    share = u_values[step] / u_words[step] if u_on else 0.0
                    w_rate = waiting[0].rate(port, n_pe, share)
                u_rate = port - w_rate
            ends = [now + debt / port] if blocked else []
            if w_rate > 0:
                ends.append(now + w_left / w_rate)
            if u_rate > SMALL and setup > SMALL:
                ends.append(now + setup / u_rate)
            elif u_rate > SMALL and u_on:
                ends.append(now + u_left / u_rate)
            ends += [time for time in (gate_end, known + GATE_LATENCY, begins) if time > now + SMALL and time < inf]
            ends += [stores[0][0]] if stores else []
            then = min(ends)
            passed, now = then - now, then
            if blocked:
                debt -= passed * port
            if w_rate > 0:
                w_left -= passed * w_rate
                if w_left <= SMALL:
                    waiting.pop(0)
                    w_left = float(waiting[0].words) if waiting else 0.0
                    if not waiting:
                        group = groups[opened - 1]
                        w_done[group.start : group.stop] = [now] * len(group)
            if setup > SMALL:
                setup -= passed * u_rate
            elif u_on:
                u_left -= passed * u_rate
        return now

    return cycles
