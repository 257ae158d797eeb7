"""The paper's Figure 9: how much memory a sparse matrix takes in each format, over sparsity.

Random 768 x 768 matrices, as in the paper, and the W and U of a trained network. Two things about the paper's figure:
it was drawn for eSELL blocks of 16 x 4, where its code (and ours) has 8 x 4; and the labels of its sparsity axis are
shifted by 0.2 against the sparsity that its bars belong to. Here they stand where they belong.

python -m software.figure9
"""

import io
import json
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from golden.formats import FORMATS
from golden.numbers import Float16
from software import progress
from software.checkpoint import MNIST_CHECKPOINT, CheckpointError, load_checkpoint, load_language_model
from software.cli import UserError, check_outputs, run, within, write_all
from software.esell_format import random_matrix
from software.options import CheckpointOption

SCHEMA = "elstm.figure9/1"
SIDE = 768
SPARSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
PAPER: dict[str, dict[float, float]] = {
    "dense": {0.2: 9.44, 0.5: 9.44},
    "CSC, 16-bit index": {0.2: 15.1, 0.5: 9.46},
    "CSC, log2 index": {0.2: 12.3, 0.5: 7.69},
    "EC": {0.2: 9.44, 0.5: 5.90},
    "eSELL": {0.2: 9.59, 0.5: 7.32},
}
"""Mbit of 768 x 768 by the formats' definitions, at the sparsities where the paper's bars were checked."""
OUT = Path("build") / "figure9"
COLORS = ("#33383d", "#b9484e", "#e0a458", "#2f6f8f", "#7fb3d0", "#8a5a9e", "#bb93cc", "#4a8f5f", "#d1495b", "#1b6ca8",
          "#12a08a")  # fmt: skip


def measure(matrix: Float16) -> dict[str, int]:
    """Bits in each format, without what says where a unit of its columns begins."""
    return {name: row.bits(matrix) for name, row in FORMATS.items()}


def trained_matrices(path: Path) -> dict[str, Float16]:
    """W and U of each layer of a network or language model, by name. Raises CheckpointError."""
    try:
        layers = load_checkpoint(path).layers
    except CheckpointError:
        layers = load_language_model(path).layers
    return {f"l{n}.{name}": getattr(layer, name) for n, layer in enumerate(layers, 1) for name in ("w", "u")}


def picture(rows: list[dict[str, Any]]) -> bytes:
    """A PNG of Mbit over sparsity; marks are the paper's bars."""
    # Only those who ask for a picture wait for this import
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    x = [row["sparsity"] for row in rows]
    for name, color in zip(rows[0]["mbit"], cycle(COLORS), strict=False):
        # What the accelerator reads stands out
        width = 2.4 if FORMATS[name].number is not None else 1.4 if name == "EC" else 1
        axes.plot(x, [row["mbit"][name] for row in rows], color=color, linewidth=width, label=name)
        for sparsity, mbit in PAPER.get(name, {}).items():
            axes.plot(sparsity, mbit, "o", color=color, fillstyle="none", markersize=7)
    axes.plot([], [], "ko", fillstyle="none", label="the paper's Figure 9")
    axes.set(
        title=f"{SIDE} x {SIDE}, fp16 values, which the streams round", xlabel="sparsity", ylabel="Mbit", ylim=(0, None)
    )
    figure.legend(fontsize=8, ncols=5, loc="outside lower center")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130)
    return out.getvalue()


def _table(title: str, first: str, rows: dict[str, dict[str, float]]) -> Table:
    names = list(next(iter(rows.values())))
    table = Table(title=title, header_style="bold", box=None, pad_edge=False)
    table.add_column("format")
    for label in rows:
        table.add_column(label, justify="right")
    table.columns[0].header = first
    for name in names:
        table.add_row(name, *(f"{values[name]:.2f}" for values in rows.values()))
    return table


def main(
    checkpoint: CheckpointOption = MNIST_CHECKPOINT,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random matrices, 0 or more.", callback=within(0))] = 1,
    json_path: Annotated[Path, typer.Option("--json", metavar="FILE", help="All numbers.")] = OUT / "figure9.json",
    plot: Annotated[Path, typer.Option("--plot", metavar="FILE", help="Picture, PNG.")] = OUT / "figure9.png",
) -> None:
    """Compare what sparse formats take: random matrices over sparsity, and a trained network.

    \b
    Examples:
      python -m software.figure9
      python -m software.figure9 --checkpoint model.npz --json formats.json --plot formats.png
    """
    if plot.suffix.lower() != ".png":
        raise UserError(f"--plot must name a .png file, not {plot}")
    if plot.resolve() == json_path.resolve():
        raise UserError(f"--json and --plot must not be the same file, {plot}")
    check_outputs(json_path, plot)
    try:
        trained = trained_matrices(checkpoint)
    except CheckpointError as error:
        raise UserError(str(error)) from None
    rows, networks = [], []
    with progress.steps(len(SPARSITIES) + len(trained)) as step:
        for sparsity in SPARSITIES:
            step(f"sparsity {sparsity:g}")
            bits = measure(random_matrix(SIDE, SIDE, 1 - sparsity, seed))
            rows.append({"sparsity": sparsity, "mbit": {name: count / 1e6 for name, count in bits.items()}})
        for name, matrix in trained.items():
            step(name)
            networks.append(
                {
                    "matrix": name,
                    "rows": matrix.shape[0],
                    "cols": matrix.shape[1],
                    "sparsity": float((matrix == 0).mean()),
                    "mbit": {format_name: count / 1e6 for format_name, count in measure(matrix).items()},
                }
            )
    result = {"schema": SCHEMA, "side": SIDE, "seed": seed, "random": rows, "trained": networks, "paper_mbit": PAPER}
    write_all({json_path: json.dumps(result, indent=1).encode() + b"\n", plot: picture(rows)})
    console = Console()
    shown = {f"{row['sparsity']:g}": row["mbit"] for row in rows if row["sparsity"] in (0.2, 0.3, 0.5, 0.7, 0.8, 0.9)}
    console.print(_table(f"Mbit of {SIDE} x {SIDE}, by sparsity", "format", shown))  # type: ignore[arg-type]
    console.print()
    layers = {f"{row['matrix']} {row['sparsity']:.0%}": row["mbit"] for row in networks}
    console.print(_table("Mbit of the trained network's matrices, with their sparsity", "format", layers))  # type: ignore[arg-type]
    worst = max(abs(row["mbit"][name] - PAPER[name][row["sparsity"]]) / PAPER[name][row["sparsity"]]  # type: ignore[index]
                for row in rows if row["sparsity"] in (0.2, 0.5) for name in PAPER)  # fmt: skip
    print(f"\nlargest difference from the paper's checked bars: {worst:.1%}")
    print(f"wrote {json_path}\nwrote {plot}")


if __name__ == "__main__":
    run(main)
