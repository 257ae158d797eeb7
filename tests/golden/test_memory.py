import re

import numpy as np
import pytest

from golden import memory
from golden.formats import esell, pack_offsets
from golden.layer import PackedLayer, pack_layer


def example() -> PackedLayer:
    rng = np.random.default_rng(1)
    shapes = (40, 9), (40, 10), (40,)
    w, u, b = (rng.standard_normal(s).astype(np.float16) for s in shapes)
    return pack_layer(w, u, b)


def test_arrays_are_little_endian_and_whole_words() -> None:
    packed = example()
    data = memory.layer_bytes(packed)
    assert data.w == b"".join(int(w).to_bytes(8, "little") for w in packed.w.words)
    assert data.u == b"".join(int(w).to_bytes(8, "little") for w in packed.u.words)
    for offsets, columns in ((data.w_offsets, 3), (data.u_offsets, 3)):
        assert len(offsets) == 8 * -(-columns // 4)
    assert data.u_offsets == packed.u.offsets.astype("<u2").tobytes() + bytes(2)
    assert data.bias == packed.bias.astype("<f2").tobytes()
    assert len(data.bias) == 2 * 4 * 12


def test_the_bias_is_padded_gate_by_gate() -> None:
    packed = example()
    bias = np.frombuffer(memory.layer_bytes(packed).bias, "<f2").reshape(4, 12)
    assert not bias[:, 10:].any() and bias[:, :10].all()
    assert memory.bias_words(packed).shape == (12,)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_an_odd_sequence_does_not_misalign_the_next(steps: int) -> None:
    # The published packer puts X T values after each other: an odd product moves every later sequence by 4 bytes
    packed = example()
    x = np.random.default_rng(2).standard_normal((2, steps, 9)).astype(np.float32)
    data = memory.x_bytes(packed, x)
    assert len(data) == 2 * steps * 12 * 4 and len(data) // 2 % 8 == 0
    rows = np.frombuffer(data, "<f4").reshape(2, steps, 12)
    assert np.array_equal(rows[..., :9], x) and not rows[..., 9:].any()
    assert data[len(data) // 2 :] == memory.x_bytes(packed, x[1])


def test_x_keeps_its_exact_bits() -> None:
    # %f, as the published packer writes x, keeps 6 decimals: 1e-7 would be 0
    packed = example()
    x = np.full((1, 12), np.float32(1e-7))
    assert np.frombuffer(memory.x_bytes(packed, x), "<f4").tolist() == [np.float32(1e-7)] * 12


def test_h_comes_back() -> None:
    h = np.random.default_rng(3).standard_normal((5, 12)).astype(np.float32)
    assert np.array_equal(memory.h_from_bytes(memory.h_bytes(h), 12), h)
    with pytest.raises(ValueError, match="rows of 48 bytes, not 50 bytes"):
        memory.h_from_bytes(bytes(50), 12)
    with pytest.raises(ValueError, match=re.escape("x must have shape (..., T, 9), not (2, 8)")):
        memory.padded_x(example(), np.zeros((2, 8)))


def test_offsets_use_the_last_word() -> None:
    # 5 block columns: the fifth offset is alone in the second word, which the published packer can lose
    m = np.ones((8, 20), dtype=np.float16)
    words = pack_offsets(esell.pack(m).offsets)
    assert words.tolist() == [0x0009_0009_0009_0009, 9]
