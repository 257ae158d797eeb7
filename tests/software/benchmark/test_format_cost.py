"""What formats cost a network: the figures are golden's, taken apart from the command."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from golden.formats import OPEN, Parameters, stored
from golden.isa import Format
from golden.layer import Layer, pack_layer
from software.benchmark import format_cost
from software.benchmark.lm.golden_perplexity import golden_loss
from software.benchmark.mnist import data as mnist_data
from software.checkpoint import (
    KJV_MODEL,
    KJV_SAMPLE,
    MNIST_CHECKPOINT,
    MNIST_DIGITS,
    load_checkpoint,
    load_digits,
    load_language_model,
    load_tokens,
)
from software.cli import run


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["format_cost", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(format_cost.main)
    return stop.value.code or 0  # type: ignore[return-value]


FORMATS = {
    "eSELL, fp16": (Format.ESELL, None),
    "stream-16, g = 5": (Format.STREAM16, 5),
    "stream-8": (Format.STREAM8, 4),
}


def test_every_width_of_the_gap_is_measured() -> None:
    assert list(format_cost.CHOICES) == [
        "eSELL, fp16", "stream-16, g = 4", "stream-16, g = 5", "stream-16, g = 6", "stream-8",
    ]  # fmt: skip
    assert [choice.gap_bits for choice in format_cost.CHOICES.values()] == [None, 4, 5, 6, None]


def test_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits, network = load_digits(MNIST_DIGITS), load_checkpoint(MNIST_CHECKPOINT)
    monkeypatch.setattr(
        mnist_data, "load", lambda data=None: mnist_data.Mnist(*([digits.images, digits.labels.astype(np.uint8)] * 2))
    )
    monkeypatch.setattr(format_cost, "COMPARED", 2)
    monkeypatch.setattr(format_cost, "CHOICES", {name: format_cost.CHOICES[name] for name in FORMATS})
    assert call(monkeypatch, "--limit", 6, "--json", tmp_path / "c.json") == 0
    result = json.loads((tmp_path / "c.json").read_text())
    assert (result["kind"], result["of"]) == ("accuracy", "6 test digits")
    shown = capsys.readouterr().out
    assert list(result["formats"]) == list(FORMATS)
    for (name, cost), (number, gap) in zip(result["formats"].items(), FORMATS.values(), strict=True):
        x, words, dropped = digits.inputs()[:6], 0, []
        for layer in network.layers:
            wanted = OPEN if gap is None else Parameters(gap)
            packed = pack_layer(layer.w, layer.u, layer.b, number, number, wanted, wanted)
            words += len(packed.w.words) + len(packed.u.words) + 32 * (number == Format.STREAM8)
            done = Layer(packed).run(x, layer.threshold)
            x = done.h_pruned
            dropped.append(float((x.reshape(6, 28, 32, 4) == 0).all(axis=3).mean()))
        answers = network.logits(x[:, -1]).argmax(axis=1)
        assert cost["words"] == words and cost["value"] == float((answers == digits.labels[:6]).mean())
        assert cost["h_sparsity"] == pytest.approx(dropped)
        assert f"{name} " in shown and f"{words:,}" in shown
    errors = [cost["mean_h_error"] for cost in result["formats"].values()]
    assert errors == sorted(errors) and errors[0] < 2.0**-11
    assert all(cost["max_h_error"] >= cost["mean_h_error"] for cost in result["formats"].values())


def test_h_is_compared_with_float64_on_weights_that_are_not_rounded() -> None:
    """One step by hand: z = b + W x in float64."""
    network = load_checkpoint(MNIST_CHECKPOINT)
    layer = network.layers[0]
    x = load_digits(MNIST_DIGITS).inputs()[:3, 9:10]
    choice = format_cost.CHOICES["stream-16, g = 6"]
    _, most, mean = format_cost.h_errors(network.layers[:1], (layer.threshold,), x, choice)
    z = layer.b.astype(np.float64) + x[:, 0].astype(np.float64) @ layer.w.astype(np.float64).T
    _, i, g, o = np.split(z, 4, axis=1)
    exact = 1 / (1 + np.exp(-o)) * np.tanh(1 / (1 + np.exp(-i)) * np.tanh(g))
    packed = choice.pack(layer.w, layer.u, layer.b)
    error = np.abs(Layer(packed).run(x, layer.threshold).h[:, 0] - exact)
    assert (most, mean) == (pytest.approx(error.max(), rel=1e-9), pytest.approx(error.mean(), rel=1e-9))
    w = stored(packed.w.format).unpack(
        packed.w.words, packed.w.rows, packed.w.cols, packed.w.offsets, packed.w.parameters
    )
    assert most > 2.0**-11 and not np.array_equal(w, layer.w)


def test_words_of_a_language_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(format_cost, "COMPARED", 1)
    monkeypatch.setattr(format_cost, "CHOICES", dict(list(format_cost.CHOICES.items())[-1:]))
    arguments = (KJV_MODEL, "--data", "sample", "--limit", 60, "--streams", 5, "--thresholds", "1 0.5")
    assert call(monkeypatch, *arguments, "--json", tmp_path / "c.json") == 0
    result = json.loads((tmp_path / "c.json").read_text())
    assert (result["kind"], result["of"]) == ("perplexity", "55 words of the shipped sample, 5 streams")
    model = load_language_model(KJV_MODEL)
    tokens = load_tokens(KJV_SAMPLE, len(model.embedding)).astype(np.int64)
    columns = tokens[: len(tokens) // 5 * 5].reshape(5, -1)[:, :12].T
    loss, dropped = golden_loss(model, columns, (1.0, 0.5), formats=format_cost.CHOICES["stream-8"])
    cost = result["formats"]["stream-8"]
    assert cost["value"] == pytest.approx(math.exp(loss)) and cost["h_sparsity"] == pytest.approx(list(dropped))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((MNIST_DIGITS,), "array "),
        ((MNIST_CHECKPOINT, "--thresholds", "1 2"), "--thresholds is of language models"),
        ((KJV_MODEL, "--thresholds", "1"), "--thresholds must be 2 numbers, not '1'"),
        ((KJV_MODEL, "--thresholds", "1 x"), "--thresholds must be numbers, not '1 x'"),
        ((KJV_MODEL, "--split", "train"), "--split must be valid or test, not 'train'"),
        ((KJV_MODEL, "--data", "sample", "--streams", "9000"), "10000 words are too few for 9000 streams (--streams)"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and err.startswith("error: ") and not out
