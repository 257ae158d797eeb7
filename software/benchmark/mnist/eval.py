"""The MNIST commands that use models: eval and export."""

import json as json_text
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from golden.config import BLOCK_COLS
from golden.layer import Layer, pack_layer
from software import progress
from software.benchmark.common.npz import npz
from software.benchmark.common.options import (
    HsOption,
    HtOption,
    JsonOption,
    LayersOption,
    ModelOption,
    ModeOption,
    NhidOption,
    OutOption,
    WsOption,
    WtOption,
)
from software.benchmark.common.spelling import thresholds
from software.benchmark.common.training import evaluate
from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.golden_accuracy import golden_accuracy
from software.benchmark.mnist.model import split
from software.benchmark.mnist.options import (
    SAVE_DIR,
    BlockOption,
    DataOption,
    InputsOption,
    LimitOption,
    SaveOption,
    StepsOption,
    VerboseOption,
    asked_of_weights,
    check_sizes,
    listed,
    load_sized,
    prune_weights,
    set_thresholds,
)
from software.checkpoint import MNIST_CHECKPOINT, meta_text
from software.cli import UserError, check_outputs, within, write_all
from software.header import header
from software.provenance import commit

SEQUENCES = 20
"""Digits in a C header, as in the original's."""


def evaluation(
    data: DataOption = None,
    model_path: ModelOption = None,
    mode: ModeOption = "sparsity",
    ws: WsOption = None,
    wt: WtOption = None,
    hs: HsOption = None,
    ht: HtOption = None,
    block: BlockOption = BLOCK_COLS,
    nhid: NhidOption = None,
    nlayers: LayersOption = None,
    bptt: StepsOption = mnist_data.SIDE,
    emsize: InputsOption = mnist_data.SIDE,
    arithmetic: Annotated[
        str, typer.Option(metavar="KIND", help="float: PyTorch; golden: also the bit-exact integer model.")
    ] = "float",
    images: Annotated[
        str,
        typer.Option(
            "--split", "--images", metavar="SET", help="test, or validation (valid): the last 5,000 training images."
        ),
    ] = "test",
    json: JsonOption = None,
    verbose: VerboseOption = False,
    limit: LimitOption = 0,
) -> None:
    """Accuracy, loss and share of h blocks dropped, by default of the shipped network at its own thresholds.

    -ws, -wt, -hs and -ht prune it first. --arithmetic golden computes what the hardware computes, in fp16 and integers.

    \b
    Examples:
      python -m software.benchmark.mnist eval
      python -m software.benchmark.mnist eval -model M.pt -ws .3 .5 .2 .4 -ht .3 .8 -b 4 --json result.json
      python -m software.benchmark.mnist eval --arithmetic golden --limit 1000
    """
    check_sizes(bptt, emsize)
    check_outputs(json)
    for option, value, known in (
        ("--arithmetic", arithmetic, ("float", "golden")),
        ("--split", images, ("test", "valid", "validation")),
    ):
        if value not in known:
            raise UserError(f"{option} must be {' or '.join(known[:2])}, not {value!r}")
    if arithmetic == "golden" and block != BLOCK_COLS:
        raise UserError(f"-b must be {BLOCK_COLS} with --arithmetic golden, as in the hardware, not {block}")
    torch.set_num_threads(1)
    model = load_sized(model_path or MNIST_CHECKPOINT, nhid, nlayers, block)
    prune_weights(model, asked_of_weights(model, mode, ws, wt))
    _, validation, test = split(mnist_data.load(data), limit)
    model = set_thresholds(model, hs, ht, validation)
    chosen = test if images == "test" else validation
    with progress.bars() as bars:
        task = bars.add_task("float, images", total=len(chosen.x))
        found = evaluate(model.network, chosen, model.thresholds, lambda n: bars.update(task, completed=n))
    print(_line("float", found.accuracy, found.loss, found.pruned, len(chosen.x)))
    if verbose:
        for name, weight in model.network.weights():
            share, largest = float((weight == 0).float().mean()), float(weight.detach().abs().max())
            print(f"  {name} {tuple(weight.shape)}: {share:.2%} zero, largest |weight| {largest:.3f}")
        print(f"  thresholds {listed(model.thresholds)}, blocks of {block}")
    values: dict[str, Any] = {
        "accuracy": found.accuracy, "loss": found.loss, "hidden_sparsity": list(found.pruned), "n": len(chosen.x),
    }  # fmt: skip
    if arithmetic == "golden":
        started = time.monotonic()
        with progress.bars() as bars:
            task = bars.add_task("golden, images", total=len(chosen.x))
            try:
                exact = golden_accuracy(
                    model.checkpoint(), chosen.x.numpy(), chosen.y.numpy(), lambda n: bars.update(task, completed=n)
                )
            except ValueError as error:
                raise UserError(str(error)) from None
        line = _line("golden", exact.accuracy, exact.loss, exact.pruned, exact.digits)
        print(f"{line}, {time.monotonic() - started:.0f} s")
        print(
            f"golden - float: accuracy {100 * (exact.accuracy - found.accuracy):+.2f} points, "
            f"loss {exact.loss - found.loss:+.6f}"
        )
        values = {
            "accuracy": exact.accuracy, "loss": exact.loss, "hidden_sparsity": list(exact.pruned), "n": exact.digits,
            "float": values,
        }  # fmt: skip
    if json:
        values |= {"arithmetic": arithmetic, "images": "test" if images == "test" else "validation"}
        write_all({json: json_text.dumps(values, indent=1).encode() + b"\n"})
        print(f"wrote {json}")


