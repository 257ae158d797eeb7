"""Accuracy of a checkpoint on the bit-exact model: what the hardware answers, without simulating it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.isa import ERROR_MEANINGS, Error
from software.checkpoint import Checkpoint
from software.tuning.plan import USUAL_PLAN
from software.tuning.schedule_choice import PlannedLayer
from software.weight_formats import ALL_ESELL, FormatChoice

BATCH = 500
"""Digits at a time: what keeps the arrays small."""


@dataclass(frozen=True)
class Exact:
    """digits: how many; accuracy: share of right answers; pruned: per layer, share of h units dropped, all steps, or
    of changes of h that were not sent; loss: mean cross entropy, nats."""

    digits: int
    accuracy: float
    pruned: tuple[float, ...]
    loss: float


def golden_accuracy(
    checkpoint: Checkpoint,
    x: NDArray[np.float32],
    labels: NDArray[np.int64],
    progress: Callable[[int], None] = lambda done: None,
    formats: FormatChoice = ALL_ESELL,
    planned: Sequence[PlannedLayer] = (),
) -> Exact:
    """Run x (N, T, X) through every layer, packed as ``formats`` says, each fed with the pruned h of the one below.

    planned: the layers with the plans of their runs, where these are others than the usual one.

    ``progress`` gets how many digits are done. Raises ValueError when a layer would stop with an error, or
    a format does not hold its weights.
    """
    planned = planned or [
        PlannedLayer(formats.pack(layer.w, layer.u, layer.b), layer.threshold, USUAL_PLAN)
        for layer in checkpoint.layers
    ]
    layers = [layer.plan.layer(layer.packed) for layer in planned]
    correct, loss, dropped = 0, 0.0, np.zeros(len(layers))
    for first in range(0, len(x), BATCH):
        rows = x[first : first + BATCH]
        for n, (layer, of) in enumerate(zip(layers, planned, strict=True)):
            result = layer.run(rows, of.threshold, x_threshold=of.plan.x_threshold)
            if result.error != Error.NONE:
                raise ValueError(f"layer {n + 1} stops: {ERROR_MEANINGS[result.error]}")
            rows = result.h_pruned
            units = rows.reshape(*rows.shape[:2], -1, layer.unit_cols)
            # before step 0 there is nothing to send
            gone = ~result.kept[:, 1:] if of.plan.delta else ~units.any(axis=3)
            dropped[n] += gone.mean(axis=(1, 2)).sum()
        logits, right = checkpoint.logits(rows[:, -1]).astype(np.float64), labels[first : first + BATCH]
        correct += int((logits.argmax(axis=1) == right).sum())
        shifted = logits - logits.max(axis=1, keepdims=True)
        loss += float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(right)), right]).sum())
        progress(first + len(rows))
    return Exact(len(x), correct / len(x), tuple(float(d) / len(x) for d in dropped), loss / len(x))
