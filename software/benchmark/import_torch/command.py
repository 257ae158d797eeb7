"""Any nn.LSTM as a checkpoint: ``python -m software.benchmark.import_torch MODEL.pt -o FILE.npz``.

MODEL.pt is what ``torch.save(model.state_dict(), ...)`` wrote, or a safetensors file, of the LSTM alone or of a network
that contains it; nn.LSTMCells will do too. PyTorch's gates i, f, g, o become the hardware's f, i, g, o, its two biases
become one, weights become fp16. Sizes stay: whoever packs the layers pads them to multiples of 4. ``python -m sim.run
layer FILE.npz`` runs the result on the RTL.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from software.benchmark.common.npz import npz
from software.benchmark.common.spelling import sparsities, thresholds
from software.checkpoint import FP16_MAX, meta_text
from software.cli import SETTINGS, UserError, check_outputs, new_app, write_all
from software.extras import no_torch

try:
    import torch
except ModuleNotFoundError:
    sys.exit(no_torch())

from software.benchmark.import_torch.files import inside, read_saved
from software.benchmark.import_torch.state import (
    Module,
    check_beside,
    check_parts,
    chosen_modules,
    find_state,
    left_out,
    some_of,
    weight,
)

GATES = 4
TORCH_TO_HARDWARE = (1, 0, 2, 3)
BIAS_LIMIT = 2048.0
"""The hardware takes |bias| below this."""
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TorchLayer:
    """w (4H, X), u (4H, H), b (4H,) float32, gates f, i, g, o; names: the tensor each comes from."""

    w: Float32
    u: Float32
    b: Float32
    names: tuple[str, str, str]


def load_tensors(path: Path, pickled: bool = False) -> dict[str, Any]:
    """The state_dict in a file, by name; ``pickled`` also loads whole modules, which runs code from the file.

    Raises UserError.
    """
    return _state(path, pickled)[0]


def _state(path: Path, pickled: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``find_state`` finds in a file. Raises UserError."""
    saved = read_saved(path, pickled)
    tensors, beside = find_state(saved)
    if not tensors and inside(saved) is None:
        raise UserError(f"{path}: must hold a state_dict, not {type(saved).__name__}")
    return tensors, beside


def lstm_layers(tensors: Mapping[str, Any], name: str | None = None) -> list[TorchLayer]:
    """Every layer of the module called ``name``, or of the only one. Raises UserError naming what is not carried."""
    return layers_of(chosen_modules(tensors, None if name is None else [name]), tensors)


def layers_of(chosen: Sequence[Module], tensors: Mapping[str, Any]) -> list[TorchLayer]:
    """Every layer of these modules, each on the one before.

    Raises UserError naming what is not carried, and what does not fit.
    """
    layers: list[TorchLayer] = []
    for module in chosen:
        check_parts(module, tensors)
        for number in module.layers:
            layers.append(_layer(module, number, tensors, layers[-1].u.shape[1] if layers else None))
    return layers


def _float32(tensor: torch.Tensor, name: str, limit: float) -> Float32:
    """The values, each within the hardware's range. Raises UserError."""
    values = tensor.to(torch.float32).numpy()
    _check_range(values, name, limit, tensor.to(torch.float64).numpy())
    return values


