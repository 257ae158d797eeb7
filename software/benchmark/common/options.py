"""The options that the MNIST commands and those of the language models share: names, help and checks.

Every command line is respelled before it is parsed (software/benchmark/common/spelling.py), so that the original's
spellings work too.
"""

import math
from pathlib import Path
from typing import Annotated

import typer

from software.benchmark.common.spelling import MATRICES, finite, numbers, sparsities, thresholds, weight_thresholds
from software.benchmark.common.weight_pruning import Gradual
from software.cli import UserError, within

SHARE, EVERY = 0.5, 10
MAX_SEED = 2**32 - 1

ModelOption = Annotated[
    Path | None, typer.Option("--model-path", "-model", metavar="FILE", help="Model (.pt) or checkpoint (.npz).")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write; else in the folder of --save-dir.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")]
ModeOption = Annotated[
    str | None,
    typer.Option("--mode", "-m", metavar="MODE", help="sparsity: prune weights to -ws; threshold: by -wt."),
]
WsOption = Annotated[
    str | None, typer.Option("--ws", "-ws", metavar="S...", help=f"Sparsities of the weights {MATRICES}, or one.")
]
WtOption = Annotated[
    str | None,
    typer.Option("--wt", "-wt", metavar="TH...", help="Weights of at most this magnitude are dropped; as -ws, or one."),
]
HsOption = Annotated[
    str | None,
    typer.Option("--hs", "-hs", metavar="S...", help="Shares of h blocks to drop, per layer; finds the thresholds."),
]
HtOption = Annotated[
    str | None, typer.Option("--ht", "-ht", metavar="TH...", help="Thresholds of hidden-state pruning, per layer.")
]
NhidOption = Annotated[
    int | None,
    typer.Option(callback=within(1), metavar="N", help="Units of a layer; a model that is read must have them."),
]
LayersOption = Annotated[
    int | None, typer.Option(callback=within(1), metavar="N", help="LSTM layers; a model that is read must have them.")
]
ClipOption = Annotated[float, typer.Option(metavar="NORM", help="Largest norm of the gradient.")]
L1Option = Annotated[bool, typer.Option("--l1", help="Add --l1-lambda times the sum of |W| and |U| to the loss.")]
LambdaOption = Annotated[float, typer.Option("--l1-lambda", metavar="X", help="Weight of --l1.")]
LogOption = Annotated[
    int,
    typer.Option(callback=within(0), metavar="N", help="Batches between two lines with the loss; 0 = only the bar."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start over instead of resuming.")]
GradualOption = Annotated[
    bool,
    typer.Option("--gradual", help="retrain: reach -ws step by step (Zhu and Gupta's cubic schedule), not at once."),
]
ShareOption = Annotated[
    float, typer.Option("--gradual-share", metavar="X", help="Share of the run after which -ws is reached.")
]
EveryOption = Annotated[
    int,
    typer.Option(
        "--gradual-every", callback=within(1), metavar="N", help="Batches from one step of pruning to the next."
    ),
]


Asked = tuple[str, tuple[float, ...]]
"""The option that was given, and its numbers."""


def weights_asked(mode: str | None, ws: str | None, wt: str | None, layers: int | None) -> Asked | None:
    """What -m, -ws and -wt ask for: "-ws" or "-wt", and a value for W and U of each layer; None for nothing.

    ``layers``: None leaves the number of values unchecked. Raises UserError.
    """
    if mode not in (None, "sparsity", "threshold"):
        raise UserError(f"-m must be sparsity or threshold, not {mode!r}")
    for option, value, its in (("-wt", wt, "threshold"), ("-ws", ws, "sparsity")):
        if value is not None and mode not in (None, its):
            raise UserError(f"{option} is for -m {its}, not for -m {mode}")
    if ws is not None and wt is not None:
        raise UserError("-ws and -wt both prune the weights: give one")
    if ws is not None:
        return "-ws", sparsities(ws, layers)
    return None if wt is None else ("-wt", weight_thresholds(wt, layers))


def hidden_asked(hs: str | None, ht: str | None, layers: int | None) -> Asked | None:
    """What -hs and -ht ask for: "-hs" or "-ht", and a value for each layer; None for nothing. Raises UserError."""
    if hs is not None and ht is not None:
        raise UserError("-hs and -ht both set the thresholds: give one")
    if hs is not None:
        return "-hs", numbers(hs, layers, "-hs", (0.0, 1.0), "shares of h blocks, one of each layer")
    return None if ht is None else ("-ht", thresholds(ht, layers))


def gradual_asked(gradual: bool, share: float, every: int, asked: Asked | None) -> Gradual | None:
    """What --gradual and its options ask for, with what ``weights_asked`` gave. Raises UserError."""
    if not gradual:
        return None
    if asked is None or asked[0] != "-ws":
        raise UserError("--gradual needs -ws, the sparsities to reach")
    if not 0 < share <= 1:
        raise UserError(f"--gradual-share must be in (0, 1], not {share:g}")
    return Gradual(asked[1], share, every)


def check_rates(lr: float | None, clip: float, dropout: float, l1_lambda: float) -> None:
    """Raise UserError for a value that makes no training."""
    if lr is not None and not 0 < lr < 1:
        raise UserError(f"--lr must be above 0 and below 1 (Adam's, not SGD's), not {lr:g}")
    if not 0 < clip < math.inf:
        raise UserError(f"--clip must be a positive number, not {clip:g}")
    if not 0 <= dropout < 1:
        raise UserError(f"--dropout must be in [0, 1), not {dropout:g}")
    if not l1_lambda >= 0:
        raise UserError(f"--l1-lambda must be at least 0, not {l1_lambda:g}")
    finite((l1_lambda,), "--l1-lambda")
