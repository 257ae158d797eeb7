"""``python -m sim.cycles_accuracy``: cycles of a digit against accuracy, of the shipped networks and of other designs.

Exit codes: 0 drawn, 2 it could not be.
"""

import io
import json as json_module
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from sim.results.check import check
from sim.results.result import ResultError, from_json
from software.cli import UserError, check_outputs, run, write_all

SCHEMA = "elstm.cycles-accuracy/1"
NETWORKS = Path(__file__).parents[1] / "docs/results/networks.json"
"""Of the sources; an installed copy has none."""
OUT = Path("build/cycles-accuracy.svg")
RTL = "RTL"
MODEL = "model"
OUTSIDE = "outside"
"""How cycles were found: by a run of the RTL, by the cycle model, by somebody else."""


@dataclass(frozen=True)
class Point:
    """A network on a design; cycles: of a digit, both layers; accuracy: share of the 10,000 test digits; by: RTL, MODEL
    or OUTSIDE."""

    name: str
    cycles: float
    accuracy: float
    by: str


RIVALS = (
    Point("E-LSTM, the paper", 707_000, 0.9811, OUTSIDE),
    Point("EdgeDRNN, threshold 0", 437_836, 0.9898, OUTSIDE),
    Point("EdgeDRNN", 99_193, 0.9853, OUTSIDE),
)
"""As docs/compare.md says where they are from."""

INK = "#24292f"
FAINT = "#8c959f"
OURS = "#b3261e"
DARK = {INK: "#e6edf3", FAINT: "#7d8590", OURS: "#ff8a80"}
"""What takes a colour's place where the reader's page is dark."""
_MARKS = {RTL: ("o", OURS, OURS), MODEL: ("o", OURS, "none"), OUTSIDE: ("s", INK, "none")}
_LEGEND = {RTL: "ours, RTL", MODEL: "ours, by the cycle model", OUTSIDE: "others, as published or run from outside"}


def points_of(networks: Path, runs: dict[str, Path]) -> list[Point]:
    """The shipped networks: accuracy from ``networks`` (software.benchmark.mnist networks), cycles from there, by the
    model, or the mean of a run of ``sim.run mnist``. Raises UserError naming the file."""
    try:
        told = json_module.loads(networks.read_text())["networks"]
        known = {row["name"]: Point(row["name"], float(row["cycles"]), float(row["accuracy"]), MODEL) for row in told}
    except OSError as error:
        raise UserError(f"{networks}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{networks}: no accuracies of networks, or damaged") from None
    for name, path in runs.items():
        if name not in known:
            raise UserError(f"no network {name!r}; {networks} has: {', '.join(known)}")
        known[name] = Point(name, cycles_of(path), known[name].accuracy, RTL)
    return [*RIVALS, *known.values()]


def cycles_of(path: Path) -> float:
    """Mean cycles of a digit, all layers, of a run's result. Raises UserError."""
    try:
        result = from_json(path.read_text(), str(path))
        check(result, str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ResultError, UnicodeDecodeError) as error:
        raise UserError(str(error) if isinstance(error, ResultError) else f"{path}: not text") from None
    if result.kind != "mnist" or not result.inputs:
        raise UserError(f"{path} must be a result of sim.run mnist, not of kind {result.kind!r}")
    if not result.exact:
        raise UserError(f"{path}: the run is not exact, its cycles say nothing")
    return fmean(sum(layer.cycles for layer in digit.layers) for digit in result.inputs)


def gid(point: Point) -> str:
    """What names a point in the picture."""
    return f"{point.name}: {point.cycles:,.0f} cycles, {point.accuracy:.2%}, {point.by}"


def picture(points: list[Point]) -> bytes:
    """An SVG that fits light and dark pages."""
    # Only those who ask for a picture wait for this import
    import matplotlib  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for by, (mark, edge, face) in _MARKS.items():
        chosen = [point for point in points if point.by == by]
        for number, point in enumerate(chosen):
            (drawn,) = axes.plot(
                point.cycles, 100 * point.accuracy, mark, color=edge, markerfacecolor=face, markersize=7,
                label=None if number else _LEGEND[by],
            )  # fmt: skip
            drawn.set_gid(gid(point))
            # ours above, others below: two that lie close keep apart
            above = by != OUTSIDE
            axes.annotate(
                f"{point.name}\n{point.cycles:,.0f}", (point.cycles, 100 * point.accuracy), (0, 8 if above else -8),
                textcoords="offset points", ha="center", va="bottom" if above else "top", fontsize=8, color=edge,
            )  # fmt: skip
    # room for what stands above the highest and beside the outermost
    accuracies = [100 * point.accuracy for point in points]
    cycles = [point.cycles for point in points]
    axes.set(xscale="log", ylim=(min(accuracies) - 0.25, max(accuracies) + 0.25))
    axes.set_xlabel("cycles of a digit, both layers", color=INK)
    axes.set_ylabel("of 10,000 test digits right, %", color=INK)
    axes.grid(which="major", color=FAINT, alpha=0.35, linewidth=0.6)
    axes.set_xticks([10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000])
    axes.set_xlim(min(cycles) / 1.7, max(cycles) * 1.7)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(colors=INK, labelsize=8)
    for side, spine in axes.spines.items():
        spine.set(color=FAINT, visible=side in ("left", "bottom"))
    legend = axes.legend(fontsize=8, loc="lower left", frameon=False, labelcolor=INK)
    legend.set_gid("legend")
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": SCHEMA}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return with_dark(out.getvalue().decode()).encode()


def with_dark(svg: str) -> str:
    """The same picture with a style sheet that changes its colours on a dark page."""
    rules = "".join(
        f'[style*="{kind}: {light}"]{{{kind}:{dark} !important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    sheet = f"<style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    at = svg.index(">", svg.index("<svg")) + 1
    return svg[:at] + "\n " + sheet + svg[at:]


def _runs(texts: list[str]) -> dict[str, Path]:
    """NAME=FILE of each. Raises UserError."""
    found = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not (name and separator and path):
            raise UserError(f"--run takes NAME=FILE, not {text!r}")
        found[name] = Path(path)
    return found


def main(
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--run", metavar="NAME=FILE", help="Result of sim.run mnist --network NAME, instead of the model."
        ),
    ] = None,
    networks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Accuracies; else the sources' docs/results/networks.json.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The picture, SVG.")] = OUT,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="The points, JSON.")] = None,
) -> None:
    """Draw cycles of a digit against accuracy: the shipped networks, the paper's design, others.

    \b
    Examples:
      python -m sim.cycles_accuracy
      python -m sim.cycles_accuracy --run delta=build/delta.json --json build/points.json
    """
    if out.suffix.lower() != ".svg":
        raise UserError(f"--out must name a .svg file, not {out}")
    for path in (out, json):
        check_outputs(path)
    points = points_of(networks or NETWORKS, _runs(runs or []))
    for point in points:
        print(gid(point))
    files: dict[Path, bytes] = {out: picture(points)}
    if json:
        told: dict[str, Any] = {"schema": SCHEMA, "points": [asdict(point) for point in points]}
        files[json] = json_module.dumps(told, indent=1).encode() + b"\n"
    write_all(files)
    for path in files:
        print(f"wrote {path}")


if __name__ == "__main__":
    run(main)
