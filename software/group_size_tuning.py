"""Choose schedule and format for a layer: the fusion factor N_fuse by equation 6 of the DAC'19 paper, the published
formula and the word-level model; other schedules of ``golden.cycles.SCHEDULES`` by searches of their own.

python -m software.group_size_tuning --xsize 800 --hsize 800 --ts 35 --spw 0.2 --spu 0.5 --sph 0.56
"""

import json
import sys
from dataclasses import asdict, replace
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

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from golden.cycles import CELL_FUSION, SCHEDULES, LayerWords, Schedule
from golden.layer import PackedLayer
from software import progress, tuning
from software.cli import Interrupted, UserError, check_outputs, run, write_all
from software.esell_format import MAX_ELEMENTS, random_matrix
from software.options import ConfigOption, SetOption, accelerator
from software.tuning.fusion import MODELS, balanced, best_n_fuse, equation_6, following, picture, rows_of, table_of
from software.weight_formats import (
    ALL_ESELL,
    NAMES,
    FormatChoice,
    GapBitsOption,
    UFormatOption,
    UnitOption,
    WFormatOption,
)

SCHEMA = "elstm.group-size/1"
SHOWN = 16
"""N_fuse up to here is shown, and up to the capacity: what more buffers would bring."""
MAX_SIDE = 8192
MAX_STEPS = 65535
MAX_BLOCKS = 1 << 25
"""T x HSIZE / 4, one byte each."""
ALL = "all"
MULTIPLIERS = (4, 8)
"""Of a PE."""
USUAL = AcceleratorConfig()


