"""Perplexity of a language model on the bit-exact layers: what the hardware and the output layer behind it answer."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from golden.isa import ERROR_MEANINGS, Error
from golden.layer import Layer
from golden.recurrence import State
from software.checkpoint import LanguageModel
from software.weight_formats import ALL_ESELL, FormatChoice

SEGMENT = 35
"""Steps of one call; h and c go from call to call as the hardware's state block does."""
CHUNK = 512
"""Rows of scores at a time."""


def log_losses(model: LanguageModel, h: NDArray[np.float32], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """-ln p of the right words (N,) after h (N, H)."""
    losses = []
    for first in range(0, len(h), CHUNK):
        scores = model.logits(h[first : first + CHUNK]).astype(np.float64)
        top = scores.max(axis=1)
        chosen = scores[np.arange(len(scores)), right[first : first + CHUNK]]
        losses.append(top - chosen + np.log(np.exp(scores - top[:, None]).sum(axis=1)))
    return np.concatenate(losses)


def golden_loss(
    model: LanguageModel,
    tokens: NDArray[np.int64],
    thresholds: tuple[float, ...],
    segment: int = SEGMENT,
    progress: Callable[[int, int], None] = lambda done, total: None,
    formats: FormatChoice = ALL_ESELL,
) -> tuple[float, tuple[float, ...]]:
    """Mean -ln p over streams (T, N) of words, and the share of h units dropped, by layer.

    Each layer, packed as ``formats`` says, takes the pruned h of the one below, a segment a call. Raises
    ValueError when a layer would stop, or a format does not hold its weights.
    """
    layers = [Layer(formats.pack(layer.w, layer.u, layer.b)) for layer in model.layers]
    states: list[State | None] = [None] * len(layers)
    total, n = len(tokens) - 1, tokens.shape[1]
    loss, dropped = 0.0, np.zeros(len(layers))
    for first in range(0, total, segment):
        inputs, right = tokens[first : first + segment][: total - first], tokens[first + 1 : first + 1 + segment]
        rows = model.embedding[inputs.T].astype(np.float32)
        for number, (layer, threshold) in enumerate(zip(layers, thresholds, strict=True)):
            result = layer.run(rows, threshold, states[number])
            if result.error != Error.NONE:
                raise ValueError(f"layer {number + 1} stops: {ERROR_MEANINGS[result.error]}")
            rows, states[number] = result.h_pruned, result.state
            units = rows.reshape(*rows.shape[:2], -1, layer.unit_cols)
            dropped[number] += (~units.any(axis=3)).mean() * len(inputs) / total
        loss += float(log_losses(model, rows.reshape(-1, rows.shape[2]), right.T.ravel()).sum())
        progress(first + len(inputs), total)
    return loss / (total * n), tuple(float(share) for share in dropped)
