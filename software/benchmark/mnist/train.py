"""The MNIST commands that make models: train, prune, retrain."""

import json as json_text
from dataclasses import replace
from typing import Annotated

import torch
import typer

from golden.config import BLOCK_COLS
from software.benchmark.common.network import Network
from software.benchmark.common.options import (
    EVERY,
    SHARE,
    ClipOption,
    EveryOption,
    FreshOption,
    GradualOption,
    HsOption,
    HtOption,
    JsonOption,
    L1Option,
    LambdaOption,
    LayersOption,
    LogOption,
    ModelOption,
    ModeOption,
    NhidOption,
    OutOption,
    ShareOption,
    WsOption,
    WtOption,
    check_rates,
    gradual_asked,
)
from software.benchmark.common.training import CLIP, Stage
from software.benchmark.common.weight_pruning import zeros
from software.benchmark.mnist import data as mnist_data
from software.benchmark.mnist.fit import TrainingSettings, digest, fit
from software.benchmark.mnist.model import CLASSES, HIDDEN, LAYERS, Model, split
from software.benchmark.mnist.options import (
    SAVE_DIR,
    BatchOption,
    BlockOption,
    DataOption,
    DropoutOption,
    EpochsOption,
    InputsOption,
    LimitOption,
    RateOption,
    SaveOption,
    SeedOption,
    StepsOption,
    asked_of_weights,
    check_sizes,
    listed,
    load_sized,
    prune_weights,
    set_thresholds,
)
from software.cli import UserError, check_outputs, write_all
from software.provenance import commit


def train(
    data: DataOption = None,
    model_path: ModelOption = None,
    nhid: NhidOption = None,
    nlayers: LayersOption = None,
    bptt: StepsOption = mnist_data.SIDE,
    emsize: InputsOption = mnist_data.SIDE,
    batch_size: BatchOption = 100,
    epochs: EpochsOption = 6,
    lr: RateOption = 3e-3,
    clip: ClipOption = CLIP,
    dropout: DropoutOption = 0.0,
    seed: SeedOption = 1,
    l1: L1Option = False,
    l1_lambda: LambdaOption = 1e-5,
    log_interval: LogOption = 0,
    save_dir: SaveOption = SAVE_DIR,
    out: OutOption = None,
    is_retrain: Annotated[
        bool, typer.Option("--retrain", help="As the command retrain, with its -m, -ws, -wt, -hs, -ht, --gradual.")
    ] = False,
    mode: ModeOption = "sparsity",
    ws: WsOption = None,
    wt: WtOption = None,
    hs: HsOption = None,
    ht: HtOption = None,
    gradual: GradualOption = False,
    gradual_share: ShareOption = SHARE,
    gradual_every: EveryOption = EVERY,
    block: BlockOption = BLOCK_COLS,
    limit: LimitOption = 0,
    fresh: FreshOption = False,
    json: JsonOption = None,
) -> None:
    """Train a dense network: a new one, or go on with one, all its weights free and h not pruned.

    Ctrl-C is safe: the same command goes on after the last finished epoch, to the very same weights.

    \b
    Examples:
      python -m software.benchmark.mnist train --epochs 6
      python -m software.benchmark.mnist train --retrain -model M.pt -ws .3 .5 .2 .4 -ht .3 .8
    """
    if is_retrain:
        retrain(
            data, model_path, mode, ws, wt, hs, ht, block, nhid, nlayers, bptt, emsize, batch_size, epochs, lr,
            clip, dropout, seed, l1, l1_lambda, log_interval, save_dir, out, limit, fresh, gradual, gradual_share,
            gradual_every, json,
        )  # fmt: skip
        return
    for option, value in (("-ws", ws), ("-wt", wt), ("-hs", hs), ("-ht", ht), ("--gradual", gradual or None)):
        if value is not None:
            raise UserError(f"{option} is for train --retrain, prune, retrain and eval; train makes a dense network")
    check_sizes(bptt, emsize)
    check_outputs(out, json, save_dir / "train-state.pt")
    check_rates(lr, clip, dropout, l1_lambda)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if model_path:
        model = load_sized(model_path, nhid, nlayers, block, dropout)
        model = replace(model, thresholds=(0.0,) * model.network.layers)
    else:
        hidden, layers = nhid or HIDDEN, nlayers or LAYERS
        if block < 1 or hidden % block:
            raise UserError(f"-b must divide H = {hidden}, which {block} does not")
        network = Network(mnist_data.SIDE, hidden, layers, CLASSES, block, dropout)
        model = Model(network, (0.0,) * layers)
    parts = split(mnist_data.load(data), limit)
    penalty = l1_lambda if l1 else 0.0
    settings = TrainingSettings(
        seed, batch_size, limit, digest(model.network), model.network.hidden, model.network.layers, epochs, lr, clip,
        dropout, penalty, (), (), block,
    )  # fmt: skip
    stage = Stage("train", epochs, lr, clip=clip, l1=penalty)
    files = out or save_dir / "train.pt", save_dir / "train-state.pt", json
    fit(model, "train", settings, parts, stage, log_interval, fresh, files)


