import gzip
import io
import json
import zipfile
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from software.checkpoint import (
    MNIST_CHECKPOINT,
    CheckpointError,
    load_checkpoint,
    load_digits,
    load_language_model,
    load_layers,
    load_packed_layers,
    meta_text,
    pack_layers,
)

SEED = 11


def arrays():
    rng = np.random.default_rng(SEED)

    def normal(*shape, dtype=np.float16):
        return rng.normal(size=shape).astype(dtype)

    return {
        "l1.w": normal(32, 5), "l1.u": normal(32, 8), "l1.b": normal(32),
        "l2.w": normal(24, 8), "l2.u": normal(24, 6), "l2.b": normal(24),
        "out.w": normal(10, 6, dtype=np.float32), "out.b": normal(10, dtype=np.float32),
        "thresholds": np.array([0.3, 0.8], np.float32),
        "meta": np.array(json.dumps({"note": "synthetic"})),
    }  # fmt: skip


def meta(**values):
    return np.array(json.dumps(values))


def save(path, **changes):
    content = arrays() | changes
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    return path


def test_reads_every_layer(tmp_path):
    checkpoint = load_checkpoint(save(tmp_path / "c.npz"))
    assert [(layer.inputs, layer.hidden) for layer in checkpoint.layers] == [(5, 8), (8, 6)]
    assert [layer.threshold for layer in checkpoint.layers] == [np.float32(0.3), np.float32(0.8)]
    assert checkpoint.meta == {"note": "synthetic"}
    assert (checkpoint.layers[1].u == arrays()["l2.u"]).all()


def test_files_say_their_schema_and_those_of_0_1_are_read_without(tmp_path):
    """The shipped networks were made by version 0.1: nothing in them says so."""
    assert "schema" not in load_checkpoint(MNIST_CHECKPOINT).meta
    path = save(tmp_path / "c.npz", meta=np.array(meta_text({"note": "new"})))
    assert load_checkpoint(path).meta == {"note": "new", "schema": 1}
    # one that came from an older file and is written again
    assert json.loads(meta_text({"schema": 0, "note": "old"})) == {"schema": 1, "note": "old"}


@pytest.mark.parametrize("load", [load_checkpoint, load_language_model, load_layers, load_packed_layers])
def test_every_reader_refuses_files_of_a_schema_to_come(tmp_path, load):
    path = save(tmp_path / "c.npz", meta=meta(schema=7), anything=np.zeros(3))
    with pytest.raises(CheckpointError, match=r"c.npz: of schema 7, written by a later version of elstm"):
        load(path)


def test_logits_ignore_padding(tmp_path):
    checkpoint = load_checkpoint(save(tmp_path / "c.npz"))
    h = np.random.default_rng(SEED).normal(size=(3, 8)).astype(np.float32)
    expected = h[:, :6] @ arrays()["out.w"].T + arrays()["out.b"]
    assert checkpoint.logits(h) == pytest.approx(expected)
    assert checkpoint.logits(h[0]).shape == (10,)


def test_wider_floats_are_taken_if_exact(tmp_path):
    exact = arrays()["l1.w"].astype(np.float64)
    assert load_checkpoint(save(tmp_path / "c.npz", **{"l1.w": exact})).layers[0].w.dtype == np.float16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l4.w": np.zeros((24, 6), np.float16)}, "layer 3 is missing below l4.w"),
        ({"l2.w": None}, "array l2.w is missing"),
        ({"l2.w": None, "l2.u": None, "l2.b": None, "l3.u": np.zeros((24, 6), np.float16)}, "layer 2 is missing"),
        ({"l1.h0": np.zeros(8, np.float16)}, "l1.h0 is not used; a layer here has ln.w, ln.u, ln.b"),
        ({"l1.w.bits": np.zeros((32, 1), np.uint8)}, "l1.w.bits is not used"),
        ({"l01.w": np.zeros((32, 5), np.float16)}, "l01.w is not used"),
        ({"L2.w": np.zeros((32, 8), np.float16)}, "L2.w is not used; beside layers a file here has thresholds, out.w"),
        ({"h0": np.zeros(8, np.float16)}, "h0 is not used"),
        ({"threshold": np.zeros(2, np.float32)}, "threshold is not used"),
    ],
)
def test_every_array_of_a_layer_is_used_or_named(changes, message, tmp_path):
    path = save(tmp_path / "c.npz", **changes)
    for load in (load_checkpoint, load_layers):
        if "l1.w.bits" not in changes or load is load_checkpoint:
            with pytest.raises(CheckpointError) as caught:
                load(path)
            assert message in str(caught.value)


def test_packed_layers_beside_the_same_unpacked_are_named(tmp_path):
    layers = load_checkpoint(save(tmp_path / "c.npz")).layers
    packed: dict[str, Any] = pack_layers(layers, {})
    np.savez(tmp_path / "p.npz", **(packed | {"l1.w": layers[0].w}))
    with pytest.raises(CheckpointError, match="l1.w is not used; a layer here has ln.w.bits"):
        load_layers(tmp_path / "p.npz")
    del packed["l2.b"]
    np.savez(tmp_path / "p.npz", **packed)
    with pytest.raises(CheckpointError, match="array l2.b is missing"):
        load_layers(tmp_path / "p.npz")


