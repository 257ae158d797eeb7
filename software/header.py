"""The C header of a packed layer: the arrays ``w w_offset u u_offset bias x`` of the published tool, exact bits."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.formats import Packed, pack_offsets
from golden.layer import PackedLayer
from golden.memory import bias_words, padded_x

PER_LINE = 8


def _array(declaration: str, items: Iterable[str]) -> str:
    listed = list(items)
    lines = (", ".join(listed[at : at + PER_LINE]) for at in range(0, len(listed), PER_LINE))
    return f"{declaration} __attribute__((aligned(8))) = {{\n" + ",\n".join(lines) + "\n};\n"


def _words(name: str, words: NDArray[np.uint64]) -> str:
    return _array(f"uint64_t {name}[{len(words)}]", (f"0x{word:016x}" for word in words.tolist()))


def _offsets(name: str, matrix: Packed) -> str:
    # floor(n / 4) + 1 words, as the published tool declares, so one word of 0 more when n is a multiple of 4
    words = pack_offsets(matrix.offsets)
    return _words(name, np.pad(words, (0, len(matrix.offsets) // 4 + 1 - len(words))))


def header(packed: PackedLayer, x: ArrayLike, threshold: float) -> str:
    """The header of a layer and its input, (T, inputs) or (N, T, inputs), one sequence after the other.

    x is padded to X columns and written in hexadecimal floating point, which keeps every bit.
    """
    values = padded_x(packed, x)
    steps, sequences = values.shape[-2], values.size // (values.shape[-2] * packed.x)
    floats = _array(f"float x[{values.size}]", (f"{value.hex()}f" for value in values.ravel().tolist()))
    return "\n".join(
        (
            f"/* {packed.format_names} arrays of one LSTM layer: X = {packed.x}, "
            f"H = {packed.h}, T = {steps}, {sequences} sequence(s), "
            f"threshold {np.float32(threshold)};\n   before padding {packed.inputs} inputs, {packed.hidden} units */",
            "#include <stdint.h>\n",
            _words("w", packed.w.words),
            _offsets("w_offset", packed.w),
            _words("u", packed.u.words),
            _offsets("u_offset", packed.u),
            _words("bias", bias_words(packed)),
            floats,
        )
    )
