"""Inputs of a checkpoint's first layer: a file of numbers that a user gives, or random ones."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from software.cli import UserError
from software.files.content import arrays_of, kind_of, read_file
from software.files.inputs import to_inputs

Float32 = NDArray[np.float32]
STEPS = 10
"""Time steps of random inputs, unless told otherwise."""
LAYER = ("w", "u", "b")
"""What an .npz of a layer has beside x: of another layer than the checkpoint's, perhaps, and not looked at here."""
TO_NPY = {
    "torch": ": numpy.save('x.npy', x.numpy()) in Python makes one of a tensor",
    "text": ": numpy.save('x.npy', numpy.loadtxt(FILE)) in Python makes one of columns of numbers",
    "zip": ": unpack it first",
    "packed": ": unpack it first",
}
"""What to do about a file of another kind."""


def read_x(path: Path) -> NDArray[Any]:
    """The array of an .npy, or x, or the only one, of an .npz; each perhaps gzip. Raises UserError."""
    content = read_file(path)
    kind = kind_of(content)
    if kind.key not in ("npy", "npz"):
        what = "truncated or damaged" if kind.key in ("cut", "unknown") else kind.name
        raise UserError(f"{path}: not an .npy file of numbers: {what}{TO_NPY.get(kind.key, '')}")
    try:
        arrays = arrays_of(content)
    except ValueError as error:
        raise UserError(f"{path}: not an .npy file of numbers, or damaged: {error}") from None
    if "x" not in arrays and len(arrays) != 1:
        raise UserError(f"{path}: must be one array of numbers (.npy), or have one called x, not {', '.join(arrays)}")
    unused = [name for name in arrays if name != "x" and "x" in arrays and name not in LAYER]
    if unused:
        raise UserError(f"{path}: {unused[0]} is not used: --x takes x alone, or the .npz of a layer")
    return arrays["x"] if "x" in arrays else next(iter(arrays.values()))


def load_x(path: Path, inputs: int, time_major: bool | None = None) -> Float32:
    """x (N, T, inputs) of a file with numbers (T, inputs) or (N, T, inputs); time_major: (T, N, inputs).

    Of three dimensions with time_major None the first is taken for N, and stderr says so. Raises UserError.
    """
    x = to_inputs(f"{path}: x", read_x(path), inputs, "(T, N, {})" if time_major else "(N, T, {})")
    if x.ndim == 2:
        return x[None]
    if time_major is None and x.shape[:2] != (1, 1):
        n, steps, _ = x.shape
        print(
            f"{path}: {x.shape} is taken as (N, T, X): {n} {'sequence' if n == 1 else 'sequences'} of {steps} steps; "
            "--time-major takes it as (T, N, X), --batch-first says that it is not",
            file=sys.stderr,
        )
    return np.ascontiguousarray(x.swapaxes(0, 1)) if time_major else x


def random_x(sequences: int, steps: int, inputs: int, seed: int) -> Float32:
    """x (sequences, steps, inputs), normal, of variance 1."""
    return np.random.default_rng(seed).normal(size=(sequences, steps, inputs)).astype(np.float32)
