"""What the language models' commands do to a model before they use it: find its text, check its size, prune it."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console

from golden.config import BLOCK_COLS
from software import progress
from software.benchmark.common.options import Asked, hidden_asked, weights_asked
from software.benchmark.common.weight_pruning import prune_below, prune_to
from software.benchmark.data.command import NAMES, load_corpus
from software.benchmark.data.corpus import Corpus
from software.benchmark.lm.files import Model, check_size, check_words, load_model
from software.benchmark.lm.language_model import LanguageNet, Pruning, Size
from software.benchmark.lm.options import DEFAULTS, Options
from software.benchmark.lm.training import streams
from software.cli import UserError

SEARCH = (20, 100)
"""Streams and steps of the valid text on which thresholds for -hs are searched."""
HALVINGS = 14


def say(line: str) -> None:
    """What is going on, on stderr."""
    Console(stderr=True, soft_wrap=True).print(line, style="dim", markup=False)


def opened(options: Options) -> Model:
    """The model of --model-path, which must fit the options. Raises UserError."""
    assert options.model_path is not None
    model = load_model(options.model_path)
    check_size(model, options.emsize, options.nhid, options.nlayers, str(options.model_path))
    # Before a text is looked for, or even fetched
    asked_of_weights(options, model.net)
    hidden_asked(options.hs, options.ht, model.net.size.nlayers)
    if options.block is not None:
        check_block(options.block, model.net.size.nhid)
    return model


def new_model(options: Options) -> tuple[Model, Corpus]:
    """An untrained network of the size that the options say, for the words of its text. Raises UserError."""
    sizes = {name: getattr(options, name) or default for name, default in DEFAULTS.items()}
    check_block(options.block or BLOCK_COLS, sizes["nhid"])
    if options.tied and sizes["emsize"] != sizes["nhid"]:
        raise UserError(f"--tied needs emsize = nhid, not {sizes['emsize']} and {sizes['nhid']}")
    corpus = corpus_for(options, None)
    size = Size(len(corpus.words), sizes["emsize"], sizes["nhid"], sizes["nlayers"], options.tied)
    torch.manual_seed(options.seed)
    return Model(LanguageNet(size, options.dropout), corpus.words, None, {"data": corpus.name}), corpus


def corpus_for(options: Options, model: Model | None) -> Corpus:
    """The text that --data names, else the one that the model was trained on; with the model's vocabulary."""
    data = options.data or (model.meta.get("data") if model else "kjv")
    if data is None or (not options.data and data not in NAMES):
        raise UserError(f"--data is needed: {options.model_path} does not say what text it was trained on")
    corpus = load_corpus(data, say)
    if model is not None:
        check_words(model, corpus, str(options.model_path))
    return corpus


def check_block(block: int, hidden: int) -> None:
    """Raise UserError for a block that does not divide H."""
    if hidden % block:
        raise UserError(f"-b must divide H = {hidden}, which {block} does not")


def pruning_for(options: Options, model: Model, corpus: Corpus | None) -> Pruning | None:
    """Of h: from -ht or -hs, else the model's own. Raises UserError for a wrong count or a block that does not fit."""
    own, size = model.pruning, model.net.size
    block = options.block or (own.block if own else BLOCK_COLS)
    check_block(block, size.nhid)
    asked = hidden_asked(options.hs, options.ht, size.nlayers)
    if asked is None:
        return None if own is None else Pruning(own.thresholds, block)
    option, values = asked
    if option == "-hs":
        if corpus is None:
            raise UserError("-hs needs the valid text: give --data")
        return find_pruning(model.net, corpus, values, block)
    return Pruning(tuple(float(np.float32(th)) for th in values), block) if any(values) else None


@torch.no_grad()
def find_pruning(net: LanguageNet, corpus: Corpus, sparsities: Sequence[float], block: int) -> Pruning:
    """Thresholds that drop these shares of the blocks of h on a part of the valid text, layer by layer."""
    net.eval()
    n, steps = SEARCH
    tokens = streams(torch.from_numpy(corpus.valid), min(n, len(corpus.valid) // 2))[:steps]
    zero = net.zero_state(tokens.shape[1])
    found = [0.0] * net.size.nlayers
    with progress.steps(HALVINGS * sum(map(bool, sparsities))) as step:
        for layer, wanted in enumerate(sparsities):
            low, high = 0.0, 2.0 * block
            for _ in range(HALVINGS if wanted else 0):
                step(f"threshold of layer {layer + 1}")
                found[layer] = (low + high) / 2
                share = net(tokens, zero, Pruning(tuple(found), block)).pruned[layer]
                low, high = (low, found[layer]) if share > wanted else (found[layer], high)
    return Pruning(tuple(float(np.float32(th)) for th in found), block)


def asked_of_weights(options: Options, net: LanguageNet) -> Asked | None:
    """What -ws or -wt ask for, a number for each matrix. Raises UserError for a wrong count."""
    return weights_asked(options.mode, options.ws, options.wt, net.size.nlayers)


def prune_weights(options: Options, net: LanguageNet) -> None:
    """To -ws or below -wt, if given. Raises UserError for a wrong count."""
    asked = asked_of_weights(options, net)
    if asked is not None:
        option, values = asked
        (prune_to if option == "-ws" else prune_below)(net, values)


def digest(net: LanguageNet) -> str:
    """Of all weights: which model a run begins with."""
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in net.state_dict().values())).hexdigest()