def _layer(module: Module, number: int | None, tensors: Mapping[str, Any], below: int | None) -> TorchLayer:
    """One layer. number: None of a cell; below: H of the layer before, None of the first."""
    after = "" if number is None else f"_l{number}"

    def take(kind: str) -> tuple[torch.Tensor, str]:
        found = weight(module, f"{kind}{after}", tensors)
        if found is None:
            raise UserError(f"{module.prefix}{kind}{after} is missing")
        return found

    (w, w_name), (u, u_name) = take("weight_ih"), take("weight_hh")
    if u.ndim != 2 or w.ndim != 2 or 0 in (*u.shape, *w.shape):
        raise UserError(f"{w_name} and {u_name} must be matrices, not {tuple(w.shape)}, {tuple(u.shape)}")
    hidden = u.shape[1]
    if u.shape[0] != GATES * hidden:
        kind = {hidden: "nn.RNN", 3 * hidden: "nn.GRU"}.get(u.shape[0])
        what = f", as an {kind} has; only nn.LSTM is supported" if kind else ""
        raise UserError(f"{u_name} must have 4H = {GATES * hidden} rows (H = {hidden} columns), not {u.shape[0]}{what}")
    # nn.LSTM(bias=False) has neither
    biases = [take("bias_ih"), take("bias_hh")] if module.has_biases else []
    if below is not None and w.shape[1] != below and number in (None, 0):
        raise UserError(f"{w_name} takes {w.shape[1]} inputs, the layer before it has {below} units: they do not fit")
    for found, name, wanted in (
        (w, w_name, (GATES * hidden, below or w.shape[1])),
        *((bias, name, (GATES * hidden,)) for bias, name in biases),
    ):
        if tuple(found.shape) != wanted:
            raise UserError(f"{name} must have shape {wanted}, not {tuple(found.shape)}")
    b = np.zeros(GATES * hidden, np.float32)
    for bias, _ in biases:
        b = b + bias.to(torch.float32).numpy()

    def by_gate(a: Float32) -> Float32:
        return a.reshape(GATES, hidden, *a.shape[1:])[list(TORCH_TO_HARDWARE)].reshape(a.shape)

    b_name = f"({' + '.join(name for _, name in biases)})" if biases else "no bias"
    _check_range(b, b_name, BIAS_LIMIT, b)
    return TorchLayer(
        by_gate(_float32(w, w_name, FP16_MAX)), by_gate(_float32(u, u_name, FP16_MAX)), by_gate(b),
        (w_name, u_name, b_name),
    )  # fmt: skip


def _check_range(a: Float32, tensor: str, limit: float, saved: NDArray[Any]) -> None:
    """Every value finite and, as fp16, within the hardware's range. saved: the same as it stands in the file."""
    with np.errstate(over="ignore"):
        half = np.abs(a.astype(np.float16).astype(np.float32))
    bad = ~np.isfinite(half) | ((half >= limit) if limit < FP16_MAX else (half > limit))
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        what = f"below {limit:g}" if limit < FP16_MAX else f"at most {limit:g}, the largest fp16"
        raise UserError(f"{tensor}{list(index)} is {saved[index]}: |value| must be finite and {what}")


def prune(a: Float32, sparsity: float) -> Float32:
    """The matrix with its ``round(sparsity * size)`` smallest |values| set to 0."""
    flat = a.ravel().copy()
    flat[np.argsort(np.abs(flat), kind="stable")[: round(sparsity * flat.size)]] = 0
    return flat.reshape(a.shape)


def checkpoint_arrays(
    layers: Sequence[TorchLayer], sparsity: Sequence[float], th: Sequence[float], meta: dict[str, Any]
) -> dict[str, NDArray[Any]]:
    """The arrays of a checkpoint without an output layer; sparsity: of W and U of each layer; th: per layer."""
    arrays: dict[str, NDArray[Any]] = {}
    for n, layer in enumerate(layers):
        arrays[f"l{n + 1}.w"] = prune(layer.w, sparsity[2 * n]).astype(np.float16)
        arrays[f"l{n + 1}.u"] = prune(layer.u, sparsity[2 * n + 1]).astype(np.float16)
        arrays[f"l{n + 1}.b"] = layer.b.astype(np.float16)
    arrays["thresholds"] = np.array(th, dtype=np.float32)
    return arrays | {"meta": np.array(meta_text(meta))}


