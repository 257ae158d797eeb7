"""Any nn.LSTM as a checkpoint: ``python -m software.benchmark.import_torch MODEL.pt -o FILE.npz``.

MODEL.pt is what ``torch.save(model.state_dict(), ...)`` wrote, of the LSTM alone or of a network that contains it.
PyTorch's gates i, f, g, o become the hardware's f, i, g, o, its two biases become one, weights become fp16. Sizes stay:
whoever packs the layers pads them to multiples of 4. ``python -m sim.run layer FILE.npz`` runs the result on the RTL.
"""

import json
import pickle
import re
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from software.benchmark.npz import npz
from software.benchmark.spelling import run_spelled, sparsities, thresholds
from software.checkpoint import FP16_MAX
from software.cli import SETTINGS, UserError, check_outputs, new_app, write_all
from software.extras import no_torch

try:
    import torch
except ModuleNotFoundError:
    sys.exit(no_torch())

GATES = 4
TORCH_TO_HARDWARE = (1, 0, 2, 3)
BIAS_LIMIT = 2048.0
"""The hardware takes |bias| below this."""
NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Where training scripts keep the state_dict inside a larger file."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TorchLayer:
    """w (4H, X), u (4H, H), b (4H,) float32, gates f, i, g, o; names: the tensor each comes from."""

    w: Float32
    u: Float32
    b: Float32
    names: tuple[str, str, str]


def load_tensors(path: Path, pickled: bool = False) -> dict[str, torch.Tensor]:
    """The state_dict in a file; ``pickled`` also loads whole modules, which runs code from the file.

    Raises UserError.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=not pickled)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except pickle.UnpicklingError as error:
        if re.search("Unsupported (global|class)", str(error)):
            raise UserError(
                f"{path} is a pickled module or has other objects in it; loading it would run code from the file: save "
                "model.state_dict() instead, or give --pickled if you trust it"
            ) from None
        raise UserError(f"{path}: not a file of torch.save, or damaged") from None
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, KeyError, AttributeError, ImportError) as error:
        reason = f": {error}" if pickled else ""
        raise UserError(f"{path}: not a file of torch.save, or damaged{reason}") from None
    if isinstance(saved, torch.nn.Module):
        saved = saved.state_dict()
    for key in NESTED:
        if isinstance(saved, Mapping) and isinstance(saved.get(key), Mapping):
            saved = saved[key]
    if not isinstance(saved, Mapping):
        raise UserError(f"{path}: must hold a state_dict, not {type(saved).__name__}")
    return {str(name): value for name, value in saved.items() if isinstance(value, torch.Tensor)}


def _prefix(tensors: Mapping[str, torch.Tensor], asked: str | None) -> str:
    """What stands before weight_ih_l0: the name of the LSTM in the model."""
    found = sorted(name.removesuffix("weight_ih_l0") for name in tensors if name.endswith("weight_ih_l0"))
    if not found:
        raise UserError("no nn.LSTM in this file: no tensor is called weight_ih_l0, or ends so")
    names = ", ".join(repr(prefix.removesuffix(".")) for prefix in found)
    if asked is not None:
        wanted = f"{asked}." if asked else ""
        if wanted not in found:
            raise UserError(f"--name must be one of {names}, not {asked!r}")
        return wanted
    if len(found) > 1:
        raise UserError(f"{len(found)} recurrent modules in this file: choose one with --name: {names}")
    return found[0]


def lstm_layers(tensors: Mapping[str, torch.Tensor], name: str | None = None) -> list[TorchLayer]:
    """Every layer of the nn.LSTM called ``name``, or of the only one. Raises UserError naming what is not carried."""
    prefix = _prefix(tensors, name)
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if any(key.endswith("_reverse") for key in own):
        raise UserError(f"{prefix}weight_ih_l0_reverse: the LSTM is bidirectional; the hardware runs forward only")
    if any(re.fullmatch(r"weight_hr_l\d+", key) for key in own):
        raise UserError(f"{prefix}weight_hr_l0: the LSTM has a proj_size; the hardware has no projection of h")
    layers: list[TorchLayer] = []
    while f"weight_ih_l{len(layers)}" in own:
        layers.append(_layer(own, prefix, len(layers), layers[-1].u.shape[1] if layers else None))
    return layers


def _layer(own: Mapping[str, torch.Tensor], prefix: str, number: int, below: int | None) -> TorchLayer:
    def take(kind: str) -> Float32:
        key = f"{kind}_l{number}"
        if key not in own:
            raise UserError(f"{prefix}{key} is missing")
        if not own[key].is_floating_point():
            raise UserError(f"{prefix}{key} must be floating point, not {own[key].dtype}")
        return own[key].detach().to(torch.float32).numpy()

    w, u = take("weight_ih"), take("weight_hh")
    if u.ndim != 2 or w.ndim != 2 or 0 in (*u.shape, *w.shape):
        raise UserError(
            f"{prefix}weight_ih_l{number} and weight_hh_l{number} must be matrices, not {w.shape}, {u.shape}"
        )
    hidden = u.shape[1]
    if u.shape[0] != GATES * hidden:
        kind = {hidden: "nn.RNN", 3 * hidden: "nn.GRU"}.get(u.shape[0])
        what = f", as an {kind} has; only nn.LSTM is supported" if kind else ""
        raise UserError(
            f"{prefix}weight_hh_l{number} must have 4H = {GATES * hidden} rows (H = {hidden} columns), "
            f"not {u.shape[0]}{what}"
        )
    # nn.LSTM(bias=False) has neither
    biases = [kind for kind in ("bias_ih", "bias_hh") if f"{kind}_l{number}" in own]
    for key, found, wanted in (
        ("weight_ih", w.shape, (GATES * hidden, below or w.shape[1])),
        *((kind, own[f"{kind}_l{number}"].shape, (GATES * hidden,)) for kind in biases),
    ):
        if tuple(found) != wanted:
            raise UserError(f"{prefix}{key}_l{number} must have shape {wanted}, not {tuple(found)}")
    b = np.zeros(GATES * hidden, np.float32)
    for kind in biases:
        b = b + take(kind)

    def by_gate(a: Float32) -> Float32:
        return a.reshape(GATES, hidden, *a.shape[1:])[list(TORCH_TO_HARDWARE)].reshape(a.shape)

    n = number
    names = (f"{prefix}weight_ih_l{n}", f"{prefix}weight_hh_l{n}", f"({prefix}bias_ih_l{n} + {prefix}bias_hh_l{n})")
    for a, tensor, limit in zip((w, u, b), names, (FP16_MAX, FP16_MAX, BIAS_LIMIT), strict=True):
        _check_range(a, tensor, limit)
    return TorchLayer(by_gate(w), by_gate(u), by_gate(b), names)


def _check_range(a: Float32, tensor: str, limit: float) -> None:
    """Every value finite and, as fp16, within the hardware's range."""
    with np.errstate(over="ignore"):
        half = np.abs(a.astype(np.float16).astype(np.float32))
    bad = ~np.isfinite(half) | ((half >= limit) if limit < FP16_MAX else (half > limit))
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        what = f"below {limit:g}" if limit < FP16_MAX else f"at most {limit:g}, the largest fp16"
        raise UserError(f"{tensor}{list(index)} is {a[index]}: |value| must be finite and {what}")


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
    return arrays | {"meta": np.array(json.dumps(meta))}


