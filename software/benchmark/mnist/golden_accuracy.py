"""Accuracy of a checkpoint on the bit-exact model: what the hardware answers, without simulating it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.isa import ERROR_MEANINGS, Error
from golden.layer import Layer, pack_layer
from software.checkpoint import Checkpoint

BATCH = 500
"""Digits at a time: what keeps the arrays small."""


@dataclass(frozen=True)
class Exact:
    """digits: how many; accuracy: share of right answers; pruned: per layer, share of h blocks dropped, all steps;
    loss: mean cross entropy, nats."""

    digits: int
    accuracy: float
    pruned: tuple[float, ...]
    loss: float


def golden_accuracy(
    checkpoint: Checkpoint,
    x: NDArray[np.float32],
    labels: NDArray[np.int64],
    progress: Callable[[int], None] = lambda done: None,
) -> Exact:
    """Run x (N, T, X) through every layer, each fed with the pruned h of the one below.

    ``progress`` gets how many digits are done. Raises ValueError when a layer would stop with an error.
    """
    layers = [Layer(pack_layer(layer.w, layer.u, layer.b)) for layer in checkpoint.layers]
    correct, loss, dropped = 0, 0.0, np.zeros(len(layers))
    for first in range(0, len(x), BATCH):
        rows = x[first : first + BATCH]
        for n, (layer, weights) in enumerate(zip(layers, checkpoint.layers, strict=True)):
            result = layer.run(rows, weights.threshold)
            if result.error != Error.NONE:
                raise ValueError(f"layer {n + 1} stops: {ERROR_MEANINGS[result.error]}")
            rows = result.h_pruned
            blocks = rows.reshape(*rows.shape[:2], -1, 4)
            dropped[n] += (~blocks.any(axis=3)).mean(axis=(1, 2)).sum()
        logits, right = checkpoint.logits(rows[:, -1]).astype(np.float64), labels[first : first + BATCH]
        correct += int((logits.argmax(axis=1) == right).sum())
        shifted = logits - logits.max(axis=1, keepdims=True)
        loss += float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(right)), right]).sum())
        progress(first + len(rows))
    return Exact(len(x), correct / len(x), tuple(float(d) / len(x) for d in dropped), loss / len(x))
