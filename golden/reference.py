"""The layer in float64, beside the bit-exact one: how far apart they are, and whether pruning chooses differently.

Weights are the packed fp16 ones, x is taken as given (fp32, not rounded to fp16), nothing else is rounded. Run it
free, pruning by its own h, or with golden's keep mask: one flipped block changes everything after it, so only the
second bounds the arithmetic.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.config import GATES
from golden.formats import Packed, stored
from golden.layer import PackedLayer
from golden.memory import padded_x
from golden.spmv import Matrix

Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """h, c: (..., T, H) float64, h unpruned; kept: (..., T, H/u) bool, the mask applied to h of the step before."""

    h: Float64
    c: Float64
    kept: NDArray[np.bool_]


@dataclass(frozen=True)
class Deviation:
    """Golden against float64: |h - h64| at most and on average, and units on whose keeping the two disagree."""

    max_abs: float
    mean_abs: float
    flips: int
    blocks: int


def _dense(packed: Packed) -> Float64:
    """The weights (rows, cols) of a well-formed array; two values of one place are added."""
    form = stored(packed.format)
    return Matrix(form.check(packed.words, packed.rows, packed.cols, packed.offsets, packed.parameters)).dense()


def _sigmoid(z: Float64) -> Float64:
    return 0.5 * (1 + np.tanh(0.5 * z))


def _keep(h: Float64, threshold: float, cols: int) -> NDArray[np.bool_]:
    if cols == 1:
        return np.abs(h) >= threshold
    a = np.abs(h.reshape(len(h), -1, cols))
    return (a.sum(axis=2) >= threshold) | (a.max(axis=2) >= threshold / 2)


def _last_sent(x: Float64, sent: NDArray[np.bool_]) -> Float64:
    """x (N, T, X) as it is held: each unit's value of the last step that sent it, 0 before."""
    held = np.zeros_like(x)
    before = np.zeros_like(x[:, 0])
    for t, units in enumerate(np.moveaxis(np.repeat(sent, x.shape[2] // sent.shape[2], axis=2), 1, 0)):
        held[:, t] = before = np.where(units, x[:, t], before)
    return held


def reference(
    packed: PackedLayer,
    x: ArrayLike,
    threshold: float,
    kept: ArrayLike | None = None,
    *,
    delta: bool = False,
    x_sent: ArrayLike | None = None,
) -> Reference:
    """Run the layer in float64 from h = c = 0.

    x: (T, X) or (N, T, X); threshold: fp32; kept: (..., T, H/u), golden's mask (u: columns of a unit of U), or None to
    prune freely. With ``delta`` a unit that isn't kept holds the value it was last sent with; x_sent: (..., T, X/u),
    the same of x with events, golden's. Raises FormatError for malformed words, ValueError for shapes that do not fit.
    """
    batch = padded_x(packed, x).astype(np.float64)
    single = batch.ndim == 2
    batch = batch.reshape(-1, *batch.shape[-2:])
    n, steps, _ = batch.shape
    w, u = _dense(packed.w), _dense(packed.u)
    b = packed.bias.astype(np.float64)
    th = float(np.float32(threshold))
    cols = packed.u.parameters.unit_cols
    units = packed.h // cols
    mask = None if kept is None else np.asarray(kept, dtype=bool).reshape(-1, steps, units)
    if mask is not None and len(mask) != n:
        raise ValueError(
            f"kept must have shape (..., {steps}, {units}) for {n} sequences, not {np.asarray(kept).shape}"
        )

    all_h, all_c = np.empty((2, n, steps, packed.h))
    all_kept = np.empty((n, steps, units), dtype=bool)
    h, c, held = np.zeros((3, n, packed.h))
    if x_sent is not None:
        batch = _last_sent(batch, np.asarray(x_sent, dtype=bool).reshape(n, steps, -1))
    for t in range(steps):
        keep = _keep(h - held, th, cols) if mask is None else mask[:, t]
        read = np.where(np.repeat(keep, cols, axis=1), h, held)
        z = b + batch[:, t] @ w.T + read @ u.T
        held = read if delta else held
        f, i, g, o = np.moveaxis(z.reshape(n, GATES, packed.h), 1, 0)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
        all_h[:, t], all_c[:, t], all_kept[:, t] = h, c, keep
    if single:
        return Reference(all_h[0], all_c[0], all_kept[0])
    return Reference(all_h, all_c, all_kept)


def deviation(h: ArrayLike, kept: ArrayLike, to: Reference) -> Deviation:
    """How golden's h (..., T, units, the padding left out or not) and keep mask differ from a reference."""
    golden = np.asarray(h, dtype=np.float64)
    error = np.abs(golden - to.h[..., : golden.shape[-1]])
    mask = np.asarray(kept, dtype=bool)
    return Deviation(float(error.max()), float(error.mean()), int((mask != to.kept).sum()), mask.size)
