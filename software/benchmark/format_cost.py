"""What storing a trained network's weights in fewer bits costs, on the bit-exact model: words, h, accuracy, perplexity.

    python -m software.benchmark.format_cost software/benchmark/shipped/mnist_2x128.npz

Every layer is packed as eSELL (fp16, nothing rounded), as stream-16 with each width of the gap and as stream-8, both of
its matrices alike. h is compared with float64 on the fp16 weights, with the bit-exact model's keep mask, on the first
sequences. Needs no PyTorch.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from golden.layer import Layer, pack_layer
from golden.reference import deviation, reference
from golden.tables import STREAM_GAP_BITS
from software import progress
from software.benchmark.data.command import load_corpus
from software.benchmark.lm.golden_perplexity import golden_loss
from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.golden_accuracy import golden_accuracy
from software.checkpoint import (
    KJV_SAMPLE,
    MNIST_CHECKPOINT,
    Checkpoint,
    CheckpointError,
    Digits,
    LanguageModel,
    LayerWeights,
    load_checkpoint,
    load_language_model,
    load_tokens,
)
from software.cli import UserError, check_outputs, run, within, write_all
from software.weight_formats import ALL_ESELL, FormatChoice, words_of

SCHEMA = "elstm.format_cost/1"
SAMPLE = "sample"
COMPARED = 10
"""Sequences on which h is compared with float64."""
STEPS = 35
"""Of a language model's sequence."""
CHOICES: dict[str, FormatChoice] = {
    "eSELL, fp16": ALL_ESELL,
    **{f"stream-16, g = {gap}": FormatChoice("stream16", "stream16", gap) for gap in STREAM_GAP_BITS[16]},
    "stream-8": FormatChoice("stream8", "stream8"),
}

Score = Callable[[FormatChoice], tuple[float, tuple[float, ...]]]


@dataclass(frozen=True)
class Cost:
    """One format: words of all matrices; |h - float64 h| at most and on average, over all layers; value: accuracy or
    perplexity; h_sparsity: share of h blocks dropped, by layer."""

    words: int
    max_h_error: float
    mean_h_error: float
    value: float
    h_sparsity: tuple[float, ...]


def h_errors(
    layers: tuple[LayerWeights, ...], thresholds: tuple[float, ...], x: NDArray[np.float32], choice: FormatChoice
) -> tuple[int, float, float]:
    """Words of all layers, and how far h of x (N, T, X) is from float64 at most and on average."""
    words, most, means = 0, 0.0, []
    for weights, threshold in zip(layers, thresholds, strict=True):
        packed = choice.pack(weights.w, weights.u, weights.b)
        words += words_of(packed.w) + words_of(packed.u)
        result = Layer(packed).run(x, threshold)
        exact = reference(pack_layer(weights.w, weights.u, weights.b), x, threshold, result.kept)
        found = deviation(result.h, result.kept, exact)
        most = max(most, found.max_abs)
        means.append(found.mean_abs)
        x = result.h_pruned
    return words, most, float(np.mean(means))


def of_digits(network: Checkpoint, data: Path | None, limit: int | None) -> tuple[NDArray[np.float32], Score, str]:
    """x to compare h on, what an accuracy is, and what it is of."""
    mnist = mnist_data.load(data)
    digits = Digits(mnist.test_images[:limit], mnist.test_labels[:limit])
    x, labels = digits.inputs(), digits.labels.astype(np.int64)

    def score(choice: FormatChoice) -> tuple[float, tuple[float, ...]]:
        exact = golden_accuracy(network, x, labels, formats=choice)
        return exact.accuracy, exact.pruned

    return x[:COMPARED], score, f"{len(x):,} test digits"


