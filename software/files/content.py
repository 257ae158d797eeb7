"""What a file is by its first bytes, whatever it is called: so that it is read as that, or refused by that name."""

import gzip
import io
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from software.cli import UserError

NPY = b"\x93NUMPY"
GZIP = b"\x1f\x8b"

MAGIC = (
    (0, GZIP, "gzip", "a gzip file"),
    (0, NPY, "npy", "an .npy file, one array"),
    (0, b"BZh", "packed", "a bzip2 file"),
    (0, b"\xfd7zXZ\0", "packed", "an xz file"),
    (0, b"7z\xbc\xaf\x27\x1c", "packed", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "packed", "a RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "packed", "a Zstandard file"),
    (257, b"ustar", "packed", "a tar archive"),
    (0, b"\x89HDF\r\n\x1a\n", "hdf5", "an HDF5 file, as Keras writes"),
    (0, b"MATLAB 5.0 MAT-file", "matlab", "a MATLAB file"),
    (4, b"TFL3", "tflite", "a TensorFlow Lite model"),
    (0, b"GGUF", "gguf", "a GGUF model"),
    (0, b"\x7fELF", "elf", "an ELF program"),
    (0, b"\x89PNG\r\n", "picture", "a PNG picture"),
    (0, b"\xff\xd8\xff", "picture", "a JPEG picture"),
    (0, b"%PDF", "pdf", "a PDF document"),
    (0, b"\0\0\x08", "idx", "an idx file, as MNIST's"),
    (0, b"version https://git-lfs", "lfs", "a Git LFS pointer, not the file itself ('git lfs pull' fetches it)"),
)
"""Offset, bytes there, key, name. MNIST's files hold unsigned bytes, type 8 of idx."""
PICKLES = tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5))
TORCH_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""A pickle of the number with which torch.save began its files before version 1.6."""
MODELS = ("torch", "torchscript", "export", "safetensors")
"""Kinds that software.benchmark.import_torch reads."""
MAX_JSON = 100_000_000
"""Bytes of a safetensors header, as its own library limits it."""


@dataclass(frozen=True)
class Kind:
    """``key`` tells kinds apart in code, ``name`` is for people, with its article."""

    key: str
    name: str


def kind_of(content: bytes) -> Kind:
    """Of a whole file."""
    if not content:
        return Kind("empty", "empty")
    for offset, magic, key, name in MAGIC:
        if content[offset : offset + len(magic)] == magic:
            return Kind(key, name)
    if content.startswith(b"PK\x03\x04") or content.startswith(b"PK\x05\x06"):
        return _zip_kind(content)
    if content.startswith(TORCH_LEGACY):
        return Kind("torch", "a file of torch.save")
    if content.startswith(PICKLES):
        return Kind("pickle", "a pickle that torch.save did not write")
    length = int.from_bytes(content[:8], "little")
    if content[8:9] == b"{" and 2 <= length <= min(MAX_JSON, len(content) - 8):
        return Kind("safetensors", "a safetensors file")
    if is_onnx(content):
        return Kind("onnx", "an ONNX model")
    return _text_kind(content)


def _zip_kind(content: bytes) -> Kind:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeDecodeError):
        return Kind("cut", "truncated or damaged")
    # torch puts everything into one folder, whose name is any
    inside = {"/".join(PurePosixPath(name).parts[1:]) for name in names}
    if {"archive_format", "models/model.json"} & inside or "serialized_exported_program.json" in names:
        return Kind("export", "a program of torch.export")
    if "constants.pkl" in inside:
        return Kind("torchscript", "a TorchScript archive")
    if "data.pkl" in inside:
        return Kind("torch", "a file of torch.save")
    if ".data/extern_modules" in inside:
        return Kind("package", "a package of torch.package")
    if names and all(name.endswith(".npy") for name in names):
        return Kind("npz", "an .npz file")
    if "model.weights.h5" in names:
        return Kind("keras", "a Keras model")
    some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return Kind("zip", f"a zip archive ({some})" if names else "an empty zip archive")


def _text_kind(content: bytes) -> Kind:
    start = content[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"\0" in content[:1000] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Kind("unknown", "of no kind known here")
    if start[:9].lower() == b"<!doctype" or start[:5].lower() == b"<html":
        return Kind("html", "a web page, as a download that failed leaves")
    if start.startswith((b"{", b"[")):
        return Kind("json", "a JSON text")
    try:
        content[:1000].decode()
    except UnicodeDecodeError as error:
        # a character may be cut by the end of what is looked at
        if error.start < 996:
            return Kind("unknown", "of no kind known here")
    return Kind("text", "a text")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and where it ends. Raises IndexError."""
    value = shift = 0
    while shift < 64:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise IndexError("a number of more than 64 bits")


def is_onnx(content: bytes) -> bool:
    """Whether a file is a protobuf message with the fields of ONNX's ModelProto: it has no magic number.

    Field 1 is the version as a number, 7 the graph, as a message; all of 2..25 but 5 hold messages or text.
    """
    at, seen = 0, set()
    try:
        while at < len(content):
            tag, at = _varint(content, at)
            field, wire = tag >> 3, tag & 7
            value, at = _varint(content, at)
            if not 1 <= field <= 25 or wire != (0 if field in (1, 5) else 2):
                return False
            at += value if wire else 0
            seen.add(field)
    except IndexError:
        return False
    return at == len(content) and {1, 7} <= seen


def read_file(path: Path) -> bytes:
    """The content of a file, unpacked if it is gzip, whatever it is called. Raises UserError."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(GZIP) else content
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UserError(f"{path}: not a gzip file, or truncated or damaged") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


def arrays_of(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz by name, or of an .npy under the empty name. Raises ValueError with the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.load(io.BytesIO(content), allow_pickle=False)
            if isinstance(found, np.lib.npyio.NpzFile):
                with found:
                    arrays = {name: found[name] for name in found.files}
            else:
                arrays = {"": found}
    except Exception as error:
        # NumPy parses headers as Python does: damage raises whatever a tokenizer, zip or memory can
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None
    other = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
    if other:
        raise ValueError(f"{other[0]} in it is no array")
    return arrays


def is_npz(path: Path) -> bool:
    """By its content; what cannot be read is none."""
    try:
        return kind_of(read_file(path)).key == "npz"
    except UserError:
        return False


def instead(content: bytes) -> str:
    """What a file is that should be a checkpoint, and what makes one of it: the end of an error's line, or nothing."""
    kind = kind_of(content)
    if kind.key in ("npz", "cut", "unknown"):
        return ""
    if kind.key in MODELS:
        return f"; it is {kind.name}: python -m software.benchmark.import_torch makes a checkpoint of an nn.LSTM"
    return f"; it is {kind.name}"
