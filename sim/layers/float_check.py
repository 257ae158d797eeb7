"""Golden's h against float64: how far off, how often, and whether pruning would choose differently."""

import numpy as np
from numpy.typing import NDArray

from golden.layer import LayerResult, PackedLayer
from golden.reference import reference
from sim.results.result import ERROR_EDGES, FloatCheck


def float_checks(
    packed: PackedLayer, x: NDArray[np.float32], threshold: float, golden: LayerResult, delta: bool = False
) -> list[FloatCheck]:
    """One for each sequence of x (N, T, X). The differences are with golden's keep mask, as one block chosen otherwise
    changes everything behind it, with ``delta`` with what it sent of h and x; such blocks are counted against float64
    that chooses by its own h."""
    x_sent = golden.x_sent if golden.x_sent.shape[-1] else None
    errors = np.abs(golden.h - reference(packed, x, threshold, golden.kept, delta=delta, x_sent=x_sent).h)
    free = reference(packed, x, threshold, delta=delta, x_sent=x_sent)
    flips = (free.kept != golden.kept).sum(axis=(1, 2))
    checks = []
    for error, flipped, kept in zip(errors, flips, golden.kept, strict=True):
        counts = np.bincount(np.digitize(error.ravel(), ERROR_EDGES), minlength=len(ERROR_EDGES) + 1)
        checks.append(FloatCheck(float(error.max()), float(error.mean()), counts.tolist(), int(flipped), kept.size))
    return checks
