"""The stream formats: packed as the scalar packer does, read from any words as the scalar decoder does."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.formats import Packed, Parameters, pack_offsets, stored
from golden.formats.esell import Esell
from golden.formats.stream import Stream, Stream8, Stream16, StreamFault
from golden.isa import Format
from golden.numbers import fp16_bits, fp16_from_bits
from golden.spmv import spmv, spmv_float64
from tests.golden import scalar_stream
from tests.golden.scalar import half

BOTH = [(Stream16(), 4), (Stream16(), 5), (Stream16(), 6), (Stream8(), 4)]
SHAPES = [(form, gap, unit) for form, gap in BOTH for unit in (4, 1)]


def sparse(rows: int, cols: int, density: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((rows, cols)).astype(np.float16)
    m[rng.random((rows, cols)) >= density] = 0
    return m


def few(rows: int, cols: int, density: float, seed: int) -> np.ndarray:
    """A matrix of at most 15 values a gate: tables hold it."""
    rng = np.random.default_rng(seed)
    choice = rng.standard_normal((4, 15)).astype(np.float16)
    m = np.concatenate([rng.choice(values, (rows // 4, cols)) for values in choice])
    m[rng.random((rows, cols)) >= density] = 0
    return m


def unpacked(packed: Packed) -> np.ndarray:
    form = stored(packed.format)
    return form.unpack(packed.words, packed.rows, packed.cols, packed.offsets, packed.parameters)


def codes_of(form: Stream, packed: Packed, m: np.ndarray) -> list[list[int]]:
    """The codes that a padded matrix should have: of each value the nearest, by Fractions."""
    gap, tables = packed.parameters.gap_bits, packed.parameters.tables
    assert gap is not None
    found = []
    for r, row in enumerate(fp16_bits(m).tolist()):
        if form.number == Format.STREAM16:
            found.append([scalar_stream.rounded(bits, gap) or 0 for bits in row])
            continue
        assert tables is not None
        table = [half(int(bits)) for bits in fp16_bits(tables[4 * r // len(m)])]
        line = []
        for bits in row:
            value = half(bits)
            best = min(range(1, 16), key=lambda code: abs(table[code] - value))
            line.append(best if value and table[best] else 0)
        found.append(line)
    return found


@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    rows=st.integers(1, 70),
    cols=st.integers(1, 9),
    density=st.sampled_from([0.0, 0.01, 0.05, 0.3, 0.8, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pack_is_the_scalar_packer_and_unpack_inverts_it(
    shape: tuple[Stream, int, int], rows: int, cols: int, density: float, seed: int
) -> None:
    form, gap, unit = shape
    m = sparse(rows, cols, density, seed)
    packed = form.pack(m, Parameters(gap, unit))
    padded = np.pad(m, ((0, -rows % 16), (0, -cols % unit)))
    assert (packed.rows, packed.cols, packed.format) == (*padded.shape, form.number)
    assert (packed.parameters.gap_bits, packed.parameters.unit_cols) == (gap, unit)
    codes = codes_of(form, packed, padded)
    words, lengths = scalar_stream.pack(codes, form.entry_bits, gap, unit)
    assert (packed.words.tolist(), packed.offsets.tolist()) == (words, lengths)
    assert packed.nonzeros == np.count_nonzero(codes)

    out = unpacked(packed)
    for r, line in enumerate(codes):
        for c, code in enumerate(line):
            if form.number == Format.STREAM16:
                assert fp16_bits(out[r : r + 1, c]).item() == code << gap
            else:
                assert packed.parameters.tables is not None
                assert out[r, c] == (packed.parameters.tables[4 * r // len(padded), code] if code else 0)
    # What is packed once is exact from then on
    again = form.pack(out, Parameters(gap, unit, packed.parameters.tables))
    assert np.array_equal(again.words, packed.words) and np.array_equal(again.offsets, packed.offsets)
    x = sparse(packed.cols, 1, 1.0, seed).ravel()
    exact = [
        sum(half(a) * half(b) for a, b in zip(line, fp16_bits(x).tolist(), strict=True))
        for line in fp16_bits(out).tolist()
    ]
    place = (packed.words, packed.rows, packed.cols, x, form.number, packed.offsets, packed.parameters)
    assert np.allclose(spmv_float64(*place), [float(value) for value in exact], atol=1e-9)
    assert np.abs(spmv(*place) / 2**20 - spmv_float64(*place)).max() <= packed.cols * 2.0**-21


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    words=st.lists(st.integers(0, 2**64 - 1), max_size=24),
    thin=st.booleans(),
    lengths=st.lists(st.integers(0, 9), min_size=4, max_size=4),
)
def test_any_words_are_read_as_the_scalar_decoder_does(
    shape: tuple[Stream, int, int], words: list[int], thin: bool, lengths: list[int]
) -> None:
    form, gap, unit = shape
    if thin:
        # Gaps of a few places: more than a word before a unit's end
        keep = sum((3 | (1 << form.entry_bits) - (1 << gap)) << form.entry_bits * k for k in range(form.streams))
        words = [word & keep for word in words]
    tables = None
    if form.number == Format.STREAM8:
        tables = np.arange(64, dtype=np.float16).reshape(4, 16)
        tables[2, 3] = np.inf
        tables[1, 0] = np.nan
    decoded = form.decode(np.array(words, np.uint64), 48, 4 * unit, lengths, Parameters(gap, unit, tables))
    values, faults = scalar_stream.decode(words, 48, lengths, form.entry_bits, gap, unit)
    expected, bad = [], set()
    for row, col, code in values:
        bits = code << gap if tables is None else int(fp16_bits(tables[row // 12, code : code + 1])[0])
        if bits & 0x7FFF:
            expected.append((row, col, bits))
        if bits & 0x7C00 == 0x7C00:
            bad.add(col // unit)
    found = zip(decoded.row.tolist(), decoded.col.tolist(), fp16_bits(decoded.value).tolist(), strict=True)
    assert list(found) == expected
    assert set(decoded.bad_columns.tolist()) == bad and decoded.bad_tables == (tables is not None)
    assert decoded.words_read == min(len(words), sum(lengths))
    named = {
        unit: (fault.stream, fault.word) for unit, fault in decoded.faults.items() if isinstance(fault, StreamFault)
    }
    assert named == faults and len(decoded.faults) == len(faults)
    assert all(fault.unit == unit for unit, fault in decoded.faults.items() if isinstance(fault, StreamFault))


@pytest.mark.parametrize("gap", [4, 5, 6])
def test_values_are_rounded_to_nearest_even(gap: int) -> None:
    rng = np.random.default_rng(gap)
    edges = [bits + by for bits in (0, 1 << gap, 0x400, 0x3C00, 0x7800) for by in range(3 << gap)]
    bits = np.concatenate([edges, rng.integers(0, 0x7C00 - (1 << gap), 600)]).astype(np.uint16)
    bits = np.concatenate([bits, bits | 0x8000])
    codes = [scalar_stream.rounded(int(value), gap) for value in bits]
    m = np.pad(fp16_from_bits(bits), (0, -len(bits) % 64)).reshape(16, -1)
    out = unpacked(Stream16().pack(m, Parameters(gap))).ravel()
    expected = fp16_from_bits([(code or 0) << gap for code in codes])
    bare = np.where(expected == 0, np.float16(0), expected)
    assert None not in codes and np.array_equal(fp16_bits(out[: len(bits)]), fp16_bits(bare))


@pytest.mark.parametrize("gap", [4, 5, 6])
def test_what_would_become_infinite_is_refused_and_the_largest_below_is_not(gap: int) -> None:
    m = np.zeros((16, 4), dtype=np.float16)
    last = 0x7C00 - (1 << gap) // 2 - 1
    assert scalar_stream.rounded(last, gap) is not None and scalar_stream.rounded(last + 1, gap) is None
    m[3, 2] = fp16_from_bits([last | 0x8000])[0]
    assert fp16_bits(unpacked(Stream16().pack(m, Parameters(gap))))[3, 2] == 0x8000 | 0x7C00 - (1 << gap)
    m[3, 2] = fp16_from_bits([last + 1])[0]
    said = f"{float(m[3, 2]):g} in row 3, column 2 becomes infinite in {16 - gap} bits (gap bits {gap})"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Stream16().pack(m, Parameters(gap))


def test_gap_bits_with_the_fewest_words_are_chosen_of_those_that_hold_the_values() -> None:
    for density, seed in ((0.02, 1), (0.5, 2), (0.05, 3)):
        m = sparse(256, 16, density, seed)
        sizes = {gap: len(Stream16().pack(m, Parameters(gap)).words) for gap in (4, 5, 6)}
        packed = Stream16().pack(m)
        assert packed.parameters.gap_bits == min(sizes, key=sizes.__getitem__) and len(packed.words) == min(
            sizes.values()
        )
    # 65248 is finite in 12 bits alone
    m[0, 0] = 65248
    assert Stream16().pack(m).parameters.gap_bits == 4
    m[0, 0] = 65504
    with pytest.raises(ValueError, match="^65504 in row 0, column 0 becomes infinite in 12 bits"):
        Stream16().pack(m)


def example() -> Packed:
    """Two units of 16 rows: a value at row 1, column 2, one at row 9, column 1; nothing; -1.5 in the last row."""
    m = np.zeros((64, 12), dtype=np.float16)
    m[1, 2], m[9, 1], m[63, 11] = 1, 2, -1.5
    return Stream16().pack(m, Parameters(4))


def test_a_small_array_by_hand() -> None:
    packed = example()
    # Stream 1: places 2 and 9; stream 3 of unit 2: place 63, behind three fillers
    assert packed.words.tolist() == [
        0x3C02 << 16, 0x4006 << 16,
        0x000F << 48, 0x000F << 48, 0x000F << 48, 0xBE0F << 48,
    ]  # fmt: skip
    assert packed.offsets.tolist() == [2, 0, 4]
    assert pack_offsets(packed.offsets).tolist() == [2 | 4 << 32]


@pytest.mark.parametrize("stream", range(4))
def test_damage_is_named_by_unit_stream_and_word(stream: int) -> None:
    packed = example()
    filler, value = 0x000F << 16 * stream, 0xBE00 << 16 * stream
    # 64 places: a value after four fillers is one too far, whatever other streams hold there and after it
    words = np.array([*packed.words[:2], *[filler] * 4, value | 0x3C00_3C00_3C00_3C00, 0x3C0F], dtype=np.uint64)
    place = (packed.rows, packed.cols, [2, 6, 0], packed.parameters)
    said = f"unit 1, stream {stream}, word 6: a value at place 64 of a unit that has 64"
    with pytest.raises(StreamFault, match=f"^{re.escape(said)}$"):
        Stream16().check(words, *place)
    # The same one place earlier
    words[5], words[7] = 0x000E << 16 * stream, 0
    assert not Stream16().decode(words, *place).faults


def test_words_too_few_or_too_many_are_named() -> None:
    packed = example()
    place = (packed.rows, packed.cols, packed.offsets, packed.parameters)
    with pytest.raises(StreamFault, match="^unit 2, stream 0, word 5: the array ends before the 4 words of this unit"):
        Stream16().check(packed.words[:5], *place)
    with pytest.raises(StreamFault, match="^unit 0, stream 0, word 0: the array ends before the 2 words"):
        Stream16().check(packed.words[:0], *place)
    longer = np.append(packed.words, packed.words[:2])
    with pytest.raises(StreamFault, match="^unit 2, stream 0, word 6: 2 words are left over after the last unit$"):
        Stream16().check(longer, *place)
    assert not Stream16().decode(longer, *place).faults


def test_codes_that_are_zero_count_as_values_only_where_they_lie() -> None:
    """-0.0 has a place, so it may not lie outside; code 0 may."""
    place = (16, 4, [1], Parameters(4))
    inside = Stream16().decode([0x800F], *place)
    assert not inside.faults and inside.value.size == 0
    assert not Stream16().decode([0x000F_000F_000F_000F] * 3, 16, 4, [3], Parameters(4)).faults
    outside = Stream16().decode([0x000F, 0x8000], 16, 4, [2], Parameters(4))
    assert str(outside.faults[0]) == "unit 0, stream 0, word 1: a value at place 16 of a unit that has 16"
    tables = np.zeros((4, 16), dtype=np.float16)
    late = Stream8().decode([0x07, 0x10], 16, 4, [2], Parameters(4, 4, tables))
    assert str(late.faults[0]) == "unit 0, stream 0, word 1: a value at place 8 of a unit that has 8"


@pytest.mark.parametrize(("entry_bits", "unit", "places"), [(16, 4, 16), (16, 1, 4), (8, 4, 8), (8, 1, 2)])
def test_a_unit_has_no_more_words_than_places(entry_bits: int, unit: int, places: int) -> None:
    """Not even words without a value."""
    form = Stream16() if entry_bits == 16 else Stream8()
    parameters = Parameters(4, unit, None if entry_bits == 16 else np.zeros((4, 16), np.float16))
    words = np.zeros(2 * places + 1, np.uint64)
    assert not form.decode(words[:-1], 16, 2 * unit, [places, places], parameters).faults
    (fault,) = form.decode(words, 16, 2 * unit, [places, places + 1], parameters).faults.values()
    assert str(fault) == (f"unit 1, stream 0, word {2 * places}: {places + 1} words of a unit that has {places} places")


def test_a_value_that_is_not_finite_is_a_bad_weight_of_its_unit() -> None:
    decoded = Stream16().decode([0, 0x7C00, 0xFFF0 << 16], 16, 12, [1, 1, 1], Parameters(4))
    assert decoded.bad_columns.tolist() == [1, 2] and not decoded.faults
    for value in (np.inf, -np.inf, np.nan):
        m = np.zeros((16, 8), dtype=np.float16)
        m[5, 6] = value
        for form in (Stream16(), Stream8()):
            with pytest.raises(
                ValueError, match=f"^{form.name} holds finite values only, not {value} in row 5, column 6$"
            ):
                form.pack(m)


def test_tables_hold_up_to_15_values_exactly_and_are_the_callers_if_given() -> None:
    m = few(64, 24, 0.4, 5)
    assert max(len(np.unique(gate[gate != 0])) for gate in m.reshape(4, -1)) <= 15
    packed = Stream8().pack(m)
    assert np.array_equal(unpacked(packed), m)
    given_tables = np.zeros((4, 16), dtype=np.float16)
    given_tables[:, 1:4] = [-2, 0.5, 3]
    given_tables[:, 0] = np.nan
    chosen = Stream8().pack(m, Parameters(tables=given_tables))
    assert chosen.parameters.tables is given_tables
    out = unpacked(chosen)
    assert set(np.unique(out)) <= {-2, 0, 0.5, 3}
    near = min((-2, 0.5, 3), key=lambda value: abs(value - float(m[m != 0][0])))
    # Entries 4..15 are 0: what is nearest to 0 is dropped
    assert out[m != 0][0] == (near if abs(near - float(m[m != 0][0])) <= abs(float(m[m != 0][0])) else 0)


def test_chosen_tables_are_near_the_best_and_the_same_every_time() -> None:
    m = sparse(256, 64, 0.3, 7)
    packed = Stream8().pack(m)
    again = Stream8().pack(m)
    assert packed.parameters.tables is not None and again.parameters.tables is not None
    assert np.array_equal(packed.parameters.tables, again.parameters.tables)
    out = unpacked(packed).astype(np.float64)
    assert np.array_equal(out != 0, m != 0)
    # 15 levels for a normal distribution: 0.0130 of its variance is left with the best ones (Max 1960, table I)
    for gate, exact in zip(out.reshape(4, -1), m.reshape(4, -1).astype(np.float64), strict=True):
        left = ((gate - exact)[exact != 0] ** 2).mean() / (exact[exact != 0] ** 2).mean()
        assert 0.008 < left < 0.0137


PLACE = Parameters(4)


def ones(rows: int = 16) -> np.ndarray:
    return np.ones((rows, 4), dtype=np.float16)


def tabled(entries: int, value: float) -> Parameters:
    return Parameters(tables=np.full((4, entries), value, dtype=np.float16))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Stream16().pack(ones(), Parameters(3)), "gap bits of stream-16 must be 4, 5 or 6, not 3"),
        (lambda: Stream8().pack(ones(), Parameters(5)), "gap bits of stream-8 must be 4, not 5"),
        (lambda: Stream16().pack(ones(), Parameters(4, 2)), "the columns of a unit must be 4 or 1, not 2"),
        (lambda: Stream16().pack(ones(), tabled(16, 1)), "stream-16 has no tables"),
        (
            lambda: Stream8().pack(ones(), tabled(15, 1)),
            "tables must be float16 of shape (4, 16), not float16 (4, 15)",
        ),
        (lambda: Stream8().pack(ones(), tabled(16, np.inf)), "entry 1 of table 0 is inf, not finite"),
        (lambda: Stream8().decode([], 16, 4, [0], PLACE), "stream-8 needs the tables of its values"),
        (lambda: Stream16().decode([], 16, 4, [0]), "gap bits of stream-16 must be 4, 5 or 6, not None"),
        (lambda: Stream16().decode([], 16, 4, None, PLACE), "stream-16 needs the words of each unit"),
        (lambda: Stream16().decode([], 24, 4, [0], PLACE), "rows must be a positive multiple of 16, not 24"),
        (lambda: Stream16().decode([], 16, 6, [0], PLACE), "cols must be a positive multiple of 4, not 6"),
        (lambda: Stream16().decode([], 16, 8, [0], PLACE), "offsets must have shape (2,), not (1,)"),
        (lambda: Stream16().pack(ones(65_552)), "a unit has 65552 words, a 16-bit offset holds 65535"),
        (
            lambda: Esell().pack(ones(), Parameters(4)),
            "eSELL has no gap bits and no tables, and a unit of it is 4 columns",
        ),
    ],
)
def test_bad_calls(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        call()
