"""A language model on disk: PyTorch's file between the stages of training, the project's .npz at their end."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from golden.config import BLOCK_COLS
from software.benchmark.common.npz import npz
from software.benchmark.data.corpus import Corpus
from software.benchmark.import_torch.files import load_own
from software.benchmark.import_torch.state import tensor_of
from software.benchmark.lm.language_model import LanguageNet, Pruning, Size, by_gate
from software.checkpoint import CheckpointError, LanguageModel, LayerWeights, load_language_model, meta_text
from software.cli import UserError, write_all
from software.files.content import is_npz

_KIND = "elstm language model "
FORMAT = f"{_KIND}1"
SAMPLE = (10, 35)
"""Sequences and words of an exported file's sample."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network; words: its vocabulary, if its file has it; pruning: of h, its own; meta: how it came about."""

    net: LanguageNet
    words: tuple[str, ...] | None
    pruning: Pruning | None
    meta: dict[str, Any]


def load_model(path: Path) -> Model:
    """Either kind of file. Raises UserError: unreadable, of another kind, or with a value that is not finite."""
    if is_npz(path):
        try:
            return from_language_model(load_language_model(path), str(path))
        except CheckpointError as error:
            raise UserError(str(error)) from None
    saved = load_own(path, "neither a trained model nor an .npz file")
    form = saved.get("format") if isinstance(saved, dict) else None
    if isinstance(form, str) and form.startswith(_KIND) and form != FORMAT:
        raise UserError(f"{path}: {form}, written by a later version of elstm; this one reads {FORMAT}")
    try:
        if form != FORMAT:
            raise ValueError("format")
        net = LanguageNet(Size(**saved["size"]))
        net.load_state_dict({name: tensor_of(f"{path}: {name}", value) for name, value in saved["net"].items()})
        thresholds = saved["thresholds"]
        pruning = None if thresholds is None else Pruning(tuple(thresholds), saved["block"])
        model = Model(net, tuple(saved["words"]), pruning, json.loads(saved["meta"]))
    except UserError:
        raise
    except Exception:
        # A damaged or other file may lack anything, and torch raises whatever it happens to meet
        raise UserError(f"{path}: not a trained language model, or damaged") from None
    for name, value in net.state_dict().items():
        if not value.isfinite().all():
            raise UserError(f"{path}: {name} has a value that is not finite")
    return model


def model_bytes(model: Model) -> bytes:
    """The file that ``load_model`` reads."""
    stream = io.BytesIO()
    torch.save(
        {
            "format": FORMAT, "size": asdict(model.net.size), "net": model.net.state_dict(),
            "words": list(model.words or ()), "meta": json.dumps(model.meta),
            "thresholds": None if model.pruning is None else list(model.pruning.thresholds),
            "block": BLOCK_COLS if model.pruning is None else model.pruning.block,
        },
        stream,
    )  # fmt: skip
    return stream.getvalue()


def save_model(path: Path, model: Model) -> None:
    """Whole or not at all."""
    write_all({path: model_bytes(model)})


def from_language_model(model: LanguageModel, name: str) -> Model:
    """The network of an exported file."""
    layers = model.layers
    hidden, emsize = layers[-1].hidden, layers[0].inputs
    if any(layer.hidden != hidden for layer in layers):
        raise UserError(f"{name}: layers must be of one size, not {', '.join(str(layer.hidden) for layer in layers)}")
    if model.decoder is None and hidden != emsize:
        raise UserError(f"{name}: array decoder is missing: h has {hidden} units, the embedding {emsize}")
    net = LanguageNet(Size(len(model.embedding), emsize, hidden, len(layers), model.decoder is None))

    def tensor(a: NDArray[np.float16]) -> torch.Tensor:
        return torch.from_numpy(a.astype(np.float32))

    with torch.no_grad():
        for number, layer in enumerate(layers):
            for torch_name, array in (("weight_ih", layer.w), ("weight_hh", layer.u), ("bias_ih", layer.b)):
                values = by_gate(array.astype(np.float32))
                getattr(net.lstm, f"{torch_name}_l{number}").copy_(torch.from_numpy(values))
        net.embedding.weight.copy_(tensor(model.embedding))
        if model.decoder is not None:
            net.decoder.weight.copy_(tensor(model.decoder))
        net.decoder.bias.copy_(tensor(model.decoder_bias))
    thresholds = tuple(layer.threshold for layer in layers)
    pruning = Pruning(thresholds, BLOCK_COLS) if any(th > 0 for th in thresholds) else None
    return Model(net, model.words, pruning, model.meta)


