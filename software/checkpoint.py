"""Trained networks and digits as files: reading with every check, so that a bad file is one clear line.

A checkpoint is an .npz with, for each LSTM layer n = 1, 2, ...: ``ln.w`` (4H, X), ``ln.u`` (4H, H), ``ln.b`` (4H,)
float16, gate rows in the order f, i, g, o; ``out.w`` (classes, H), ``out.b`` (classes,) float32, the output layer;
``thresholds`` (layers,) float32, of block pruning; ``meta``, a JSON object as text.

A language model has ``embedding`` (words, X) float16 instead of the output layer, and may leave out ``thresholds``.
Sentences are an .npz with ``x`` (N, T, X) float16 and ``tokens`` (N, T) integers.

Digits are an .npz with ``images`` (N, 28, 28) uint8 and ``labels`` (N,) uint8.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BENCHMARK = Path(__file__).parent / "benchmark"
MNIST_CHECKPOINT = BENCHMARK / "mnist_2x128.npz"
MNIST_DIGITS = BENCHMARK / "mnist_100.npz"
PTB_SENTENCES = BENCHMARK / "ptb_sentences.npz"
FP16_MAX = 65504.0


class CheckpointError(ValueError):
    """A file that cannot be used; the message names the file, the array and the limit."""


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """w (4H, X), u (4H, H), b (4H,), float16, all finite."""

    w: NDArray[np.float16]
    u: NDArray[np.float16]
    b: NDArray[np.float16]
    threshold: float

    @property
    def inputs(self) -> int:
        return self.w.shape[1]

    @property
    def hidden(self) -> int:
        return self.u.shape[1]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained network: LSTM layers, then out_w (classes, H) and out_b (classes,) float32 on the last h."""

    layers: tuple[LayerWeights, ...]
    out_w: NDArray[np.float32]
    out_b: NDArray[np.float32]
    meta: dict[str, Any]

    def logits(self, h: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (..., classes) of the last h (..., H); columns beyond H are padding and ignored."""
        return h[..., : self.out_w.shape[1]] @ self.out_w.T + self.out_b


@dataclass(frozen=True, eq=False)
class Digits:
    """images (N, rows, columns) uint8, labels (N,) uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def inputs(self) -> NDArray[np.float32]:
        """x (N, T, X) float32: one image row per time step, pixel / 255."""
        return self.images.astype(np.float32) / np.float32(255)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A trained language model: LSTM layers behind an embedding (words, X) float16, which is the output layer too."""

    layers: tuple[LayerWeights, ...]
    embedding: NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Sentences:
    """x (N, T, X) float16: the embedded words of N stretches of text; tokens (N, T): their indices."""

    x: NDArray[np.float16]
    tokens: NDArray[np.integer[Any]]


class _Npz:
    """The arrays of an .npz, each checked as it is taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = BytesIO(path.read_bytes())
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from None
        # NpzFile itself, as np.load would also take a single array and leaves the file open when it fails
        try:
            with np.lib.npyio.NpzFile(content, allow_pickle=False) as file:
                self.arrays = {name: file[name] for name in file.files}
        except (ValueError, EOFError, OSError, KeyError, NotImplementedError, zlib.error, zipfile.BadZipFile):
            raise CheckpointError(f"{path}: not an .npz file, or truncated or damaged") from None

    def fail(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {text}")

    def take(self, name: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """An array of that shape, None standing for any length of at least 1."""
        if name not in self.arrays:
            raise self.fail(f"array {name} is missing")
        array = self.arrays[name]
        fits = array.ndim == len(shape) and all(
            found and wanted in (None, found) for found, wanted in zip(array.shape, shape, strict=True)
        )
        if not fits:
            wanted_text = ", ".join("any" if n is None else str(n) for n in shape)
            raise self.fail(f"{name} must have shape ({wanted_text}), not {array.shape}")
        return array

    def float16(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float16]:
        """Weights; wider floats are taken if every value is an fp16 one."""
        array = self.take(name, shape)
        if array.dtype.kind != "f":
            raise self.fail(f"{name} must be float16, not {array.dtype}")
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        self._first(name, array, ~np.isfinite(half), f"which fp16 cannot hold (finite, at most {FP16_MAX:.0f})")
        self._first(name, array, half.astype(array.dtype) != array, "which is not exact in fp16")
        return half

    def float32(self, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
        array = self.take(name, shape)
        if array.dtype != np.float32:
            raise self.fail(f"{name} must be float32, not {array.dtype}")
        self._first(name, array, ~np.isfinite(array), "which is not finite")
        return array

    def _first(self, name: str, array: NDArray[Any], bad: NDArray[np.bool_], why: str) -> None:
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            raise self.fail(f"{name}[{', '.join(map(str, index))}] is {array[index]}, {why}")


def _layers(npz: _Npz) -> tuple[LayerWeights, ...]:
    """Every layer of the file; without ``thresholds`` nothing is pruned."""
    weights: list[tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float16]]] = []
    while not weights or f"l{len(weights) + 1}.w" in npz.arrays:
        prefix = f"l{len(weights) + 1}"
        below = weights[-1][1].shape[1] if weights else None
        w = npz.float16(f"{prefix}.w", (None, below))
        if w.shape[0] % 4:
            raise npz.fail(f"{prefix}.w must have 4H rows, not {w.shape[0]}")
        rows = w.shape[0]
        weights.append((w, npz.float16(f"{prefix}.u", (rows, rows // 4)), npz.float16(f"{prefix}.b", (rows,))))
    thresholds = npz.float32("thresholds", (len(weights),))
    return tuple(LayerWeights(w, u, b, float(th)) for (w, u, b), th in zip(weights, thresholds, strict=True))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint. Raises CheckpointError."""
    npz = _Npz(path)
    layers = _layers(npz)
    out_w = npz.float32("out.w", (None, layers[-1].hidden))
    out_b = npz.float32("out.b", (out_w.shape[0],))
    meta = npz.arrays.get("meta")
    try:
        values = json.loads(str(meta)) if meta is not None else None
    except json.JSONDecodeError:
        values = None
    if not isinstance(values, dict):
        raise npz.fail("meta must be a JSON object as text")
    return Checkpoint(layers, out_w, out_b, values)


def load_language_model(path: Path) -> LanguageModel:
    """Read and check a language model. Raises CheckpointError."""
    npz = _Npz(path)
    if "thresholds" not in npz.arrays:
        count = sum(f"l{n}.w" in npz.arrays for n in range(1, len(npz.arrays) + 1))
        npz.arrays["thresholds"] = np.zeros(count, np.float32)
    layers = _layers(npz)
    embedding = npz.float16("embedding", (None, layers[0].inputs))
    return LanguageModel(layers, embedding)


def load_sentences(path: Path) -> Sentences:
    """Read and check embedded sentences. Raises CheckpointError."""
    npz = _Npz(path)
    x = npz.float16("x", (None, None, None))
    tokens = npz.take("tokens", x.shape[:2])
    if tokens.dtype.kind not in "ui":
        raise npz.fail(f"tokens must be integers, not {tokens.dtype}")
    return Sentences(x, tokens)


def load_digits(path: Path) -> Digits:
    """Read and check digits. Raises CheckpointError."""
    npz = _Npz(path)
    images = npz.take("images", (None, None, None))
    labels = npz.take("labels", (len(images),))
    for name, array in (("images", images), ("labels", labels)):
        if array.dtype != np.uint8:
            raise npz.fail(f"{name} must be uint8, not {array.dtype}")
    return Digits(images, labels)