def test_a_packed_file_is_read_and_one_of_another_kind_named(tmp_path):
    path = save(tmp_path / "c.npz")
    (tmp_path / "d.npz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(load_checkpoint(tmp_path / "d.npz").layers) == 2
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("m/data.pkl", b"")
    for content, message in (
        (stream.getvalue(), "it is a file of torch.save: python -m software.benchmark.import_torch makes a checkpoint"),
        (b"\x89HDF\r\n\x1a\n and more", "not an .npz file, .*; it is an HDF5 file, as Keras writes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (gzip.compress(b"x")[:-2], "not a gzip file, or truncated"),
    ):
        path.write_bytes(content)
        for load in (load_checkpoint, load_layers, load_digits):
            with pytest.raises(CheckpointError, match=message):
                load(path)


def changed(name, index, value, dtype=np.float32):
    array = arrays()[name].astype(dtype)
    array[index] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l1.u": None}, "array l1.u is missing"),
        ({"l1.w": None}, "array l1.w is missing"),
        ({"thresholds": None}, "array thresholds is missing"),
        ({"l1.w": np.zeros((30, 5), np.float16)}, "l1.w must have 4H rows, not 30"),
        ({"l1.w": np.zeros(32, np.float16)}, r"l1.w must have shape (any, any), not (32,)"),
        ({"l1.u": np.zeros((32, 7), np.float16)}, "l1.u must have shape (32, 8), not (32, 7)"),
        ({"l2.w": np.zeros((24, 9), np.float16)}, "l2.w must have shape (any, 8), not (24, 9)"),
        ({"l2.w": np.zeros((24, 0), np.float16)}, "l2.w must have shape (any, 8), not (24, 0)"),
        ({"out.w": np.zeros((10, 8), np.float32)}, "out.w must have shape (any, 6), not (10, 8)"),
        ({"out.w": np.zeros((10, 6))}, "out.w must be float32, not float64"),
        ({"thresholds": np.zeros(3, np.float32)}, "thresholds must have shape (2), not (3,)"),
        ({"l1.b": np.zeros(32, np.int16)}, "l1.b must be float16, not int16"),
        (changed("l1.w", (3, 4), 7e4), "l1.w[3, 4] is 70000.0, which fp16 cannot hold (finite, at most 65504)"),
        (changed("l2.u", (0, 2), np.inf, np.float16), "l2.u[0, 2] is inf, which fp16 cannot hold"),
        (changed("l1.b", 5, 0.1), "l1.b[5] is 0.1"),
        (changed("thresholds", 1, np.nan), "thresholds[1] is nan, which is not finite"),
        ({"meta": np.array("{")}, "meta must be a JSON object as text"),
        ({"meta": np.array("[1]")}, "meta must be a JSON object as text"),
        ({"meta": None}, "meta must be a JSON object as text"),
        ({"meta": meta(schema=2)}, "of schema 2, written by a later version of elstm; this one reads up to 1"),
        ({"meta": meta(schema="1")}, "schema in meta must be a whole number from 1 up, not '1'"),
        ({"meta": meta(schema=True)}, "schema in meta must be a whole number from 1 up, not True"),
        ({"meta": meta(schema=0)}, "schema in meta must be a whole number from 1 up, not 0"),
    ],
)
def test_bad_checkpoint_is_named(tmp_path, changes, message):
    path = save(tmp_path / "c.npz", **changes)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_checkpoint(tmp_path, share):
    path = save(tmp_path / "c.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_checkpoint(tmp_path, seed):
    path = save(tmp_path / "c.npz")
    rng = np.random.default_rng(seed)
    damaged = bytearray(path.read_bytes())
    start = int(rng.integers(len(damaged)))
    damaged[start : start + 8] = rng.bytes(8)
    path.write_bytes(damaged)
    # damage that no checksum covers may pass; whatever is reported is reported as one line
    with suppress(CheckpointError):
        load_checkpoint(path)


def test_damaged_values_are_noticed(tmp_path):
    path = save(tmp_path / "c.npz")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(arrays()["l1.u"].tobytes()) + 5] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        load_checkpoint(path)


def test_other_files(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load_checkpoint(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match="Is a directory"):
        load_checkpoint(tmp_path)
    (tmp_path / "t.npz").write_text("not an archive")
    with pytest.raises(CheckpointError, match="not an .npz file"):
        load_checkpoint(tmp_path / "t.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(CheckpointError, match="not an .npz file"):
        load_checkpoint(tmp_path / "a.npy")


def test_digits(tmp_path):
    images = np.random.default_rng(SEED).integers(0, 256, (3, 28, 28)).astype(np.uint8)
    labels = np.array([7, 2, 1], np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=labels)
    digits = load_digits(tmp_path / "d.npz")
    x = digits.inputs()
    assert x.dtype == np.float32
    assert x[1, 5, 6] == np.float32(images[1, 5, 6]) / np.float32(255)
    np.savez(tmp_path / "d.npz", images=images, labels=labels[:2])
    with pytest.raises(CheckpointError, match="labels must have shape"):
        load_digits(tmp_path / "d.npz")
    np.savez(tmp_path / "d.npz", images=images / 255, labels=labels)
    with pytest.raises(CheckpointError, match="images must be uint8, not float64"):
        load_digits(tmp_path / "d.npz")
