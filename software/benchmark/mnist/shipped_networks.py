"""The MNIST commands about shipped networks: ``networks`` tests all, ``adopt`` takes one trained elsewhere."""

import hashlib
import json as json_text
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from golden.config import ACCELERATOR_PRESETS
from golden.cycles import SCHEDULES, LayerWords
from golden.layer import LayerResult
from golden.memory import INPUT_BITS
from software import progress
from software.benchmark.common.npz import npz
from software.benchmark.common.options import HtOption, JsonOption, OutOption
from software.benchmark.common.spelling import thresholds
from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.golden_accuracy import Exact, golden_accuracy
from software.benchmark.mnist.options import DataOption, LimitOption
from software.checkpoint import Checkpoint, CheckpointError, Digits, load_checkpoint, meta_text
from software.cli import UserError, check_outputs, write_all
from software.files.content import arrays_of, read_file
from software.tuning.networks import NETWORKS, WATCHED, Network, even, for_digits, network_of
from software.tuning.plan import plan_line
from software.tuning.schedule_choice import PlannedLayer, plan_layers, run_of
from software.weight_formats import BalanceOption, formats_line

SCHEMA = "elstm.networks/1"
ARRAYS = ("l1.w", "l1.u", "l1.b", "l2.w", "l2.u", "l2.b")
MODELLED = 100
"""Digits whose cycles the model says; they differ little."""


@dataclass(frozen=True)
class Measured:
    """A network as it is run by itself.

    accuracy, loss, digits: of the bit-exact model; not_sent: per layer, share of units of h that are dropped, or whose
    change is not sent; layers: what each is packed in and runs by; words: of W and of U that a digit loads, on average
    over ``modelled`` digits; cycles: of both layers, by the schedule's word-level model, likewise.
    """

    name: str
    file: str
    preset: str
    digits: int
    accuracy: float
    loss: float
    not_sent: tuple[float, ...]
    layers: tuple[str, ...]
    modelled: int
    words: float
    cycles: float


def _model(planned: Sequence[PlannedLayer], x: NDArray[np.float32], network: Network) -> tuple[float, float]:
    """Words of W and U, and cycles by the schedules' models, a digit of x (N, T, X), both layers."""
    config, words, cycles = ACCELERATOR_PRESETS[network.preset], 0, 0
    for layer in planned:
        results, plan, packed = layer.golden(x), layer.plan, layer.packed
        schedule = SCHEDULES.numbered(plan.schedule)
        values = {"n_fuse": (min(plan.n_fuse, config.fuse_capacity),), "sizes": plan.groups}
        chosen = tuple(value for name in schedule.parameters for value in values[name])
        for n in range(len(x)):
            result: LayerResult = results.sequence(n)
            counted = LayerWords.of_layer(
                packed,
                result.kept,
                x[n] if plan.x_skip else None,
                x_sent=result.x_sent if plan.events else None,
                x_bits=INPUT_BITS[plan.x_format],
                row_bits=16 if plan.h_fp16 else 32,
                delta=plan.delta,
            )
            model = schedule.model(counted, config, chosen)
            cycles += model.cycles
            rows = len(result.kept) * (counted.x_words + counted.row_words)
            words += model.port_words - rows - packed.h - counted.offsets
        x = results.h_pruned
    return words / len(x), cycles / len(x)


def measured(name: str, network: Network, digits: Digits, checkpoint: Checkpoint | None = None) -> Measured:
    """A network on digits; checkpoint: instead of the network's file. Raises ValueError as ``golden_accuracy``."""
    given = load_checkpoint(network.path) if checkpoint is None else checkpoint
    trained, x = for_digits(given, digits, network.schedule, network.formats)
    config = ACCELERATOR_PRESETS[network.preset]
    planned = plan_layers(trained.layers, x[0], network.formats, network.schedule, config)
    labels = digits.labels.astype(np.int64)
    with progress.bars() as bars:
        task = bars.add_task(f"{name}, images", total=len(x))
        exact: Exact = golden_accuracy(trained, x, labels, lambda n: bars.update(task, completed=n), planned=planned)
    modelled = min(MODELLED, len(x))
    words, cycles = _model(planned, x[:modelled], network)
    lines = tuple(f"{formats_line(layer.packed)}; {plan_line(layer.plan)}" for layer in planned)
    return Measured(
        name, network.path.name, network.preset, exact.digits, exact.accuracy, exact.loss, exact.pruned, lines,
        modelled, words, cycles,
    )  # fmt: skip


def _test_digits(data: Path | None, limit: int) -> Digits:
    found = mnist_data.load(data)
    count = limit or len(found.test_labels)
    return Digits(found.test_images[:count], found.test_labels[:count])


