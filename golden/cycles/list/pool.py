"""The word-level model of schedule 1: port, queues, one pool of PEs and the gate unit, cycle by cycle.

A cycle depends on a few small numbers and on counters that run down (words of a stretch, of U, of a row to store). As
soon as the small numbers come back, all periods that end before a counter does are taken at once: the answer is the
same, which a test holds, and a layer of millions of cycles takes a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import numpy as np

from golden.cycles.base import Parameters
from golden.cycles.group import GATE_LATENCY
from golden.cycles.list.work import Stretch, Work, checked_sizes, groups_of
from golden.cycles.words import FULL_PORT, checked_permille, integer

BLOCK_CYCLES = 4
"""The gate unit makes a block of four units in so many cycles, and reads W's bank in one of them."""
LATENCY = 8
"""Of the memory, cycles from a word asked for to the word: that of all figures of this project."""


@dataclass(frozen=True)
class ListModel:
    """What the word-level model says: cycles, words that the port moves, and the sizes of the groups that ran."""

    cycles: int
    port_words: int
    groups: tuple[int, ...]


def list_model(
    work: Work,
    sizes: Parameters,
    port_permille: int = FULL_PORT,
    latency: int = LATENCY,
    *,
    skip: bool = True,
) -> ListModel:
    """What a run under a list of group sizes takes, from its words alone; no number here is taken from the RTL.

    - A cycle moves at most one word at the port (``port_permille`` of 1000 cycles do), of what is first in this order:
      rows of h to store; x; what W waits for; W, while the words of it that are asked for or wait are fewer than the
      window; bias, U's offsets and the state; U. It is there ``latency`` cycles later.
    - The N_pe PEs are one pool: each takes one word of one step in a cycle. The next value word of U goes first, the
      other PEs go to the banks of W, and to those furthest behind when there are fewer of them. Step t belongs to bank
      t mod N_pe, a bank takes one step of one word a cycle, and words wait until every bank has passed them. Head words
      need no PE.
    - Pass k over W begins when all words of pass k-1 are asked for, its x is there, and a slot for each of its steps is
      free: so many steps as the sizes' k-th number says, or its last. x of the next pass is loaded meanwhile.
    - Slots and rows of x are as many as the memories hold at the run's H and X. A step gives its slot back when its
      gates are done.
    - Where zero x is skipped, units of W that no step of the pass needs are not loaded, and a step takes no PE cycle in
      a unit where its x is zero.
    - Gates of a step begin when its W x and its U h are complete and those of the step before are done; they take H
      cycles. GATE_LATENCY is from their beginning to the first block of h, the others follow every four cycles: then U
      of the next step is asked for, as far as blocks are known and kept. With the last block the row is stored.

    ``skip``: take the cycles of a period at once; the answer is the same. Raises TypeError and ValueError for sizes
    that no list holds.
    """
    groups = groups_of(checked_sizes(sizes), work.words.shape.t, work.most)
    cycles = Pool(work, groups, port_permille, latency, skip=skip).cycles()
    return ListModel(cycles, work.port_words(groups), tuple(map(len, groups)))


@dataclass
class Feed:
    """Words to ask for: ``repeats`` times ``heads`` head words and then ``values`` value words; ``at``: the next."""

    parts: list[tuple[int, int, int]] = field(default_factory=list)
    repeats: int = 0
    heads: int = 0
    values: int = 0
    at: int = 0

    @classmethod
    def spread(cls, values: int, heads: int) -> "Feed":
        """Heads that stand evenly among values."""
        if not heads or not values:
            return cls([(values or heads, int(not values), int(not heads))]).next()
        least = max(1, min(heads, values))
        (more, rest) = divmod(max(heads, values), least)
        parts = [(least - rest, more), (rest, more + 1)]
        return cls([(n, many, 1) if heads > values else (n, 1, many) for n, many in parts]).next()

    def next(self) -> "Feed":
        """Go on to the next part that has words; without one ``repeats`` is 0."""
        self.repeats, self.heads, self.values, self.at = 0, 0, 0, 0
        while self.parts and not self.repeats:
            self.repeats, self.heads, self.values = self.parts.pop(0)
        return self

    def take(self) -> bool:
        """Ask for the next word. Returns whether the part has more."""
        self.at += 1
        if self.at < self.heads + self.values:
            return True
        self.at = 0
        self.repeats -= 1
        if self.repeats:
            return True
        self.next()
        return False


