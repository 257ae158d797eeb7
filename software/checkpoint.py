"""Trained networks and digits as files: reading with every check, so that a bad file is one clear line.

A checkpoint is an .npz with, for each LSTM layer n = 1, 2, ...: ``ln.w`` (4H, X), ``ln.u`` (4H, H), ``ln.b`` (4H,)
float16, gate rows in the order f, i, g, o; ``out.w`` (classes, H), ``out.b`` (classes,) float32, the output layer;
``thresholds`` (layers,) float32, of block pruning; ``meta``, a JSON object as text.
``schema`` in ``meta`` numbers these contents; files of version 0.1 have none and are read as they are, those of later
numbers are refused.

A language model has ``embedding`` (words, X) float16, which is its output layer too unless there is ``decoder``
(words, H) float16, ``decoder_bias`` (words,) float16, and may have ``words``, its vocabulary as text, a word a line,
``sample`` (N, T), indices of words to try it on, and ``meta``. It may leave out ``thresholds`` and ``decoder_bias``.

Layers alone, packed, are an .npz with ``ln.w.bits``, a bit for each weight, row by row, set where it is not zero,
``ln.w.values``, the nonzero weights in that order, the same for ``u``; ``ln.inputs`` (1,), X; ``ln.b``, ``thresholds``
and ``meta``.
Sentences are an .npz with ``x`` (N, T, X) float16 and ``tokens`` (N, T) integers.

Digits are an .npz with ``images`` (N, 28, 28) uint8 and ``labels`` (N,) uint8.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.config import LayerShape
from software.cli import UserError
from software.files.content import arrays_of, instead, read_file

SHIPPED = Path(__file__).parent / "benchmark" / "shipped"
MNIST_CHECKPOINT = SHIPPED / "mnist_2x128.npz"
MNIST_DIGITS = SHIPPED / "mnist_100.npz"
PTB_SENTENCES = SHIPPED / "ptb_sentences.npz"
PTB_LAYERS = SHIPPED / "ptb_2x800_layers.npz"
KJV_MODEL = SHIPPED / "kjv_2x200.npz"
KJV_SAMPLE = SHIPPED / "kjv_sample.npz"
FP16_MAX = 65504.0
SCHEMA = 1
"""Number of what a checkpoint holds, in ``meta``; it grows when a file's arrays change their meaning."""


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

    def shape(self, steps: int) -> LayerShape:
        """As the hardware takes it."""
        return LayerShape.padded(self.inputs, self.hidden, steps)


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

    def inputs(self, most: int = 255) -> NDArray[np.float32]:
        """x (N, T, X) float32: one image row per time step, pixel / most."""
        return self.images.astype(np.float32) / np.float32(most)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A trained language model: LSTM layers behind an embedding (words, X) float16.

    decoder: (words, H), None when the embedding is the output layer too; decoder_bias: (words,); words: the vocabulary
    by index, sample: (N, T) indices, both None where the file has none.
    """

    layers: tuple[LayerWeights, ...]
    embedding: NDArray[np.float16]
    decoder: NDArray[np.float16] | None
    decoder_bias: NDArray[np.float16]
    words: tuple[str, ...] | None
    sample: NDArray[np.integer[Any]] | None
    meta: dict[str, Any]

    def logits(self, h: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores (..., words) of h (..., H); columns beyond H are padding and ignored."""
        out = (self.embedding if self.decoder is None else self.decoder).astype(np.float32)
        return h[..., : out.shape[1]] @ out.T + self.decoder_bias.astype(np.float32)


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
            content = read_file(path)
        except UserError as error:
            raise CheckpointError(str(error)) from None
        try:
            self.arrays = arrays_of(content)
        except ValueError:
            self.arrays = {"": np.zeros(0)}
        if "" in self.arrays:
            raise CheckpointError(f"{path}: not an .npz file, or truncated or damaged{instead(content)}")
        self.what = instead(content)
        self._check_schema()

    def _check_schema(self) -> None:
        """Raises CheckpointError for a file that a later version wrote, whose arrays may mean something else."""
        try:
            meta = json.loads(str(self.arrays.get("meta", "{}")))
        except json.JSONDecodeError:
            return
        schema = meta.get("schema", SCHEMA) if isinstance(meta, dict) else SCHEMA
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise self.fail(f"schema in meta must be a whole number from 1 up, not {schema!r}")
        if schema > SCHEMA:
            raise self.fail(f"of schema {schema}, written by a later version of elstm; this one reads up to {SCHEMA}")

    def fail(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {text}")

    def take(self, name: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
        """An array of that shape, None standing for any length of at least 1."""
        if name not in self.arrays:
            it_has = f"; it has {', '.join(list(self.arrays)[:8]) or 'none'}" if not self.what else self.what
            raise self.fail(f"array {name} is missing{it_has}")
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

    def meta(self) -> dict[str, Any]:
        """The JSON object of ``meta``."""
        meta = self.arrays.get("meta")
        try:
            values = json.loads(str(meta)) if meta is not None else None
        except json.JSONDecodeError:
            values = None
        if not isinstance(values, dict):
            raise self.fail("meta must be a JSON object as text")
        return values

    def indices(self, name: str, shape: tuple[int | None, ...], count: int) -> NDArray[np.integer[Any]]:
        """Integers in 0..count-1."""
        array = self.take(name, shape)
        if array.dtype.kind not in "ui":
            raise self.fail(f"{name} must be integers, not {array.dtype}")
        self._first(name, array, (array < 0) | (array >= count), f"not in 0..{count - 1}")
        return array

    def _first(self, name: str, array: NDArray[Any], bad: NDArray[np.bool_], why: str) -> None:
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            raise self.fail(f"{name}[{', '.join(map(str, index))}] is {array[index]}, {why}")


BESIDE = ("thresholds", "out.w", "out.b", "embedding", "decoder", "decoder_bias", "words", "sample", "meta")
"""Arrays that a checkpoint has beside its layers; any other would be ignored, so it is refused."""
PARTS = ("w", "u", "b")
PACKED_PARTS = ("w.bits", "w.values", "u.bits", "u.values", "b", "inputs")


def _layer_count(npz: _Npz, parts: tuple[str, ...] = PARTS) -> int:
    """How many layers the file has; none may be missing below another, and no array of a layer be unused."""
    numbers = set()
    for name in npz.arrays:
        found = re.fullmatch(r"l(\d+)\.(.+)", name)
        if found and (not re.fullmatch(r"[1-9]\d{0,4}", found[1]) or found[2] not in parts):
            raise npz.fail(f"{name} is not used; a layer here has {', '.join(f'ln.{part}' for part in parts)}")
        if found:
            numbers.add(int(found[1]))
    count = max(numbers, default=0)
    gap = next((n for n in range(1, count) if n not in numbers), None)
    if gap:
        raise npz.fail(f"layer {gap} is missing below l{count}.{parts[0]}")
    return count


def _layers(npz: _Npz, pruned: bool = True) -> tuple[LayerWeights, ...]:
    """Every layer of the file. pruned: whether it must have ``thresholds``; without them nothing is pruned."""
    npz.take("l1.w", (None, None))
    weights: list[tuple[NDArray[np.float16], NDArray[np.float16], NDArray[np.float16]]] = []
    for number in range(1, _layer_count(npz) + 1):
        prefix = f"l{number}"
        below = weights[-1][1].shape[1] if weights else None
        w = npz.float16(f"{prefix}.w", (None, below))
        if w.shape[0] % 4:
            raise npz.fail(f"{prefix}.w must have 4H rows, not {w.shape[0]}")
        rows = w.shape[0]
        weights.append((w, npz.float16(f"{prefix}.u", (rows, rows // 4)), npz.float16(f"{prefix}.b", (rows,))))
    if not pruned and "thresholds" not in npz.arrays:
        npz.arrays["thresholds"] = np.zeros(len(weights), np.float32)
    unknown = [name for name in npz.arrays if name not in BESIDE and not re.fullmatch(r"l\d+\..+", name)]
    if unknown:
        raise npz.fail(f"{unknown[0]} is not used; beside layers a file here has {', '.join(BESIDE)}")
    thresholds = npz.float32("thresholds", (len(weights),))
    return tuple(LayerWeights(w, u, b, float(th)) for (w, u, b), th in zip(weights, thresholds, strict=True))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and check a checkpoint. Raises CheckpointError."""
    npz = _Npz(path)
    layers = _layers(npz)
    out_w = npz.float32("out.w", (None, layers[-1].hidden))
    out_b = npz.float32("out.b", (out_w.shape[0],))
    return Checkpoint(layers, out_w, out_b, npz.meta())


def load_language_model(path: Path) -> LanguageModel:
    """Read and check a language model. Raises CheckpointError."""
    npz = _Npz(path)
    layers = _layers(npz, pruned=False)
    embedding = npz.float16("embedding", (None, layers[0].inputs))
    count = len(embedding)
    decoder = npz.float16("decoder", (count, layers[-1].hidden)) if "decoder" in npz.arrays else None
    bias = npz.float16("decoder_bias", (count,)) if "decoder_bias" in npz.arrays else np.zeros(count, np.float16)
    words = tuple(str(npz.arrays["words"]).split("\n")) if "words" in npz.arrays else None
    if words is not None and len(set(words)) != count:
        raise npz.fail(f"words must be {count} different words, a row of the embedding each, not {len(set(words))}")
    sample = npz.indices("sample", (None, None), count) if "sample" in npz.arrays else None
    return LanguageModel(layers, embedding, decoder, bias, words, sample, npz.meta() if "meta" in npz.arrays else {})


def with_schema(meta: Mapping[str, Any]) -> dict[str, Any]:
    """``meta`` with the number of the schema, as every file has it that is written."""
    return {**meta, "schema": SCHEMA}


def meta_text(meta: Mapping[str, Any]) -> str:
    """``meta`` as a file has it."""
    return json.dumps(with_schema(meta))


def pack_layers(layers: Sequence[LayerWeights], meta: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a file of packed layers."""
    arrays: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(layers, 1):
        arrays[f"l{number}.inputs"] = np.array([layer.inputs])
        for name, matrix in (("w", layer.w), ("u", layer.u)):
            arrays[f"l{number}.{name}.bits"] = np.packbits(matrix != 0, axis=1)
            arrays[f"l{number}.{name}.values"] = matrix[matrix != 0]
        arrays[f"l{number}.b"] = layer.b
    arrays["thresholds"] = np.array([layer.threshold for layer in layers], np.float32)
    return arrays | {"meta": np.array(meta_text(meta))}


def load_packed_layers(path: Path) -> tuple[LayerWeights, ...]:
    """Read, check and unpack layers. Raises CheckpointError."""
    npz = _Npz(path)
    for number in range(1, max(1, _layer_count(npz, PACKED_PARTS)) + 1):
        rows = len(npz.take(f"l{number}.b", (None,)))
        inputs = int(npz.indices(f"l{number}.inputs", (1,), 1 << 16)[0])
        for name, width in (("w", inputs), ("u", rows // 4)):
            key = f"l{number}.{name}"
            bits = npz.take(f"{key}.bits", (rows, -(-width // 8)))
            if bits.dtype != np.uint8:
                raise npz.fail(f"{key}.bits must be uint8, not {bits.dtype}")
            here = np.unpackbits(bits, axis=1)[:, :width].astype(bool)
            npz.arrays[key] = np.zeros((rows, width), np.float16)
            npz.arrays[key][here] = npz.float16(f"{key}.values", (int(here.sum()),))
            del npz.arrays[f"{key}.bits"], npz.arrays[f"{key}.values"]
        del npz.arrays[f"l{number}.inputs"]
    return _layers(npz)


def load_layers(path: Path) -> tuple[LayerWeights, ...]:
    """The LSTM layers of any file here, packed or not; without ``thresholds`` nothing is pruned.

    Raises CheckpointError.
    """
    npz = _Npz(path)
    if "l1.w.bits" in npz.arrays:
        return load_packed_layers(path)
    return _layers(npz, pruned=False)


def load_sentences(path: Path) -> Sentences:
    """Read and check embedded sentences. Raises CheckpointError."""
    npz = _Npz(path)
    x = npz.float16("x", (None, None, None))
    tokens = npz.take("tokens", x.shape[:2])
    if tokens.dtype.kind not in "ui":
        raise npz.fail(f"tokens must be integers, not {tokens.dtype}")
    return Sentences(x, tokens)


def load_tokens(path: Path, count: int) -> NDArray[np.integer[Any]]:
    """The ``tokens`` (N,) of a shipped text, each below ``count``. Raises CheckpointError."""
    return _Npz(path).indices("tokens", (None,), count)


def load_digits(path: Path) -> Digits:
    """Read and check digits. Raises CheckpointError."""
    npz = _Npz(path)
    images = npz.take("images", (None, None, None))
    labels = npz.take("labels", (len(images),))
    for name, array in (("images", images), ("labels", labels)):
        if array.dtype != np.uint8:
            raise npz.fail(f"{name} must be uint8, not {array.dtype}")
    return Digits(images, labels)
