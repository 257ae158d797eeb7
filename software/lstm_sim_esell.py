"""Pack one LSTM layer, or all of a network, and run the bit-exact reference on the packed words.

    python -m software.lstm_sim_esell LAYER.npz --out RESULT.npz --header layer.h --image layer.bin

LAYER.npz holds w (4H, X), u (4H, H), b (4H,), gate rows in the order f, i, g, o, and x (T, X) or (N, T, X).
RESULT.npz gets, for H units before padding:

    w_words, u_words, bias_words  uint64, the arrays as the hardware reads them
    w_offsets, u_offsets          uint16, words of each unit of columns
    w_tables, u_tables            (4, 16) float16, of a matrix in stream-8: the values of each gate
    h, c                          (..., T, H) float32, every step, unpruned; int32 in Q12.20
    h_float64                     (..., T, H) float64, pruning by its own h
    kept                          (..., T, ceil(H/4)) bool, the blocks of the step before that were used, or of which
                                  changes were sent; with U in units of one column (..., T, H), single elements
    x_sent                        (..., T, units of W) bool, by events, of which changes of x were sent

In place of LAYER.npz a trained network (``software.checkpoint``) gives all its layers, each run with its threshold on
the pruned h of the one below, the first on digits, or on a language model's own sample of embedded words. RESULT.npz
then has the arrays of layer n as ``ln.w_words`` and so on, and every layer has its header and image: layer.l1.h,
layer.l1.bin, layer.l2.h, ...
"""

import io
import json
import sys
import zipfile
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

from golden import memory, numbers
from golden.config import BLOCK_COLS
from golden.cycles import CELL_FUSION, SCHEDULES
from golden.formats import stored
from golden.isa import ERROR_MEANINGS, Error
from golden.layer import LayerResult, PackedLayer
from golden.reference import Reference, deviation, reference
from software import image, progress
from software.checkpoint import (
    MNIST_DIGITS,
    CheckpointError,
    LayerWeights,
    load_checkpoint,
    load_digits,
    load_language_model,
)
from software.cli import UserError, check_outputs, run, write_all
from software.files.content import arrays_of, instead, read_file
from software.files.inputs import FP16_RANGE, check_all, check_real, to_inputs
from software.header import header
from software.tuning.networks import for_digits
from software.tuning.plan import USUAL_PLAN, Plan, plan_line
from software.tuning.schedule_choice import (
    USUAL_SCHEDULE,
    DeltaOption,
    GroupsOption,
    HFp16Option,
    ScheduleChoice,
    ScheduleOption,
    XFormatOption,
    XSkipOption,
    XThresholdOption,
    roomy,
)
from software.weight_formats import (
    ALL_ESELL,
    BalanceOption,
    FormatChoice,
    GapBitsOption,
    GridOption,
    UFormatOption,
    UnitOption,
    WFormatOption,
    kind_of,
)

SCHEMA = "elstm.layers/1"
ARRAYS = ("w", "u", "b", "x")
Layers = list[tuple[str, PackedLayer, float]]
"""Name (the empty one of a single layer), packed weights and threshold of each."""


def load(path: Path) -> dict[str, NDArray]:
    """The arrays w, u, b, x of a file, as they are stored. Raises UserError."""
    content = read_file(path)
    try:
        arrays = arrays_of(content)
    except ValueError as error:
        raise UserError(f"{path}: not a readable .npz archive: {error}{instead(content)}") from None
    if "" in arrays:
        raise UserError(f"{path}: not an .npz archive")
    missing = [name for name in ARRAYS if name not in arrays]
    if missing:
        raise UserError(f"{path}: no array {missing[0]!r}; it has: {', '.join(arrays) or 'none'}")
    other = [name for name in arrays if name not in ARRAYS]
    if other:
        raise UserError(f"{path}: array {other[0]!r} is not used; a layer here has {', '.join(ARRAYS)}")
    for name, a in arrays.items():
        check_real(f"{path}: {name}", a)
    return arrays


