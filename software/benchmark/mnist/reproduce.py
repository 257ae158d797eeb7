"""``python -m software.benchmark.mnist reproduce``: the shipped MNIST networks from nothing, in one command.

2 x 128 LSTM, 28 steps of one image row. Stages, each from the best epoch of the one before: dense; W and U pruned by
magnitude, at once or in steps, and retrained under their masks; retrained again with hidden-state pruning in the loop.
The last 5,000 training images choose the epochs; the test images are used once, at the end.
"""

import json as json_text
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from software import progress
from software.benchmark.common.network import Network, export
from software.benchmark.common.npz import npz
from software.benchmark.common.options import FreshOption, JsonOption
from software.benchmark.common.training import Data, Outcome, Settings, Stage, Trainer, evaluate
from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.golden_accuracy import golden_accuracy
from software.benchmark.mnist.model import CLASSES, HIDDEN, LAYERS, split
from software.benchmark.mnist.options import DataOption, LimitOption, SeedOption
from software.checkpoint import load_checkpoint, meta_text, with_schema
from software.cli import UserError, check_outputs, within, write_all
from software.provenance import commit

MATRICES = ("l1.w", "l1.u", "l2.w", "l2.u")
SHIPPED = 100
"""Test digits that go with the checkpoint: the first ones, none chosen."""


@dataclass(frozen=True)
class Recipe:
    """How a shipped network is made.

    Attributes:
        file: what the checkpoint is called.
        sparsity: of each of MATRICES, in the end.
        steps: all sparsities are these first, an epoch each, so that what remains can adapt; none: pruned at once.
        rate: peak learning rate of all retraining.
        thresholds: of hidden-state pruning, per layer.
        epochs: dense, at the final sparsity, with hidden-state pruning.
    """

    file: str
    sparsity: tuple[float, ...]
    steps: tuple[float, ...]
    rate: float
    thresholds: tuple[float, ...]
    epochs: tuple[int, int, int]


RECIPES = {
    "paper": Recipe("mnist_2x128.npz", (0.3, 0.5, 0.2, 0.4), (), 1e-3, (0.3, 0.8), (6, 2, 2)),
    "sparse90": Recipe("mnist_2x128_90.npz", (0.9,) * 4, (0.5, 0.7, 0.8, 0.86), 2e-3, (0.5, 1.1), (6, 4, 6)),
}


@dataclass(frozen=True)
class Reproduction(Settings):
    """A run of ``reproduce``."""

    recipe: str
    dense_epochs: int
    sparse_epochs: int
    hidden_epochs: int

    def stages(self) -> tuple[Stage, ...]:
        """What is trained, in order."""
        recipe = RECIPES[self.recipe]
        steps = (Stage(f"{share:.0%} pruned", 1, recipe.rate, _sparsity((share,) * 4)) for share in recipe.steps)
        return (
            Stage("dense", self.dense_epochs, 3e-3),
            *steps,
            Stage("weights pruned", self.sparse_epochs, recipe.rate, _sparsity(recipe.sparsity)),
            Stage("hidden pruned", self.hidden_epochs, recipe.rate, thresholds=recipe.thresholds),
        )


def _sparsity(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(MATRICES, values, strict=True))


@dataclass(frozen=True)
class StageResult:
    """accuracy on the validation and test images; pruned: share of h blocks dropped, per layer, test images."""

    name: str
    epochs: int
    best_epoch: int
    validation: float
    test: float
    pruned: tuple[float, ...]
    seconds: float


def run_stages(trainer: Trainer, stages: Sequence[Stage]) -> list[Outcome]:
    """Run all stages, showing progress. Raises Interrupted."""
    with progress.bars(transient=False) as bars:
        tasks = {stage.name: bars.add_task(stage.name, total=stage.epochs * trainer.batches) for stage in stages}
        return trainer.run(stages, lambda name, n: bars.update(tasks[name], completed=n), bars.print)


def tested(trainer: Trainer, stages: Sequence[Stage], outcomes: Sequence[Outcome], test: Data) -> list[StageResult]:
    """The best weights of each stage on the test images; the network is left with the last."""
    results = []
    for stage, outcome in zip(stages, outcomes, strict=True):
        trainer.network.load_state_dict(outcome.weights)
        correct, pruned, _ = evaluate(trainer.network, test, stage.thresholds)
        validation, seconds = outcome.accuracy, round(outcome.seconds, 1)
        results.append(StageResult(stage.name, stage.epochs, outcome.best_epoch, validation, correct, pruned, seconds))
    return results


