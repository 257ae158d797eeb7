"""Golden's h against float64: how far off, how often, and whether pruning would choose differently."""

import numpy as np
from numpy.typing import NDArray

from golden.layer import LayerResult, PackedLayer
from golden.reference import reference
from sim.results.result import ERROR_EDGES, FloatCheck


def float_checks(
    packed: PackedLayer, x: NDArray[np.float32], threshold: float, golden: LayerResult
) -> list[FloatCheck]:
    """One for each sequence of x (N, T, X). The differences are with golden's keep mask, as one block chosen otherwise
    changes everything behind it; such blocks are counted against float64 that prunes by its own h."""
    errors = np.abs(golden.h - reference(packed, x, threshold, golden.kept).h)
    flips = (reference(packed, x, threshold).kept != golden.kept).sum(axis=(1, 2))
    checks = []
    for error, flipped, kept in zip(errors, flips, golden.kept, strict=True):
        counts = np.bincount(np.digitize(error.ravel(), ERROR_EDGES), minlength=len(ERROR_EDGES) + 1)
        checks.append(FloatCheck(float(error.max()), float(error.mean()), counts.tolist(), int(flipped), kept.size))
    return checks
