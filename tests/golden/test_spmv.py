import numpy as np
import pytest

from golden.formats import esell
from golden.numbers import fp16_bits, fp16_from_bits, products
from golden.spmv import Matrix, spmv, spmv_float64
from tests.golden import scalar


def random_fp16(rng: np.random.Generator, shape: tuple[int, ...], low: int = 0, high: int = 0x7C00) -> np.ndarray:
    """Values with exponents spread evenly: bits between low and high, either sign."""
    bits = rng.integers(low, high, shape) | rng.integers(0, 2, shape) << 15
    return fp16_from_bits(bits.astype(np.uint16))


@pytest.mark.parametrize("seed", range(8))
def test_sums_wrap_as_the_scalar_model_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = 8 * int(rng.integers(1, 4)), 4 * int(rng.integers(1, 5))
    m = random_fp16(rng, (rows, cols)) * (rng.random((rows, cols)) < 0.7).astype(np.float16)
    x = random_fp16(rng, (cols,))
    packed = esell.pack(m)
    exact = [
        sum(
            scalar.round_half_up(scalar.half(a) * scalar.half(b) * 2**20)
            for a, b in zip(row, fp16_bits(x).tolist(), strict=True)
        )
        for row in fp16_bits(m).tolist()
    ]
    assert spmv(packed.words, rows, cols, x).tolist() == [scalar.wrap(v) for v in exact]
    difference = spmv_float64(packed.words, rows, cols, x) - np.array(exact) / 2**20
    assert np.abs(difference).max() <= cols * 2**-21 + 2.0**-18


@pytest.mark.parametrize("seed", range(6))
def test_fast_products_are_the_exact_ones_over_the_whole_range(seed: int) -> None:
    # One column, so that every product is one sum: the fp32 way against the float64 way
    rng = np.random.default_rng(seed)
    w = random_fp16(rng, (6000, 1), 0, 0x4C00)
    w = np.pad(w, ((0, 0), (0, 3)))
    x = random_fp16(rng, (60, 4), 0, 0x5000)
    assert np.abs(w.astype(float)).max() * np.abs(x.astype(float)).max() < 2047
    matrix = Matrix(esell.check(esell.pack(w).words, 6000, 4))
    expected = products(w[:, 0], x[:, :1])
    assert np.array_equal(matrix.multiply(x), expected)


def test_fast_products_meet_ties_of_both_signs() -> None:
    # k / 2 units of 2^-20, k odd and even, up to where halves no longer exist
    k = np.concatenate([np.arange(1, 2048), np.arange(1, 2048) * 2, np.arange(1024, 2048) * 1024])
    w = (np.concatenate([k, -k]) * 2.0**-11).astype(np.float16)
    w = np.pad(w[: len(w) // 8 * 8, None], ((0, 0), (0, 3)))
    x = np.array([[2.0**-10, 0, 0, 0], [-(2.0**-10), 0, 0, 0], [2.0**-14, 0, 0, 0]], dtype=np.float16)
    found = Matrix(esell.check(esell.pack(w).words, len(w), 4)).multiply(x)
    assert np.array_equal(found, products(w[:, 0], x[:, :1]))


@pytest.mark.parametrize(("rows", "cols", "n"), [(8, 4, 1), (512, 28, 40), (6000, 16, 3), (65544, 4, 2)])
def test_fast_sums_are_the_checked_ones_for_every_tiling(rows: int, cols: int, n: int) -> None:
    rng = np.random.default_rng(rows)
    m = (rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < 0.5)).astype(np.float16)
    x = (rng.standard_normal((n, cols)) * (rng.random((n, cols)) < 0.5)).astype(np.float16)
    x[0] = 0
    if rows > 58_248:
        m[::2] = 0
    matrix = Matrix(esell.check(esell.pack(m).words, rows, cols))
    fast = matrix.multiply(x)
    for i in range(n):
        checked = matrix.multiply_checked(x[i])
        assert checked.inside
        assert np.array_equal(fast[i], checked.total)
        assert np.array_equal(checked.total, products(m, x[i]).sum(axis=1))
        assert (matrix.bound(x)[i] * 2**20 + cols >= checked.absolute).all()


def test_a_place_given_twice_counts_twice() -> None:
    # Code 3 sends the values 0 and 2 of a row to column 0
    head = 3 | 3 << 3 | sum(i << 15 + 3 * i for i in range(4)) | sum(i << 35 + 12 + 3 * (i - 4) for i in range(4, 8))
    words = np.array([head, 0x3C00, 0x4000, 0x4200], dtype=np.uint64)
    x = np.array([1, 10, 100, 1000], dtype=np.float16)
    matrix = Matrix(esell.check(words, 8, 4))
    assert len(matrix.planes) == 2
    assert (matrix.multiply(x[None])[0] >> 20).tolist() == [1 + 3 + 2000, 0, 0, 0, 0, 0, 0, 0]
    assert (spmv(words, 8, 4, x) >> 20)[0] == 2004
    assert spmv_float64(words, 8, 4, x)[0] == 2004
    assert matrix.dense()[0].tolist() == [4, 0, 0, 2]


def test_a_product_outside_int32_is_noticed() -> None:
    m = np.zeros((8, 4), dtype=np.float16)
    m[0, 0] = 2048
    matrix = Matrix(esell.check(esell.pack(m).words, 8, 4))
    assert matrix.multiply_checked([-1, 0, 0, 0]).inside
    outside = matrix.multiply_checked([1, 0, 0, 0])
    assert not outside.inside
    assert outside.total.astype(np.int32)[0] == -(1 << 31)


def test_malformed_words_are_refused() -> None:
    with pytest.raises(esell.FormatError, match="block 0, chunk 0, word 0: CHKw is 7"):
        spmv([7], 8, 4, np.zeros(4, dtype=np.float16))
