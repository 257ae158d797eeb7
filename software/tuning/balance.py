"""Hidden units in an order in which the streams of a column are even: a unit is as long as the longest of them.

A stream has every S-th row of a column, so which units are where decides how its nonzeros divide. Their order is free:
rows of all gates and columns of U move together, and what reads h, the W above or the output layer, with them. Sums are
of whole numbers and do not depend on it, nor does what is sent of a unit alone. Found by annealing, twice: first the
streams of units, by nonzeros alone; then places within a stream, where a run of zeros longer than a gap takes a filler.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from golden.config import BLOCK_COLS, GATES
from golden.formats import stored
from golden.formats.stream import Stream
from golden.layer import PackedLayer
from software.checkpoint import Checkpoint, LayerWeights
from software.weight_formats import FormatChoice, words_of

SWAPS = 150_000
"""Of two units in different streams, for each layer."""
PLACE_SWAPS = 20_000
"""Of two units in the same ones."""
HOT = 3e-4
"""Temperature at first, as a share of the cost."""
Order = NDArray[np.int64]
Counts = NDArray[np.integer] | NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Balanced:
    """A network and the order of the units of each layer: place p has what was unit ``orders[layer][p]``.

    before, after: words of W and U of all layers, each column once.
    """

    checkpoint: Checkpoint
    orders: tuple[Order, ...]
    before: int
    after: int


class _Streams:
    """Nonzeros of every stream of every column, kept up while units swap places.

    counts: (G, H, C), nonzeros of unit h in column c, of the gates that are shifted alike; weights: (C,) how often each
    column is loaded.
    """

    def __init__(self, nonzero: NDArray[np.bool_], weights: NDArray[np.float64], streams: int) -> None:
        """nonzero: (4, H, C)."""
        hidden = nonzero.shape[1]
        # rows of a gate begin at another stream where the padded gate before is no multiple of them
        starts = np.arange(GATES) * (hidden + -hidden % BLOCK_COLS) % streams
        self.shifts = np.unique(starts)
        self.streams, self.weights = streams, weights
        self.counts = np.stack([nonzero[starts == shift].sum(axis=0) for shift in self.shifts]).astype(np.float64)
        self.order = np.arange(hidden)
        self.sums = np.zeros((streams, nonzero.shape[2]))
        for place in range(hidden):
            for counts, shift in zip(self.counts, self.shifts, strict=True):
                self.sums[(place + shift) % streams] += counts[place]

    @property
    def cost(self) -> float:
        return float(self.weights @ self.sums.max(axis=0))

    def swapped(self, a: int, b: int) -> NDArray[np.float64]:
        """The sums with the units of two places swapped."""
        sums = self.sums.copy()
        for counts, shift in zip(self.counts, self.shifts, strict=True):
            moved = counts[self.order[b]] - counts[self.order[a]]
            sums[(a + shift) % self.streams] += moved
            sums[(b + shift) % self.streams] -= moved
        return sums


def _order(nonzero: NDArray[np.bool_], weights: NDArray[np.float64], streams: int, swaps: int, seed: int) -> Order:
    """Places of units (H,) by annealing; the best that was met."""
    rng = np.random.default_rng(seed)
    now = _Streams(nonzero, weights, streams)
    cost = best = now.cost
    found, hot = now.order.copy(), HOT * cost
    places = rng.integers(0, len(found), (swaps, 2))
    for step, ((a, b), luck) in enumerate(zip(places.tolist(), rng.random(swaps).tolist(), strict=True)):
        if (a - b) % streams == 0:
            continue
        sums = now.swapped(a, b)
        new = float(weights @ sums.max(axis=0))
        warm = hot * (1 - step / swaps)
        if new <= cost or (warm > 0 and luck < np.exp((cost - new) / warm)):
            now.sums, cost = sums, new
            now.order[[a, b]] = now.order[[b, a]]
        if cost < best - 1e-9:
            best, found = cost, now.order.copy()
    return found


class _Entries:
    """Entries, fillers among them, of every stream of every column in single columns, as the packer makes them."""

    def __init__(self, nonzero: NDArray[np.bool_], streams: int, gap_bits: NDArray[np.int64]) -> None:
        """nonzero: (4, H, C); gap_bits: (C,) of each column's matrix."""
        gates, hidden, columns = nonzero.shape
        self.streams, self.gap_bits, self.hidden = streams, gap_bits, hidden
        self.rows = np.zeros((gates, hidden + -hidden % BLOCK_COLS, columns), dtype=bool)
        self.rows[:, :hidden] = nonzero
        self.shifts = np.unique(np.arange(gates) * self.rows.shape[1] % streams)
        every = np.arange(columns)
        self.counts = np.stack([self._of(stream, every) for stream in range(streams)])

    def _of(self, stream: int, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        here = self.rows.reshape(-1, self.rows.shape[2])[stream :: self.streams][:, columns]
        places = np.arange(len(here))[:, None]
        latest = np.maximum.accumulate(np.where(here, places, -1), axis=0)
        before = np.concatenate((np.full((1, len(columns)), -1), latest[:-1]))
        fillers = np.where(here, places - before - 1, 0) >> self.gap_bits[columns]
        return (here + fillers).sum(axis=0)

    def swap(self, a: int, b: int) -> NDArray[np.int64]:
        """Swap two units of the same streams; gives the entries that every stream then has."""
        columns = np.flatnonzero((self.rows[:, a] | self.rows[:, b]).any(axis=0))
        self.rows[:, [a, b]] = self.rows[:, [b, a]]
        counts = self.counts.copy()
        for shift in self.shifts:
            stream = int(a + shift) % self.streams
            counts[stream, columns] = self._of(stream, columns)
        return counts


def _places(
    nonzero: NDArray[np.bool_],
    weights: NDArray[np.float64],
    gap_bits: NDArray[np.int64],
    streams: int,
    order: Order,
    swaps: int,
    seed: int,
) -> Order:
    """The order with units in other places of their streams, in which fewer fillers are needed."""
    if len(order) <= streams:
        return order
    rng = np.random.default_rng(seed)
    entries, found, now = _Entries(nonzero[:, order], streams, gap_bits), order.copy(), order.copy()
    cost = best = float(weights @ entries.counts.max(axis=0))
    hot = HOT * cost
    for step in range(swaps):
        a = int(rng.integers(len(order)))
        b = a % streams + streams * int(rng.integers(-(-(len(order) - a % streams) // streams)))
        if a == b:
            continue
        counts = entries.swap(a, b)
        new = float(weights @ counts.max(axis=0))
        warm = hot * (1 - step / swaps)
        if new <= cost or (warm > 0 and rng.random() < np.exp((cost - new) / warm)):
            entries.counts, cost = counts, new
            now[[a, b]] = now[[b, a]]
            if cost < best - 1e-9:
                best, found = cost, now.copy()
        else:
            entries.rows[:, [a, b]] = entries.rows[:, [b, a]]
    return found


def _words(packed: PackedLayer) -> int:
    return words_of(packed.w) + words_of(packed.u)


def _rows(matrix: NDArray[np.float16], order: Order) -> NDArray[np.float16]:
    """A matrix (4H, C) or a bias (4H,) with the units of every gate in another order."""
    by_gate = matrix.reshape(GATES, len(order), -1)
    return by_gate[:, order].reshape(matrix.shape)


def balanced(
    checkpoint: Checkpoint,
    formats: FormatChoice,
    loaded: Sequence[tuple[Counts, Counts]] = (),
    swaps: int | None = None,
    seed: int = 1,
) -> Balanced:
    """A network with its hidden units in an order that takes fewer words; answers stay, h is in that order.

    loaded: of each layer how often the columns of W and of U are loaded, where that is known, in the order of the given
    network; swaps: SWAPS, unless told otherwise. A layer in which no order is found that packs into fewer words keeps
    its own. Raises ValueError where units of h are not single, and so are dropped or sent in blocks of neighbours.
    """
    layers: list[LayerWeights] = []
    orders: list[Order] = []
    before = after = 0
    columns: Order | None = None
    for number, layer in enumerate(checkpoint.layers):
        packed = formats.pack(layer.w, layer.u, layer.b)
        if packed.u.parameters.unit_cols != 1:
            raise ValueError(
                f"units of h can change places where U's units have one column (--unit 1), not {BLOCK_COLS}"
            )
        before += _words(packed)
        moved = layer if columns is None else replace(layer, w=layer.w[:, columns])
        how_often = loaded[number] if loaded else (np.ones(layer.inputs), np.ones(layer.hidden))
        parts, gaps = [], []
        for matrix, of, count in ((layer.w, packed.w, how_often[0]), (layer.u, packed.u, how_often[1])):
            form = stored(of.format)
            if isinstance(form, Stream):
                nonzero = (matrix != 0).reshape(GATES, layer.hidden, -1)
                parts.append((nonzero, np.asarray(count, dtype=np.float64)[: matrix.shape[1]], form.streams))
                gaps.append(np.full(matrix.shape[1], of.parameters.gap_bits))
        streams = max(part[2] for part in parts)
        nonzero = np.concatenate([part[0] for part in parts if part[2] == streams], axis=2)
        weights = np.concatenate([part[1] for part in parts if part[2] == streams])
        order = _order(nonzero, weights, streams, SWAPS if swaps is None else swaps, seed + number)
        single = packed.w.parameters.unit_cols == 1 and len({part[2] for part in parts}) == 1 and len(parts) == 2
        if single:
            fewer = PLACE_SWAPS if swaps is None else swaps
            order = _places(nonzero, weights, np.concatenate(gaps), streams, order, fewer, seed + number)
        tried = _reordered(moved, order)
        if _cost(formats, tried, how_often, columns, order) >= _cost(formats, moved, how_often, columns, None):
            order, tried = np.arange(layer.hidden), moved
        layers.append(tried)
        orders.append(order)
        after += _words(formats.pack(tried.w, tried.u, tried.b))
        columns = order
    assert columns is not None
    network = replace(checkpoint, layers=tuple(layers), out_w=checkpoint.out_w[:, columns])
    return Balanced(network, tuple(orders), before, after)


def _reordered(layer: LayerWeights, order: Order) -> LayerWeights:
    return replace(layer, w=_rows(layer.w, order), u=_rows(layer.u, order)[:, order], b=_rows(layer.b, order))


def _cost(
    formats: FormatChoice,
    layer: LayerWeights,
    how_often: tuple[Counts, Counts],
    inputs: Order | None,
    order: Order | None,
) -> float:
    """Words that columns take, as often as each is loaded."""
    packed = formats.pack(layer.w, layer.u, layer.b)
    total = 0.0
    for matrix, count, places in ((packed.w, how_often[0], inputs), (packed.u, how_often[1], order)):
        unit = matrix.parameters.unit_cols
        often = np.asarray(count, dtype=np.float64)
        often = often if places is None else often[places]
        padded = np.pad(often, (0, matrix.cols - len(often))).reshape(-1, unit).max(axis=1)
        total += float(padded @ matrix.offsets.astype(np.float64))
    return total
