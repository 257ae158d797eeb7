"""Files of language models: packed layers, the shipped ones, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from software.checkpoint import (
    PTB_LAYERS,
    PTB_SENTENCES,
    CheckpointError,
    LayerWeights,
    load_language_model,
    load_packed_layers,
    load_sentences,
    pack_layers,
)


def layers(seed: int = 1, inputs: int = 6, hidden: int = 12) -> list[LayerWeights]:
    """Two layers, half zeros, of sizes that do not fill a byte of bits."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Any:
        return (rng.standard_normal(shape) * (rng.random(shape) < 0.5)).astype(np.float16)

    sizes = ((inputs, 0.25), (hidden, 0.5))
    return [
        LayerWeights(weights(4 * hidden, n), weights(4 * hidden, hidden), weights(4 * hidden), th) for n, th in sizes
    ]


def test_packed_layers_come_back_the_same(tmp_path: Path) -> None:
    arrays: dict[str, Any] = pack_layers(layers(), {"a": 1})
    np.savez(tmp_path / "l.npz", **arrays)
    back = load_packed_layers(tmp_path / "l.npz")
    for old, new in zip(layers(), back, strict=True):
        assert all((getattr(old, name) == getattr(new, name)).all() for name in "wub")
        assert old.threshold == new.threshold


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l2.u.values": None}, "array l2.u.values is missing"),
        ({"l1.w.bits": np.zeros((48, 2), np.uint8)}, r"l1.w.bits must have shape \(48, 1\), not \(48, 2\)"),
        ({"l1.w.bits": np.zeros((48, 1), np.int8)}, "l1.w.bits must be uint8, not int8"),
        ({"l1.u.values": np.ones(3, np.float16)}, r"l1.u.values must have shape \(\d+\), not \(3,\)"),
        ({"l1.inputs": np.array([-1])}, r"l1.inputs\[0\] is -1, not in 0..65535"),
        ({"thresholds": np.zeros(3, np.float32)}, r"thresholds must have shape \(2\), not \(3,\)"),
        ({"l1.b": np.full(48, np.nan, np.float16)}, r"l1.b\[0\] is nan"),
    ],
)
def test_bad_packed_layers(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arrays = pack_layers(layers(), {}) | changes
    np.savez(tmp_path / "l.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(CheckpointError, match=message):
        load_packed_layers(tmp_path / "l.npz")


def test_the_shipped_ptb_layers_fit_the_shipped_sentences() -> None:
    first, second = load_packed_layers(PTB_LAYERS)
    shares = [(matrix == 0).mean() for layer in (first, second) for matrix in (layer.w, layer.u)]
    np.testing.assert_allclose(shares, [0.2, 0.5, 0.2, 0.6], atol=1e-5)
    assert first.inputs == load_sentences(PTB_SENTENCES).x.shape[2] == first.hidden == second.hidden == 800
    np.testing.assert_allclose([first.threshold, second.threshold], [0.63, 0.84], rtol=1e-6)


def model(**changes: Any) -> dict[str, Any]:
    first = layers()[0]
    arrays: dict[str, Any] = {
        "l1.w": first.w,
        "l1.u": first.u,
        "l1.b": first.b,
        "embedding": np.ones((3, 6), np.float16),
    }
    arrays |= {"words": "a\nb\nc", "meta": json.dumps({}), "decoder": np.ones((3, 12), np.float16)}
    return arrays | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": "a\nb"}, "words must be 3 different words, a row of the embedding each, not 2"),
        ({"words": "a\nb\nb"}, "not 2"),
        ({"decoder": np.ones((3, 6), np.float16)}, r"decoder must have shape \(3, 12\), not \(3, 6\)"),
        ({"decoder_bias": np.ones(2, np.float16)}, r"decoder_bias must have shape \(3\), not \(2,\)"),
        ({"sample": np.array([[0, 3]])}, r"sample\[0, 1\] is 3, not in 0..2"),
        ({"sample": np.array([[0.5]])}, "sample must be integers, not float64"),
        ({"meta": "no JSON"}, "meta must be a JSON object"),
    ],
)
def test_bad_language_models(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "m.npz", **model(**changes))
    with pytest.raises(CheckpointError, match=message):
        load_language_model(tmp_path / "m.npz")


def test_scores_of_a_tied_and_of_a_separate_output_layer(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **model(decoder_bias=np.arange(3, dtype=np.float16)))
    h = np.ones((2, 12), np.float32)
    np.testing.assert_array_equal(load_language_model(tmp_path / "m.npz").logits(h), [[12, 13, 14]] * 2)
    tied = model()
    del tied["decoder"]
    np.savez(tmp_path / "t.npz", **tied)
    np.testing.assert_array_equal(load_language_model(tmp_path / "t.npz").logits(h[:, :8]), [[6, 6, 6]] * 2)
