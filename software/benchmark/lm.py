"""Train, prune, retrain, evaluate and export language models: embedding, LSTM layers, output layer.

    python -m software.benchmark.lm train --data kjv -emsize 200 -nhid 200 --tied
    python -m software.benchmark.lm eval

Weights are pruned by magnitude to the exact count, biases never. Epochs and thresholds are chosen on the valid text.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from golden.config import BLOCK_COLS
from golden.layer import Layer, pack_layer
from software.benchmark.corpus import Corpus, words_sha256
from software.benchmark.data import NAMES, load_corpus
from software.benchmark.golden_perplexity import golden_loss
from software.benchmark.lm_options import DEFAULTS, parse
from software.benchmark.npz import npz
from software.checkpoint import KJV_MODEL, KJV_SAMPLE, CheckpointError, load_tokens, pack_layers
from software.cli import UserError, write_all
from software.header import header

try:
    import torch

    from software.benchmark.language_files import (
        Model,
        check_size,
        check_words,
        load_model,
        npz_of,
        sample_of,
        save_model,
        to_language_model,
        with_stage,
    )
    from software.benchmark.language_model import LanguageNet, Pruning, Size, prune_below, prune_to, zeros
    from software.benchmark.language_training import LmSettings, LmTrainer, Score, ctrl_c, evaluate, streams
    from software.benchmark.mnist_model import commit
    from software.benchmark.training import Interrupted
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    sys.exit("error: torch is not installed: pip install 'elstm[train]'")

SAMPLE_WORDS = 10_000
VALID_PART = 10
"""--tokens N in training keeps N / 10 words of the valid text."""
SEARCH = (20, 100)
"""Streams and steps of the valid text on which thresholds for -hs are searched."""


def corpus_for(options: argparse.Namespace, model: Model | None, console: Console) -> Corpus:
    """The text that --data names, else the one that the model was trained on; with the model's vocabulary."""
    data = options.data or (model.meta.get("data") if model else "kjv")
    if data is None or (not options.data and data not in NAMES):
        raise UserError(f"--data is needed: {options.model_path} does not say what text it was trained on")
    corpus = load_corpus(data, lambda line: console.print(line, style="dim"))
    if model is not None:
        check_words(model, corpus, str(options.model_path))
    return corpus


def pruning_for(options: argparse.Namespace, model: Model, corpus: Corpus | None) -> Pruning | None:
    """Of h: from -ht or -hs, else the model's own. Raises UserError for a wrong count or a block that does not fit."""
    own = model.pruning
    block = options.b or (own.block if own else BLOCK_COLS)
    size = model.net.size
    if size.nhid % block:
        raise UserError(f"-b: a block of {block} does not divide {size.nhid} units")
    for name in ("hs", "ht"):
        values = getattr(options, name)
        if values and len(values) != size.nlayers:
            raise UserError(f"-{name} needs {size.nlayers} values, one a layer, not {len(values)}")
    if options.hs:
        if corpus is None:
            raise UserError("-hs needs the valid text: give --data")
        return find_pruning(model.net, corpus, options.hs, block)
    if options.ht:
        return Pruning(tuple(float(np.float32(th)) for th in options.ht), block) if any(options.ht) else None
    return None if own is None else Pruning(own.thresholds, block)