def prune(
    data: DataOption = None,
    model_path: ModelOption = None,
    mode: ModeOption = "sparsity",
    ws: WsOption = None,
    wt: WtOption = None,
    hs: HsOption = None,
    ht: HtOption = None,
    block: BlockOption = BLOCK_COLS,
    nhid: NhidOption = None,
    nlayers: LayersOption = None,
    save_dir: SaveOption = SAVE_DIR,
    out: OutOption = None,
    limit: LimitOption = 0,
    json: JsonOption = None,
) -> None:
    """Drop the smallest weights of each matrix, to the exact count, and set the thresholds of hidden-state pruning.

    Nothing is trained; biases and the output layer are never pruned.

    \b
    Examples:
      python -m software.benchmark.mnist prune -ws .3 .5 .2 .4 -ht .3 .8
      python -m software.benchmark.mnist prune -model M.pt -m threshold -wt .05
    """
    check_outputs(out, json, folders=(save_dir,))
    torch.set_num_threads(1)
    model = load_sized(model_path or save_dir / "train.pt", nhid, nlayers, block)
    asked = asked_of_weights(model, mode, ws, wt)
    if asked is None and hs is None and ht is None:
        raise UserError("nothing to prune: give -ws, or -m threshold -wt, or -hs or -ht")
    dropped = prune_weights(model, asked)
    model = set_thresholds(model, hs, ht, None if hs is None else split(mnist_data.load(data), limit)[1])
    path = out or save_dir / "prune.pt"
    done = {"command": "prune", "zeros": dropped, "thresholds": list(model.thresholds), "commit": commit()}
    files = {path: replace(model, history=[*model.history, done]).to_bytes()}
    if json is not None:
        files[json] = json_text.dumps(done | {"zeros": zeros(model.network)}, indent=1).encode() + b"\n"
    write_all(files)
    for name, weight in model.network.weights():
        print(f"{name}: {int((weight == 0).sum()):,} of {weight.numel():,} weights are 0")
    print(f"thresholds {listed(model.thresholds)}; wrote {', '.join(map(str, files))}")


def retrain(
    data: DataOption = None,
    model_path: ModelOption = None,
    mode: ModeOption = "sparsity",
    ws: WsOption = None,
    wt: WtOption = None,
    hs: HsOption = None,
    ht: HtOption = None,
    block: BlockOption = BLOCK_COLS,
    nhid: NhidOption = None,
    nlayers: LayersOption = None,
    bptt: StepsOption = mnist_data.SIDE,
    emsize: InputsOption = mnist_data.SIDE,
    batch_size: BatchOption = 100,
    epochs: EpochsOption = 2,
    lr: RateOption = 1e-3,
    clip: ClipOption = CLIP,
    dropout: DropoutOption = 0.0,
    seed: SeedOption = 1,
    l1: L1Option = False,
    l1_lambda: LambdaOption = 1e-5,
    log_interval: LogOption = 0,
    save_dir: SaveOption = SAVE_DIR,
    out: OutOption = None,
    limit: LimitOption = 0,
    fresh: FreshOption = False,
    gradual: GradualOption = False,
    gradual_share: ShareOption = SHARE,
    gradual_every: EveryOption = EVERY,
    json: JsonOption = None,
) -> None:
    """Train a pruned model further: what is zero stays zero; with thresholds above 0 hidden-state pruning takes part.

    With -ws, -wt, -hs or -ht the model is pruned first, as the original's --retrain does, or with --gradual while it is
    trained. Ctrl-C is safe: the same command goes on after the last finished epoch, to the very same weights.

    \b
    Examples:
      python -m software.benchmark.mnist retrain
      python -m software.benchmark.mnist retrain -model build/mnist/train.pt -ws .9 --gradual --epochs 6
    """
    check_sizes(bptt, emsize)
    check_outputs(out, json, save_dir / "retrain-state.pt")
    check_rates(lr, clip, dropout, l1_lambda)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = load_sized(model_path or save_dir / "prune.pt", nhid, nlayers, block, dropout)
    asked = asked_of_weights(model, mode, ws, wt)
    schedule = gradual_asked(gradual, gradual_share, gradual_every, asked)
    dropped = None if schedule else prune_weights(model, asked)
    parts = split(mnist_data.load(data), limit)
    model = set_thresholds(model, hs, ht, parts[1])
    pruned = model.thresholds if any(model.thresholds) else None
    penalty = l1_lambda if l1 else 0.0
    settings = TrainingSettings(
        seed, batch_size, limit, digest(model.network), model.network.hidden, model.network.layers, epochs, lr, clip,
        dropout, penalty, tuple((dropped or {}).values()), model.thresholds, block, schedule,
    )  # fmt: skip
    stage = Stage("retrain", epochs, lr, thresholds=pruned, clip=clip, l1=penalty, gradual=schedule)
    files = out or save_dir / "retrain.pt", save_dir / "retrain-state.pt", json
    fit(model, "retrain", settings, parts, stage, log_interval, fresh, files)
