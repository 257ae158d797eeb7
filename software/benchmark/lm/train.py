"""The commands that make language models: train, prune, retrain."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from golden.config import BLOCK_COLS
from software import progress
from software.benchmark.common.options import gradual_asked
from software.benchmark.common.weight_pruning import Gradual, zeros
from software.benchmark.data.corpus import Corpus, words_sha256
from software.benchmark.lm.files import Model, model_bytes, with_stage
from software.benchmark.lm.language_model import Pruning
from software.benchmark.lm.model import (
    asked_of_weights,
    corpus_for,
    digest,
    new_model,
    opened,
    prune_weights,
    pruning_for,
    say,
)
from software.benchmark.lm.options import Options, retrains
from software.benchmark.lm.training import LmSettings, LmTrainer, Score, ctrl_c, streams
from software.cli import UserError, write_all
from software.provenance import commit

VALID_PART = 10
"""--tokens N in training keeps N / 10 words of the valid text."""


def settings_of(options: Options, pruning: Pruning | None, gradual: Gradual | None = None) -> LmSettings:
    """The settings of a training, with the defaults of its command."""
    new = not retrains(options) and options.command == "train"
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
        gradual=gradual,
    )


def fit(options: Options, model: Model, corpus: Corpus, settings: LmSettings, start: str, name: str, out: Path) -> None:
    """Train the model's network as the settings say, show it, write the best epoch to ``out``. Raises Interrupted."""
    state = out.with_suffix(".state")
    if state == out:
        raise UserError(f"--out must not end in .state, as what resumes a run does: {out}")
    if options.fresh and state.is_file():
        state.unlink()
    training = streams(torch.from_numpy(corpus.train), settings.batch_size, options.tokens)
    part = options.tokens and max(options.tokens // VALID_PART, 1)
    validation = streams(torch.from_numpy(corpus.valid), min(10, settings.batch_size), part)
    if options.tokens:
        start = f"{start}, {options.tokens} words"
    model.net.dropout = settings.dropout
    model.net.lstm.dropout = settings.dropout if model.net.size.nlayers > 1 else 0.0
    trainer = LmTrainer(model.net, training, validation, settings, state, start, masked=name == "retrain")
    total = settings.epochs * trainer.batches
    with progress.bars(transient=False) as bar, ctrl_c() as stop:
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
    written = {out: model_bytes(with_stage(model, stage, settings.pruning))} | as_json(options, stage)
    write_all(written)
    print(
        f"wrote {', '.join(map(str, written))}: valid perplexity {Score(loss, 0, ()).perplexity:.2f} after epoch "
        f"{trainer.best_epoch}"
    )


def as_json(options: Options, stage: dict[str, Any]) -> dict[Path, bytes]:
    """The file of --json, if it is asked for."""
    return {options.json: json.dumps(stage, indent=1).encode() + b"\n"} if options.json else {}


def train(options: Options) -> None:
    """Train a dense model: a new one, or go on with one, all its weights free and h not pruned.

    Ctrl-C is safe: the same command goes on, to the very same weights. With --retrain it is the command retrain.

    \b
    Examples:
      python -m software.benchmark.lm train --data kjv -emsize 200 -nhid 200 --tied
      python -m software.benchmark.lm train -model build/lm/trained.pt --epochs 2 --lr .001 -o build/lm/longer.pt
    """
    if retrains(options):
        retrain(options)
        return
    if options.model_path is None:
        model, corpus = new_model(options)
        start = json.dumps({"size": asdict(model.net.size), "words": words_sha256(corpus.words)})
    else:
        model = opened(options)
        if options.tied and not model.net.size.tied:
            raise UserError(f"--tied: {options.model_path} has an output layer of its own")
        corpus = corpus_for(options, model)
        model = replace(model, words=corpus.words, pruning=None, meta=model.meta | {"data": corpus.name})
        start = f"train {digest(model.net)}"
    out = options.out or options.save_dir / "trained.pt"
    fit(options, model, corpus, settings_of(options, None), start, "train", out)


def prune(options: Options) -> None:
    """Set the smallest weights of each W and U to zero: to the exact count (-ws), or up to a magnitude (-wt).

    Nothing is trained, unless --retrain goes on with the command retrain. Biases are never pruned.

    \b
    Examples:
      python -m software.benchmark.lm prune -model build/lm/trained.pt -ws .2 .5 .2 .6
      python -m software.benchmark.lm prune -model build/lm/trained.pt -m threshold -wt .05 --retrain
    """
    model = opened(options)
    prune_weights(options, model.net)
    out = options.save_dir / "pruned.pt" if options.retrain else options.out or options.save_dir / "pruned.pt"
    stage = {"name": "prune", "zeros": zeros(model.net)}
    written = {out: model_bytes(with_stage(model, stage, model.pruning))}
    if not options.retrain:
        written |= as_json(options, stage)
    write_all(written)
    shares = ", ".join(f"{name} {share:.4f}" for name, share in zeros(model.net).items())
    print(f"wrote {', '.join(map(str, written))}: zeros {shares}")
    if options.retrain:
        retrain(replace(options, model_path=out, ws=None, wt=None))


def retrain(options: Options) -> None:
    """Train a pruned model further: what is zero stays zero; with -ht or -hs, h is pruned in the loop.

    With -ws or -wt the model is pruned first, or with --gradual while it is trained. Ctrl-C is safe: the same command
    goes on, to the very same weights.

    \b
    Examples:
      python -m software.benchmark.lm retrain -model build/lm/pruned.pt -ht .3 .5
      python -m software.benchmark.lm retrain -model build/lm/trained.pt -ws .9 .9 .9 .9 --gradual --epochs 4
    """
    model = opened(options)
    gradual = gradual_asked(
        options.gradual, options.gradual_share, options.gradual_every, asked_of_weights(options, model.net)
    )
    corpus = corpus_for(options, model)
    if gradual is None:
        prune_weights(options, model.net)
    pruning = pruning_for(options, model, corpus)
    if pruning is not None:
        say(f"thresholds of h {', '.join(f'{th:g}' for th in pruning.thresholds)}")
    named = replace(model, words=corpus.words, meta=model.meta | {"data": corpus.name})
    out = options.out or options.save_dir / "retrained.pt"
    fit(options, named, corpus, settings_of(options, pruning, gradual), digest(model.net), "retrain", out)
