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


class _Columns:
    """A run at the moments at which something begins or ends; ``cycles`` walks from one to the next.

    now: cycle; debt, setup: words that come before W, and before U; waiting: flows of W of this pass, of whose first
    ``w_left`` port words are left; u_left: those of U of ``step``; known: when the gates before it began.
    """

    def __init__(self, model: "_Model", groups: list[range]) -> None:
        self.model, self.groups = model, groups
        work = model.work
        self.now, self.debt, self.setup = 0.0, float(work.words.w_setup), float(work.setup)
        self.opened, self.rows = 0, 0
        self.waiting: list[_Flow] = []
        self.w_left = 0.0
        self.w_done = [inf] * work.words.shape.t
        self.step, self.u_left = 0, float(model.u_words[0])
        self.known, self.gate_end = -inf, 0.0
        self.stores: list[tuple[float, int]] = []

    def cycles(self) -> float:
        steps = self.model.work.words.shape.t
        while self.step < steps or self.stores or self.debt > SMALL:
            while self.stores and self.stores[0][0] <= self.now + SMALL:
                self.debt += self.stores.pop(0)[1]
            while self._open() or self._begin_gates():
                pass
            self._flow()
        return self.now

    def _open(self) -> bool:
        """Ask for x; begin a pass when its x and its slots are there."""
        if self.opened == len(self.groups):
            return False
        work, group = self.model.work, self.groups[self.opened]
        used = group.start - (self.step - (self.now < self.gate_end - SMALL))
        more = max(0, min(group.stop - self.rows, work.rows - used - (self.rows - group.start)))
        self.rows, self.debt = self.rows + more, self.debt + more * work.x_words
        there = self.debt <= SMALL and self.rows >= group.stop
        if self.waiting or not there or work.slots - used < len(group):
            return False
        self.opened += 1
        self.waiting = list(self.model.flows(group.start, group.stop))
        self._next_flow(group)
        return True

    def _next_flow(self, group: range) -> None:
        if self.waiting:
            self.w_left = float(self.waiting[0].words)
        else:
            self.w_done[group.start : group.stop] = [self.now] * len(group)

    def _gates(self) -> float:
        """When the gates of the step begin, inf while that is not known."""
        if self.step == self.model.work.words.shape.t or self.setup > SMALL or self.u_left > SMALL:
            return inf
        return max(self.now, self.gate_end, self.known + self.model.last, self.w_done[self.step])

    def _begin_gates(self) -> bool:
        if self._gates() > self.now + SMALL:
            return False
        work = self.model.work
        if work.stores(self.step):
            self.stores.append((self.now + self.model.last, work.row_words))
        self.known, self.gate_end = self.now, self.now + BLOCK_CYCLES * work.words.shape.h_blocks
        self.step += 1
        self.u_left = float(self.model.u_words[self.step]) if self.step < work.words.shape.t else 0.0
        return True

    def _flow(self) -> None:
        """Let words flow until something else happens."""
        model, now = self.model, self.now
        known = self.known + GATE_LATENCY
        u_on = self.u_left > SMALL and self.setup <= SMALL and now >= known - SMALL
        blocked = self.debt > SMALL
        w_rate = u_rate = 0.0
        if not blocked:
            if self.waiting:
                share = model.u_values[self.step] / model.u_words[self.step] if u_on else 0.0
                w_rate = self.waiting[0].rate(model.port, model.work.config.n_pe, share)
            u_rate = model.port - w_rate
        ends = [time for time in (self.gate_end, known, self._gates()) if now + SMALL < time < inf]
        ends += [time for time, _ in self.stores[:1]]
        for left, rate in (
            (self.debt, model.port if blocked else 0.0),
            (self.w_left, w_rate),
            (self.setup if self.setup > SMALL else self.u_left if u_on else 0.0, u_rate),
        ):
            if left > SMALL and rate > SMALL:
                ends.append(now + left / rate)
        self.now = min(ends)
        passed = self.now - now
        if blocked:
            self.debt -= passed * model.port
        if self.setup > SMALL:
            self.setup -= passed * u_rate
        elif u_on:
            self.u_left -= passed * u_rate
        if w_rate:
            self.w_left -= passed * w_rate
            if self.w_left <= SMALL:
                self.waiting.pop(0)
                self._next_flow(self.groups[self.opened - 1])


class _Model:
    """What of a run does not depend on its groups."""

    def __init__(self, work: Work, port_permille: int) -> None:
        self.work, self.port = work, checked_permille(port_permille) / FULL_PORT
        shape = work.words.shape
        self.last = GATE_LATENCY + BLOCK_CYCLES * (shape.h_blocks - 1)
        units = [work.u_units(step) for step in range(shape.t)]
        self.u_values = [int(values.sum()) for _, values, _ in units]
        self.u_words = [value + int(heads.sum()) for value, (_, _, heads) in zip(self.u_values, units, strict=True)]
        self.flows = lru_cache(maxsize=4096)(self._flows)

    def _flows(self, first: int, stop: int) -> list[_Flow]:
        """W for a pass of these steps."""
        found, waiting = [], 0
        together: list[Stretch] = []
        for stretch in self.work.stretches(range(first, stop)):
            together.append(stretch)
            waiting += stretch.values
            if waiting >= QUEUES * self.work.config.window:
                found.append(_Flow.of(together))
                together, waiting = [], 0
        return [*found, _Flow.of(together)] if together else found


def column_model(work: Work, port_permille: int = FULL_PORT) -> Callable[[list[range]], float]:
    """The model of this run: from its groups of steps to cycles. What does not depend on them is computed once."""
    model = _Model(work, port_permille)
    return lambda groups: _Columns(model, groups).cycles()
