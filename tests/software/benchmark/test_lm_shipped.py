"""The shipped language model keeps its promise, on golden without PyTorch and in PyTorch."""

import json
from pathlib import Path

import numpy as np
import pytest

from software.benchmark.lm.golden_perplexity import golden_loss
from software.checkpoint import KJV_MODEL, KJV_SAMPLE, load_language_model, load_tokens

WORDS, STREAMS = 2_000, 50
GOLDEN_PERPLEXITY = 66.387
"""Of those words: the beginnings of 50 streams, each without what came before it."""


def test_the_shipped_model_fits_its_sample() -> None:
    model = load_language_model(KJV_MODEL)
    assert model.words is not None and model.meta["data"] == "kjv" and model.sample is not None
    assert [layer.hidden for layer in model.layers] == [200, 200] and model.layers[0].inputs == 200
    shares = [(matrix == 0).mean() for layer in model.layers for matrix in (layer.w, layer.u)]
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.2, 0.6], atol=1e-4)
    assert KJV_MODEL.stat().st_size <= 8_000_000
    text = [model.words[token] for token in load_tokens(KJV_SAMPLE, len(model.words))[:14]]
    assert " ".join(text) == "now the lord had said unto abram , get thee out of thy country"


def sample() -> np.ndarray:
    """The beginnings of 50 streams of the sample."""
    tokens = load_tokens(KJV_SAMPLE, 6_000).astype(np.int64)
    return np.ascontiguousarray(tokens.reshape(STREAMS, -1)[:, : WORDS // STREAMS].T)


def test_perplexity_on_golden() -> None:
    model = load_language_model(KJV_MODEL)
    loss, dropped = golden_loss(model, sample(), tuple(layer.threshold for layer in model.layers))
    assert np.exp(loss) == pytest.approx(GOLDEN_PERPLEXITY, abs=0.01)
    assert min(dropped) >= 0.4


def test_eval_without_arguments_but_the_sample(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
    from software.benchmark.lm import command as lm  # noqa: PLC0415

    line = f"eval --split sample --batch_size {STREAMS} --tokens {WORDS} --json {tmp_path / 'r.json'}"
    assert lm.main(line.split()) == 0
    assert "words of sample, 50 streams)" in capsys.readouterr().out
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["perplexity"] == pytest.approx(GOLDEN_PERPLEXITY, rel=2e-3) and result["n"] == WORDS - STREAMS
