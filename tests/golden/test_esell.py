import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.formats import esell, pack_offsets
from golden.numbers import fp16_bits
from tests.golden import scalar


def sparse(rows: int, cols: int, density: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((rows, cols)).astype(np.float16)
    m[rng.random((rows, cols)) >= density] = 0
    return m


def example() -> esell.Packed:
    return esell.pack(sparse(16, 8, 0.5, 1))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 21),
    density=st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.8, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_pack_is_the_scalar_packer_and_unpack_inverts_it(rows: int, cols: int, density: float, seed: int) -> None:
    m = sparse(rows, cols, density, seed)
    packed = esell.pack(m)
    padded = esell.pad(m)
    assert (packed.rows, packed.cols) == padded.shape == (-(-rows // 8) * 8, -(-cols // 4) * 4)
    words, offsets = scalar.pack(fp16_bits(padded).tolist())
    assert packed.words.tolist() == words
    assert packed.offsets.tolist() == offsets
    assert packed.nonzeros == np.count_nonzero(m)
    for given_offsets in (None, packed.offsets):
        out = esell.unpack(packed.words, packed.rows, packed.cols, given_offsets)
        assert np.array_equal(fp16_bits(out), fp16_bits(padded + np.float16(0)))


def test_every_row_pattern_survives() -> None:
    m = np.zeros((64, 24), dtype=np.float16)
    for k, sets in enumerate(itertools.combinations_with_replacement(range(16), 2)):
        for half, mask in enumerate(sets):
            row, block = k % 64, 2 * (k // 64) + half
            m[row, 4 * block : 4 * block + 4] = [(c + 1) * (mask >> c & 1) for c in range(4)]
    packed = esell.pack(m)
    assert np.array_equal(esell.unpack(packed.words, 64, 24), m)


def test_extreme_values_keep_their_bits() -> None:
    m = np.array([[65504, -65504, 2.0**-24, -(2.0**-24)], [np.inf, -np.inf, np.nan, -0.0]], dtype=np.float16)
    packed = esell.pack(m)
    out = esell.unpack(packed.words, 8, 4)
    assert fp16_bits(out[:2, :3]).tolist() == fp16_bits(m[:, :3]).tolist()
    assert fp16_bits(out[1, 3]) == 0, "-0 is no nonzero"
    assert packed.nonzeros == 7


def test_values_in_the_upper_lanes_are_not_truncated() -> None:
    # The published packer shifts 16-bit integers left, which NumPy >= 2 cuts to 16 bits
    packed = esell.pack(np.ones((8, 4), dtype=np.float16))
    head = 4 | 1 << 18 | 2 << 21 | 3 << 24 | (4 | 4 << 15 | 5 << 18 | 6 << 21 | 7 << 24) << 32
    assert packed.words.tolist() == [head, *[0x3C00_3C00_3C00_3C00] * 8]


@pytest.mark.parametrize(("rows", "cols"), [(7, 4), (9, 5), (12, 3), (8, 7)])
def test_ragged_sizes_lose_nothing(rows: int, cols: int) -> None:
    # The published packer drops the rows and columns beyond the last whole block
    m = sparse(rows, cols, 1.0, 3)
    packed = esell.pack(m)
    assert np.array_equal(esell.unpack(packed.words, packed.rows, packed.cols)[:rows, :cols], m)
    assert len(packed.offsets) == -(-cols // 4)


def test_offsets_are_counts_and_pack_four_to_a_word() -> None:
    packed = esell.pack(sparse(32, 36, 0.4, 5))
    assert packed.offsets.sum() == len(packed.words)
    words = pack_offsets(packed.offsets)
    assert len(words) == 3
    assert words.tobytes()[: 2 * 9] == packed.offsets.astype("<u2").tobytes()
    assert words.tobytes()[2 * 9 :] == bytes(6)
    assert np.array_equal(esell.unpack_halves(words, 9), packed.offsets)


def test_offsets_hold_the_largest_layer_and_refuse_more() -> None:
    # 4H rows at H = 14,560 fit; 16 bits end at 7281 dense blocks
    assert esell.pack(np.ones((4 * 14_560, 4), dtype=np.float16)).offsets.tolist() == [65520]
    with pytest.raises(ValueError, match="a block column has 65538 words, a 16-bit offset holds 65535"):
        esell.pack(np.ones((8 * 7282, 4), dtype=np.float16))
    with pytest.raises(ValueError, match=re.escape("offsets must be in 0..65535, not 1..65536")):
        pack_offsets([1, 65536])


@pytest.mark.parametrize("seed", range(20))
def test_a_decoder_takes_any_row_order_and_any_code(seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected: dict[tuple[int, int], list[int]] = {}
    words = []
    for block in range(4):
        order = rng.permutation(8)
        head, values = 0, []
        for chunk in (0, 1):
            width = int(rng.integers(0, 5))
            codes = rng.integers(0, 8, 4)
            lanes = rng.integers(0, 0x7C00, (width, 4))
            head |= width << 32 * chunk
            for i in range(4):
                head |= int(codes[i]) << 32 * chunk + 3 + 3 * i | int(order[4 * chunk + i]) << 32 * chunk + 15 + 3 * i
            for j in range(width):
                values.append(sum(int(lanes[j, i]) << 16 * i for i in range(4)))
                for i in range(4):
                    place = block % 2 * 8 + int(order[4 * chunk + i]), block // 2 * 4 + esell.COLUMN_TABLE[j][codes[i]]
                    if lanes[j, i]:
                        expected.setdefault(place, []).append(int(lanes[j, i]))
        words += [head, *values]
    decoded = esell.check(np.array(words, dtype=np.uint64), 16, 8)
    found: dict[tuple[int, int], list[int]] = {}
    for r, c, v in zip(decoded.row.tolist(), decoded.col.tolist(), fp16_bits(decoded.value).tolist(), strict=True):
        found.setdefault((r, c), []).append(v)
    assert found == expected
    if any(len(v) > 1 for v in expected.values()):
        with pytest.raises(ValueError, match="two values for one place"):
            esell.unpack(np.array(words, dtype=np.uint64), 16, 8)


def damaged(index: int, clear: int, value: int) -> np.ndarray:
    words = example().words.copy()
    words[index] = np.uint64(int(words[index]) & ~clear | value)
    return words


def second_head() -> int:
    first = int(example().words[0])
    return 1 + (first & 7) + (first >> 32 & 7)


@pytest.mark.parametrize("width", [5, 6, 7])
@pytest.mark.parametrize("chunk", [0, 1])
def test_too_wide_a_chunk_is_named(chunk: int, width: int) -> None:
    at = second_head()
    with pytest.raises(
        esell.FormatError, match=f"block 1, chunk {chunk}, word {at}: CHKw is {width}, more than 4"
    ) as e:
        esell.check(damaged(at, 7 << 32 * chunk, width << 32 * chunk), 16, 8)
    assert isinstance(e.value, esell.BlockFault)
    assert (e.value.block, e.value.chunk, e.value.word) == (1, chunk, at)


@pytest.mark.parametrize("bit", [27, 31, 59, 63])
def test_a_spare_bit_is_named(bit: int) -> None:
    with pytest.raises(esell.FormatError, match=f"block 0, chunk {bit // 32}, word 0: spare bits 31:27 are"):
        esell.check(damaged(0, 0, 1 << bit), 16, 8)


@pytest.mark.parametrize("position", range(8))
def test_rows_that_are_no_permutation_are_named(position: int) -> None:
    shift = position // 4 * 32 + 15 + position % 4 * 3
    row = int(example().words[0]) >> shift & 7
    with pytest.raises(esell.FormatError, match=r"block 0, chunk [01], word 0: IDXrow names row \d twice"):
        esell.check(damaged(0, 7 << shift, (row ^ 1) << shift), 16, 8)


def test_truncated_and_left_over_words_are_named() -> None:
    packed = example()
    n = len(packed.words)
    with pytest.raises(esell.FormatError, match=f"block 3, chunk 1, word {n - 1}: the array ends inside this block"):
        esell.check(packed.words[:-1], 16, 8)
    at = second_head()
    with pytest.raises(
        esell.FormatError, match=f"block 1, chunk 0, word {at}: the array ends before this block's head"
    ):
        esell.check(packed.words[:at], 16, 8)
    with pytest.raises(esell.FormatError, match="block 0, chunk 0, word 0: the array ends before"):
        esell.check(packed.words[:0], 16, 8)
    longer = np.append(packed.words, np.uint64(0))
    with pytest.raises(esell.FormatError, match=f"block 3, chunk 1, word {n}: 1 words are left over after the last"):
        esell.check(longer, 16, 8)
    assert not esell.decode(longer, 16, 8).faults


def test_a_column_that_disagrees_with_its_offset_is_named() -> None:
    packed = example()
    first, second = (int(v) for v in packed.offsets)
    with pytest.raises(
        esell.FormatError, match=f"block column 0 has {first} words by its heads, {first + 1} by its off"
    ):
        esell.check(packed.words, 16, 8, [first + 1, second - 1])
    with pytest.raises(esell.FormatError, match=f"chunk 1, word {first - 1}: block column 0 ends inside this block"):
        esell.check(packed.words, 16, 8, [first - 1, second + 1])
    with pytest.raises(esell.FormatError, match=f"block 2, chunk 0, word {first}: block column 1 ends before"):
        esell.check(packed.words, 16, 8, [first, 0])


def test_faults_stay_in_their_block_column() -> None:
    m = sparse(16, 12, 0.6, 7)
    packed = esell.pack(m)
    words = packed.words.copy()
    words[packed.offsets[0]] |= np.uint64(1 << 31)
    decoded = esell.decode(words, 16, 12, packed.offsets)
    assert list(decoded.faults) == [1]
    assert sorted(set((decoded.col // 4).tolist())) == [0, 2]
    assert len(decoded.value) == np.count_nonzero(m[:, [0, 1, 2, 3, 8, 9, 10, 11]])
    # Without offsets nothing after the fault can be found
    assert set((esell.decode(words, 16, 12).col // 4).tolist()) == {0}


def test_values_that_are_not_finite_are_reported_by_column() -> None:
    m = sparse(8, 12, 1.0, 8)
    m[3, 5], m[0, 10] = np.nan, np.inf
    packed = esell.pack(m)
    assert esell.decode(packed.words, 8, 12).bad_columns.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (np.zeros((8, 4), dtype=np.float32), TypeError, "matrix must be float16, not float32"),
        (
            np.zeros(8, dtype=np.float16),
            ValueError,
            re.escape("matrix must have two dimensions, none 0, not shape (8,)"),
        ),
        (np.zeros((0, 4), dtype=np.float16), ValueError, re.escape("not shape (0, 4)")),
    ],
)
def test_what_cannot_be_packed_is_named(value: np.ndarray, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        esell.pack(value)


def test_sizes_of_a_decode_are_checked() -> None:
    with pytest.raises(ValueError, match="rows must be a positive multiple of 8, not 12"):
        esell.decode([], 12, 4)
    with pytest.raises(ValueError, match="cols must be a positive multiple of 4, not 0"):
        esell.decode([], 8, 0)
    with pytest.raises(ValueError, match=re.escape("offsets must have shape (2,), not (1,)")):
        esell.decode([], 8, 8, [1])


@settings(max_examples=200, deadline=None)
@given(
    words=st.lists(st.integers(0, 2**64 - 1), max_size=30), offsets=st.lists(st.integers(0, 12), min_size=2, max_size=2)
)
def test_any_words_decode_or_name_their_fault(words: list[int], offsets: list[int]) -> None:
    array = np.array(words, dtype=np.uint64)
    for given_offsets in (None, offsets):
        decoded = esell.decode(array, 16, 8, given_offsets)
        faults = [fault for fault in decoded.faults.values() if isinstance(fault, esell.BlockFault)]
        assert len(faults) == len(decoded.faults)
        assert all(0 <= f.block < 4 and 0 <= f.word <= len(words) + 24 for f in faults)
        assert decoded.row.size == 0 or decoded.row.max() < 16
        assert decoded.col.size == 0 or decoded.col.max() < 8
