"""The options that the MNIST commands share, and what those about the model do to it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from software.benchmark import mnist_data
from software.benchmark.mnist_calibrate import thresholds_for
from software.benchmark.mnist_model import Model, load_model
from software.benchmark.network import Masks, Network
from software.benchmark.spelling import numbers, sparsities, thresholds
from software.benchmark.training import Data
from software.cli import UserError

SAVE_DIR = Path("build") / "mnist"

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the idx.gz files; else $ELSTM_DATA/mnist, else downloaded."),
]
SaveOption = Annotated[Path, typer.Option("--save-dir", help="Folder of the models and of what resumes a run.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="File to write; else in the folder of --save-dir.")]
ModelOption = Annotated[Path | None, typer.Option("--model-path", "-model", help="Model (.pt) or checkpoint (.npz).")]
ModeOption = Annotated[str, typer.Option("--mode", "-m", help="sparsity: prune weights by -ws; threshold: by -wt.")]
WsOption = Annotated[str | None, typer.Option("--ws", "-ws", help="Sparsity of W, U of layer 1, W, U of layer 2.")]
WtOption = Annotated[float | None, typer.Option("--wt", "-wt", help="Weights of at most this magnitude are dropped.")]
HsOption = Annotated[
    str | None, typer.Option("--hs", "-hs", help="Share of h blocks to drop, per layer; finds thresholds that do it.")
]
HtOption = Annotated[str | None, typer.Option("--ht", "-ht", help="Thresholds of hidden-state pruning, per layer.")]
BlockOption = Annotated[int, typer.Option("--block", "-b", help="Units of h that are dropped together.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Also show each layer's sparsity and range.")]
LimitOption = Annotated[int, typer.Option(min=0, help="Images of each set, for a quick trial; 0 = all.")]
NhidOption = Annotated[int | None, typer.Option(min=1, help="Units of a layer; a model that is read must have them.")]
LayersOption = Annotated[int | None, typer.Option(min=1, help="LSTM layers; a model that is read must have them.")]
StepsOption = Annotated[int, typer.Option("--bptt", help="Time steps: the 28 rows of an image, no other.")]
InputsOption = Annotated[int, typer.Option("--emsize", help="Inputs of a step: the 28 pixels of a row, no other.")]
EpochsOption = Annotated[int, typer.Option(min=1, help="Epochs; the best on the last 5,000 training images is kept.")]
BatchOption = Annotated[int, typer.Option(min=1, help="Images per step.")]
ClipOption = Annotated[float, typer.Option(min=0.0, help="Largest norm of the gradient.")]
DropoutOption = Annotated[float, typer.Option(help="Of what layer 1 hands to layer 2, in training.")]
L1Option = Annotated[bool, typer.Option("--l1", help="Add the L1 norm of W and U to the loss.")]
LambdaOption = Annotated[float, typer.Option("--l1-lambda", min=0.0, help="Its weight.")]
LogOption = Annotated[int, typer.Option(min=0, help="Batches between two lines with the loss; 0 = none.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start over instead of resuming.")]


def check_sizes(bptt: int, emsize: int) -> None:
    """Raise UserError unless the sizes are those of an image."""
    for option, value, what in (("--bptt", bptt, "rows"), ("-emsize", emsize, "pixels a row")):
        if value != mnist_data.SIDE:
            raise UserError(f"{option} must be {mnist_data.SIDE}, which an image has {what}, not {value}")


def load_sized(path: Path, nhid: int | None, nlayers: int | None, block: int, dropout: float = 0.0) -> Model:
    """The model, which must have the sizes asked for."""
    model = load_model(path, block, dropout)
    for option, asked, found in (("-nhid", nhid, model.network.hidden), ("--nlayers", nlayers, model.network.layers)):
        if asked not in (None, found):
            raise UserError(f"{path}: {option} is {asked}, but this model has {found}")
    return model


def _by_name(network: Network, values: Sequence[float]) -> dict[str, float]:
    return dict(zip((name for name, _ in network.weights()), values, strict=True))


def prune_weights(model: Model, mode: str, ws: str | None, wt: float | None) -> dict[str, float] | None:
    """Prune the weights in place as -m, -ws and -wt say; gives each matrix's sparsity, None when nothing was asked."""
    network = model.network
    if mode not in ("sparsity", "threshold"):
        raise UserError(f"-m must be sparsity or threshold, not {mode!r}")
    other, value = ("-wt", wt) if mode == "sparsity" else ("-ws", ws)
    if value is not None:
        raise UserError(f"{other} is for -m {'threshold' if mode == 'sparsity' else 'sparsity'}, not for -m {mode}")
    if mode == "sparsity":
        if ws is None:
            return None
        Masks.by_magnitude(network, _by_name(network, sparsities(ws, network.layers))).apply(network)
    else:
        if wt is None:
            return None
        if not wt >= 0:
            raise UserError(f"-wt must be at least 0, not {wt:g}")
        Masks({name: weight.detach().abs() > wt for name, weight in network.weights()}).apply(network)
    return {name: float((weight == 0).float().mean()) for name, weight in network.weights()}


def set_thresholds(model: Model, hs: str | None, ht: str | None, validation: Data) -> Model:
    """The model with the thresholds that -ht gives, or those that drop the share -hs of ``validation``."""
    if hs is not None and ht is not None:
        raise UserError("-hs and -ht both set the thresholds: give one")
    if ht is not None:
        return replace(model, thresholds=thresholds(ht, model.network.layers))
    if hs is None:
        return model
    wanted = numbers(hs, model.network.layers, "-hs", (0.0, 1.0), "shares of h blocks, one of each layer")
    return replace(model, thresholds=thresholds_for(model.network, validation, wanted))


def listed(values: Sequence[float], form: str = "{:g}") -> str:
    return " ".join(form.format(value) for value in values)