def import_torch(
    model: Annotated[Path, typer.Argument(metavar="MODEL.pt", help="What torch.save(model.state_dict(), ...) wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Checkpoint to write; else MODEL.npz beside it.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which LSTM of the model, as in its state_dict; '' = not nested.")
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
    """Make a checkpoint of a unidirectional nn.LSTM of any size and number of layers.

    \b
    Examples:
      python -m software.benchmark.import_torch MODEL.pt
      python -m software.benchmark.import_torch MODEL.pt -o build/mine.npz --ws 0.5 --ht 0.1 0.2 --name encoder.lstm
    """
    path = out or model.with_suffix(".npz")
    if path.resolve() == model.resolve():
        raise UserError(f"{model} is the file to read: give another one with --out")
    check_outputs(path, json_path)
    layers = lstm_layers(load_tensors(model, pickled), name)
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
                "largest": float(max(np.abs(layer.w).max(), np.abs(layer.u).max())),
            }
        )  # fmt: skip
    files = {path: npz(arrays)}
    if json_path is not None:
        files[json_path] = json.dumps({"model": meta["model"], "layers": found}, indent=1).encode() + b"\n"
    write_all(files)
    for n, layer_found in enumerate(found, 1):
        print(
            "layer {n}: {inputs} inputs, {units} units; zeros in W {zeros_w:.1%}, in U {zeros_u:.1%}; "
            "largest |weight| {largest:.3g}; threshold {threshold:g}".format(n=n, **layer_found)
        )
    print(f"wrote {', '.join(map(str, files))}; run it on the RTL: python -m sim.run layer {path} --random 10")


app = new_app()
app.command(context_settings=SETTINGS)(import_torch)

if __name__ == "__main__":
    run_spelled(app)
