"""The options that the MNIST commands share, and what those about the model do to it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from software.benchmark.common.options import MAX_SEED, Asked, hidden_asked, weights_asked
from software.benchmark.common.training import Data
from software.benchmark.common.weight_pruning import prune_below, prune_to, zeros
from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.calibrate import thresholds_for
from software.benchmark.mnist.model import Model, load_model
from software.cli import UserError, within

SAVE_DIR = Path("build") / "mnist"

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="FOLDER", help="Of the idx.gz files; else $ELSTM_DATA/mnist, else downloaded."),
]
SaveOption = Annotated[
    Path, typer.Option("--save-dir", metavar="FOLDER", help="Folder of the models and of what resumes a run.")
]
BlockOption = Annotated[
    int, typer.Option("--block", "-b", metavar="N", help="Units of h that are dropped together; 4, as the hardware.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Also show each layer's sparsity and range.")]
LimitOption = Annotated[
    int, typer.Option(callback=within(0), metavar="N", help="Images of each set, for a quick trial; 0 = all.")
]
StepsOption = Annotated[int, typer.Option("--bptt", metavar="N", help="Time steps: the 28 rows of an image, no other.")]
InputsOption = Annotated[
    int, typer.Option("--emsize", metavar="N", help="Inputs of a step: the 28 pixels of a row, no other.")
]
EpochsOption = Annotated[
    int, typer.Option(callback=within(1), metavar="N", help="The best on the last 5,000 training images is kept.")
]
BatchOption = Annotated[int, typer.Option(callback=within(1), metavar="N", help="Images per step.")]
DropoutOption = Annotated[float, typer.Option(metavar="X", help="Of what layer 1 hands to layer 2, in training.")]
RateOption = Annotated[float, typer.Option(metavar="X", help="Peak of Adam's one-cycle rate.")]
SeedOption = Annotated[
    int, typer.Option(callback=within(0, MAX_SEED), metavar="N", help="Of initial weights and the order of the images.")
]


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


def asked_of_weights(model: Model, mode: str | None, ws: str | None, wt: str | None) -> Asked | None:
    """What -m, -ws and -wt ask for. Raises UserError."""
    return weights_asked(mode, ws, wt, model.network.layers)


def prune_weights(model: Model, asked: Asked | None) -> dict[str, float] | None:
    """Prune the weights in place, if asked; gives each matrix's sparsity, None when nothing was asked."""
    if asked is None:
        return None
    option, values = asked
    (prune_to if option == "-ws" else prune_below)(model.network, values)
    return zeros(model.network)


def set_thresholds(model: Model, hs: str | None, ht: str | None, validation: Data | None) -> Model:
    """The model with the thresholds that -ht gives, or those that drop the share -hs of ``validation``."""
    asked = hidden_asked(hs, ht, model.network.layers)
    if asked is None:
        return model
    option, values = asked
    if option == "-ht":
        return replace(model, thresholds=values)
    assert validation is not None
    return replace(model, thresholds=thresholds_for(model.network, validation, values))


def listed(values: Sequence[float], form: str = "{:g}") -> str:
    """Numbers as a command line takes them."""
    return " ".join(form.format(value) for value in values)
