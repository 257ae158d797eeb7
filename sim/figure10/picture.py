"""The picture of Figure 10: speed-up over ``original`` of each layer, RTL beside the paper and the models."""

import io
from collections.abc import Sequence

import numpy as np

from sim.layers.table2 import LAYERS
from sim.results.result import LayerRun

PAPER = ["original", "sparse", "fused"]
COLORS = {"original": "#9aa5b1", "sparse": "#4c8dae", "fused": "#d1495b"}
COLORS |= {"stream16": "#edae49", "list": "#66a182", "list-stream16": "#2e4057", "list-stream8": "#8d5a97"}


def groups_of(rows: Sequence[LayerRun]) -> dict[tuple[str, str], dict[str, list[LayerRun]]]:
    """Rows by (layer, source) in the paper's order, then by scheme."""
    names = list(LAYERS)
    groups: dict[tuple[str, str], dict[str, list[LayerRun]]] = {}
    for row in sorted(rows, key=lambda r: (r.source != "random", names.index(r.layer))):
        groups.setdefault((row.layer, row.source or ""), {}).setdefault(row.scheme or "", []).append(row)
    return groups


def mean_cycles(rows: Sequence[LayerRun], name: str = "cycles") -> float:
    """Mean of a figure over the sequences of one layer and scheme."""
    return float(np.mean([getattr(row, name) for row in rows]))


def picture(rows: Sequence[LayerRun], title: str) -> bytes:
    """A PNG: bars are the RTL's speed-up over its own ``original``; marks the paper's and the published formula's."""
    # Only those who ask for a picture wait for this import
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    groups = {key: schemes for key, schemes in groups_of(rows).items() if "original" in schemes}
    labelled: set[str] = set()

    def once(label: str) -> str | None:
        if label in labelled:
            return None
        labelled.add(label)
        return label

    drawn = [scheme for scheme in COLORS if any(scheme in schemes for schemes in groups.values())]
    bars = drawn if len(drawn) > len(PAPER) else PAPER
    width = 0.81 / len(bars)
    # inches; four bars and more have their numbers upright
    group = max(0.95, 0.22 * len(bars))
    figure = Figure(figsize=(1.6 + group * max(len(groups), 4), 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    turned = 90 if len(bars) > len(PAPER) else 0
    for place, ((name, source), schemes) in enumerate(groups.items()):
        paper = LAYERS[name]
        base = mean_cycles(schemes["original"])
        for offset, scheme in enumerate(bars):
            if scheme not in schemes:
                continue
            color = COLORS[scheme]
            at = place + (offset - (len(bars) - 1) / 2) * width
            speedup = base / mean_cycles(schemes[scheme])
            axes.bar(at, speedup, width * 0.92, color=color, label=once(f"RTL, {scheme}"))
            axes.text(at, 0.04, f"{speedup:.2f}", ha="center", va="bottom", fontsize=7, color="white", rotation=turned)
            if scheme == "original" or not schemes[scheme][0].published_model_cycles:
                continue
            model = mean_cycles(schemes["original"], "published_model_cycles")
            model /= mean_cycles(schemes[scheme], "published_model_cycles")
            axes.plot(at, model, "D", color="black", markersize=4, fillstyle="none", label=once("published formula"))
            if (bar := paper.cycles(scheme)) is not None and source == "random":
                axes.plot(
                    at, paper.original / bar, "_", color="black", markersize=14, label=once("the paper's Figure 10")
                )
        bound = base / mean_cycles(schemes[list(schemes)[-1]], "bound_cycles")
        axes.plot([place - 0.378, place + 0.378], [bound] * 2, ":", color="grey", label=once("bound"))
    axes.set_xticks(range(len(groups)), [f"{LAYERS[name].title}\n{source}" for name, source in groups], fontsize=8)
    axes.set(ylabel="speed-up over original", ylim=(0, None))
    axes.set_title(title, fontsize=10)
    # an entry takes an inch and a half
    figure.legend(fontsize=7, ncols=min(8, int(figure.get_figwidth() / 1.5)), loc="outside lower center")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    return out.getvalue()
