"""The C header of a packed layer: the arrays ``w w_offset u u_offset bias x`` of the published tool, exact bits.

A layer with a matrix in another format than eSELL says so in two macros more, for START and for the parameters of its
streams, and has the array ``tables`` when one is in stream-8. One that runs by another schedule than cell fusion, sends
changes of h or has other formats of x and h says so in a macro for START; its list is in one for GROUPS, the threshold
of x in one for EVENTS. x as fp16 or bytes is an array of words.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden.formats import Packed, pack_offsets
from golden.isa import InputFormat, Schedule, start_word
from golden.layer import PackedLayer
from golden.memory import bias_words, padded_x, streams_word, table_words, x_bytes
from software.tuning.plan import USUAL_PLAN, Plan, plan_line

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


def _macros(packed: PackedLayer, plan: Plan) -> str:
    """What START and what goes before it must say of formats and schedule."""
    lines = []
    if formats := start_word(0, w_format=packed.w.format, u_format=packed.u.format):
        lines.append(f"#define LAYER_FORMATS {formats:#x} /* in START's flags */")
        lines.append(
            f"#define LAYER_STREAMS {streams_word(packed):#x} /* gap bits and columns of a unit, of W and U */"
        )
    if plan.start_word:
        low, high = plan.group_words
        lines.append(f"#define LAYER_SCHEDULE {plan.start_word:#x} /* in START's flags: {plan_line(plan)} */")
        if plan.schedule == Schedule.LIST:
            lines.append(f"#define LAYER_GROUPS {low:#x}, {high:#x} /* of GROUPS */")
    if plan.events:
        bits = int(np.float32(plan.x_threshold).view(np.uint32))
        lines.append(f"#define LAYER_X_THRESHOLD {bits:#x} /* of EVENTS: {plan.x_threshold:g} */")
    return "".join(f"{line}\n" for line in lines)


def header(packed: PackedLayer, x: ArrayLike, threshold: float, plan: Plan = USUAL_PLAN) -> str:
    """The header of a layer and its input, (T, inputs) or (N, T, inputs), one sequence after the other.

    x is padded to X columns and written in hexadecimal floating point, which keeps every bit, or as words of fp16 or
    bytes. Raises ValueError for x that its format does not hold.
    """
    values = padded_x(packed, x)
    steps, sequences = values.shape[-2], values.size // (values.shape[-2] * packed.x)
    if plan.x_format == InputFormat.FP32:
        floats = _array(f"float x[{values.size}]", (f"{value.hex()}f" for value in values.ravel().tolist()))
    else:
        floats = _words("x", np.frombuffer(x_bytes(packed, x, plan.x_format), "<u8"))
    macros = _macros(packed, plan)
    tables = table_words(packed)
    return "\n".join(
        (
            f"/* {packed.format_names} arrays of one LSTM layer: X = {packed.x}, "
            f"H = {packed.h}, T = {steps}, {sequences} sequence(s), "
            f"threshold {np.float32(threshold)};\n   before padding {packed.inputs} inputs, {packed.hidden} units */",
            "#include <stdint.h>\n",
            *([macros] if macros else []),
            _words("w", packed.w.words),
            _offsets("w_offset", packed.w),
            _words("u", packed.u.words),
            _offsets("u_offset", packed.u),
            _words("bias", bias_words(packed)),
            *([_words("tables", tables)] if len(tables) else []),
            floats,
        )
    )
