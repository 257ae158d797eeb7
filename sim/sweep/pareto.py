"""Which designs of a sweep are worth having: nothing else on the same work is as fast, as small and as cheap."""

import io
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.sweep.point import Row

COSTS = ("cycles", "memory_bits", "macs")
_LAYERS = 6
"""That a picture shows: as many as the paper has."""
_SHOWN = 12
"""Works of a layer that the legend names."""


def non_dominated(costs: ArrayLike) -> NDArray[np.bool_]:
    """(N,) bool for costs (N, K): no other row is at most as large everywhere and smaller somewhere."""
    table = np.asarray(costs)
    keep = np.ones(len(table), dtype=bool)
    for n, row in enumerate(table):
        keep[n] = not ((table <= row).all(axis=1) & (table < row).any(axis=1)).any()
    return keep


def work_of(row: Row) -> Hashable:
    """What two rows must share to be compared: layer, data, memory, and how cycles were found."""
    data = row.w_sparsity, row.u_sparsity, row.h_sparsity, row.seed
    return row.layer, row.engine, *data, row.latency, row.bandwidth


def works_of(rows: Sequence[Row]) -> dict[Hashable, list[int]]:
    """Places of the rows of each work, in their order."""
    works: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        works.setdefault(work_of(row), []).append(place)
    return works


def front(rows: Sequence[Row]) -> list[bool]:
    """For each row, whether it is on the Pareto front of its work: COSTS, less is better."""
    on = np.zeros(len(rows), dtype=bool)
    for places in works_of(rows).values():
        on[places] = non_dominated([[getattr(rows[place], cost) for cost in COSTS] for place in places])
    return on.tolist()


def titles(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """For each work its layer, and what tells it from the layer's other works."""
    examples = [rows[places[0]] for places in works_of(rows).values()]
    names = {"engine": "", "w_sparsity": "w ", "u_sparsity": "u ", "h_sparsity": "h ", "seed": "seed ",
             "latency": "latency ", "bandwidth": "bandwidth "}  # fmt: skip

    def shown(value: Any) -> str:
        return f"{value:g}" if isinstance(value, float) else str(value)

    found = []
    for row in examples:
        same = [other for other in examples if other.layer == row.layer]
        varying = [name for name in names if len({getattr(other, name) for other in same}) > 1]
        values = {name: getattr(row, name) for name in varying}
        text = (f"{names[name]}{shown(value)}" for name, value in values.items() if value is not None)
        found.append((row.layer, ", ".join(text)))
    return found


def _stairs(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """The points of (x, y) that no other is below and left of, from left to right."""
    order = np.lexsort((y, x))
    line_x: list[float] = []
    line_y: list[float] = []
    for n in order:
        if not line_y or y[n] < line_y[-1]:
            line_x.append(float(x[n]))
            line_y.append(float(y[n]))
    return line_x, line_y


def picture(rows: Sequence[Row], title: str) -> bytes:
    """A PNG: for each layer cycles over memory bits and over MACs, a colour a work; the front is large, its lower edge
    a line."""
    # Only those who ask for a picture wait for this import
    import matplotlib  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    layers: dict[str, list[tuple[str, list[int]]]] = {}
    for (layer, text), places in zip(titles(rows), works_of(rows).values(), strict=True):
        layers.setdefault(layer, []).append((text, places))
    drawn = list(layers.items())[:_LAYERS]
    on = np.array(front(rows), dtype=bool)
    figure = Figure(figsize=(10.5, 1.5 + 2.9 * len(drawn)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(drawn), 2, sharex="col", sharey="row", width_ratios=(3, 2), squeeze=False)
    for panels, (layer, works) in zip(grid, drawn, strict=True):
        colors = matplotlib.colormaps["tab10" if len(works) <= 10 else "turbo"]
        for number, (text, places) in enumerate(works):
            color = colors(number) if len(works) <= 10 else colors(number / (len(works) - 1))
            best, y = on[places], np.array([rows[place].cycles for place in places], dtype=float)
            for panel, cost, unit in zip(panels, COSTS[1:], (1000, 1), strict=True):
                x = np.array([getattr(rows[place], cost) / unit for place in places])
                panel.plot(x[~best], y[~best], "o", color=color, markersize=4, alpha=0.45, markeredgewidth=0)
                panel.plot(x[best], y[best], "o", color=color, markersize=6, markeredgecolor="black",
                           markeredgewidth=0.6, label=text if number < _SHOWN else None)  # fmt: skip
                panel.plot(*_stairs(x, y), drawstyle="steps-post", color=color, linewidth=1)
        for panel in panels:
            panel.set(yscale="log")
            panel.grid(True, which="both", color="0.9", linewidth=0.6)
            panel.set_axisbelow(True)
        panels[0].set(xscale="log", ylabel="cycles")
        panels[0].set_title(layer, fontsize=10, loc="left")
        if len(works) > 1:
            more = f" (and {len(works) - _SHOWN} more)" if len(works) > _SHOWN else ""
            panels[1].legend(fontsize=7, title=more or None, loc="center left", bbox_to_anchor=(1, 0.5))
        _plain_numbers(panels[0].yaxis)
    _plain_numbers(grid[-1][0].xaxis)
    grid[-1][0].set(xlabel="memory, kbit")
    grid[-1][1].set(xlabel="MACs", xticks=sorted({row.macs for row in rows}))
    less = f", {len(drawn)} of {len(layers)} layers" if len(drawn) < len(layers) else ""
    figure.suptitle(f"{title}{less}\nlarge: Pareto front in cycles, memory and MACs", fontsize=10)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    return out.getvalue()


def _plain_numbers(axis: Any) -> None:
    """Numbers of a logarithmic axis as they are, and several of them however short it is."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 6, 8) if high < 20 * low else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_minor_formatter(NullFormatter())
