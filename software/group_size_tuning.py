"""Choose the fusion factor N_fuse of a layer: equation 6 of the DAC'19 paper, the published formula, the word model.

Other schedules of ``golden.cycles.SCHEDULES`` are searched by their own models.

python -m software.group_size_tuning --xsize 800 --hsize 800 --ts 35 --spw 0.2 --spu 0.5 --sph 0.56
"""

import io
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

if not __package__:
    # Run as a script: the packages are beside this one, and this directory must not hide any
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from golden.config import AcceleratorConfig
from golden.cycles import (
    CELL_FUSION,
    SCHEDULES,
    LayerWords,
    Schedule,
    published_cycles,
    u_words_of_steps,
    word_model_cycles,
)
from golden.formats import stored
from golden.layer import PackedLayer, pack_layer
from software import progress
from software.cli import UserError, check_outputs, run, write_all
from software.esell_format import MAX_ELEMENTS, random_matrix

SCHEMA = "elstm.group-size/1"
SHOWN = 16
"""N_fuse up to here is shown, and up to the capacity: what more buffers would bring."""
MAX_SIDE = 8192
MAX_STEPS = 65535
MAX_BLOCKS = 1 << 25
"""T x HSIZE / 4, one byte each."""
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


def random_mask(steps: int, blocks: int, sparsity: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(T, blocks) bool: each step keeps the same number of blocks, round((1 - sparsity) blocks), at random places."""
    mask = np.zeros((steps, blocks), dtype=bool)
    keep = round((1 - sparsity) * blocks)
    for row in mask:
        row[rng.permutation(blocks)[:keep]] = True
    return mask


def random_layer(xsize: int, hsize: int, spw: float, spu: float, seed: int) -> PackedLayer:
    """A packed layer with random weights of exactly these sparsities."""
    w = random_matrix(4 * hsize, xsize, 1 - spw, seed)
    u = random_matrix(4 * hsize, hsize, 1 - spu, seed + 1)
    return pack_layer(w, u, np.zeros(4 * hsize, dtype=np.float16))


def best(rows: list[Row], model: str) -> int:
    """The N_fuse with the fewest cycles by that model; of several the smallest, which needs the fewest buffers."""
    return min(rows, key=lambda row: (getattr(row, model), row.n_fuse)).n_fuse


def best_of(schedule: Schedule, words: LayerWords, config: AcceleratorConfig) -> dict[str, Any]:
    """The parameters that a schedule's own search finds, and their cycles by its model."""
    values = schedule.search(words, config)
    return {"parameters": schedule.named(values), "cycles": schedule.model(words, config, values).cycles}


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


def check(xsize: int, hsize: int, ts: int, npe: int, slots: int, sparsities: dict[str, float], seed: int) -> None:
    """Raises UserError for the first option that is out of its limits."""
    least = 2 * (npe - 1)
    for name, value, low, high in (
        ("--xsize", xsize, 1, MAX_SIDE),
        ("--hsize", hsize, 1, MAX_SIDE),
        ("--ts", ts, 1, MAX_STEPS),
        ("--npe", npe, 2, 8),
        ("--slots", slots, least, 255),
        *((name, value, 0, 1) for name, value in sparsities.items()),
    ):
        if not low <= value <= high:
            raise UserError(f"{name} must be in {low}..{high}, not {value}")
    if 4 * hsize * max(xsize, hsize) > MAX_ELEMENTS:
        raise UserError(
            f"4 x HSIZE x the larger of XSIZE and HSIZE must be at most {MAX_ELEMENTS}, "
            f"not {4 * hsize * max(xsize, hsize)}"
        )
    if ts * -(-hsize // 4) > MAX_BLOCKS:
        raise UserError(f"TS x HSIZE / 4 must be at most {MAX_BLOCKS}, not {ts * -(-hsize // 4)}")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, not {seed}")


def main(
    xsize: Annotated[int, typer.Option(metavar="N", help=f"Input size X, 1..{MAX_SIDE}.")] = 800,
    hsize: Annotated[int, typer.Option(metavar="N", help=f"Hidden size H, 1..{MAX_SIDE}.")] = 800,
    ts: Annotated[int, typer.Option(metavar="N", help=f"Time steps T, 1..{MAX_STEPS}.")] = 35,
    npe: Annotated[int, typer.Option(metavar="N", help="PEs, 2..8: one for U h, the others for W x.")] = 3,
    spw: Annotated[float, typer.Option(metavar="X", help="Sparsity of W, 0..1.")] = 0.2,
    spu: Annotated[float, typer.Option(metavar="X", help="Sparsity of U, 0..1.")] = 0.6,
    sph: Annotated[float, typer.Option(metavar="X", help="Share of h blocks dropped in each step, 0..1.")] = 0.41,
    slots: Annotated[int, typer.Option(metavar="N", help="Buffers of one W x result each (of 4H sums).")] = 12,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random weights and masks, 0 or more.")] = 1,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything as JSON.")
    ] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw it, as PNG.")] = None,
) -> None:
    """Find the best fusion factor N_fuse of a layer for the paper's schedule.

    Equation 6 takes average word counts from the sparsities; the other two count the words of a random layer, packed.
    Groups of W x results are double-buffered (equation 7): N_fuse is at most SLOTS / (2 (NPE - 1)), rounded down.
    Other schedules that have a model are named below the table, each with the parameters that its search finds.

    \b
    Examples:
      python -m software.group_size_tuning --xsize 800 --hsize 800 --ts 35 --sph 0.41
      python -m software.group_size_tuning --xsize 28 --hsize 128 --ts 28 --plot fuse.png --json fuse.json
    """
    check(xsize, hsize, ts, npe, slots, {"--spw": spw, "--spu": spu, "--sph": sph}, seed)
    if plot_path is not None and plot_path.suffix.lower() != ".png":
        raise UserError(f"--plot must name a .png file, not {plot_path}")
    if plot_path is not None and json_path is not None and plot_path.resolve() == json_path.resolve():
        raise UserError(f"--json and --plot must not be the same file, {plot_path}")
    check_outputs(json_path, plot_path)
    config = AcceleratorConfig(n_pe=npe, slots=slots)
    capacity = config.fuse_capacity

    most = min(-(-ts // config.w_pes), max(SHOWN, capacity))
    with progress.steps(3 + most) as step:
        step("packing a random layer")
        packed = random_layer(xsize, hsize, spw, spu, seed)
        shape = packed.shape(ts)
        form = stored(packed.w.format)
        w_words, heads = len(packed.w.words), form.units(packed.x) * form.unit_heads(packed.w.rows)
        offsets = packed.u.offsets
        step("drawing masks")
        mask = random_mask(ts, shape.h_blocks, sph, np.random.default_rng(seed + 2))
        u_words = u_words_of_steps(mask, offsets)
        step("original")
        original = word_model_cycles(shape, w_words - heads, heads, np.ones_like(mask), offsets, 1, npe)
        # 4H rows and 4 values to a word
        w_mean, u_mean = xsize * hsize * (1 - spw), hsize * hsize * (1 - spu) * (1 - sph)

        rows: list[Row] = []
        for n in range(1, most + 1):
            step(f"N_fuse {n}")
            cycles = word_model_cycles(shape, w_words - heads, heads, mask, offsets, n, npe)
            published = published_cycles(shape, w_words, u_words, n, npe)
            closed = round(equation_6(w_mean, u_mean, ts, n, npe))
            rows.append(Row(n, n <= capacity, closed, published, cycles, original / cycles))
    fitting = [row for row in rows if row.fits]
    u_heads = stored(packed.u.format).unit_heads(packed.u.rows)
    words = LayerWords(shape, w_words - heads, heads, mask, offsets, h_seq=False, u_heads=u_heads)
    schedules = {name: best_of(schedule, words, config) for name, schedule in SCHEDULES.items()}
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "xsize": xsize,
        "hsize": hsize,
        "ts": ts,
        "npe": npe,
        "slots": slots,
        "spw": spw,
        "spu": spu,
        "sph": sph,
        "seed": seed,
        "capacity": capacity,
        "w_words": w_words,
        "w_heads": heads,
        "u_words": len(packed.u.words),
        "u_words_loaded": int(u_words.sum()),
        "kept_blocks": int(np.count_nonzero(mask)),
        "original_cycles": original,
        "bound_cycles": words.bound(npe),
        "balanced_n_fuse": balanced(w_mean, u_mean, npe),
        "best": {model: best(fitting, model) for model in MODELS},
        "best_without_limit": {model: best(rows, model) for model in MODELS},
        "best_n_fuse": best(fitting, "word_model"),
        "schedules": schedules,
        "rows": [asdict(row) for row in rows],
    }
    title = f"X {xsize}, H {hsize}, T {ts}, sparsity W {spw:g}, U {spu:g}, h {sph:g}"

    files: dict[Path, bytes] = {}
    if json_path is not None:
        files[json_path] = json.dumps(result, indent=1).encode() + b"\n"
    if plot_path is not None:
        files[plot_path] = picture(rows, result["best_n_fuse"], capacity, result["bound_cycles"], title)
    write_all(files)
    report(result, rows, title)
    if files:
        print(f"wrote {', '.join(map(str, files))}")


def report(result: dict[str, Any], rows: list[Row], title: str) -> None:
    """Print the table and what follows from it."""
    table = Table(title=f"{title}; N_pe {result['npe']}, {result['slots']} slots")
    for heading in ("N_fuse", "equation 6", "published", "word model", "speed-up"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in rows:
        stars = [f"{getattr(row, model):,}{'*' if result['best'][model] == row.n_fuse else ' '}" for model in MODELS]
        note = "best" if row.n_fuse == result["best_n_fuse"] else "" if row.fits else "does not fit"
        table.add_row(str(row.n_fuse), *stars, f"{row.speedup:.2f}", note, style=None if row.fits else "dim")
    Console().print(table)
    free, even = result["best_without_limit"], result["balanced_n_fuse"]
    print(
        f"best N_fuse: {result['best_n_fuse']} (* fewest cycles of those that fit; equation 7: at most "
        f"{result['capacity']})\n"
        f"with more slots: equation 6 {free['equation_6']}, published {free['published']}, "
        f"word model {free['word_model']}\n"
        + (f"U fits in W's free port cycles from N_fuse {even} on" if even else "U never fits in W's free port cycles")
        + f"; bound of port and MACs: {result['bound_cycles']:,} cycles; seed {result['seed']}"
    )
    for name, found in result["schedules"].items():
        if name != CELL_FUSION.name:
            values = ", ".join(f"{key} {value}" for key, value in found["parameters"].items())
            print(f"schedule {name}: {found['cycles']:,} cycles by its model" + (f", {values}" if values else ""))


if __name__ == "__main__":
    run(main)