def _line(name: str, accuracy: float, loss: float, pruned: Sequence[float], count: int) -> str:
    layers = ", ".join(f"LSTM{n} {share:.5f}" for n, share in enumerate(pruned, 1))
    return f"{name}: accuracy {100 * accuracy:.2f} %, loss {loss:.5f}, hidden sparsity {layers}, {count:,} images"


def export(
    data: DataOption = None,
    model_path: ModelOption = None,
    ht: HtOption = None,
    block: BlockOption = BLOCK_COLS,
    nhid: NhidOption = None,
    nlayers: LayersOption = None,
    headers: Annotated[
        Path | None,
        typer.Option("--header", metavar="FOLDER", help="Also C headers of the layers, mnist-l1.h, mnist-l2.h, ..."),
    ] = None,
    digits: Annotated[
        int, typer.Option(callback=within(1, 10_000), metavar="N", help="Test digits in the headers.")
    ] = SEQUENCES,
    save_dir: SaveOption = SAVE_DIR,
    out: OutOption = None,
) -> None:
    """Write the fp16 checkpoint that sim.run and software.image take, and with --header the layers as C headers.

    \b
    Examples:
      python -m software.benchmark.mnist export -o build/mnist/mnist.npz
      python -m software.benchmark.mnist export -model build/mnist/retrain.pt --header build/headers --digits 20
    """
    if block != BLOCK_COLS:
        raise UserError(f"-b must be {BLOCK_COLS}: the hardware drops blocks of {BLOCK_COLS} units, not of {block}")
    check_outputs(out, folders=(save_dir, headers))
    model = load_sized(model_path or save_dir / "retrain.pt", nhid, nlayers, block)
    if ht is not None:
        model = replace(model, thresholds=thresholds(ht, model.network.layers))
    arrays, network = model.arrays(), model.network
    meta = {
        "model": f"LSTM {network.layers} x {network.hidden}, x = image rows / 255, {mnist_data.SIDE} steps; "
        "output layer on the last h",
        "history": model.history,
        "commit": commit(),
        "zeros": {name: float((arrays[name] == 0).mean()) for name, _ in network.weights()},
    }
    path = out or save_dir / "mnist.npz"
    files = {path: npz({**arrays, "meta": np.array(meta_text(meta))})}
    if headers:
        x = split(mnist_data.load(data), digits)[2].x.numpy()
        for number, layer in enumerate(model.checkpoint().layers, 1):
            packed = pack_layer(layer.w, layer.u, layer.b)
            files[headers / f"mnist-l{number}.h"] = header(packed, x, layer.threshold).encode()
            x = Layer(packed).run(x, layer.threshold).h_pruned
    write_all(files)
    print("wrote " + ", ".join(str(path) for path in files))
