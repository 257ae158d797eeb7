"""Number formats and arithmetic of the accelerator, bit-exact and vectorised.

"Q20" is a two's complement integer in units of 2^-20 (z, c, gates: Q12.20 in 32 bits), "Q24" one in units of 2^-24,
in which every finite fp16 is a whole number. Integers are held in int64 arrays so that no intermediate wraps; only
``wrap32`` and ``saturate32`` narrow.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.tables import TANH

Int64 = NDArray[np.int64]
Float16 = NDArray[np.float16]

ONE_Q20 = 1 << 20
BIAS_LIMIT = 2048.0
"""Biases are below this in magnitude."""
KEEP_NONE = 1 << 30
"""Threshold in Q24 that no block reaches."""

_TANH = np.array(TANH, dtype=np.int64)


def rhu(v: ArrayLike, n: int) -> Int64:
    """Round half up by n >= 1 bits: (v + 2^(n-1)) >> n, arithmetic, also for negative v. |v| < 2^62."""
    return (np.asarray(v, dtype=np.int64) + (1 << (n - 1))) >> n


def wrap32(v: ArrayLike) -> Int64:
    """The low 32 bits as a signed number."""
    return np.asarray(v, dtype=np.int64).astype(np.int32).astype(np.int64)


def saturate32(v: ArrayLike) -> Int64:
    """The nearest signed 32-bit number."""
    return np.clip(np.asarray(v, dtype=np.int64), -(1 << 31), (1 << 31) - 1)


def to_fp16(values: ArrayLike) -> Float16:
    """fp32 (or narrower) to fp16, to nearest even, subnormals kept; overflow gives infinity, NaN stays NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, dtype=np.float32).astype(np.float16)


def exact_in_fp16(values: ArrayLike) -> NDArray[np.bool_]:
    """Where a value is finite and survives the way to fp16 and back."""
    wide = np.asarray(values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        half = wide.astype(np.float16)
    return np.isfinite(half) & (half.astype(np.float64) == wide)


def fp16_bits(values: ArrayLike) -> NDArray[np.uint16]:
    """The 16 bits of each fp16 value."""
    return np.ascontiguousarray(values, dtype=np.float16).view(np.uint16)


def fp16_from_bits(bits: ArrayLike) -> Float16:
    """The fp16 values of these bits."""
    return np.ascontiguousarray(bits, dtype=np.uint16).view(np.float16)


def q24_of_fp16(values: ArrayLike) -> Int64:
    """Finite fp16 values as whole numbers of 2^-24, exactly (at most 41 bits)."""
    return np.ldexp(np.asarray(values, dtype=np.float16).astype(np.float64), 24).astype(np.int64)


def fp16_of_q20(v: ArrayLike) -> Float16:
    """Q20 integers of at most 24 bits to fp16, to nearest even; zero is +0."""
    # 24 bits are exact in fp32, so the only rounding is the one to fp16
    return np.ldexp(np.asarray(v, dtype=np.int64).astype(np.float32), -20).astype(np.float16)


def products(w: ArrayLike, x: ArrayLike) -> Int64:
    """Products of finite fp16 values, broadcast, each rounded half up to Q20 (at most 53 bits).

    In float64 the product (22 significant bits, none below 2^-48), its scaling and the added half are all exact.
    """
    scaled = np.asarray(w, dtype=np.float16).astype(np.float64) * ONE_Q20
    return np.floor(scaled * np.asarray(x, dtype=np.float16).astype(np.float64) + 0.5).astype(np.int64)


def bias_q20(b: ArrayLike) -> Int64:
    """fp16 biases in Q20, rounded half up. Valid where ``bias_valid``; others give 0."""
    half = np.asarray(b, dtype=np.float16)
    return rhu(q24_of_fp16(np.where(bias_valid(half), half, np.float16(0))), 4)


def bias_valid(b: ArrayLike) -> NDArray[np.bool_]:
    """Where |b| < 2048 (so neither infinite nor NaN)."""
    return np.abs(np.asarray(b, dtype=np.float16)) < BIAS_LIMIT


def state_h_valid(h: ArrayLike) -> NDArray[np.bool_]:
    """Where a state's h (fp32) is finite, at most 1 in magnitude and exact in fp16."""
    wide = np.asarray(h, dtype=np.float32)
    return exact_in_fp16(wide) & (np.abs(wide) <= 1)


def tanh(z: ArrayLike) -> Int64:
    """tanh of Q20 integers (|z| <= 2^31) in Q20: a table of 512 segments, interpolated; odd, nondecreasing."""
    z = np.asarray(z, dtype=np.int64)
    a = np.minimum(np.abs(z), (1 << 23) - 1)
    i, f = a >> 14, a & 0x3FFF
    v = (_TANH[i] << 4) + (((_TANH[i + 1] - _TANH[i]) * f + 512) >> 10)
    return np.where(z < 0, -v, v)


def sigmoid(z: ArrayLike) -> Int64:
    """sigmoid of Q20 integers in Q20."""
    return (ONE_Q20 + tanh(np.asarray(z, dtype=np.int64) >> 1)) >> 1


def gates(z: ArrayLike, c: ArrayLike) -> tuple[Int64, Float16]:
    """One step of the cell.

    z: (..., 4, H) Q20, gates in the order f, i, g, o; c: (..., H) Q20. Returns the new c (..., H) Q20, saturated to
    32 bits, and h (..., H) fp16.
    """
    zf, zi, zg, zo = np.moveaxis(np.asarray(z, dtype=np.int64), -2, 0)
    old = np.asarray(c, dtype=np.int64)
    new = saturate32(rhu(sigmoid(zf) * old, 20) + rhu(sigmoid(zi) * tanh(zg), 20))
    return new, fp16_of_q20(rhu(sigmoid(zo) * tanh(new), 20))


def threshold_q24(threshold: float) -> int:
    """A pruning threshold (fp32) as the integer that sums of |h| in Q24 are compared with: 0 .. 2^30.

    th <= 0 gives 0 (keep all), anything that no block can reach 2^30 (keep none). Raises ValueError on NaN.
    """
    with np.errstate(over="ignore"):
        th = np.float32(threshold)
    if np.isnan(th):
        raise ValueError("the threshold is NaN")
    if not th > 0:
        return 0
    return int(np.ceil(min(float(th) * 2.0**24, float(KEEP_NONE))))


def keep_units(h: ArrayLike, threshold: int, cols: int) -> NDArray[np.bool_]:
    """Which units of ``cols`` elements stay, in Q24: one alone when |h| >= th, a block of 4 as in ``keep_blocks``.

    h: (..., H) fp16; gives (..., H/cols) bool. Raises ValueError for another number than 1 and 4.
    """
    if cols == 4:
        return keep_blocks(h, threshold)
    if cols != 1:
        raise ValueError(f"the elements of a unit must be 4 or 1, not {cols!r}")
    return np.abs(q24_of_fp16(h)) >= threshold


def keep_blocks(h: ArrayLike, threshold: int) -> NDArray[np.bool_]:
    """Which blocks of 4 stay: sum |h| >= th or any 2 |h| >= th, in Q24. h: (..., H) fp16; gives (..., H/4) bool."""
    h = np.asarray(h, dtype=np.float16)
    a = np.abs(q24_of_fp16(h.reshape(*h.shape[:-1], h.shape[-1] // 4, 4)))
    return (a.sum(axis=-1) >= threshold) | (2 * a.max(axis=-1) >= threshold)
