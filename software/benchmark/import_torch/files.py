"""What a file of weights holds, by its content: torch.save's, safetensors, .npz; TorchScript, torch.export if trusted.

Everything else is one line that says what the file is, and what to do. Nothing here runs code from a file, unless told.
"""

import io
import json
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from software.cli import UserError
from software.files.content import MAX_JSON, arrays_of, instead, kind_of, read_file

SAFETENSORS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "C64": torch.complex64,
}  # fmt: skip
"""PyTorch's types by the names of safetensors."""
TRUST = "save model.state_dict() instead, or give --pickled if you trust it"
SAVE = "save the weights where the model is, torch.save(model.state_dict(), FILE)"
ADVICE = {
    "onnx": SAVE,
    "hdf5": "only PyTorch's nn.LSTM is read",
    "keras": "only PyTorch's nn.LSTM is read",
    "tflite": "only PyTorch's nn.LSTM is read",
    "gguf": "only PyTorch's nn.LSTM is read",
    "package": SAVE,
    "zip": "unpack it first",
    "packed": "unpack it first",
    "pickle": f"{SAVE}, or give --pickled if you trust it",
    "npy": "a model is a state_dict, its tensors by name",
}
"""What to do about a file of another kind."""


def read_saved(path: Path, pickled: bool = False) -> Any:
    """The object in a file, often a mapping of tensors by name; ``pickled`` loads anything, which may run its code.

    Raises UserError.
    """
    if path.is_dir():
        models = sorted(p.name for p in path.iterdir() if p.suffix in (".pt", ".pth", ".bin", ".safetensors", ".ckpt"))
        raise UserError(f"{path}: Is a directory; name the file in it{': ' if models else ''}{', '.join(models)}")
    content = read_file(path)
    kind = kind_of(content)
    if kind.key == "safetensors":
        return read_safetensors(content, path)
    if kind.key == "npz":
        return _read_npz(content, path)
    if kind.key in ("torchscript", "export") and not pickled:
        raise UserError(f"{path} is {kind.name}; loading it may run code from the file: {TRUST}")
    readable = ("torch", *(("torchscript", "export", "pickle") if pickled else ()))
    if kind.key not in readable:
        what = "" if kind.key in ("cut", "unknown") else f"; it is {kind.name}"
        if kind.key == "json" and b'"weight_map"' in content:
            what += ", the index of a model in several files; give the file that has the LSTM"
        advice = f": {ADVICE[kind.key]}" if kind.key in ADVICE else ""
        raise UserError(f"{path}: not a file of torch.save, or damaged{what}{advice}")
    try:
        return _load(content, kind.key, pickled)
    except pickle.UnpicklingError as error:
        if re.search("(?i)unsupported|blocklist|can only build", str(error)):
            found = re.search(r"GLOBAL ([\w.]+)", str(error))
            raise UserError(
                f"{path} is a pickled module or has other objects in it{f' ({found[1]})' if found else ''}; loading it "
                f"would run code from the file: {TRUST}"
            ) from None
        raise UserError(f"{path}: not a file of torch.save, or damaged") from None
    except Exception as error:
        # What torch raises is whatever the damage happened to hit; what a pickle raises, anything
        reason = f": {type(error).__name__}: {str(error)[:200]}" if pickled else ""
        raise UserError(f"{path}: not a file of torch.save, or damaged{reason}") from None


def _load(content: bytes, kind: str, pickled: bool) -> Any:
    stream = io.BytesIO(content)
    if kind != "pickle":
        _check_sums(stream)
    # Kinds of tensors that are young warn when they are made, TorchScript that it is old
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "torchscript":
            return torch.jit.load(stream, map_location="cpu")
        if kind == "export":
            return torch.export.load(stream).state_dict
        if kind == "pickle":
            return pickle.load(stream)
        return torch.load(stream, map_location="cpu", weights_only=not pickled)


def _check_sums(stream: io.BytesIO) -> None:
    """Raise zipfile.BadZipFile when the checksum of a member is wrong: torch.load does not look at them."""
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                # torch.serialization.set_crc32_options(False) leaves them 0
                if member.CRC:
                    archive.read(member)
    stream.seek(0)


def load_own(path: Path, problem: str) -> Any:
    """What a command here saved with torch.save. Raises UserError: ``problem``, and what the file is instead."""
    content = read_file(path)
    try:
        return _load(content, "torch", False)
    except Exception:
        # What torch raises is whatever the damage happened to hit: pickle, zip, key and runtime errors
        what = "" if kind_of(content).key == "torch" else instead(content)
        raise UserError(f"{path}: {problem}, or damaged{what}") from None