def random_mask(steps: int, blocks: int, sparsity: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(T, blocks) bool: each step keeps the same number of blocks, round((1 - sparsity) blocks), at random places."""
    mask = np.zeros((steps, blocks), dtype=bool)
    keep = round((1 - sparsity) * blocks)
    for row in mask:
        row[rng.permutation(blocks)[:keep]] = True
    return mask


def random_layer(
    xsize: int, hsize: int, spw: float, spu: float, seed: int, formats: FormatChoice = ALL_ESELL
) -> PackedLayer:
    """A packed layer with random weights of exactly these sparsities."""
    w = random_matrix(4 * hsize, xsize, 1 - spw, seed)
    u = random_matrix(4 * hsize, hsize, 1 - spu, seed + 1)
    return formats.pack(w, u, np.zeros(4 * hsize, dtype=np.float16))


def words_of(packed: PackedLayer, steps: int, sph: float, spx: float, seed: int) -> LayerWords:
    """The words of a run: each step drops the same number of units of h, and has as many units of zero x, at random,
    which by events are those that do not change."""
    rng = np.random.default_rng(seed + 2)
    kept = random_mask(steps, len(packed.u.offsets), sph, rng)
    units = len(packed.w.offsets)
    taken = random_mask(steps, units, spx, rng)
    x = taken.repeat(packed.x // units, axis=1) if spx else None
    return LayerWords.of_layer(packed, kept, x, h_seq=False, x_sent=taken)


def schedules_of(name: str) -> list[Schedule]:
    """Those that an option names. Raises UserError."""
    if name == ALL:
        return list(SCHEDULES.values())
    if name not in SCHEDULES:
        raise UserError(f"--schedule must be {', '.join(SCHEDULES)} or {ALL}, not {name!r}")
    return [SCHEDULES[name]]


def configuration(
    asked: AcceleratorConfig | None, npe: int | None, slots: int | None, xsize: int, hsize: int, ts: int
) -> AcceleratorConfig:
    """The accelerator that is asked for, or the usual one, grown to the layer, with other PEs and slots.

    Raises UserError.
    """
    base = asked or USUAL
    npe = base.n_pe if npe is None else npe
    slots = base.slots if slots is None else slots
    least = 2 * (npe - 1)
    for name, value, low, high in (("--npe", npe, 2, 8), ("--slots", slots, least, 255)):
        if not low <= value <= high:
            raise UserError(f"{name} must be in {low}..{high}, not {value}")
    x, h = (-(-size // 4) * 4 for size in (xsize, hsize))
    if asked is None:
        return replace(base, n_pe=npe, slots=slots, max_x=max(base.max_x, x), max_h=max(base.max_h, h))
    if over := base.exceeded(x, h, ts):
        size, value, limit = over
        raise UserError(f"the layer has {size} = {value}, the accelerator asked for allows {limit}")
    return replace(base, n_pe=npe, slots=slots)


def check(xsize: int, hsize: int, ts: int, sparsities: dict[str, float], seed: int) -> None:
    """Raises UserError for the first option that is out of its limits."""
    for name, value, low, high in (
        ("--xsize", xsize, 1, MAX_SIDE),
        ("--hsize", hsize, 1, MAX_SIDE),
        ("--ts", ts, 1, MAX_STEPS),
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


def checked_formats(choice: FormatChoice, best: bool, multipliers: int) -> dict[str, FormatChoice]:
    """Formats to look at, by what a table calls them: those that PEs of so many multipliers take a word of in a cycle.

    Raises UserError.
    """
    if multipliers not in MULTIPLIERS:
        raise UserError(f"--multipliers must be {' or '.join(map(str, MULTIPLIERS))}, not {multipliers}")
    for option, name in (("--w-format", choice.w), ("--u-format", choice.u)):
        if name in NAMES and (values := NAMES[name].word_values) > multipliers:
            raise UserError(f"{option} {name} needs PEs of {values} multipliers (--multipliers), not {multipliers}")
    if not best:
        return {str(choice.w) if choice.w == choice.u else f"{choice.w}, {choice.u}": choice}
    if choice != ALL_ESELL:
        raise UserError("--best chooses the format: --w-format, --u-format, --gap-bits and --unit must not be given")
    return {name: FormatChoice(name, name) for name, form in NAMES.items() if form.word_values <= multipliers}


def main(
    xsize: Annotated[int, typer.Option(metavar="N", help=f"Input size X, 1..{MAX_SIDE}.")] = 800,
    hsize: Annotated[int, typer.Option(metavar="N", help=f"Hidden size H, 1..{MAX_SIDE}.")] = 800,
    ts: Annotated[int, typer.Option(metavar="N", help=f"Time steps T, 1..{MAX_STEPS}.")] = 35,
    npe: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="PEs, 2..8: by the paper's schedule one for U h, the others for W x.",
            show_default=f"the preset's, {USUAL.n_pe}",
        ),
    ] = None,
    spw: Annotated[float, typer.Option(metavar="X", help="Sparsity of W, 0..1.")] = 0.2,
    spu: Annotated[float, typer.Option(metavar="X", help="Sparsity of U, 0..1.")] = 0.6,
    sph: Annotated[float, typer.Option(metavar="X", help="Share of h blocks dropped in each step, 0..1.")] = 0.41,
    spx: Annotated[
        float, typer.Option(metavar="X", help="Share of x units that are zero in each step and skipped, 0..1.")
    ] = 0.0,
    slots: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Buffers of one W x result each (of 4 max_h sums).",
            show_default=f"the preset's, {USUAL.slots}",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Whose memories, PEs and slots: {', '.join(ACCELERATOR_PRESETS)}.",
            show_default="default, with room for the layer",
        ),
    ] = None,
    config_file: ConfigOption = None,
    settings: SetOption = None,
    schedule: Annotated[
        str, typer.Option(metavar="NAME", help=f"Of: {', '.join(SCHEDULES)}; {ALL} searches each.")
    ] = ALL,
    w_format: WFormatOption = None,
    u_format: UFormatOption = None,
    gap_bits: GapBitsOption = None,
    unit: UnitOption = ALL_ESELL.unit,
    best: Annotated[bool, typer.Option("--best", help="Also choose the format, the same for W and U.")] = False,
    multipliers: Annotated[
        int, typer.Option(metavar="N", help="Multipliers of a PE, 4 or 8: as many values may a word have.")
    ] = 4,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random weights and masks, 0 or more.")] = 1,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write everything as JSON.")
    ] = None,
    plot_path: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the models over N_fuse, as PNG.")
    ] = None,
) -> None:
    """Find the best schedule of a layer: N_fuse of the paper's, the sizes of groups of a list, and the format.

    Equation 6 takes average word counts from the sparsities; the other two count the words of a random layer, packed.
    Groups of W x results are double-buffered (equation 7): N_fuse is at most SLOTS / (2 (NPE - 1)), rounded down.
    Other schedules are named below the table, each with the parameters that its search finds. Ctrl-C ends the search:
    what is found until then is shown and written.

    \b
    Examples:
      python -m software.group_size_tuning --xsize 800 --hsize 800 --ts 35 --sph 0.41
      python -m software.group_size_tuning --xsize 28 --hsize 128 --ts 28 --plot fuse.png --json fuse.json
      python -m software.group_size_tuning --schedule list --w-format stream16 --u-format stream16
      python -m software.group_size_tuning --best --json best.json
    """
    check(xsize, hsize, ts, {"--spw": spw, "--spu": spu, "--sph": sph, "--spx": spx}, seed)
    asked = accelerator(preset, config_file, settings).config if preset or config_file or settings else None
    config = configuration(asked, npe, slots, xsize, hsize, ts)
    chosen = schedules_of(schedule)
    formats = checked_formats(FormatChoice.of(w_format, u_format, gap_bits, unit), best, multipliers)
    if plot_path is not None and plot_path.suffix.lower() != ".png":
        raise UserError(f"--plot must name a .png file, not {plot_path}")
    if plot_path is not None and json_path is not None and plot_path.resolve() == json_path.resolve():
        raise UserError(f"--json and --plot must not be the same file, {plot_path}")
    check_outputs(json_path, plot_path)
    capacity = config.fuse_capacity

    most = min(-(-ts // config.w_pes), max(SHOWN, capacity))
    found: list[tuning.Choice] = []
    words: dict[str, LayerWords] = {}
    stopped = False
    with progress.steps(1 + most + len(formats) * (1 + len(chosen))) as step:
        for name, choice in formats.items():
            step(f"packing a random layer, {name}")
            packed = random_layer(xsize, hsize, spw, spu, seed, choice)
            words[name] = words_of(packed, ts, sph, spx, seed)
            if len(words) == 1:
                first, sizes = words[name], {"w_words": len(packed.w.words), "u_words": len(packed.u.words)}
        step("original")
        everything = replace(first, kept=np.ones_like(first.kept))
        original = CELL_FUSION.model(everything, config, (1,)).cycles
        # 4H rows and 4 values to a word
        w_mean, u_mean = xsize * hsize * (1 - spw), hsize * hsize * (1 - spu) * (1 - sph)
        rows = rows_of(first, config, most, original, lambda n: equation_6(w_mean, u_mean, ts, n, config.n_pe), step)
        try:
            for one in tuning.choices(words, chosen, config, step):
                found.append(one)
        except KeyboardInterrupt:
            stopped = True
    fitting = [row for row in rows if row.fits]
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "xsize": xsize,
        "hsize": hsize,
        "ts": ts,
        "npe": config.n_pe,
        "slots": config.slots,
        "spw": spw,
        "spu": spu,
        "sph": sph,
        "spx": spx,
        "seed": seed,
        "capacity": capacity,
        "w_words": sizes["w_words"],
        "w_heads": first.w_heads,
        "u_words": sizes["u_words"],
        "u_words_loaded": int(first.u_words.sum()),
        "kept_blocks": int(np.count_nonzero(first.kept)),
        "original_cycles": original,
        "bound_cycles": first.bound(config.n_pe),
        "balanced_n_fuse": balanced(w_mean, u_mean, config.n_pe),
        "best": {model: best_n_fuse(fitting, model) for model in MODELS},
        "best_without_limit": {model: best_n_fuse(rows, model) for model in MODELS},
        "best_n_fuse": best_n_fuse(fitting, "word_model"),
        "schedules": {
            one.schedule.name: {"parameters": one.schedule.named(one.values), "cycles": one.cycles}
            for one in found
            if one.format == next(iter(words))
        },
        "choices": [one.as_dict() for one in found],
        "best_choice": tuning.fewest(found).as_dict() if found else None,
        "rows": [asdict(row) for row in rows],
    }
    title = f"X {xsize}, H {hsize}, T {ts}, sparsity W {spw:g}, U {spu:g}, h {sph:g}" + (f", x {spx:g}" if spx else "")

    files: dict[Path, bytes] = {}
    if json_path is not None:
        files[json_path] = json.dumps(result, indent=1).encode() + b"\n"
    if plot_path is not None:
        files[plot_path] = picture(rows, result["best_n_fuse"], capacity, result["bound_cycles"], title)
    write_all(files)
    title += f"; N_pe {config.n_pe}, {config.slots} slots"
    if CELL_FUSION in chosen:
        Console().print(table_of(rows, result["best"], title))
        print("\n".join(following(result)))
    if best:
        Console().print(choices_table(found, {name: one.bound(config.n_pe) for name, one in words.items()}, title))
    else:
        for one in found:
            if one.schedule is not CELL_FUSION:
                print(one.line)
    if best and found:
        print(f"best: {tuning.fewest(found).format}, {tuning.fewest(found).line.removeprefix('schedule ')}")
    if files:
        print(f"wrote {', '.join(map(str, files))}")
    if stopped:
        raise Interrupted(f"{len(found)} of {len(words) * len(chosen)} searches are in the result")


def choices_table(found: list[tuning.Choice], bounds: dict[str, int], title: str) -> Table:
    """All that was searched, in the order of formats; bounds: of port and MACs, by format."""
    table = Table(title=title)
    for heading in ("format", "schedule", "parameters", "cycles", "/bound"):
        table.add_column(heading, justify="right" if heading in ("cycles", "/bound") else "left")
    for one in found:
        star = "*" if one == tuning.fewest(found) else " "
        over = one.cycles / bounds[one.format] if bounds[one.format] else 0.0
        table.add_row(one.format, one.schedule.name, one.parameters, f"{one.cycles:,}{star}", f"{over:.3f}")
    return table


if __name__ == "__main__":
    run(main)
