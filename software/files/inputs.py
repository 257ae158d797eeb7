"""Numbers that users give, as every command here takes them: real, of any type, finite in fp16, else named."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.numbers import to_fp16
from software.cli import UserError

FP16_LIMIT = 65520
"""Magnitudes from here on round to infinity in fp16."""
FP16_RANGE = f"fp16 holds magnitudes below {FP16_LIMIT}"


def check_real(name: str, values: NDArray[Any]) -> None:
    """Raise UserError for anything but integers and floats."""
    if values.dtype.kind not in "fiu":
        raise UserError(f"{name} must hold real numbers, not {values.dtype}")


def check_all(name: str, values: NDArray[Any], good: NDArray[np.bool_], limit: str) -> None:
    """Raise UserError with index, value and limit of the first value that is not good."""
    bad = np.argwhere(~good)
    if len(bad):
        at = tuple(bad[0].tolist())
        raise UserError(f"{name}[{', '.join(map(str, at))}] is {values[at]}: {limit}")


def to_inputs(name: str, values: NDArray[Any], inputs: int, three: str = "(N, T, {})") -> NDArray[np.float32]:
    """x (T, inputs) or of three dimensions, rounded to fp32. Raises UserError.

    three: what the message calls three dimensions.
    """
    check_real(name, values)
    if values.ndim not in (2, 3) or values.shape[-1] != inputs or 0 in values.shape:
        raise UserError(f"{name} must have shape (T, {inputs}) or {three.format(inputs)}, not {values.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        x = values.astype(np.float32)
    check_all(name, values, np.isfinite(to_fp16(x)), FP16_RANGE)
    return x