def import_torch(
    model: Annotated[Path, typer.Argument(metavar="MODEL.pt", help="What torch.save(model.state_dict(), ...) wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Checkpoint to write; else MODEL.npz beside it.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME...", help="Which LSTM of the model, as in its state_dict; several, in order; '' = not nested."
        ),
    ] = None,
    sparsity: Annotated[
        str | None,
        typer.Option(
            "--sparsity", "--ws", metavar="S...", help="Smallest weights to drop, one share or W, U of layer 1, 2, ..."
        ),
    ] = None,
    ht: Annotated[
        str | None,
        typer.Option(
            "--thresholds", "--ht", metavar="TH...", help="Of hidden-state pruning: one number, or one per layer."
        ),
    ] = None,
    pickled: Annotated[
        bool, typer.Option("--pickled", help="MODEL.pt is a pickled module; loading it runs code from it.")
    ] = False,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the sizes and sparsities as JSON.")
    ] = None,
) -> None:
    """Make a checkpoint of a unidirectional nn.LSTM, or of nn.LSTMCells, of any size and number of layers.

    Every tensor below the LSTM's name is used, or refused by name.

    \b
    Examples:
      python -m software.benchmark.import_torch MODEL.pt
      python -m software.benchmark.import_torch MODEL.pt -o build/mine.npz --ws 0.5 --ht 0.1 0.2 --name encoder.lstm
      python -m software.benchmark.import_torch MODEL.safetensors --name lstm1 lstm2
    """
    path = out or model.with_suffix(".npz")
    if path.resolve() == model.resolve():
        raise UserError(f"{model} is the file to read: give another one with --out")
    check_outputs(path, json_path)
    tensors, beside = _state(model, pickled)
    chosen = chosen_modules(tensors, None if name is None else name.split(","))
    layers = layers_of(chosen, tensors)
    check_beside(beside)
    shares = sparsities(sparsity, len(layers), "--sparsity") if sparsity is not None else (0.0,) * (2 * len(layers))
    th = thresholds(ht, len(layers), "--thresholds") if ht is not None else (0.0,) * len(layers)
    sizes = ", ".join(f"{layer.w.shape[1]} -> {layer.u.shape[1]}" for layer in layers)
    meta = {"model": f"nn.LSTM {sizes}", "file": model.name, "sparsity": shares, "torch": str(torch.__version__)}
    arrays = checkpoint_arrays(layers, shares, th, meta)
    found = []
    for n, layer in enumerate(layers, 1):
        w, u = arrays[f"l{n}.w"], arrays[f"l{n}.u"]
        found.append(
            {
                "inputs": w.shape[1], "units": u.shape[1], "zeros_w": float((w == 0).mean()),
                "zeros_u": float((u == 0).mean()), "threshold": th[n - 1],
                "largest": float(max(np.abs(layer.w).max(), np.abs(layer.u).max())), "tensors": layer.names,
            }
        )  # fmt: skip
    others = left_out(chosen, tensors, beside)
    files = {path: npz(arrays)}
    if json_path is not None:
        result = {"model": meta["model"], "layers": found, "left_out": others}
        files[json_path] = json.dumps(result, indent=1).encode() + b"\n"
    write_all(files)
    for n, layer_found in enumerate(found, 1):
        print(
            "layer {n}: {inputs} inputs, {units} units; zeros in W {zeros_w:.1%}, in U {zeros_u:.1%}; "
            "largest |weight| {largest:.3g}; threshold {threshold:g}".format(n=n, **layer_found)
        )
    if len(chosen) > 1:
        print(f"stacked, from the input on: {', '.join(module.name for module in chosen)}")
    for n, layer in enumerate(layers, 1):
        for matrix, tensor in zip("WU", layer.names, strict=False):
            if re.search("_orig$|_orig |_raw$", tensor):
                print(f"{matrix} of layer {n} is {tensor}")
    if others:
        print(f"left out, not of the LSTM: {some_of(others)}")
    print(f"wrote {', '.join(map(str, files))}; run it on the RTL: python -m sim.run layer {path} --random 10")


app = new_app()
app.command(context_settings=SETTINGS)(import_torch)
