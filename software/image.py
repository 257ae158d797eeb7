"""The binary image of a packed layer: one file with every array the hardware reads, for firmware and simulation.

Little-endian. A header of 160 bytes, then the arrays, each 8-byte aligned, in the order of the table:

| offset | type | field |
|---|---|---|
| 0 | 8 bytes | magic ``eLSTMimg`` |
| 8 | u32 | version, 1 |
| 12 | u32 | bytes of the header |
| 16 | 4 x u32 | X, H (as the hardware takes them), T, N (sequences) |
| 32 | 2 x u32 | inputs, hidden: sizes before padding |
| 40 | u32 | formats of W, U, x, schedule, X_SKIP, DELTA, H_FP16, as in START's flags (0 = eSELL, fp32, cell fusion) |
| 44 | f32 | threshold of pruning, or of changes of h |
| 48 | 6 x {u64, u64} | offset from the start of the image and bytes of: W, W offsets, U, U offsets, bias, x |
| 144 | u64 | bytes of the image |
| 152 | u32 | CRC-32 of everything else (this field read as 0) |
| 156 | u32 | gap bits, columns of a unit less 1: of W in bits 3:0, 5:4, of U in 11:8, 13:12 (0 = both eSELL) |

Loaded at an 8-byte aligned address, every array is aligned. x holds N sequences of T rows of X elements, fp32 or as the
format of x says, each from a multiple of 8 on; an image of the weights alone has N = T = 0. Where a matrix is in
stream-8, 256 bytes follow the arrays: the tables of its values, W's and then U's, zeros for a matrix in another format.
Where the schedule is the list, the last 16 bytes are the sizes of its groups, as the operands of GROUPS; where it is
events, the last 8 are the threshold of x, an f32, and zeros. N_fuse of cell fusion is not in an image.
"""

import math
import struct
import zlib
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from golden import isa
from golden.config import GATES, WORD_BYTES
from golden.formats import FORMATS, OPEN, Parameters, StoredFormat, stored
from golden.isa import Flags, Format, InputFormat, Schedule
from golden.layer import PackedLayer
from golden.memory import LayerBytes, layer_bytes, padded_x, streams_word, x_bytes, x_row_bytes
from golden.tables import TABLE_VALUES
from software.tuning.plan import USUAL_PLAN, Plan

MAGIC = b"eLSTMimg"
VERSION = 1
HEADER = struct.Struct("<8sII4I2IIf12QQII")
GROUPS = struct.Struct("<2Q")
_CRC_AT = 152
EVENTS = struct.Struct("<f4x")
_PLAN_FLAGS = Flags.X_SKIP | Flags.DELTA | Flags.H_FP16
_FORMATS_MASK = _PLAN_FLAGS | sum(field.place.mask for field in isa.FIELDS)
TABLES_BYTES = 2 * GATES * TABLE_VALUES * 2
"""The tables of both matrices, fp16."""


class ImageError(ValueError):
    """Not an image of a layer that this version can use; the message says what differs."""


@dataclass(frozen=True)
class Image:
    """A parsed image. x, h, steps, sequences: sizes as the hardware takes them; x_data: N x T rows of x; formats,
    streams: words of the header, for START and for the parameters of streams; plan: what ``formats`` says beside
    formats of weights, its N_fuse means nothing."""

    x: int
    h: int
    steps: int
    sequences: int
    inputs: int
    hidden: int
    threshold: float
    layer: LayerBytes
    x_data: bytes
    formats: int = 0
    streams: int = 0
    plan: Plan = USUAL_PLAN


def _crc(data: bytes) -> int:
    return zlib.crc32(data[_CRC_AT + 4 :], zlib.crc32(bytes(4), zlib.crc32(data[:_CRC_AT])))


def _last(plan: Plan) -> bytes:
    """What a schedule leaves open, at the image's end."""
    if plan.schedule == Schedule.LIST:
        return GROUPS.pack(*plan.group_words)
    return EVENTS.pack(plan.x_threshold) if plan.events else b""