def to_language_model(model: Model) -> LanguageModel:
    """The network in fp16, as the hardware takes it.

    Raises UserError when a weight is beyond fp16, or a block of h is not the hardware's.
    """
    if model.pruning is not None and model.pruning.block != BLOCK_COLS:
        raise UserError(f"the hardware prunes blocks of {BLOCK_COLS} elements of h, not {model.pruning.block} (-b)")

    def half(name: str, values: torch.Tensor) -> NDArray[np.float16]:
        array = values.detach().numpy()
        with np.errstate(over="ignore"):
            found = array.astype(np.float16)
        if not np.isfinite(found).all():
            raise UserError(f"{name} has {np.abs(array).max()}, which fp16 cannot hold")
        return found

    net = model.net
    thresholds = (0.0,) * net.size.nlayers if model.pruning is None else model.pruning.thresholds
    layers = []
    for number, threshold in enumerate(thresholds):
        names = ("weight_ih", "weight_hh", "bias_ih")
        w, u, b = (by_gate(half(f"layer {number + 1}", getattr(net.lstm, f"{n}_l{number}"))) for n in names)
        layers.append(LayerWeights(w, u, b, threshold))
    decoder = None if net.size.tied else half("decoder", net.decoder.weight)
    embedding, bias = half("embedding", net.embedding.weight), half("decoder bias", net.decoder.bias)
    return LanguageModel(tuple(layers), embedding, decoder, bias, model.words, None, model.meta)


def sample_of(corpus: Corpus) -> NDArray[np.uint16]:
    """(10, 35) words of the test text, at even distances."""
    count, steps = SAMPLE
    if len(corpus.test) < steps:
        raise UserError(f"the test text has {len(corpus.test)} words, a sample needs {steps}")
    starts = np.linspace(0, len(corpus.test) - steps, count).astype(int)
    return np.array([corpus.test[start : start + steps] for start in starts], np.uint16)


def npz_of(model: LanguageModel) -> bytes:
    """The file of an exported model."""
    arrays: dict[str, Any] = {}
    for number, layer in enumerate(model.layers, 1):
        arrays |= {f"l{number}.w": layer.w, f"l{number}.u": layer.u, f"l{number}.b": layer.b}
    arrays["thresholds"] = np.array([layer.threshold for layer in model.layers], np.float32)
    optional = {"decoder": model.decoder, "sample": model.sample}
    arrays |= {"embedding": model.embedding, "decoder_bias": model.decoder_bias, "meta": meta_text(model.meta)}
    arrays |= {name: array for name, array in optional.items() if array is not None}
    if model.words is not None:
        arrays["words"] = "\n".join(model.words)
    return npz(arrays)


def with_stage(model: Model, stage: dict[str, Any], pruning: Pruning | None) -> Model:
    """The same network after one more stage, which ``meta`` then tells."""
    stages = [*model.meta.get("stages", ()), stage]
    return replace(model, pruning=pruning, meta=model.meta | {"stages": stages})


def check_size(model: Model, emsize: int | None, nhid: int | None, nlayers: int | None, name: str) -> None:
    """That a file has the size that a command line names. Raises UserError."""
    size = model.net.size
    for option, wanted, found in (
        ("emsize", emsize, size.emsize), ("nhid", nhid, size.nhid), ("nlayers", nlayers, size.nlayers),
    ):  # fmt: skip
        if wanted is not None and wanted != found:
            raise UserError(f"{name} has {option} {found}, not {wanted}")


def check_words(model: Model, corpus: Corpus, name: str) -> None:
    """That a text has the model's vocabulary. Raises UserError."""
    if len(corpus.words) != model.net.size.words:
        raise UserError(f"vocabulary mismatch: {name} has {model.net.size.words} words, the text {len(corpus.words)}")
    pairs: Sequence[tuple[str, str]] = list(zip(model.words or (), corpus.words, strict=False))
    other = next((n for n, (mine, its) in enumerate(pairs) if mine != its), None)
    if other is not None:
        mine, its = pairs[other]
        raise UserError(f"vocabulary mismatch: word {other} of {name} is {mine!r}, of the text {its!r}")
