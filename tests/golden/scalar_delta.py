"""DELTA and events in plain Python, element by element, straight from the rules: slow, independent of golden."""

from fractions import Fraction

from tests.golden.scalar import Cell, half, round_half_up, single, wrap

GRID = Fraction(1, 2**10)


def sends(values: list[Fraction], held: list[int], threshold: Fraction | None, cols: int) -> list[int]:
    """What is added to ``held``, in units of 2^-10, element by element; threshold None: nothing reaches it."""
    added = [0] * len(values)
    for first in range(0, len(values), cols):
        places = range(first, first + cols)
        away = [abs(values[k] - held[k] * GRID) for k in places]
        if threshold is None:
            continue
        if sum(away) >= threshold or (cols == 4 and 2 * max(away) >= threshold):
            for k in places:
                added[k] = round_half_up(values[k] / GRID) - held[k]
    return added


class DeltaCell:
    """A layer with what it holds. w, u, b: fp16 bits, as ``Cell``; u_cols, w_cols: of a unit of h and of x."""

    def __init__(self, cell: Cell, u_cols: int, w_cols: int, events: bool) -> None:
        self.cell, self.u_cols, self.w_cols, self.events = cell, u_cols, w_cols, events
        self.h, self.c, self.held = ([0] * cell.hidden for _ in range(3))
        self.x_held = [0] * len(cell.w[0])
        self.sums = [0] * (4 * cell.hidden)

    @staticmethod
    def limit(threshold: int) -> Fraction | None:
        """Of fp32 bits; at most 0 sends whatever has changed."""
        if threshold == 0x7F80_0000:
            return None
        return Fraction(0) if threshold >> 31 else single(threshold)

    def change(self, threshold: int) -> list[int]:
        """What is sent of h, in units of 2^-10."""
        return sends([half(v) for v in self.h], self.held, self.limit(threshold), self.u_cols)

    def row(self, threshold: int) -> list[int]:
        """The row of h that is stored: what is held after a decision now, in units of 2^-10."""
        return [old + new for old, new in zip(self.held, self.change(threshold), strict=True)]

    def step(self, x: list[int], threshold: int, x_threshold: int) -> tuple[list[int], list[int]]:
        """x: fp16 bits. What was sent of h and of x, in units of 2^-10."""
        added = self.change(threshold)
        self.held = [old + new for old, new in zip(self.held, added, strict=True)]
        x_added = [0] * len(x)
        if self.events:
            x_added = sends([half(v) for v in x], self.x_held, self.limit(x_threshold), self.w_cols)
            self.x_held = [old + new for old, new in zip(self.x_held, x_added, strict=True)]
        z = []
        for row in range(4 * self.cell.hidden):
            for weights, changes in ((self.cell.u[row], added), (self.cell.w[row], x_added)):
                for weight, change in zip(weights, changes, strict=True):
                    self.sums[row] += round_half_up(half(weight) * change * GRID * 2**20)
            self.sums[row] = wrap(self.sums[row])
            total = self.sums[row] + round_half_up(half(self.cell.b[row]) * 2**20)
            if not self.events:
                total += sum(round_half_up(half(w) * half(v) * 2**20) for w, v in zip(self.cell.w[row], x, strict=True))
            z.append(wrap(total))
        self.h, self.c = self.cell.gates(z, self.c)
        return added, x_added