def to_layer(arrays: dict[str, NDArray], formats: FormatChoice = ALL_ESELL) -> tuple[PackedLayer, NDArray[np.float32]]:
    """Pack the weights, rounded to fp16, and give x in fp32. Raises UserError naming the value and its limit."""
    half: dict[str, NDArray[np.float16]] = {}
    for name in ("w", "u", "b"):
        with np.errstate(over="ignore", invalid="ignore"):
            half[name] = arrays[name].astype(np.float16)
        check_all(name, arrays[name], np.isfinite(half[name]), FP16_RANGE)
    check_all("b", arrays["b"], numbers.bias_valid(half["b"]), "the hardware takes biases below 2048 in magnitude")
    try:
        packed = formats.pack(half["w"], half["u"], half["b"])
    except ValueError as error:
        raise UserError(str(error)) from None
    return packed, to_inputs("x", arrays["x"], packed.inputs)


def has_array(path: Path, name: str) -> bool:
    """Whether a file is an .npz with that array; one that cannot be read is not."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_file(path))) as archive:
            return f"{name}.npy" in archive.namelist()
    except (UserError, zipfile.BadZipFile):
        return False


def packed_layers(weights: tuple[LayerWeights, ...], formats: FormatChoice) -> Layers:
    """Name, packed weights and threshold of each. Raises UserError for what a format does not hold."""
    found = []
    for n, layer in enumerate(weights, 1):
        try:
            found.append((f"l{n}", formats.pack(layer.w, layer.u, layer.b), layer.threshold))
        except ValueError as error:
            raise UserError(f"layer {n}: {error}") from None
    return found


def language_model(path: Path, count: int, formats: FormatChoice) -> tuple[Layers, NDArray[np.float32]]:
    """All layers of a language model, and the first embedded sequences of its own sample. Raises UserError."""
    try:
        model = load_language_model(path)
    except CheckpointError as error:
        raise UserError(str(error)) from None
    if model.sample is None:
        raise UserError(f"{path} has no sample of words to run; software.benchmark.lm export makes one")
    if not 1 <= count <= len(model.sample):
        raise UserError(f"--digits must be in 1..{len(model.sample)} (all sequences of {path}), not {count}")
    return packed_layers(model.layers, formats), model.embedding[model.sample[:count]].astype(np.float32)


def network(
    path: Path, images: Path, count: int, formats: FormatChoice, schedule: ScheduleChoice = USUAL_SCHEDULE
) -> tuple[Layers, NDArray[np.float32]]:
    """All layers of a trained network, and the first digits of a file as the input. Raises UserError."""
    packing = schedule.formats(formats)
    if has_array(path, "embedding"):
        if formats.balance:
            raise UserError("--balance is for a network of digits: the output layer of a language model stays as it is")
        return language_model(path, count, packing)
    try:
        trained, digits = load_checkpoint(path), load_digits(images)
    except CheckpointError as error:
        raise UserError(str(error)) from None
    if not 1 <= count <= len(digits.labels):
        raise UserError(f"--digits must be in 1..{len(digits.labels)} (all that {images} holds), not {count}")
    if (width := digits.images.shape[-1]) != trained.layers[0].inputs:
        raise UserError(f"layer 1 takes {trained.layers[0].inputs} inputs, an image row of {images} has {width}")
    try:
        trained, x = for_digits(trained, digits, schedule, formats)
    except ValueError as error:
        raise UserError(str(error)) from None
    return packed_layers(trained.layers, packing), x[:count]


def result_arrays(packed: PackedLayer, result: LayerResult, free: Reference) -> dict[str, NDArray]:
    """What RESULT.npz holds."""
    units = packed.hidden
    arrays: dict[str, NDArray] = {
        "w_words": packed.w.words,
        "u_words": packed.u.words,
        "w_offsets": packed.w.offsets,
        "u_offsets": packed.u.offsets,
        "bias_words": memory.bias_words(packed),
        "h": result.h[..., :units],
        "c": result.c[..., :units],
        "h_float64": free.h[..., :units],
        "kept": result.kept,
    }
    if result.x_sent.shape[-1]:
        arrays["x_sent"] = result.x_sent
    for name, matrix in (("w", packed.w), ("u", packed.u)):
        if matrix.parameters.tables is not None:
            arrays[f"{name}_tables"] = matrix.parameters.tables
    return arrays


def summary(
    name: str,
    packed: PackedLayer,
    result: LayerResult,
    free: Reference,
    masked: Reference,
    threshold: float,
    plan: Plan,
) -> dict[str, Any]:
    """What is printed, and written with --json, of one layer."""
    found: dict[str, Any] = {
        "name": name, "inputs": packed.x, "hidden": packed.h, "steps": result.h.shape[-2], "threshold": threshold,
        "kept_blocks": int(result.kept_blocks.sum()), "blocks": result.kept.size,
        "u_words_loaded": int(result.u_words_loaded.sum()), "overflow": result.overflow,
        "schedule": SCHEDULES.numbered(plan.schedule).name, "groups": [*plan.groups], "x_skip": plan.x_skip,
        "delta": plan.delta, "x_threshold": plan.x_threshold, "x_format": plan.x_format.name.lower(),
        "h_fp16": plan.h_fp16, "plan": plan_line(plan),
    }  # fmt: skip
    for matrix_name, matrix in (("w", packed.w), ("u", packed.u)):
        found[matrix_name] = {
            "words": len(matrix.words), "nonzeros": matrix.nonzeros, "format": stored(matrix.format).name,
            "gap_bits": matrix.parameters.gap_bits, "unit_cols": matrix.parameters.unit_cols,
            "kind": kind_of(matrix),
        }  # fmt: skip
    for to_name, to in (("float64_golden_mask", masked), ("float64_free", free)):
        d = deviation(result.h[..., : packed.hidden], result.kept, to)
        found[to_name] = {"max_abs": float(d.max_abs), "mean_abs": float(d.mean_abs), "flips": int(d.flips)}
    return found


def report(found: dict[str, Any]) -> Table:
    """The summary as it is printed."""
    title = f"X {found['inputs']}, H {found['hidden']}, T {found['steps']}, threshold {found['threshold']:g}"
    table = Table(title=title, show_header=False)
    for name in ("w", "u"):
        words, nonzeros = found[name]["words"], found[name]["nonzeros"]
        per = f", {words / nonzeros:.3f} words per nonzero" if nonzeros else ""
        table.add_row(name.upper(), f"{words:,} words, {nonzeros:,} nonzeros{per}")
        table.add_row(f"{name.upper()}'s format", found[name]["kind"])
    if found["groups"]:
        sizes = ", ".join(map(str, found["groups"]))
        table.add_row("schedule", f"{found['schedule']}, groups of {sizes}{', x skipped' if found['x_skip'] else ''}")
    elif found["delta"] or found["x_format"] != "fp32" or found["h_fp16"]:
        table.add_row("schedule", found["plan"])
    table.add_row("kept blocks", f"{found['kept_blocks']:,} of {found['blocks']:,}")
    table.add_row("U words loaded", f"{found['u_words_loaded']:,}")
    for name, key in (("float64, golden's mask", "float64_golden_mask"), ("float64, free", "float64_free")):
        d = found[key]
        table.add_row(
            name, f"|h - h64| max {d['max_abs']:.2e}, mean {d['mean_abs']:.2e}; {d['flips']} blocks pruned otherwise"
        )
    return table


def _named(path: Path, name: str) -> Path:
    """The path for one layer: layer.h becomes layer.l1.h."""
    return path.with_name(f"{path.stem}.{name}{path.suffix}") if name else path


def main(
    layer: Annotated[
        Path,
        typer.Argument(
            metavar="LAYER.npz",
            help="w (4H, X), u (4H, H), b (4H,), x (T, X) or (N, T, X); or a trained network's checkpoint.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="RESULT.npz to write.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "--ht",
            metavar="TH",
            help="Hidden-state pruning threshold, fp32; 0 keeps all. A network has its own.",
        ),
    ] = None,
    header_path: Annotated[Path | None, typer.Option("--header", metavar="FILE", help="Also write a C header.")] = None,
    image_path: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="Also write a binary image.")
    ] = None,
    images: Annotated[
        Path, typer.Option(metavar="FILE", help="Digits for a network, .npz.", show_default="the shipped digits")
    ] = MNIST_DIGITS,
    digits: Annotated[
        int, typer.Option(metavar="N", help="How many of them, or of a language model's own sequences.")
    ] = 10,
    schedule: ScheduleOption = CELL_FUSION.name,
    groups: GroupsOption = None,
    x_skip: XSkipOption = False,
    delta: DeltaOption = None,
    x_threshold: XThresholdOption = None,
    x_format: XFormatOption = None,
    h_fp16: HFp16Option = None,
    w_format: WFormatOption = None,
    u_format: UFormatOption = None,
    gap_bits: GapBitsOption = None,
    unit: UnitOption = BLOCK_COLS,
    grid: GridOption = False,
    balance: BalanceOption = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the summary as JSON.")
    ] = None,
) -> None:
    """Pack one LSTM layer, or all of a network, and run the bit-exact reference on the packed words.

    Weights are rounded to fp16, and further where their format has fewer bits, x to fp32. Gate rows are in the order
    f, i, g, o. Everything is written, or nothing. A schedule goes into header and image; groups are searched for on
    the default accelerator. Where changes are sent the weights that they meet are rounded to multiples of 2^-10.

    \b
    Examples:
      python -m software.lstm_sim_esell LAYER.npz --out RESULT.npz --threshold 0.3
      python -m software.lstm_sim_esell LAYER.npz -o RESULT.npz --header layer.h --image layer.bin --json summary.json
      python -m software.lstm_sim_esell LAYER.npz -o RESULT.npz --w-format auto --u-format stream16 --gap-bits 5
      python -m software.lstm_sim_esell LAYER.npz -o RESULT.npz --image layer.bin --schedule list --groups 3,6
      python -m software.lstm_sim_esell LAYER.npz -o RESULT.npz --u-format stream16 --unit 1 --delta --h-fp16
    """
    if threshold is not None and np.isnan(threshold):
        raise UserError("--threshold must be a number, not nan")
    formats = FormatChoice.of(w_format, u_format, gap_bits, unit, grid=grid, balance=balance)
    choice = ScheduleChoice.of(
        USUAL_PLAN.n_fuse, schedule, groups, x_skip, False, delta, x_threshold, x_format, h_fp16
    )  # fmt: skip
    if has_array(layer, "l1.w"):
        if threshold is not None:
            raise UserError(f"--threshold is for a single layer; {layer} has the thresholds of its layers")
        layers, x = network(layer, images, digits, formats, choice)
    else:
        if balance:
            raise UserError("--balance is for a network: what reads the h of a single layer is not there to follow")
        packed, x = to_layer(load(layer), choice.formats(formats))
        with np.errstate(over="ignore"):
            layers = [("", packed, float(np.float32(threshold or 0)))]
    paths = [layer, out, *([json_path] if json_path is not None else [])]
    paths += [_named(path, name) for path in (header_path, image_path) if path is not None for name, _, _ in layers]
    if len({path.resolve() for path in paths}) < len(paths):
        raise UserError(f"input and outputs must be different files: {', '.join(map(str, paths))}")

    check_outputs(*paths[1:])

    arrays: dict[str, Any] = {}
    files: dict[Path, bytes] = {}
    found: list[dict[str, Any]] = []
    with progress.steps(2 * len(layers)) as step:
        for name, packed, th in layers:
            step(f"{name or 'layer'}: bit-exact")
            result = choice.layer(packed).run(x, th, x_threshold=choice.x_threshold)
            if result.error != Error.NONE:
                where = f"{name}: " if name else ""
                raise UserError(f"{where}the hardware would stop at step {result.rows}: {ERROR_MEANINGS[result.error]}")
            plan = choice.given
            if plan is None:
                first, told = (x, result) if x.ndim == 2 else (x[0], result.sequence(0))
                plan = choice.plan(packed, first, told, roomy([packed.shape(x.shape[-2])]))
            step(f"{name or 'layer'}: float64")
            sent: dict[str, Any] = {"delta": choice.delta, "x_sent": result.x_sent if choice.by_events else None}
            free, masked = reference(packed, x, th, **sent), reference(packed, x, th, result.kept, **sent)
            prefix = f"{name}." if name else ""
            arrays |= {prefix + key: array for key, array in result_arrays(packed, result, free).items()}
            try:
                if header_path is not None:
                    files[_named(header_path, name)] = header(packed, x, th, plan).encode()
                if image_path is not None:
                    files[_named(image_path, name)] = image.build(packed, x, th, plan)
            except ValueError as error:
                raise UserError(str(error)) from None
            found.append(summary(name, packed, result, free, masked, th, plan))
            x, choice = result.h_pruned, choice.above
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    files = {out: stream.getvalue()} | files
    if json_path is not None:
        files[json_path] = json.dumps({"schema": SCHEMA, "layers": found}, indent=1).encode() + b"\n"
    write_all(files)
    console = Console()
    for layer_found in found:
        console.print(report(layer_found))
        if layer_found["overflow"] == "may":
            print("sums come near the limit of Q12.20: the hardware may stop with ACC_OVERFLOW")
    print(f"wrote {', '.join(map(str, files))}")


if __name__ == "__main__":
    run(main)
