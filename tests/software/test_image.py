import struct
from dataclasses import replace

import numpy as np
import pytest

from golden import memory
from golden.formats import OPEN, Parameters
from golden.isa import Flags, Format, InputFormat, Schedule
from golden.layer import PackedLayer, pack_layer
from software import image
from software.tuning.plan import USUAL_PLAN, Plan


def example(inputs: int = 9, hidden: int = 10) -> PackedLayer:
    rng = np.random.default_rng(1)
    shapes = (4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,)
    w, u, b = (rng.standard_normal(s).astype(np.float16) for s in shapes)
    return pack_layer(w, u, b)


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(5, 9), (3, 5, 9)])
def test_round_trip(shape: tuple[int, ...]) -> None:
    packed, x = example(), data(*shape)
    blob = image.build(packed, x, 0.3)
    found = image.parse(blob)
    assert (found.x, found.h, found.steps, found.inputs, found.hidden) == (12, 12, 5, 9, 10)
    assert found.sequences == (1 if len(shape) == 2 else 3)
    assert found.threshold == np.float32(0.3)
    assert found.layer == memory.layer_bytes(packed)
    assert found.x_data == memory.x_bytes(packed, x)


def test_the_table_points_at_aligned_arrays() -> None:
    packed = example()
    blob = image.build(packed, data(5, 9), 0.3)
    assert blob[:8] == b"eLSTMimg"
    assert struct.unpack_from("<II", blob, 8) == (1, 160)
    table = struct.unpack_from("<12Q", blob, 48)
    layer = memory.layer_bytes(packed)
    arrays = [layer.w, layer.w_offsets, layer.u, layer.u_offsets, layer.bias, memory.x_bytes(packed, data(5, 9))]
    for k, array in enumerate(arrays):
        at, size = table[2 * k : 2 * k + 2]
        assert at % 8 == 0 and blob[at : at + size] == array
    assert struct.unpack_from("<Q", blob, 144) == (len(blob),)


def patched(offset: int, layout: str, value: float) -> bytes:
    """An image with one field changed and the checksum put right."""
    blob = bytearray(image.build(example(), data(5, 9), 0.3))
    struct.pack_into(layout, blob, offset, value)
    struct.pack_into("<I", blob, 152, image._crc(bytes(blob)))
    return bytes(blob)


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (b"", "it starts with b'', not b'eLSTMimg'"),
        (b"\x7fELF" + bytes(400), "not a layer image: it starts with b'.x7fELF"),
        (b"eLSTMimg" + bytes(20), "ends in its header: 28 of 160 bytes"),
        (patched(8, "<I", 2), "image version 2 with a header of 160 bytes, not 1 with 160"),
        (patched(12, "<I", 128), "version 1 with a header of 128 bytes"),
        (patched(40, "<I", 1), "formats 0x1 of W and U are unknown"),
        (patched(16, "<I", 16), "sizes do not fit: X 16, H 12, T 5, N 1, inputs 9, hidden 10"),
        (patched(24, "<I", 0), "sizes do not fit: X 12, H 12, T 0"),
        (patched(24, "<I", 6), "x: 240 bytes, the sizes need 288"),
        (patched(44, "<f", float("nan")), "sizes do not fit"),
        (patched(48, "<Q", 164), "at 164 is not aligned or leaves the image"),
        (patched(56, "<Q", 1 << 40), "bytes at 160 is not aligned or leaves the image"),
        (patched(72, "<Q", 16), "W offsets: 16 bytes, the sizes need 8"),
    ],
)
def test_anything_else_is_refused(blob: bytes, text: str) -> None:
    with pytest.raises(image.ImageError, match=text):
        image.parse(blob)