def networks(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help=f"Of the shipped networks: {', '.join(NETWORKS)}; else all."),
    ] = None,
    data: DataOption = None,
    limit: LimitOption = 0,
    json: JsonOption = None,
) -> None:
    """Accuracy of the shipped networks on the bit-exact model, each in the formats and by the schedule that suit it.

    What it gives is what the hardware answers. Words and cycles are those of the schedules' models.

    \b
    Examples:
      python -m software.benchmark.mnist networks
      python -m software.benchmark.mnist networks delta tiny --limit 1000 --json build/networks.json
    """
    check_outputs(json)
    chosen = {name: network_of(name) for name in names or NETWORKS}
    digits = _test_digits(data, limit)
    found = []
    for name, network in chosen.items():
        try:
            found.append(measured(name, network, digits))
        except ValueError as error:
            raise UserError(f"{name}: {error}") from None
        _tell(found[-1])
    if json:
        content = {"schema": SCHEMA, "networks": [asdict(one) for one in found]}
        write_all({json: json_text.dumps(content, indent=1).encode() + b"\n"})
        print(f"wrote {json}")


def _tell(found: Measured) -> None:
    shares = ", ".join(f"LSTM{n} {share:.1%}" for n, share in enumerate(found.not_sent, 1))
    print(
        f"{found.name}: accuracy {100 * found.accuracy:.2f} %, loss {found.loss:.5f}, {found.digits:,} images; "
        f"h not sent {shares}; a digit {found.words:,.0f} words of W and U, {found.cycles:,.0f} cycles by the model"
    )


def adopted(source: Path, th: Sequence[float], meta: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a checkpoint: weights of ``source`` as fp16, as they are otherwise. Raises UserError."""
    try:
        given = arrays_of(read_file(source))
    except ValueError as error:
        raise UserError(f"{source}: not an .npz file, or damaged: {error}") from None
    if missing := next((name for name in (*ARRAYS, "out.w", "out.b") if name not in given), None):
        raise UserError(f"{source}: array {missing} is missing")
    with np.errstate(over="ignore"):
        arrays: dict[str, NDArray[Any]] = {name: given[name].astype(np.float16) for name in ARRAYS}
    arrays |= {name: given[name].astype(np.float32) for name in ("out.w", "out.b")}
    return arrays | {"thresholds": np.array(th, np.float32), "meta": np.array(meta_text(meta))}


def adopt(
    source: Annotated[
        Path, typer.Argument(metavar="FILE.npz", help="ln.w, ln.u, ln.b of two layers, gates f, i, g, o; out.w, out.b.")
    ],
    name: Annotated[str, typer.Option("--network", metavar="NAME", help="Which shipped network it is to be.")],
    about: Annotated[str, typer.Option(metavar="TEXT", help="Who trained it, and how, for the checkpoint's meta.")],
    ht: HtOption = None,
    balance: BalanceOption = False,
    data: DataOption = None,
    limit: LimitOption = 0,
    out: OutOption = None,
) -> None:
    """Make a checkpoint of a two-layer network that was trained elsewhere, and test it as it will be run.

    Weights become fp16; the thresholds are -ht, as the hardware takes them. Its accuracy goes into ``meta``.

    \b
    Examples:
      python -m software.benchmark.mnist adopt trained.npz --network delta -ht 0.13 0.13 --about "trained by ..."
    """
    network = network_of(name)
    path = out or network.path
    check_outputs(path)
    th = thresholds(ht, 2) if ht is not None else (0.0, 0.0)
    meta: dict[str, Any] = {
        "model": f"LSTM 2 x 128, x = image rows / 255, {mnist_data.SIDE} steps; output layer on the last h",
        "imported": {
            "file": source.name, "sha256": hashlib.sha256(read_file(source)).hexdigest(), "about": about,
            "by": "python -m software.benchmark.mnist adopt",
        },
    }  # fmt: skip
    digits = _test_digits(data, limit)
    arrays = adopted(source, th, meta)
    temporary = path.with_suffix(".new.npz")
    write_all({temporary: npz(arrays)})
    try:
        checkpoint = load_checkpoint(temporary)
        if balance:
            meta["imported"]["balance"] = "hidden units are in other places than in the file"
            checkpoint = even(checkpoint, digits.inputs()[:WATCHED], network.schedule, network.formats)
            for number, layer in enumerate(checkpoint.layers, 1):
                arrays |= {f"l{number}.w": layer.w, f"l{number}.u": layer.u, f"l{number}.b": layer.b}
            arrays["out.w"] = checkpoint.out_w
        found = measured(name, replace(network, path=path), digits, checkpoint)
    except (CheckpointError, ValueError) as error:
        raise UserError(str(error)) from None
    finally:
        temporary.unlink()
    trained, x = for_digits(checkpoint, digits, network.schedule, network.formats)
    config = ACCELERATOR_PRESETS[network.preset]
    planned = plan_layers(trained.layers, x[0], network.formats, network.schedule, config)
    meta["golden"] = {"accuracy": found.accuracy, "digits": found.digits, "loss": found.loss, "run": run_of(planned)}
    write_all({path: npz(arrays | {"meta": np.array(meta_text(meta))})})
    _tell(found)
    print(f"wrote {path}")