def build(packed: PackedLayer, x: ArrayLike | None, threshold: float, plan: Plan = USUAL_PLAN) -> bytes:
    """The image of a layer and its input, (T, inputs) or (N, T, inputs); None for the weights alone.

    Raises ValueError for x that its format does not hold.
    """
    shape = (0, 0) if x is None else padded_x(packed, x).shape
    sequences, steps = (min(1, shape[0]), shape[0]) if len(shape) == 2 else shape[:2]
    layer = layer_bytes(packed)
    x_data = b"" if x is None else x_bytes(packed, x, plan.x_format)
    arrays = (layer.w, layer.w_offsets, layer.u, layer.u_offsets, layer.bias, x_data)
    table: list[int] = []
    at = HEADER.size
    for array in arrays:
        table += [at, len(array)]
        at += len(array)
    formats = plan.start_word | isa.start_word(0, w_format=packed.w.format, u_format=packed.u.format)
    streams = streams_word(packed)
    rest = layer.tables + _last(plan)
    sizes = packed.x, packed.h, steps, sequences, packed.inputs, packed.hidden
    header = HEADER.pack(MAGIC, VERSION, HEADER.size, *sizes, formats, threshold, *table, at + len(rest), 0, streams)
    data = bytearray(header + b"".join(arrays) + rest)
    struct.pack_into("<I", data, _CRC_AT, _crc(bytes(data)))
    return bytes(data)


def _formats(word: int) -> tuple[StoredFormat, StoredFormat]:
    """The formats of W and U of a header's word. Raises ImageError when one is not known, or anything else is set."""
    w, u = isa.W_FORMAT_FIELD.of(word), isa.U_FORMAT_FIELD.of(word)
    try:
        found = stored(w), stored(u)
    except ValueError:
        found = None
    if found is None:
        known = ", ".join(f"{row.number} is {name}" for name, row in FORMATS.items() if row.number is not None)
        raise ImageError(f"formats {word:#x} of W and U are unknown; {known}")
    return found


def _plan(word: int, last: bytes) -> Plan:
    """The plan of a header's word of formats, and of what stands at the image's end. Raises ImageError."""
    number, x_number, skips = isa.SCHEDULE_FIELD.of(word), isa.X_FORMAT_FIELD.of(word), bool(word & Flags.X_SKIP)
    if number not in list(Schedule) or word & ~_FORMATS_MASK or (skips and number != Schedule.LIST):
        raise ImageError(f"formats {word:#x} of W and U are unknown: beside them only a schedule, of a list X_SKIP")
    if x_number not in list(InputFormat):
        raise ImageError(f"formats {word:#x}: the format of x is unknown")
    delta = bool(word & Flags.DELTA)
    plan = replace(
        USUAL_PLAN,
        schedule=Schedule(number),
        x_skip=skips,
        delta=delta,
        x_format=InputFormat(x_number),
        h_fp16=bool(word & Flags.H_FP16),
    )
    if plan.events:
        if not delta:
            raise ImageError(f"formats {word:#x}: events without DELTA")
        (threshold,) = EVENTS.unpack(last) if len(last) == EVENTS.size else (math.nan,)
        if math.isnan(threshold) or EVENTS.pack(threshold) != last:
            raise ImageError(f"the threshold of x {last.hex()} is no number")
        return replace(plan, x_threshold=threshold)
    if number != Schedule.LIST:
        return plan
    sizes = isa.group_sizes(*GROUPS.unpack(last)) if len(last) == GROUPS.size else ()
    if not sizes or GROUPS.pack(*isa.group_words(sizes)) != last:
        raise ImageError(f"the sizes of groups {last.hex()} are no list of 1 to {isa.GROUP_SIZES}")
    return replace(plan, groups=sizes)


def _parameters(word: int, formats: tuple[StoredFormat, StoredFormat]) -> tuple[Parameters, Parameters]:
    """The parameters of W and U of a header's word, without tables. Raises ImageError for what a format has not."""
    if word >> isa.STREAMS_LAYOUT.bits or bool(word) != any(form.needs_offsets for form in formats):
        raise ImageError(f"the parameters {word:#x} are not those of {formats[0].name} and {formats[1].name}")
    if not word:
        return OPEN, OPEN
    found = []
    for name, form in zip(("w", "u"), formats, strict=True):
        gap, unit = (isa.STREAMS_LAYOUT.place(f"{name}_{field}").of(word) for field in ("gap_bits", "unit"))
        found.append(Parameters(gap or None, unit + 1))
        if not form.takes(found[-1]):
            raise ImageError(f"{form.name} of {name.upper()} has no gaps of {gap} bits in units of {unit + 1} columns")
    return found[0], found[1]


