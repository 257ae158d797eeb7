"""Fusion factors N_fuse of the paper's schedule: cycles by three models, a table and a picture of them."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from golden.config import AcceleratorConfig
from golden.cycles import CELL_FUSION, LayerWords

MODELS = ("equation_6", "published", "word_model")


@dataclass(frozen=True)
class Row:
    """Cycles at one N_fuse; speedup: of the word model, over N_fuse 1 without block pruning."""

    n_fuse: int
    fits: bool
    equation_6: int
    published: int
    word_model: int
    speedup: float


def equation_6(w: float, u: float, steps: int, n_fuse: int, n_pe: int) -> float:
    """Cycles by the closed form that the original tunes with, from average words alone.

    w: words of W; u: words of U that a step loads on average; no heads and no padding in either. With groups of
    n = N_fuse (N_pe - 1) steps, a prolog of N_fuse w cycles streams W for the first group. Each further group streams
    W again in N_fuse w cycles, of which (N_fuse - 1) w are free at the port; the n u words of the group before that
    find no place there make it longer. The epilog is the u words of each step of the last group.
    """
    size = n_fuse * (n_pe - 1)
    groups = math.ceil(steps / size)
    prolog = n_fuse * w
    group = prolog + max(0.0, size * u - (n_fuse - 1) * w)
    epilog = (steps - (groups - 1) * size) * u
    return prolog + (groups - 1) * group + epilog


def balanced(w: float, u: float, n_pe: int) -> int | None:
    """The smallest N_fuse whose free port cycles hold U: (N_fuse - 1) w >= N_fuse (N_pe - 1) u.

    A larger one leaves the port idle, a smaller one the W PEs. None when no N_fuse is large enough.
    """
    spare = w - (n_pe - 1) * u
    if spare <= 0:
        return None
    # 1e-9 of slack, so that an exact balance is not missed by rounding
    return max(1, math.ceil(w / spare - 1e-9))


def best_n_fuse(rows: list[Row], model: str) -> int:
    """The N_fuse with the fewest cycles by that model; of several the smallest, which needs the fewest buffers."""
    return min(rows, key=lambda row: (getattr(row, model), row.n_fuse)).n_fuse


def rows_of(
    words: LayerWords,
    config: AcceleratorConfig,
    most: int,
    original: int,
    closed: Callable[[int], float],
    tell: Callable[[str], None],
) -> list[Row]:
    """A row for each N_fuse up to ``most``; original: cycles that speed-ups are over; closed: equation 6."""
    rows: list[Row] = []
    for n in range(1, most + 1):
        tell(f"N_fuse {n}")
        cycles = CELL_FUSION.model(words, config, (n,)).cycles
        published = CELL_FUSION.published(words, config, (n,))
        rows.append(Row(n, n <= config.fuse_capacity, round(closed(n)), published, cycles, original / cycles))
    return rows


def table_of(rows: list[Row], stars: dict[str, int], title: str) -> Table:
    """The rows for people; stars: the best N_fuse by each model."""
    table = Table(title=title)
    for heading in ("N_fuse", "equation 6", "published", "word model", "speed-up"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        cells = [f"{getattr(row, model):,}{'*' if stars[model] == row.n_fuse else ' '}" for model in MODELS]
        note = "best" if row.n_fuse == stars["word_model"] else "" if row.fits else "does not fit"
        table.add_row(str(row.n_fuse), *cells, f"{row.speedup:.2f}", note, style=None if row.fits else "dim")
    return table


def following(result: dict[str, Any]) -> list[str]:
    """What follows from the table, in lines."""
    free, even = result["best_without_limit"], result["balanced_n_fuse"]
    return [
        f"best N_fuse: {result['best_n_fuse']} (* fewest cycles of those that fit; equation 7: at most "
        f"{result['capacity']})",
        f"with more slots: equation 6 {free['equation_6']}, published {free['published']}, "
        f"word model {free['word_model']}",
        (f"U fits in W's free port cycles from N_fuse {even} on" if even else "U never fits in W's free port cycles")
        + f"; bound of port and MACs: {result['bound_cycles']:,} cycles; seed {result['seed']}",
    ]


def picture(rows: list[Row], chosen: int, capacity: int, bound: int, title: str) -> bytes:
    """A PNG of the three models over N_fuse."""
    # Only those who ask for a picture wait for this import
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    n = [row.n_fuse for row in rows]
    labels = {"equation_6": "equation 6", "published": "published formula", "word_model": "word-level model"}
    for model, label in labels.items():
        axes.plot(n, [getattr(row, model) for row in rows], marker=".", label=label)
    axes.plot([chosen], [rows[chosen - 1].word_model], "k*", markersize=14, label=f"best that fits: {chosen}")
    axes.axhline(bound, color="grey", linestyle=":", label="bound of port and MACs")
    if capacity < n[-1]:
        axes.axvspan(capacity + 0.5, n[-1] + 0.5, color="lightgrey", alpha=0.5, label="more than the slots hold")
    axes.set(title=title, xlabel="N_fuse", ylabel="cycles", xticks=n[:: -(-len(n) // 20)], ylim=(0, None))
    axes.legend(fontsize="small")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