def report(results: Sequence[StageResult], seconds: float) -> Table:
    """The table of all stages."""
    table = Table(title=f"MNIST, {LAYERS} x {HIDDEN} LSTM, {seconds:.0f} s of training")
    for column in ("stage", "epochs", "validation", "test", "h blocks dropped (layer 1, 2)", "seconds"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for r in results:
        dropped = " / ".join(f"{100 * share:.1f} %" for share in r.pruned) if any(r.pruned) else "-"
        row = (f"{r.best_epoch + 1} of {r.epochs}", f"{100 * r.validation:.2f} %", f"{100 * r.test:.2f} %", dropped)
        table.add_row(r.name, *row, f"{r.seconds:.0f}")
    return table


def provenance(settings: Reproduction, results: Sequence[StageResult], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What ``meta`` says: how the checkpoint was made and what it reached; no path of the machine that made it."""
    options = [f"--{name.replace('_', '-')} {value}" for name, value in asdict(settings).items()]
    return {
        "model": f"LSTM {LAYERS} x {HIDDEN}, x = image rows / 255, {mnist_data.SIDE} steps; output layer on the last h",
        "data": "MNIST; trained on the first 55,000 training images, epochs chosen on the other 5,000",
        "command": " ".join(["python -m software.benchmark.mnist reproduce", *options]),
        "commit": commit(),
        "torch": torch.__version__,
        "settings": asdict(settings),
        "recipe": asdict(RECIPES[settings.recipe]),
        "stages": [asdict(r) for r in results],
        "zeros": {name: float((arrays[name] == 0).mean()) for name in MATRICES},
        "training_seconds": round(sum(r.seconds for r in results), 1),
    }


def reproduce(
    data: DataOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            "--save-dir",
            metavar="FOLDER",
            help="For the results and what resumes an interrupted run; else build/mnist-RECIPE.",
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(metavar="NAME", help=f"Which network: {', '.join(RECIPES)}.")] = "paper",
    seed: SeedOption = 1,
    dense_epochs: Annotated[
        int | None,
        typer.Option(callback=within(1), metavar="N", help="Epochs of the dense network; else the recipe's."),
    ] = None,
    sparse_epochs: Annotated[
        int | None, typer.Option(callback=within(1), metavar="N", help="Epochs of retraining under the last masks.")
    ] = None,
    hidden_epochs: Annotated[
        int | None, typer.Option(callback=within(1), metavar="N", help="Epochs with hidden-state pruning.")
    ] = None,
    batch_size: Annotated[
        int, typer.Option("--batch-size", "--batch", callback=within(1), metavar="N", help="Images per step.")
    ] = 100,
    limit: LimitOption = 0,
    json: JsonOption = None,
    fresh: FreshOption = False,
) -> None:
    """Make a shipped network again: train, prune, retrain, export; then evaluate the fp16 network bit for bit.

    Ctrl-C is safe: the same command goes on after the last finished epoch, to the very same weights.

    \b
    Examples:
      python -m software.benchmark.mnist reproduce
      python -m software.benchmark.mnist reproduce --recipe sparse90
    """
    if recipe not in RECIPES:
        raise UserError(f"--recipe must be one of {', '.join(RECIPES)}, not {recipe!r}")
    made = RECIPES[recipe]
    out = out or Path("build") / f"mnist-{recipe}"
    check_outputs(out / made.file, json)
    asked = (dense_epochs, sparse_epochs, hidden_epochs)
    epochs = [usual if count is None else count for count, usual in zip(asked, made.epochs, strict=True)]
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    settings = Reproduction(seed, batch_size, limit, recipe, *epochs)
    mnist = mnist_data.load(data)
    training, validation, test = split(mnist, limit)
    network = Network(mnist_data.SIDE, HIDDEN, LAYERS, CLASSES)
    trainer = Trainer(network, training, validation, settings, out / "training.pt", fresh)
    stages = settings.stages()
    results = tested(trainer, stages, run_stages(trainer, stages), test)
    Console().print(report(results, sum(r.seconds for r in results)))

    arrays = export(network, made.thresholds)
    meta = provenance(settings, results, arrays)
    path, digits = out / made.file, out / f"mnist_{SHIPPED}.npz"
    shipped = {"images": mnist.test_images[:SHIPPED], "labels": mnist.test_labels[:SHIPPED]}
    write_all({path: npz({**arrays, "meta": np.array(meta_text(meta))}), digits: npz(shipped)})
    started = time.monotonic()
    with progress.bars() as bars:
        task = bars.add_task("golden, digits", total=len(test.x))
        exact = golden_accuracy(
            load_checkpoint(path), test.x.numpy(), test.y.numpy(), lambda n: bars.update(task, completed=n)
        )
    meta["golden"] = asdict(exact)
    files = {path: npz({**arrays, "meta": np.array(meta_text(meta))})}
    if json is not None:
        scores = {"accuracy": exact.accuracy, "loss": exact.loss, "hidden_sparsity": exact.pruned, "n": exact.digits}
        files[json] = (
            json_text.dumps(scores | {"arithmetic": "golden", "meta": with_schema(meta)}, indent=1).encode() + b"\n"
        )
    write_all(files)
    dropped = " / ".join(f"{100 * share:.1f} %" for share in exact.pruned)
    print(
        f"fp16, bit-exact model, {exact.digits:,} test digits: {100 * exact.accuracy:.2f} %, h blocks dropped "
        f"{dropped} ({time.monotonic() - started:.0f} s)"
    )
    print(f"wrote {', '.join(map(str, (*files, digits)))}")