def test_every_damaged_byte_and_every_cut_is_noticed() -> None:
    blob = image.build(example(), data(2, 9), 0.3)
    rng = np.random.default_rng(3)
    for at in [*range(160), *rng.integers(160, len(blob), 60).tolist()]:
        damaged = bytearray(blob)
        damaged[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(image.ImageError):
            image.parse(bytes(damaged))
    for size in (159, 160, len(blob) - 8, len(blob) - 1):
        with pytest.raises(image.ImageError):
            image.parse(blob[:size])
    with pytest.raises(image.ImageError, match="its header says"):
        image.parse(blob + bytes(8))


def test_weights_alone() -> None:
    found = image.parse(image.build(example(), None, 0.3))
    assert (found.steps, found.sequences, found.x_data) == (0, 0, b"")
    assert found.layer == memory.layer_bytes(example())


STREAMS = [
    ((Format.STREAM16, Parameters(5, 1)), (Format.ESELL, OPEN), 0x3005),
    ((Format.ESELL, OPEN), (Format.STREAM8, Parameters(4)), 0x3430),
    ((Format.STREAM8, Parameters(4, 1)), (Format.STREAM16, Parameters(6)), 0x3604),
]


def streams(w: tuple[Format, Parameters], u: tuple[Format, Parameters]) -> PackedLayer:
    rng = np.random.default_rng(4)
    weights, recurrent, bias = (rng.standard_normal(s).astype(np.float16) for s in ((40, 9), (40, 10), (40,)))
    return pack_layer(weights, recurrent, bias, w[0], u[0], w[1], u[1])


@pytest.mark.parametrize(("w", "u", "word"), STREAMS)
def test_streams_say_their_parameters_and_tables(
    w: tuple[Format, Parameters], u: tuple[Format, Parameters], word: int
) -> None:
    packed = streams(w, u)
    for x in (data(2, 5, 9), None):
        blob = image.build(packed, x, 0.3)
        found = image.parse(blob)
        assert struct.unpack_from("<I", blob, 40) == (w[0] << 12 | u[0] << 14,) == (found.formats,)
        assert struct.unpack_from("<I", blob, 156) == (word,) == (found.streams,)
        assert found.layer == memory.layer_bytes(packed)
        units = [found.x // w[1].unit_cols, found.h // u[1].unit_cols]
        assert [len(found.layer.w_offsets), len(found.layer.u_offsets)] == [8 * -(-count // 4) for count in units]
        tables = [
            np.zeros((4, 16), np.float16) if matrix.parameters.tables is None else matrix.parameters.tables
            for matrix in (packed.w, packed.u)
        ]
        if Format.STREAM8 in (w[0], u[0]):
            assert blob[-256:] == found.layer.tables == np.stack(tables).astype("<f2").tobytes()
        else:
            assert not found.layer.tables


PLAN = Plan(schedule=Schedule.LIST, groups=(3, 6, 63), x_skip=True)


@pytest.mark.parametrize("packed", [example(), streams(*STREAMS[2][:2])], ids=["eSELL", "streams"])
def test_a_list_is_said_at_the_end_and_in_the_flags(packed: PackedLayer) -> None:
    plain, blob = image.build(packed, data(5, 9), 0.3), image.build(packed, data(5, 9), 0.3, PLAN)
    assert blob[image.HEADER.size :] == plain[image.HEADER.size :] + struct.pack("<2Q", 3 | 6 << 6 | 63 << 12, 0)
    words = [struct.unpack_from("<I", each, 40)[0] for each in (plain, blob)]
    assert words[1] == words[0] | Flags.X_SKIP | Schedule.LIST << 8
    assert image.parse(blob).plan == PLAN and image.parse(plain).plan == USUAL_PLAN
    assert image.parse(blob).layer == memory.layer_bytes(packed)
    of_weights = packed.w.format, packed.u.format, InputFormat.FP32, False, False
    assert image.needs(blob) == image.Needs(Schedule.LIST, *of_weights)
    assert image.needs(plain[: image.HEADER.size]) == image.Needs(Schedule.CELL_FUSION, *of_weights)
    assert image.needs(b"other" + blob[5:]) is image.needs(blob[:100]) is None


def listed(offset: int, value: int, cut: int = 0) -> bytes:
    """An image with a list, one word of 32 bits changed (counted from the end if negative), and cut off."""
    blob = bytearray(image.build(example(), data(5, 9), 0.3, PLAN))
    struct.pack_into("<I", blob, offset % len(blob), value)
    del blob[len(blob) - cut :]
    struct.pack_into("<Q", blob, 144, len(blob))
    struct.pack_into("<I", blob, 152, image._crc(bytes(blob)))
    return bytes(blob)


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (listed(-16, 0), r"the sizes of groups 0{32} are no list of 1 to 16"),
        # a size behind the first 0, and bits that no size has
        (listed(-16, 3 | 6 << 12), "are no list of 1 to 16"),
        (listed(-4, 1 << 31), "are no list of 1 to 16"),
        (listed(40, 1 << 8, cut=8), "are no list of 1 to 16"),
        (listed(40, 1 << 8, cut=16), "are no list of 1 to 16"),
        (listed(40, 0), "16 bytes follow the arrays, eSELL and eSELL have other tables"),
        (listed(40, 1 << 3, cut=16), "formats 0x8 of W and U are unknown: beside them only a schedule"),
        (listed(40, 3 << 8), "formats 0x300 of W and U are unknown: beside them only a schedule|16 bytes follow"),
        (listed(40, 2 << 8), "formats 0x200: events without DELTA"),
    ],
)
def test_lists_that_are_none_are_refused(blob: bytes, text: str) -> None:
    with pytest.raises(image.ImageError, match=text):
        image.parse(blob)


EVENTS = Plan(
    schedule=Schedule.EVENTS, delta=True, x_threshold=0.25, x_format=InputFormat.UINT8, h_fp16=True
)  # fmt: skip


def test_events_and_formats_of_x_and_h_are_said() -> None:
    packed = streams(*STREAMS[2][:2])
    x = (np.random.default_rng(7).integers(0, 256, (2, 5, 9)) / 256).astype(np.float32)
    blob = image.build(packed, x, 0.3, EVENTS)
    found = image.parse(blob)
    assert found.plan == EVENTS and found.x_data == memory.x_bytes(packed, x, InputFormat.UINT8)
    assert len(found.x_data) == 2 * 5 * 16 and blob[-8:] == struct.pack("<fI", 0.25, 0)
    assert found.layer == memory.layer_bytes(packed)
    needs = image.needs(blob)
    assert needs == image.Needs(Schedule.EVENTS, packed.w.format, packed.u.format, InputFormat.UINT8, True, True)
    fused = replace(EVENTS, schedule=Schedule.CELL_FUSION, x_threshold=0.0, x_format=InputFormat.FP16)
    assert image.parse(image.build(packed, x, 0.3, fused)).plan == fused
    with pytest.raises(ValueError, match="x as uint8 must be k/256"):
        image.build(packed, x + 1, 0.3, EVENTS)


def by_events(offset: int, value: int, cut: int = 0) -> bytes:
    """An image of events with one word of 32 bits changed (counted from the end if negative), and cut off."""
    x = np.zeros((2, 9), np.float32)
    blob = bytearray(image.build(streams(*STREAMS[2][:2]), x, 0.3, EVENTS))
    struct.pack_into("<I", blob, offset % len(blob), value)
    del blob[len(blob) - cut :]
    struct.pack_into("<Q", blob, 144, len(blob))
    struct.pack_into("<I", blob, 152, image._crc(bytes(blob)))
    return bytes(blob)


_WORD = Flags.DELTA | Schedule.EVENTS << 8 | Format.STREAM8 << 12 | Format.STREAM16 << 14


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (by_events(-8, 0x7FC0_0000), "the threshold of x 0000c07f00000000 is no number"),
        (by_events(-4, 1), "the threshold of x 0000803e01000000 is no number"),
        (by_events(40, _WORD & ~Flags.DELTA), "events without DELTA"),
        (by_events(40, _WORD | 3 << 16), "the format of x is unknown"),
        (by_events(40, _WORD | InputFormat.FP16 << 16), "x: 32 bytes, the sizes need 48"),
        (by_events(40, _WORD | 2 << 16, cut=8), "the threshold of x .* is no number|other tables"),
        (by_events(40, (_WORD | 2 << 16) & ~(3 << 8)), "264 bytes follow the arrays"),
        (by_events(40, _WORD | Flags.IRQ), "of W and U are unknown: beside them only a schedule"),
    ],
)
def test_events_that_are_none_are_refused(blob: bytes, text: str) -> None:
    with pytest.raises(image.ImageError, match=text):
        image.parse(blob)


