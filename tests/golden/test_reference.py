import re

import numpy as np
import pytest

from golden.formats.esell import unpack
from golden.layer import PackedLayer, pack_layer, run
from golden.reference import deviation, reference


def trained_like(x: int, h: int, seed: int) -> PackedLayer:
    """Weights as training leaves them: small and heavy-tailed, half pruned by magnitude, forget bias near 1."""
    rng = np.random.default_rng(seed)

    def matrix(columns: int) -> np.ndarray:
        m = rng.laplace(scale=0.9 * columns**-0.5, size=(4 * h, columns))
        return np.where(np.abs(m) < np.median(np.abs(m)), 0, m).astype(np.float16)

    b = rng.standard_normal(4 * h) * 0.3
    b[:h] += 1
    return pack_layer(matrix(x), matrix(h), b.astype(np.float16))


def data(shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random(shape) * (rng.random(shape) < 0.4)).astype(np.float32)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.8])
def test_golden_is_within_the_bound_with_its_own_mask(seed: int, threshold: float) -> None:
    packed = trained_like(28, 128, seed)
    x = data((6, 28, 28), seed)
    golden = run(packed, x, threshold)
    masked = reference(packed, x, threshold, golden.kept)
    assert np.array_equal(masked.kept, golden.kept)
    found = deviation(golden.h, golden.kept, masked)
    assert found.max_abs <= 2**-6 and found.mean_abs <= 2**-11
    # x of ten bits, h of eleven: nothing can be exact either
    assert found.max_abs > 2**-14
    assert (found.flips, found.blocks) == (0, golden.kept.size)


def test_the_free_reference_prunes_by_its_own_h() -> None:
    packed = trained_like(28, 128, 9)
    x = data((28, 28), 9)
    golden = run(packed, x, 0.5)
    free = reference(packed, x, 0.5)
    assert 0 < free.kept.mean() < 1
    found = deviation(golden.h, golden.kept, free)
    assert found.flips == (golden.kept != free.kept).sum() < 0.02 * found.blocks
    h = np.vstack([np.zeros(128), free.h[:-1]]).reshape(28, 32, 4)
    assert np.array_equal(free.kept, (np.abs(h).sum(2) >= np.float32(0.5)) | (np.abs(h).max(2) >= np.float32(0.5) / 2))


def test_a_published_style_self_check_would_not_pass() -> None:
    # "diff.all() == 0" is true as soon as one element is exact; one wrong unit must show here
    packed = trained_like(8, 16, 2)
    x = data((4, 8), 2)
    golden = run(packed, x, 0.0)
    wrong = golden.h.copy()
    wrong[2, 3] += 0.25
    assert deviation(wrong, golden.kept, reference(packed, x, 0.0, golden.kept)).max_abs > 0.2


def test_the_reference_is_the_formula() -> None:
    packed = trained_like(3, 5, 4)
    x = data((3, 3), 4)
    w = unpack(packed.w.words, packed.w.rows, packed.w.cols).astype(float).reshape(4, 8, 4)[:, :5, :3].reshape(20, 3)
    u = unpack(packed.u.words, packed.u.rows, packed.u.cols).astype(float).reshape(4, 8, 8)[:, :5, :5].reshape(20, 5)
    b = packed.bias.astype(float).reshape(4, 8)[:, :5].ravel()
    h, c = np.zeros(5), np.zeros(5)
    for t in range(3):
        z = b + w @ x[t] + u @ h
        f, i, o = (1 / (1 + np.exp(-z[k * 5 : k * 5 + 5])) for k in (0, 1, 3))
        c = f * c + i * np.tanh(z[10:15])
        h = o * np.tanh(c)
        found = reference(packed, x, 0.0)
        assert np.allclose(found.h[t, :5], h, atol=1e-12) and np.allclose(found.c[t, :5], c, atol=1e-12)
        assert not found.h[t, 5:].any()


def test_a_mask_of_the_wrong_shape_is_named() -> None:
    packed = trained_like(8, 16, 2)
    with pytest.raises(ValueError, match=re.escape("kept must have shape (..., 4, 4) for 2 sequences, not (4, 4)")):
        reference(packed, data((2, 4, 8), 1), 0.0, np.ones((4, 4), bool))


def test_golden_is_close_to_the_published_models_arithmetic() -> None:
    # fp16 weights widened, fp32 products added in fp32 in ascending column order, (W x + U h) + b, fp32 state
    packed = trained_like(12, 32, 5)
    x = data((10, 12), 5)
    golden = run(packed, x, 0.4)
    w, u = (unpack(m.words, m.rows, m.cols).astype(np.float32) for m in (packed.w, packed.u))
    b = packed.bias.astype(np.float32)
    h, c = np.zeros((2, 32), dtype=np.float32)
    one = np.float32(1)
    for t in range(10):
        s = np.where(np.repeat(golden.kept[t], 4), h, np.float32(0))
        wx, uh = np.zeros((2, 128), dtype=np.float32)
        for j in range(12):
            wx += w[:, j] * x[t, j]
        for j in range(32):
            uh += u[:, j] * s[j]
        z = ((wx + uh) + b).reshape(4, 32)
        f, i, o = (one / (one + np.exp(-z[k])) for k in (0, 1, 3))
        c = f * c + i * np.tanh(z[2])
        h = o * np.tanh(c)
        assert h.dtype == np.float32
        assert np.abs(golden.h[t] - h).max() < 2e-3, t
    assert not golden.kept.all() and golden.kept.any()


def test_layers_chain_through_the_pruned_h() -> None:
    # The next layer reads s(h): the same blocks that this layer's own next step reads
    first, second = trained_like(8, 16, 6), trained_like(16, 12, 7)
    x = data((3, 9, 8), 6)
    one = run(first, x, 0.5)
    assert one.h_pruned.shape[-1] == second.x
    blocks = np.any(one.h_pruned.reshape(3, 9, 4, 4), axis=3)
    assert np.array_equal(blocks[:, :-1], one.kept[:, 1:])
    assert np.array_equal(one.h_pruned[one.h_pruned != 0], one.h[one.h_pruned != 0])
    two = run(second, one.h_pruned, 0.2)
    found = deviation(two.h, two.kept, reference(second, one.h_pruned, 0.2, two.kept))
    assert found.max_abs <= 2**-6