@torch.no_grad()
def find_pruning(net: LanguageNet, corpus: Corpus, sparsities: Sequence[float], block: int) -> Pruning:
    """Thresholds that drop these shares of the blocks of h on a part of the valid text, layer by layer."""
    net.eval()
    n, steps = SEARCH
    tokens = streams(torch.from_numpy(corpus.valid), min(n, len(corpus.valid) // 2))[:steps]
    zero = net.zero_state(tokens.shape[1])
    found = [0.0] * net.size.nlayers
    for layer, wanted in enumerate(sparsities):
        low, high = 0.0, 2.0 * block
        for _ in range(14 if wanted else 0):
            found[layer] = (low + high) / 2
            share = net(tokens, zero, Pruning(tuple(found), block)).pruned[layer]
            low, high = (low, found[layer]) if share > wanted else (found[layer], high)
    return Pruning(tuple(float(np.float32(th)) for th in found), block)


def prune_weights(options: argparse.Namespace, net: LanguageNet) -> None:
    """To -ws or below -wt, if given. Raises UserError for a wrong count."""
    for name in ("ws", "wt"):
        values = getattr(options, name)
        if values and len(values) != 2 * net.size.nlayers:
            raise UserError(f"-{name} needs {2 * net.size.nlayers} values, W and U of each layer, not {len(values)}")
    if options.ws:
        prune_to(net, options.ws)
    if options.wt:
        prune_below(net, options.wt)


def opened(options: argparse.Namespace) -> Model:
    model = load_model(options.model_path)
    check_size(model, options.emsize, options.nhid, options.nlayers, str(options.model_path))
    return model


def settings_of(options: argparse.Namespace, pruning: Pruning | None) -> LmSettings:
    new = options.command == "train"
    return LmSettings(
        seed=options.seed,
        epochs=options.epochs or (6 if new else 1),
        bptt=options.bptt,
        batch_size=options.batch_size or 20,
        lr=options.lr or (4e-3 if new else 1e-3),
        clip=options.clip,
        dropout=options.dropout,
        l1_lambda=options.l1_lambda if options.l1 else 0.0,
        thresholds=None if pruning is None else pruning.thresholds,
        block=BLOCK_COLS if pruning is None else pruning.block,
    )


def fit(
    options: argparse.Namespace, model: Model, corpus: Corpus, settings: LmSettings, start: str, name: str, out: Path
) -> Model:
    """Train the model's network as the settings say, show it, write the best epoch to ``out``. Raises Interrupted."""
    console = Console(stderr=True)
    state = out.with_suffix(".state")
    if options.fresh:
        state.unlink(missing_ok=True)
    training = streams(torch.from_numpy(corpus.train), settings.batch_size, options.tokens)
    part = options.tokens and max(options.tokens // VALID_PART, 1)
    validation = streams(torch.from_numpy(corpus.valid), min(10, settings.batch_size), part)
    if options.tokens:
        start = f"{start}, {options.tokens} words"
    model.net.dropout = settings.dropout
    model.net.lstm.dropout = settings.dropout if model.net.size.nlayers > 1 else 0.0
    trainer = LmTrainer(model.net, training, validation, settings, state, start, masked=name == "retrain")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = settings.epochs * trainer.batches
    with Progress(*columns, console=console) as bar, ctrl_c() as stop:
        task = bar.add_task(name, total=total, completed=trainer.batch)

        def show(batch: int, loss: float) -> None:
            rate = batch * settings.bptt * settings.batch_size / max(trainer.seconds, 1e-9)
            bar.update(task, completed=batch, description=f"{name}: {rate:,.0f} words/s, loss {loss:.3f}")

        trainer.run(show, lambda line: bar.print(f"{name}, {line}"), stop, options.log_interval)
    loss, dropped = trainer.scores[trainer.best_epoch - 1]
    stage = {
        "name": name, "settings": asdict(settings), "tokens": options.tokens, "best_epoch": trainer.best_epoch,
        "valid_losses": [loss for loss, _ in trainer.scores], "hidden_sparsity": dropped,
        "zeros": zeros(model.net), "seconds": round(trainer.seconds, 1), "commit": commit(), "torch": torch.__version__,
    }  # fmt: skip
    done = with_stage(model, stage, settings.pruning)
    save_model(out, done)
    print(f"wrote {out}: valid perplexity {Score(loss, 0, ()).perplexity:.2f} after epoch {trainer.best_epoch}")
    return done


def new_model(options: argparse.Namespace, corpus: Corpus) -> Model:
    """An untrained network of the size that the options say, for the corpus's words. Raises UserError."""
    sizes = {name: getattr(options, name) or default for name, default in DEFAULTS.items()}
    block = options.b or BLOCK_COLS
    if sizes["nhid"] % block:
        raise UserError(f"-b: a block of {block} does not divide {sizes['nhid']} units (-nhid)")
    size = Size(len(corpus.words), sizes["emsize"], sizes["nhid"], sizes["nlayers"], options.tied)
    torch.manual_seed(options.seed)
    try:
        net = LanguageNet(size, options.dropout)
    except ValueError as error:
        raise UserError(str(error)) from None
    return Model(net, corpus.words, None, {"data": corpus.name})


def digest(net: LanguageNet) -> str:
    """Of all weights: which model a run begins with."""
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in net.state_dict().values())).hexdigest()


def do_train(options: argparse.Namespace, console: Console) -> None:
    """A new network, or the one of --model_path with all its weights free and h not pruned."""
    if options.model_path is None:
        corpus = corpus_for(options, None, console)
        model = new_model(options, corpus)
        start = json.dumps({"size": asdict(model.net.size), "words": words_sha256(corpus.words)})
    else:
        model = opened(options)
        if options.tied and not model.net.size.tied:
            raise UserError(f"--tied: {options.model_path} has an output layer of its own")
        corpus = corpus_for(options, model, console)
        model = replace(model, words=corpus.words, pruning=None, meta=model.meta | {"data": corpus.name})
        start = f"train {digest(model.net)}"
    out = options.out or options.save_dir / "trained.pt"
    fit(options, model, corpus, settings_of(options, None), start, "train", out)


def do_prune(options: argparse.Namespace, console: Console) -> None:
    model = opened(options)
    prune_weights(options, model.net)
    out = options.save_dir / "pruned.pt" if options.retrain else options.out or options.save_dir / "pruned.pt"
    save_model(out, with_stage(model, {"name": "prune", "zeros": zeros(model.net)}, model.pruning))
    shares = ", ".join(f"{name} {share:.4f}" for name, share in zeros(model.net).items())
    print(f"wrote {out}: zeros {shares}")
    if options.retrain:
        options.model_path, options.ws, options.wt = out, None, None
        do_retrain(options, console)


def do_retrain(options: argparse.Namespace, console: Console) -> None:
    model = opened(options)
    corpus = corpus_for(options, model, console)
    prune_weights(options, model.net)
    pruning = pruning_for(options, model, corpus)
    if pruning is not None:
        console.print(f"thresholds of h {', '.join(f'{th:g}' for th in pruning.thresholds)}", style="dim")
    named = replace(model, words=corpus.words, meta=model.meta | {"data": corpus.name})
    out = options.out or options.save_dir / "retrained.pt"
    fit(options, named, corpus, settings_of(options, pruning), digest(model.net), "retrain", out)


def text_of(options: argparse.Namespace, model: Model, console: Console) -> tuple[np.ndarray, Corpus | None]:
    """The words to evaluate on, and the corpus they are of, unless they are the shipped sample."""
    if options.split == "sample":
        if model.meta.get("data") != "kjv":
            raise UserError("--split sample is of the King James text, on which the model was not trained")
        try:
            tokens, corpus = load_tokens(KJV_SAMPLE, model.net.size.words).astype(np.int64), None
        except CheckpointError as error:
            raise UserError(str(error)) from None
    else:
        corpus = corpus_for(options, model, console)
        tokens = corpus.split(options.split)
    return tokens, corpus


def do_eval(options: argparse.Namespace, console: Console) -> None:
    options.model_path = options.model_path or KJV_MODEL
    model = opened(options)
    prune_weights(options, model.net)
    tokens, corpus = text_of(options, model, console)
    pruning = pruning_for(options, model, corpus)
    columns = streams(torch.from_numpy(tokens), options.batch_size or 10, options.tokens)
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*bars, console=console, transient=True) as bar:

        def showing(name: str) -> Any:
            task = bar.add_task(name)
            return lambda done, total: bar.update(task, completed=done, total=total)

        score = evaluate(model.net, columns, pruning, options.bptt, showing("float"))
        result: dict[str, Any] = {
            "perplexity": score.perplexity, "loss": score.loss, "hidden_sparsity": list(score.pruned), "n": score.n,
            "split": options.split, "streams": columns.shape[1], "weight_sparsity": zeros(model.net),
            "thresholds": None if pruning is None else list(pruning.thresholds), "arithmetic": "float",
        }  # fmt: skip
        if options.arithmetic == "golden":
            exported = to_language_model(replace(model, pruning=pruning))
            thresholds = tuple(layer.threshold for layer in exported.layers)
            try:
                loss, pruned = golden_loss(exported, columns.numpy(), thresholds, options.bptt, showing("golden"))
            except ValueError as error:
                raise UserError(f"{options.model_path}: {error}") from None
            exact = Score(loss, score.n, pruned)
            result |= {
                "arithmetic": "golden", "perplexity": exact.perplexity, "loss": loss, "hidden_sparsity": list(pruned),
                "float": {"perplexity": score.perplexity, "loss": score.loss, "hidden_sparsity": list(score.pruned)},
                "difference": {"loss": loss - score.loss, "perplexity": exact.perplexity - score.perplexity},
            }  # fmt: skip
    if options.json:
        write_all({options.json: (json.dumps(result, indent=1) + "\n").encode()})
    print_score(result, options.v)