def _read_npz(content: bytes, path: Path) -> dict[str, Any]:
    """Arrays by name, such as numpy.savez makes of a state_dict. Raises UserError."""
    try:
        arrays = arrays_of(content)
    except ValueError as error:
        raise UserError(f"{path}: not an .npz file of numbers, or damaged: {error}") from None
    if "l1.b" in arrays:
        raise UserError(f"{path} is a checkpoint already: python -m sim.run layer {path}")
    return arrays


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of JSON whose names are different. Raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def read_safetensors(content: bytes, path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name: 8 bytes, the length of a JSON header, which has type, shape and place of each in what follows.

    Raises UserError: a header that is none, a type that is not known, a place that is outside or not of its shape.
    """

    def fail(text: str) -> UserError:
        return UserError(f"{path}: a damaged safetensors file: {text}")

    size = int.from_bytes(content[:8], "little")
    if not 2 <= size <= min(MAX_JSON, len(content) - 8):
        raise fail(f"its header has {size} bytes, the file {len(content)}")
    try:
        header = json.loads(content[8 : 8 + size].decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise fail(f"its header is no JSON: {error}") from None
    data = memoryview(content)[8 + size :]
    tensors, places = {}, []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise fail(f"{name} lacks dtype, shape or data_offsets") from None
        if not isinstance(kind, str) or kind not in SAFETENSORS:
            raise UserError(f"{path}: {name} has type {kind}; known are {', '.join(SAFETENSORS)}")
        numbers = [*shape, begin, end] if isinstance(shape, list) else [None]
        if any(type(number) is not int or number < 0 for number in numbers):
            raise fail(f"{name} has shape {shape} and data_offsets {begin}, {end}")
        length = math.prod(shape) * SAFETENSORS[kind].itemsize
        if end > len(data) or end - begin != length:
            raise fail(f"{name}, {kind} of shape {shape}, cannot lie at {begin}..{end} of {len(data)} bytes")
        places.append((begin, end))
        # torch makes no tensor of an empty buffer
        values = torch.frombuffer(bytearray(data[begin:end]), dtype=SAFETENSORS[kind]) if length else torch.empty(0)
        tensors[name] = values.reshape(shape).to(SAFETENSORS[kind])
    ends = [0, *(end for _, end in sorted(places))]
    if [*(begin for begin, _ in sorted(places)), len(data)] != ends:
        raise fail("its tensors overlap, or leave bytes between or behind them")
    return tensors


def inside(value: Any, name: str = "the file") -> Mapping[Any, Any] | None:
    """What a mapping, list, module or plain object has in it, by name; None of a tensor and of what has nothing.

    Raises UserError for a module that cannot say.
    """
    if isinstance(value, torch.nn.Module):
        try:
            return value.state_dict()
        except Exception as error:
            # A module of another version of its class may lack anything
            raise UserError(f"{name} has no state_dict: {type(error).__name__}: {str(error)[:200]}") from None
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list | tuple):
        return dict(enumerate(value)) if any(isinstance(v, torch.Tensor) or _may_hold(v) for v in value) else None
    return vars(value) if _may_hold(value) else None


def _may_hold(value: Any) -> bool:
    """Whether it is a mapping, list or module, or an object with attributes that is no tensor, class or function."""
    if isinstance(value, Mapping | list | tuple | torch.nn.Module):
        return True
    is_other = isinstance(value, torch.Tensor | np.ndarray | type | ModuleType) or callable(value)
    return not is_other and isinstance(getattr(value, "__dict__", None), dict)


def flatten(saved: Any) -> dict[str, Any]:
    """Everything in nested mappings, lists, modules and objects by its dotted name, tensors and what is none.

    Raises UserError for two things of one name, and for mappings in themselves.
    """
    found: dict[str, Any] = {}
    _flatten(saved, "", (), found)
    return found


DEEPEST = 40
"""Levels of mappings in mappings; no model has as many."""


def _flatten(value: Any, name: str, above: tuple[int, ...], found: dict[str, Any]) -> None:
    """above: the identities of what the value lies in."""
    if len(above) > DEEPEST:
        raise UserError(f"{name[:60]}...: nested more than {DEEPEST} deep")
    held = inside(value, name or "the file")
    if held is not None:
        if id(value) in above and not isinstance(value, Mapping | list | tuple):
            # Objects may know what they are in, as a trainer and its model do
            return
        for key, inner in held.items():
            _flatten(inner, f"{name}.{key}" if name else str(key), (*above, id(value)), found)
    elif name in found:
        raise UserError(f"two things in this file are called {name}")
    elif name:
        found[name] = value
