import re
from dataclasses import replace

import numpy as np
import pytest

from golden import memory
from golden.formats import esell, pack_offsets
from golden.isa import InputFormat
from golden.layer import PackedLayer, pack_layer
from golden.recurrence import Held, State


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


@pytest.mark.parametrize(("form", "row"), [(InputFormat.FP32, 48), (InputFormat.FP16, 24), (InputFormat.UINT8, 16)])
def test_x_comes_back_in_every_format(form: InputFormat, row: int) -> None:
    packed = example()
    x = (np.random.default_rng(4).integers(0, 256, (2, 5, 9)) / 256).astype(np.float32)
    data = memory.x_bytes(packed, x, form)
    assert memory.x_row_bytes(12, form) == row and len(data) == 2 * 5 * row
    found = memory.x_from_bytes(data, 12, form)
    assert found.shape == (10, 12) and not found[:, 9:].any()
    assert np.array_equal(found[:, :9], x.reshape(10, 9))


def test_x_as_fp16_is_what_the_hardware_makes_of_fp32() -> None:
    packed = example()
    x = np.full((1, 12), 1e-8, np.float32)
    x[0, :3] = 70000, np.nan, 1 + 2**-11
    halves = np.frombuffer(memory.x_bytes(packed, x, InputFormat.FP16), "<f2")
    assert np.isinf(halves[0]) and np.isnan(halves[1]) and halves[2] == 1 and not halves[3:].any()


@pytest.mark.parametrize("value", [1.0, -0.5, 0.001, float("nan")])
def test_what_uint8_does_not_hold_is_named(value: float) -> None:
    with pytest.raises(ValueError, match=f"x as uint8 must be k/256, k in 0..255, not {value}"):
        memory.x_bytes(example(), np.full((1, 12), value, np.float32), InputFormat.UINT8)


def test_h_comes_back_from_fp16() -> None:
    h = np.random.default_rng(3).standard_normal((5, 12)).astype(np.float16).astype(np.float32)
    data = memory.h_bytes(h, half=True)
    assert len(data) == 120 and np.array_equal(memory.h_from_bytes(data, 12, half=True), h)
    with pytest.raises(ValueError, match="rows of 24 bytes, not 50 bytes"):
        memory.h_from_bytes(bytes(50), 12, half=True)


@pytest.mark.parametrize(("delta", "events", "size"), [(False, False, 64), (True, False, 224), (True, True, 240)])
def test_a_state_has_what_its_run_holds(delta: bool, events: bool, size: int) -> None:
    h, c, sums = (np.arange(n, dtype=np.int32) for n in (8, 8, 32))
    state = State(h.astype(np.float32), c, Held(h, sums, c[:4]))
    data = memory.state_bytes(state, 4, delta=delta, events=events)
    assert len(data) == size == memory.state_size(8, 4, delta=delta, events=events)
    back = memory.state_from_bytes(data, 8, 4, delta=delta, events=events)
    assert np.array_equal(back.h, state.h) and (back.held is None) == (not delta)
    assert back.held is None or (np.array_equal(back.held.sums, sums) and (back.held.x is None) == (not events))
    bare = memory.state_bytes(replace(state, held=None), 4, delta=delta, events=events)
    assert bare[:64] == data[:64] and bare[64:] == bytes(size - 64)
