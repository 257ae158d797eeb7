"""The commands that use language models: eval, export."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from golden.layer import Layer, pack_layer
from software import progress
from software.benchmark.common.npz import npz
from software.benchmark.common.weight_pruning import zeros
from software.benchmark.data.corpus import Corpus
from software.benchmark.lm.files import Model, npz_of, sample_of, to_language_model
from software.benchmark.lm.golden_perplexity import golden_loss
from software.benchmark.lm.model import corpus_for, opened, prune_weights, pruning_for
from software.benchmark.lm.options import Options
from software.benchmark.lm.training import Score, evaluate, streams
from software.checkpoint import KJV_MODEL, KJV_SAMPLE, CheckpointError, load_tokens, pack_layers
from software.cli import UserError, write_all
from software.header import header
from software.provenance import commit

SAMPLE_WORDS = 10_000


def text_of(options: Options, model: Model) -> tuple[np.ndarray, Corpus | None]:
    """The words to evaluate on, and the corpus they are of, unless they are the shipped sample."""
    if options.split == "sample":
        if model.meta.get("data") != "kjv":
            raise UserError("--split sample is of the King James text, on which the model was not trained")
        try:
            return load_tokens(KJV_SAMPLE, model.net.size.words).astype(np.int64), None
        except CheckpointError as error:
            raise UserError(str(error)) from None
    corpus = corpus_for(options, model)
    return corpus.split(options.split), corpus


def evaluation(options: Options) -> None:
    """Perplexity, loss and share of h blocks dropped, by default of the shipped King James model at its own thresholds.

    -ws, -wt, -hs and -ht prune it first. h and c are carried through the text. --arithmetic golden computes the LSTM
    layers as the hardware does, in fp16 and integers.

    \b
    Examples:
      python -m software.benchmark.lm eval --split sample
      python -m software.benchmark.lm eval -model build/lm/retrained.pt -ht .3 .5 --json result.json
      python -m software.benchmark.lm eval --split sample --tokens 2000 --arithmetic golden
    """
    options = replace(options, model_path=options.model_path or KJV_MODEL)
    model = opened(options)
    prune_weights(options, model.net)
    tokens, corpus = text_of(options, model)
    pruning = pruning_for(options, model, corpus)
    columns = streams(torch.from_numpy(tokens), options.batch_size or 10, options.tokens)
    with progress.bars() as bar:

        def showing(name: str) -> Any:
            task = bar.add_task(name, total=len(columns) - 1)
            return lambda done, total: bar.update(task, completed=done, total=total)

        score = evaluate(model.net, columns, pruning, options.bptt, showing("float, steps"))
        result: dict[str, Any] = {
            "perplexity": score.perplexity, "loss": score.loss, "hidden_sparsity": list(score.pruned), "n": score.n,
            "split": options.split, "streams": columns.shape[1], "weight_sparsity": zeros(model.net),
            "thresholds": None if pruning is None else list(pruning.thresholds), "arithmetic": "float",
        }  # fmt: skip
        if options.arithmetic == "golden":
            exported = to_language_model(replace(model, pruning=pruning))
            thresholds = tuple(layer.threshold for layer in exported.layers)
            try:
                loss, pruned = golden_loss(
                    exported, columns.numpy(), thresholds, options.bptt, showing("golden, steps")
                )
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
    print_score(result, options.verbose)
    if options.json:
        print(f"wrote {options.json}")


def print_score(result: dict[str, Any], verbose: bool) -> None:
    """Print what an evaluation found."""
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


def export(options: Options) -> None:
    """Write the fp16 checkpoint (.npz) that the simulators take, and with --header the layers as C headers.

    -ws, -wt, -hs and -ht prune it first. The checkpoint holds 10 sequences of 35 words of the test text.

    \b
    Examples:
      python -m software.benchmark.lm export -model build/lm/retrained.pt -o build/lm/model.npz
      python -m software.benchmark.lm export -model build/lm/retrained.pt --layers layers.npz --header build/headers
    """
    model = opened(options)
    corpus = corpus_for(options, model)
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
        assert exported.sample is not None
        x = exported.embedding[exported.sample].astype(np.float32)
        for number, layer in enumerate(exported.layers, 1):
            packed = pack_layer(layer.w, layer.u, layer.b)
            files[options.header / f"l{number}.h"] = header(packed, x, layer.threshold).encode()
            x = Layer(packed).run(x, layer.threshold).h_pruned
    write_all(files)
    print(f"wrote {', '.join(map(str, files))}: {len(files[out]) / 1e6:.1f} MB")