def changed(offset: int, value: int, of: PackedLayer | None = None, cut: int = 0) -> bytes:
    """An image of streams with one field changed, less a few bytes at its end, and the checksum put right."""
    blob = bytearray(image.build(of or streams(*STREAMS[2][:2]), data(5, 9), 0.3))
    del blob[len(blob) - cut :]
    struct.pack_into("<I", blob, offset, value)
    struct.pack_into("<Q", blob, 144, len(blob))
    struct.pack_into("<I", blob, 152, image._crc(bytes(blob)))
    return bytes(blob)


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (changed(40, 0), "the parameters 0x3604 are not those of eSELL and eSELL"),
        (changed(156, 0), "the parameters 0x0 are not those of stream-8 and stream-16"),
        (changed(156, 0x13604), "the parameters 0x13604 are not those of"),
        (changed(156, 0x3603), "stream-8 of W has no gaps of 3 bits in units of 1 columns"),
        (changed(156, 0x3614), "stream-8 of W has no gaps of 4 bits in units of 2 columns"),
        (changed(156, 0x3634), "W offsets: 24 bytes, the sizes need 8"),
        (changed(156, 0x3704), "stream-16 of U has no gaps of 7 bits in units of 4 columns"),
        (changed(40, 1 << 12 | 1 << 14), "256 bytes follow the arrays, stream-16 and stream-16 have other tables"),
        (changed(44, 0, cut=8), "248 bytes follow the arrays, stream-8 and stream-16 have other tables"),
        (changed(156, 0x3030, example()), "the parameters 0x3030 are not those of eSELL and eSELL"),
        (changed(40, 3 << 12), "formats 0x3000 of W and U are unknown; 0 is eSELL, 1 is stream-16, 2 is stream-8"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(blob: bytes, text: str) -> None:
    with pytest.raises(image.ImageError, match=text):
        image.parse(blob)