@dataclass(frozen=True)
class Needs:
    """What a header asks of the hardware: schedule, formats of W, U and x, and whether changes of h are sent, or rows
    of it stored as fp16."""

    schedule: Schedule
    w: Format
    u: Format
    x: InputFormat
    changes: bool
    h_fp16: bool


def needs(header: bytes) -> Needs | None:
    """None for what is no header, or of unknown numbers."""
    if len(header) < HEADER.size or header[: len(MAGIC)] != MAGIC:
        return None
    word = HEADER.unpack_from(header)[9]
    try:
        return Needs(
            Schedule(isa.SCHEDULE_FIELD.of(word)),
            Format(isa.W_FORMAT_FIELD.of(word)),
            Format(isa.U_FORMAT_FIELD.of(word)),
            InputFormat(isa.X_FORMAT_FIELD.of(word)),
            bool(word & Flags.DELTA),
            bool(word & Flags.H_FP16),
        )
    except ValueError:
        return None


def parse(data: bytes) -> Image:
    """Read an image. Raises ImageError for anything that ``build`` of this version did not write."""
    if data[: len(MAGIC)] != MAGIC:
        raise ImageError(f"not a layer image: it starts with {data[: len(MAGIC)]!r}, not {MAGIC!r}")
    if len(data) < HEADER.size:
        raise ImageError(f"the image ends in its header: {len(data)} of {HEADER.size} bytes")
    _, version, header_bytes, *sizes, formats, threshold = HEADER.unpack_from(data)[:11]
    *table, size, crc, streams = HEADER.unpack_from(data)[11:]
    if version != VERSION or header_bytes != HEADER.size:
        raise ImageError(
            f"image version {version} with a header of {header_bytes} bytes, not {VERSION} with {HEADER.size}"
        )
    if len(data) != size:
        raise ImageError(f"the image has {len(data)} bytes, its header says {size}")
    if crc != _crc(data):
        raise ImageError(f"the image is damaged: CRC-32 {_crc(data):#010x}, its header says {crc:#010x}")
    w_format, u_format = _formats(formats)
    w_parameters, u_parameters = _parameters(streams, (w_format, u_format))
    x, h, steps, sequences, inputs, hidden = sizes
    padded = (-(-inputs // 4) * 4, -(-hidden // 4) * 4)
    if not inputs or not hidden or bool(steps) != bool(sequences) or (x, h) != padded or math.isnan(threshold):
        raise ImageError(f"sizes do not fit: X {x}, H {h}, T {steps}, N {sequences}, inputs {inputs}, hidden {hidden}")
    places = list(zip(table[::2], table[1::2], strict=True))
    for at, length in places:
        if at % WORD_BYTES or at < HEADER.size or at + length > size:
            raise ImageError(f"an array of {length} bytes at {at} is not aligned or leaves the image")
    w, w_offsets, u, u_offsets, bias, x_data = (data[at : at + length] for at, length in places)
    rest = data[max(at + length for at, length in places) :]
    sizes_of_last: dict[int, int] = {Schedule.LIST: GROUPS.size, Schedule.EVENTS: EVENTS.size}
    open_bytes = sizes_of_last.get(isa.SCHEDULE_FIELD.of(formats), 0)
    plan = _plan(formats, rest[len(rest) - open_bytes :] if len(rest) >= open_bytes else b"")
    expected = {
        "W offsets": (w_offsets, 8 * -(-w_format.units(x, w_parameters) // 4)),
        "U offsets": (u_offsets, 8 * -(-u_format.units(h, u_parameters) // 4)),
        "bias": (bias, 8 * h),
        "x": (x_data, x_row_bytes(x, plan.x_format) * steps * sequences),
    }
    for name, (array, length) in expected.items():
        if len(array) != length:
            raise ImageError(f"{name}: {len(array)} bytes, the sizes need {length}")
    tables = rest[: max(0, len(rest) - open_bytes)]
    if len(tables) != TABLES_BYTES * any(form.has_tables for form in (w_format, u_format)):
        raise ImageError(
            f"{len(tables)} bytes follow the arrays, {w_format.name} and {u_format.name} have other tables"
        )
    layer = LayerBytes(w=w, u=u, w_offsets=w_offsets, u_offsets=u_offsets, bias=bias, tables=tables)
    return Image(x, h, steps, sequences, inputs, hidden, threshold, layer, x_data, formats, streams, plan)