@dataclass
class Bank:
    """A bank of sums W x: which word it takes next.

    stretch: number of the one it is in; left: value words of it to come; need: PE cycles of each of them; queued: words
    that are there; part: PE cycles that the first of them had; steps: steps with a slot here.
    """

    stretch: int = 0
    left: int = 0
    need: int = 0
    queued: int = 0
    part: int = 0


class Pool:
    """A run, from the first cycle to the last; ``cycles()`` is what it takes."""

    def __init__(self, work: Work, groups: Sequence[range], port_permille: int, latency: int, *, skip: bool) -> None:
        self.work, self.groups, self.skip = work, list(groups), skip
        self.permille, self.latency = checked_permille(port_permille), integer("latency", latency, 1)
        self.now, self.credit = 0, 0
        self.events: list[int] = []
        # words that wait for the port, by what asks, and stores to come: (cycle, words)
        self.stores, self.rows, self.offsets, self.setup = 0, 0, work.words.w_setup, work.setup
        self.to_store: list[tuple[int, int]] = []
        self.rows_asked = 0
        # W: all stretches of the passes opened so far; the next one to ask for; ends of each pass
        self.stretches: list[Stretch] = []
        self.asked, self.ends, self.w = 0, [0], Feed()
        self.banks = [Bank() for _ in range(work.config.n_pe)]
        self.pass_of: list[int] = []
        self.w_flying, self.u_flying, self.u_queued = 0, 0, 0
        # the step whose U is under way; where its columns are; when blocks of h before it began to be known
        self.step, self.column, self.u = 0, 0, Feed()
        self.known_from: int | None = None
        self.columns = work.u_units(0)
        self.gate_end, self.gate_start, self.gate_bank = 0, 0, -1
        self.slots_used = 0

    def cycles(self) -> int:
        """Cycles from the start until the last row is stored."""
        steps, blocks = self.work.words.shape.t, self.work.words.shape.h_blocks
        last = GATE_LATENCY + BLOCK_CYCLES * (blocks - 1)
        while True:
            self._gates_end()
            self._make_stores()
            self._ask_for_x()
            self._ask_for_w()
            while self.step < steps and self._u_is_in(last) and self._w_is_in() and self.now >= self.gate_end:
                self._begin_gates(last)
            if self.step == steps and not (self.stores or self.to_store):
                return self.now + self.latency
            while self.events and self.events[0] <= self.now:
                heappop(self.events)
            self._run()

    def _at(self, cycle: int) -> None:
        """Look again in this cycle."""
        if cycle > self.now:
            heappush(self.events, cycle)

    def _gates_end(self) -> None:
        """A step's gates are done: its slot is free."""
        if self.gate_bank >= 0 and self.now >= self.gate_end:
            self.slots_used -= 1
            self.gate_bank = -1

    def _make_stores(self) -> None:
        """A row is complete, and goes to the port."""
        while self.to_store and self.to_store[0][0] <= self.now:
            self.stores += self.to_store.pop(0)[1]

    def _ask_for_x(self) -> None:
        """Rows of x of the next group, as far as there is room beside those of steps that have a slot."""
        started = len(self.ends) - 1
        if started < len(self.groups):
            group = self.groups[started]
            room = self.work.rows - self.slots_used - (self.rows_asked - group.start)
            more = max(0, min(group.stop - self.rows_asked, room))
            self.rows_asked += more
            self.rows += more * self.work.x_words

    def _ask_for_w(self) -> None:
        """The next stretch, of this pass or, once its x and its slots are there, of the next one."""
        if self.w.repeats:
            return
        while self.asked == len(self.stretches) and len(self.ends) <= len(self.groups):
            group = self.groups[len(self.ends) - 1]
            here = self.rows_asked >= group.stop and not (self.rows or self.offsets)
            if not here or self.work.slots - self.slots_used < len(group):
                break
            self._open(group)
            self._ask_for_x()
        if self.asked < len(self.stretches):
            stretch = self.stretches[self.asked]
            self.asked += 1
            self.w = Feed.spread(stretch.values, stretch.heads)

    def _open(self, group: range) -> None:
        """Begin a pass."""
        self.slots_used += len(group)
        self.pass_of += [len(self.ends)] * len(group)
        self.stretches += self.work.stretches(group)
        self.ends.append(len(self.stretches))
        for number in range(len(self.banks)):
            self._advance(number)

    def _advance(self, number: int) -> None:
        """Let a bank go on to the word that it has to take next; words that none of its steps needs it passes."""
        bank = self.banks[number]
        while True:
            while not bank.left and bank.stretch < len(self.stretches):
                stretch = self.stretches[bank.stretch]
                bank.left, bank.need = stretch.values, stretch.needs[number]
                bank.stretch += not bank.left
            if not bank.left or bank.need or not bank.queued:
                return
            passed = min(bank.left, bank.queued)
            bank.left -= passed
            bank.queued -= passed
            bank.stretch += not bank.left

    def _w_is_in(self) -> bool:
        """Whether the step's sums W x are complete."""
        if self.step >= len(self.pass_of):
            return False
        return self.banks[self.work.bank(self.step)].stretch >= self.ends[self.pass_of[self.step]]

    def _u_is_in(self, last: int) -> bool:
        """Whether the step's sums U h are complete; asks for columns of U that have become known."""
        if self.setup:
            return False
        blocks, values, heads = self.columns
        since = last if self.known_from is None else self.now - self.known_from
        while not self.u.repeats and self.column < len(blocks):
            known = int(np.searchsorted(blocks, (since - GATE_LATENCY) // BLOCK_CYCLES, side="right"))
            if known <= self.column:
                self._at(self.now - since + GATE_LATENCY + BLOCK_CYCLES * int(blocks[self.column]))
                break
            taken = slice(self.column, known)
            self.u = Feed.spread(int(values[taken].sum()), int(heads[taken].sum()))
            self.column = known
        waiting = self.u.repeats or self.u_flying or self.u_queued or self.column < len(blocks)
        return since >= last and not waiting

    def _begin_gates(self, last: int) -> None:
        """The step's sums go through the gates, and the next step's U begins."""
        work, shape = self.work, self.work.words.shape
        self.gate_start, self.gate_end = self.now, self.now + BLOCK_CYCLES * shape.h_blocks
        self.gate_bank = self.work.bank(self.step)
        self._at(self.gate_end)
        words = work.row_words * work.stores(self.step) + work.state_out * (self.step == shape.t - 1)
        if words:
            self.to_store.append((self.now + last, words))
        self._at(self.now + last)
        self.known_from = self.now
        self.step += 1
        self.column = 0
        if self.step < shape.t:
            self.columns = work.u_units(self.step)

    def _run(self) -> None:
        """Cycles until something has to be decided: a counter has run down, or the next event is there."""
        banks, numbers, n_pe = self.banks, range(len(self.banks)), len(self.banks)
        window, arrived, permille = self.work.config.window, 1 << self.latency, self.permille
        until = self.events[0] if self.events else None
        anchor: tuple[object, ...] | None = None
        counters: list[int] = []
        span, tried = 1, 0
        more = True
        while more:
            if self.skip:
                small = self._small()
                if small == anchor:
                    self._skip(counters, until)
                    anchor, tried, span = None, 0, 1 << 62
                elif tried == 0:
                    anchor, counters, tried, span = small, self._counters(), span, 2 * span
                else:
                    tried -= 1
            self.w_flying <<= 1
            self.u_flying <<= 1
            if self.w_flying & arrived:
                self.w_flying ^= arrived
                for number in numbers:
                    banks[number].queued += 1
                    if not banks[number].need:
                        stretch = banks[number].stretch
                        self._advance(number)
                        more &= banks[number].stretch == stretch
            if self.u_flying & arrived:
                self.u_flying ^= arrived
                self.u_queued += 1
            self.credit += permille
            if self.credit >= FULL_PORT:
                if granted := self._grant(window):
                    self.credit -= FULL_PORT
                    more &= granted > 0
                else:
                    self.credit = FULL_PORT - permille
            free = n_pe
            if self.u_queued:
                self.u_queued -= 1
                free -= 1
                more &= bool(self.u.repeats or self.u_queued or self.u_flying)
            read = -1
            if self.now < self.gate_end and not (self.now - self.gate_start) % BLOCK_CYCLES:
                read = self.gate_bank
            work = [number for number in numbers if banks[number].queued and number != read]
            if len(work) > free:
                work.remove(min(reversed(work), key=lambda number: banks[number].queued))
            for number in work:
                bank = banks[number]
                bank.part += 1
                if bank.part == bank.need:
                    bank.part = 0
                    bank.queued -= 1
                    bank.left -= 1
                    if not bank.left:
                        bank.stretch += 1
                        self._advance(number)
                        more = False
            self.now += 1
            more &= self.now != until

    def _grant(self, window: int) -> int:
        """A word at the port: 1 when there was one, -1 when it was the last of its kind, 0 when there was none."""
        if self.stores:
            self.stores -= 1
            return 1 if self.stores else -1
        if self.rows:
            self.rows -= 1
            return 1 if self.rows else -1
        if self.offsets:
            self.offsets -= 1
            return 1 if self.offsets else -1
        if self.w.repeats:
            if self.w.at < self.w.heads:
                return 1 if self.w.take() else -1
            if self.w_flying.bit_count() + max(bank.queued for bank in self.banks) < window:
                self.w_flying |= 1
                return 1 if self.w.take() else -1
        if self.setup:
            self.setup -= 1
            return 1 if self.setup else -1
        if self.u.repeats:
            if self.u.at < self.u.heads:
                return 1 if self.u.take() else -1
            if self.u_flying.bit_count() + self.u_queued < window:
                self.u_flying |= 1
                return 1 if self.u.take() else -1
        return 0

    def _small(self) -> tuple[object, ...]:
        """All that the next cycle depends on beside counters that are not 0."""
        gate = (self.now - self.gate_start) % BLOCK_CYCLES if self.now < self.gate_end else -1
        banks = [(bank.queued, bank.part) for bank in self.banks]
        return self.w_flying, self.u_flying, self.u_queued, self.w.at, self.u.at, self.credit, gate, banks

    def _counters(self) -> list[int]:
        """What runs down, each to a decision at 0; before them the cycle."""
        waiting = [self.stores, self.rows, self.offsets, self.setup, self.w.repeats, self.u.repeats]
        return [self.now, *waiting, *(bank.left for bank in self.banks)]

    def _skip(self, before: list[int], until: int | None) -> None:
        """Take all periods at once that end before a counter runs down; ``before``: cycle and counters a period ago."""
        now = self._counters()
        period = [new - old for old, new in zip(before, now, strict=True)]
        fits = [(counter - 1) // -step for counter, step in zip(now[1:], period[1:], strict=True) if step]
        if until is not None:
            fits.append((until - now[0] - 1) // period[0])
        if not fits:
            raise RuntimeError(f"nothing moves from cycle {self.now} on, at step {self.step}")
        jumped = [counter + min(fits) * step for counter, step in zip(now, period, strict=True)]
        self.now, self.stores, self.rows, self.offsets, self.setup, self.w.repeats, self.u.repeats = jumped[:7]
        for bank, left in zip(self.banks, jumped[7:], strict=True):
            bank.left = left