def of_text(
    model: LanguageModel, data: str, split: str, limit: int | None, count: int, thresholds: tuple[float, ...]
) -> tuple[NDArray[np.float32], Score, str]:
    """The same of a language model's perplexity, on the beginnings of ``count`` equal streams of a text."""
    tokens = load_tokens(KJV_SAMPLE, len(model.embedding)) if data == SAMPLE else load_corpus(data).split(split)
    steps = len(tokens) // count
    if steps < 2:
        raise UserError(f"{len(tokens)} words are too few for {count} streams (--streams)")
    columns = tokens[: steps * count].astype(np.int64).reshape(count, steps).T
    columns = columns[: steps if limit is None else max(2, min(steps, limit // count))]
    if columns.max() >= len(model.embedding):
        raise UserError(f"the text has {columns.max() + 1:,} words or more, the model {len(model.embedding):,}")

    def score(choice: FormatChoice) -> tuple[float, tuple[float, ...]]:
        loss, pruned = golden_loss(model, columns, thresholds, formats=choice)
        return math.exp(loss), pruned

    x = model.embedding[columns[:STEPS].T[:COMPARED]].astype(np.float32)
    text = "of the shipped sample" if data == SAMPLE else f"of {data}'s {split} text"
    return x, score, f"{(len(columns) - 1) * count:,} words {text}, {count} streams"


def main(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.npz", help="Network or language model.", show_default="the shipped network")
    ] = MNIST_CHECKPOINT,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of a language model: ptb, kjv, ... or a folder, or sample, the shipped words; of digits: a folder.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Text of a language model: valid or test.")] = "test",
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", help="Digits, or words of all streams.", show_default="all", callback=within(1)),
    ] = None,
    streams: Annotated[int, typer.Option(metavar="N", help="Streams of a text.", callback=within(1))] = 40,
    thresholds: Annotated[
        str | None, typer.Option(metavar="'X Y'", help="Of h, one a layer.", show_default="the model's own")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write all as JSON.")] = None,
) -> None:
    """Measure what each stream format costs a trained network, on the bit-exact model.

    \b
    Examples:
      python -m software.benchmark.format_cost
      python -m software.benchmark.format_cost software/benchmark/shipped/kjv_2x200.npz --data sample --limit 2000
      python -m software.benchmark.format_cost ptb.npz --data ptb --limit 8000 --thresholds '0.63 0.84' --json cost.json
    """
    check_outputs(json_path)
    if split not in ("valid", "test"):
        raise UserError(f"--split must be valid or test, not {split!r}")
    network, language = _opened(model)
    layers = network.layers if network is not None else language.layers  # type: ignore[union-attr]
    chosen = _thresholds(thresholds, layers)
    if network is not None:
        if thresholds is not None:
            raise UserError("--thresholds is of language models; a network of digits has its own")
        kind, (x, score, of) = "accuracy", of_digits(network, None if data is None else Path(data), limit)
    else:
        assert language is not None
        text = data or language.meta.get("data")
        if text is None:
            raise UserError(f"--data is needed: {model} does not say what text it was trained on")
        kind, (x, score, of) = "perplexity", of_text(language, text, split, limit, streams, chosen)

    found: dict[str, Cost | str] = {}
    with progress.steps(len(CHOICES)) as step:
        for name, choice in CHOICES.items():
            step(name)
            try:
                words, most, mean = h_errors(layers, chosen, x, choice)
                value, dropped = score(choice)
            except ValueError as error:
                found[name] = str(error)
                continue
            found[name] = Cost(words, most, mean, value, dropped)
    result: dict[str, Any] = {
        "schema": SCHEMA, "model": str(model), "of": of, "kind": kind, "thresholds": list(chosen),
        "formats": {name: cost if isinstance(cost, str) else asdict(cost) for name, cost in found.items()},
    }  # fmt: skip
    if json_path is not None:
        write_all({json_path: json.dumps(result, indent=1).encode() + b"\n"})
    Console().print(table(f"{model.name}: {kind} on {of}", kind, found))
    if json_path is not None:
        print(f"wrote {json_path}")


def table(title: str, kind: str, found: dict[str, Cost | str]) -> Table:
    """A row a format."""
    out = Table(title=title)
    out.add_column("format", no_wrap=True)
    for heading in ("words", "h error, max", "mean", kind, "h dropped"):
        out.add_column(heading, justify="right")
    for name, cost in found.items():
        if isinstance(cost, str):
            out.add_row(name, cost)
            continue
        value = f"{cost.value:.2%}" if kind == "accuracy" else f"{cost.value:.4f}"
        dropped = " / ".join(f"{share:.1%}" for share in cost.h_sparsity)
        out.add_row(name, f"{cost.words:,}", f"{cost.max_h_error:.2e}", f"{cost.mean_h_error:.2e}", value, dropped)
    return out


def _opened(path: Path) -> tuple[Checkpoint | None, LanguageModel | None]:
    try:
        return load_checkpoint(path), None
    except CheckpointError as error:
        try:
            return None, load_language_model(path)
        except CheckpointError:
            raise UserError(str(error)) from None


def _thresholds(text: str | None, layers: tuple[LayerWeights, ...]) -> tuple[float, ...]:
    if text is None:
        return tuple(layer.threshold for layer in layers)
    try:
        values = tuple(float(np.float32(part)) for part in text.split())
    except ValueError:
        raise UserError(f"--thresholds must be numbers, not {text!r}") from None
    if len(values) != len(layers) or any(math.isnan(value) for value in values):
        raise UserError(f"--thresholds must be {len(layers)} numbers, not {text!r}")
    return values


if __name__ == "__main__":
    run(main)