def print_score(result: dict[str, Any], verbose: bool) -> None:
    dropped = " / ".join(f"{share:.2%}" for share in result["hidden_sparsity"])
    kind = "bit-exact layers" if result["arithmetic"] == "golden" else "float"
    print(
        f"{kind}: perplexity {result['perplexity']:.4f}, loss {result['loss']:.6f}, hidden sparsity {dropped} "
        f"({result['n']:,} words of {result['split']}, {result['streams']} streams)"
    )
    if "difference" in result:
        print(
            f"float: perplexity {result['float']['perplexity']:.4f}, loss {result['float']['loss']:.6f}; difference "
            f"{result['difference']['perplexity']:+.6f} in perplexity, {result['difference']['loss']:+.2e} in loss"
        )
    if verbose:
        print(f"zeros: {', '.join(f'{name} {share:.4f}' for name, share in result['weight_sparsity'].items())}")
        print(f"thresholds of h: {result['thresholds'] or 'none'}")


def do_export(options: argparse.Namespace, console: Console) -> None:
    model = opened(options)
    corpus = corpus_for(options, model, console)
    model = replace(model, words=corpus.words, meta=model.meta | {"data": corpus.name, "export_commit": commit()})
    prune_weights(options, model.net)
    exported = to_language_model(replace(model, pruning=pruning_for(options, model, corpus)))
    exported = replace(exported, sample=sample_of(corpus))
    out = options.out or options.save_dir / "model.npz"
    files = {out: npz_of(exported)}
    if options.layers:
        files[options.layers] = npz(pack_layers(exported.layers, exported.meta))
    if options.sample:
        files[options.sample] = npz({"tokens": corpus.test[:SAMPLE_WORDS].astype(np.uint16)})
    if options.header:
        x = exported.embedding[exported.sample].astype(np.float32)
        for number, layer in enumerate(exported.layers, 1):
            packed = pack_layer(layer.w, layer.u, layer.b)
            files[options.header / f"l{number}.h"] = header(packed, x, layer.threshold).encode()
            x = Layer(packed).run(x, layer.threshold).h_pruned
    write_all(files)
    print(f"wrote {', '.join(map(str, files))}: {len(files[out]) / 1e6:.1f} MB")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 with one line for what the user can put right, 130 after Ctrl-C."""
    torch.set_num_threads(1)
    commands = {"train": do_train, "prune": do_prune, "retrain": do_retrain, "eval": do_eval, "export": do_export}
    try:
        options = parse(arguments)
        commands[options.command](options, Console(stderr=True))
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt) as stopped:
        print(f"stopped; {stopped}; the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
