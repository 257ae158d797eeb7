"""What the MNIST commands share: the data as tensors, the network as a file, evaluation."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from golden.config import BLOCK_COLS
from software.benchmark.common.network import Network, export, load_checkpoint_into
from software.benchmark.common.training import Data
from software.benchmark.import_torch.files import load_own
from software.benchmark.import_torch.state import tensor_of
from software.benchmark.mnist import data as mnist_data
from software.checkpoint import Checkpoint, CheckpointError, LayerWeights, load_checkpoint
from software.cli import UserError
from software.files.content import is_npz

HIDDEN, LAYERS, CLASSES = 128, 2, 10
VALIDATION = 5_000
_KIND = "elstm mnist model "
FORMAT = f"{_KIND}1"


@dataclass
class Model:
    """A network in training: thresholds per layer; history: what was done to it, a dict per command."""

    network: Network
    thresholds: tuple[float, ...]
    history: list[dict[str, Any]] = field(default_factory=list)

    def checkpoint(self) -> Checkpoint:
        """The same in fp16, as the hardware gets it. Raises UserError when a weight is beyond fp16."""
        arrays = self.arrays()
        layers = tuple(
            LayerWeights(arrays[f"l{n}.w"], arrays[f"l{n}.u"], arrays[f"l{n}.b"], th)
            for n, th in enumerate(self.thresholds, 1)
        )
        return Checkpoint(layers, arrays["out.w"], arrays["out.b"], {})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of a checkpoint without ``meta``. Raises UserError when a weight is beyond fp16."""
        try:
            return export(self.network, self.thresholds)
        except ValueError as error:
            raise UserError(str(error)) from None

    def to_bytes(self) -> bytes:
        """The file that ``load_model`` reads."""
        stream = io.BytesIO()
        saved = {
            "format": FORMAT,
            "weights": self.network.state_dict(),
            "thresholds": list(self.thresholds),
            "history": json.dumps(self.history),
        }
        torch.save(saved, stream)
        return stream.getvalue()


def _state_of(path: Path) -> tuple[dict[str, torch.Tensor], list[float] | None, list[dict[str, Any]]]:
    saved = load_own(path, "neither an .npz checkpoint nor a model of these commands")
    # models of version 0.1 have no format
    if isinstance(saved, dict) and (form := saved.get("format", FORMAT)) != FORMAT and str(form).startswith(_KIND):
        raise UserError(f"{path}: {form}, written by a later version of elstm; this one reads {FORMAT}")
    if isinstance(saved, dict) and isinstance(saved.get("weights"), dict):
        weights = {name: tensor_of(f"{path}: {name}", value) for name, value in saved["weights"].items()}
        try:
            return weights, saved.get("thresholds"), json.loads(saved.get("history", "[]"))
        except (ValueError, TypeError):
            raise UserError(f"{path}: not a model of these commands: history is no JSON") from None
    raise UserError(f"{path}: not a model of these commands; software.benchmark.import_torch takes any nn.LSTM")


def load_model(path: Path, block: int = BLOCK_COLS, dropout: float = 0.0) -> Model:
    """A model that ``train``, ``prune`` or ``retrain`` wrote, or a checkpoint (.npz).

    Raises UserError naming the file when it is damaged, not of MNIST's shape, or has a weight that is not finite.
    """
    if is_npz(path):
        try:
            checkpoint = load_checkpoint(path)
        except CheckpointError as error:
            raise UserError(str(error)) from None
        first, classes = checkpoint.layers[0], len(checkpoint.out_b)
        shape = (first.inputs, first.hidden, len(checkpoint.layers), classes)
        if any(layer.hidden != first.hidden for layer in checkpoint.layers):
            raise UserError(f"{path}: layers of different sizes; these commands take layers of one size")
        network = _network(path, shape, block, dropout)
        load_checkpoint_into(network, checkpoint)
        return Model(network, tuple(layer.threshold for layer in checkpoint.layers), [checkpoint.meta])
    weights, thresholds, history = _state_of(path)
    try:
        layers = sum(name.startswith("lstm.weight_hh_l") for name in weights)
        inputs, hidden = weights["lstm.weight_ih_l0"].shape[1], weights["lstm.weight_hh_l0"].shape[1]
        network = _network(path, (inputs, hidden, layers, len(weights["out.bias"])), block, dropout)
        network.load_state_dict(weights)
    except (KeyError, RuntimeError, AttributeError, IndexError, TypeError):
        raise UserError(f"{path}: not a model of these commands: arrays are missing or of other shapes") from None
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            index = tuple(torch.nonzero(~torch.isfinite(value))[0].tolist())
            raise UserError(f"{path}: {name}{list(index)} is {value[index].item()}; weights must be finite")
    found = tuple(thresholds or [0.0] * layers)
    if len(found) != layers or not all(isinstance(th, float) and th >= 0 for th in found):
        raise UserError(f"{path}: thresholds must be {layers} numbers of at least 0, not {list(found)}")
    return Model(network, found, history)


def _network(path: Path, shape: tuple[int, int, int, int], block: int, dropout: float) -> Network:
    """An empty network of that shape (inputs, hidden, layers, classes)."""
    inputs, hidden, layers, classes = shape
    if (inputs, classes) != (mnist_data.SIDE, CLASSES):
        raise UserError(f"{path}: {inputs} inputs and {classes} classes; MNIST needs {mnist_data.SIDE} and {CLASSES}")
    if block < 1 or hidden % block:
        raise UserError(f"-b must divide H = {hidden}, which {block} does not")
    return Network(inputs, hidden, layers, classes, block, dropout)


def tensor(images: np.ndarray) -> torch.Tensor:
    """x (N, 28, 28) float32, one row per step, pixel / 255: what the hardware gets."""
    return torch.from_numpy(images.astype(np.float32) / np.float32(255))


def split(mnist: mnist_data.Mnist, limit: int) -> tuple[Data, Data, Data]:
    """Training, validation and test data; ``limit`` > 0 keeps that many images of each (for a quick trial)."""
    x, y = tensor(mnist.train_images), torch.from_numpy(mnist.train_labels.astype(np.int64))
    parts = (
        Data(x[:-VALIDATION], y[:-VALIDATION]),
        Data(x[-VALIDATION:], y[-VALIDATION:]),
        Data(tensor(mnist.test_images), torch.from_numpy(mnist.test_labels.astype(np.int64))),
    )
    return parts if not limit else tuple(Data(d.x[:limit], d.y[:limit]) for d in parts)  # type: ignore[return-value]
