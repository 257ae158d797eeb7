"""The search for a list of group sizes: coordinate descent on the column-level model, confirmed by the word-level."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from golden.cycles.base import LayerWords, Parameters
from golden.cycles.list.columns import column_model
from golden.cycles.list.pool import list_model
from golden.cycles.list.work import MAX_SIZES, Work, groups_of
from golden.cycles.words import FULL_PORT

SEARCHED_STEPS = 128
"""A longer run is searched on its first steps: a list says 16 sizes, and repeats the last."""
EVALUATIONS = 800
RESTARTS = 3
CONFIRMED = 6
"""Lists, the best by the column-level model, of which the word-level one chooses."""
_SIZES = 8
"""Sizes, at most, of which lists to begin with are made."""


@dataclass(frozen=True)
class Found:
    """A list, and its cycles by both models on the steps that were searched."""

    sizes: Parameters
    columns: float
    words: int


def shortest(sizes: Parameters, steps: int, most: int) -> Parameters:
    """The list that says the same of a run of so many steps with the fewest numbers."""
    said = [len(group) for group in groups_of(sizes, steps, most)][:MAX_SIZES]
    if len(said) > 1 and said[-1] < said[-2]:
        # the rest of the steps, whatever the size
        said[-1] = said[-2]
    while len(said) > 1 and said[-1] == said[-2]:
        said.pop()
    return tuple(said)


def _starts(steps: int, most: int, n_pe: int) -> list[Parameters]:
    """Lists to begin with: first a group with as many steps for every PE, then others, or the rest in equal ones."""
    fair = [*range(n_pe, most, n_pe), most]
    fair = sorted({fair[round(part * (len(fair) - 1) / (_SIZES - 1))] for part in range(_SIZES)})
    found: list[Parameters] = [(size,) for size in fair]
    for first in fair:
        fewest = -(-(steps - first) // most)
        equal = [-(-(steps - first) // groups) for groups in range(max(1, fewest), fewest + 4)]
        found += [(first, size) for size in dict.fromkeys([*equal, *fair]) if first < size <= most]
    return found


class _Descent:
    """Lists and their costs, each asked for once."""

    def __init__(self, cost: Callable[[Parameters], float], work: Work, evaluations: int) -> None:
        self._cost, self.steps, self.most, self.left = cost, work.words.shape.t, work.most, evaluations
        self._moves = sorted({by * sign for by in (1, 2, work.config.n_pe) for sign in (-1, 1)})
        self.costs: dict[Parameters, float] = {}

    def cost(self, sizes: Parameters) -> float:
        short = shortest(sizes, self.steps, self.most)
        if short not in self.costs:
            self.costs[short] = self._cost(short)
            self.left -= 1
        return self.costs[short]

    def shaken(self, random: Random) -> Parameters:
        """The best list so far with three of its groups changed."""
        best = min(self.costs, key=self.costs.__getitem__)
        changed = [len(group) for group in groups_of(best, self.steps, self.most)][:MAX_SIZES]
        for _ in range(3):
            changed[random.randrange(len(changed))] = random.randint(1, self.most)
        return tuple(changed)

    def descend(self, sizes: Parameters, random: Random) -> None:
        """Change a size, or move steps from one group to the next or the last one, as long as it helps."""
        best, found = [len(group) for group in groups_of(sizes, self.steps, self.most)][:MAX_SIZES], True
        while found and self.left > 0:
            found = False
            last = len(best) - 1
            moves = [
                (group, by, other)
                for group in range(len(best))
                for by in self._moves
                for other in (None, *sorted({min(group + 1, last), last} - {group}))
            ]
            random.shuffle(moves)
            for group, by, other in moves:
                changed = list(best)
                changed[group] += by
                if other is not None:
                    changed[other] -= by
                legal = self.left > 0 and all(1 <= size <= self.most for size in changed)
                if legal and self.cost(tuple(changed)) < self.cost(tuple(best)):
                    best, found = changed, True
                    break


def search(
    words: LayerWords,
    make: Callable[[LayerWords], Work],
    port_permille: int = FULL_PORT,
    *,
    seed: int = 1,
    evaluations: int | None = None,
) -> list[Found]:
    """Lists for a run, the best first; ``make``: what a configuration makes of its words.

    The same seed finds the same lists; evaluations: by the column-level model, EVALUATIONS where None. Of lists with as
    many cycles the one with fewer numbers stands first.
    """
    evaluations = EVALUATIONS if evaluations is None else evaluations
    work = make(first_steps(words, SEARCHED_STEPS))
    steps, model, random = work.words.shape.t, column_model(work, port_permille), Random(seed)
    descent = _Descent(lambda sizes: model(groups_of(sizes, steps, work.most)), work, evaluations)
    for sizes in _starts(steps, min(work.most, steps), work.config.n_pe):
        descent.cost(sizes)
    begins = sorted(descent.costs, key=descent.costs.__getitem__)[:RESTARTS]
    for sizes in begins:
        descent.descend(sizes, random)
    for _ in range(evaluations):
        if descent.left > 0:
            descent.descend(descent.shaken(random), random)
    ranked = sorted(descent.costs, key=lambda sizes: (descent.costs[sizes], len(sizes), sizes))[:CONFIRMED]
    found = [Found(sizes, descent.costs[sizes], list_model(work, sizes, port_permille).cycles) for sizes in ranked]
    return sorted(found, key=lambda one: (one.words, len(one.sizes), one.sizes))


def first_steps(words: LayerWords, steps: int) -> LayerWords:
    """The words of a run of its first steps."""
    if words.shape.t <= steps:
        return words
    zero = None if words.x_zero is None else words.x_zero[:steps]
    return replace(words, shape=replace(words.shape, t=steps), kept=words.kept[:steps], x_zero=zero)
