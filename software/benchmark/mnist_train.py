"""The MNIST commands that make models: train, prune, retrain."""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from golden.config import BLOCK_COLS
from software.benchmark import mnist_data
from software.benchmark.mnist_model import CLASSES, HIDDEN, LAYERS, Model, commit, split
from software.benchmark.mnist_options import (
    SAVE_DIR,
    BatchOption,
    BlockOption,
    ClipOption,
    DataOption,
    DropoutOption,
    EpochsOption,
    FreshOption,
    HsOption,
    HtOption,
    InputsOption,
    L1Option,
    LambdaOption,
    LayersOption,
    LimitOption,
    LogOption,
    ModelOption,
    ModeOption,
    NhidOption,
    OutOption,
    SaveOption,
    StepsOption,
    WsOption,
    WtOption,
    check_sizes,
    listed,
    load_sized,
    prune_weights,
    set_thresholds,
)
from software.benchmark.mnist_reproduce import run_stages
from software.benchmark.network import Masks, Network
from software.benchmark.spelling import thresholds
from software.benchmark.training import CLIP, Data, Settings, Stage, Trainer
from software.cli import UserError, write_all


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """All that decides what ``train`` and ``retrain`` reach; ``model``: digest of the weights they start from."""

    model: str
    nhid: int
    layers: int
    epochs: int
    lr: float
    clip: float
    dropout: float
    l1: float
    sparsity: tuple[float, ...]
    thresholds: tuple[float, ...]
    block: int


def _digest(network: Network) -> str:
    """Of all weights: which model this is."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]


def _train(
    model: Model,
    name: str,
    settings: TrainingSettings,
    parts: tuple[Data, Data, Data],
    stage: Stage,
    log_interval: int,
    fresh: bool,
    out: Path,
    state: Path,
) -> None:
    """Train one stage and write the best epoch's model to ``out``."""
    console = Console()
    network = model.network
    masks = Masks.of_zeros(network) if name == "retrain" else None
    trainer = Trainer(network, parts[0], parts[1], settings, state, fresh, masks, log_interval)
    (outcome,) = run_stages(trainer, (stage,), console)
    network.load_state_dict(outcome.weights)
    done = {
        "command": name,
        "settings": asdict(settings),
        "best_epoch": outcome.best_epoch,
        "validation": outcome.accuracy,
        "seconds": round(outcome.seconds, 1),
        "commit": commit(),
        "torch": torch.__version__,
    }
    write_all({out: replace(model, history=[*model.history, done]).to_bytes()})
    console.print(
        f"epoch {outcome.best_epoch + 1} of {stage.epochs} is the best on the {len(parts[1].x):,} validation images: "
        f"{100 * outcome.accuracy:.2f} %; wrote {out}",
        soft_wrap=True,
    )


def train(
    data: DataOption = None,
    model_path: ModelOption = None,
    nhid: NhidOption = None,
    nlayers: LayersOption = None,
    bptt: StepsOption = mnist_data.SIDE,
    emsize: InputsOption = mnist_data.SIDE,
    batch_size: BatchOption = 100,
    epochs: EpochsOption = 6,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-3,
    clip: ClipOption = CLIP,
    dropout: DropoutOption = 0.0,
    seed: Annotated[int, typer.Option(help="Of initial weights and order.")] = 1,
    l1: L1Option = False,
    l1_lambda: LambdaOption = 1e-5,
    log_interval: LogOption = 0,
    save_dir: SaveOption = SAVE_DIR,
    out: OutOption = None,
    is_retrain: Annotated[bool, typer.Option("--retrain", help="As the command retrain.")] = False,
    ws: WsOption = None,
    hs: HsOption = None,
    ht: HtOption = None,
    block: BlockOption = BLOCK_COLS,
    limit: LimitOption = 0,
    fresh: FreshOption = False,
) -> None:
    """Train the dense network, from nothing or from a model. Ctrl-C is safe: the same command goes on."""
    if is_retrain:
        retrain(
            data, model_path, "sparsity", ws, None, hs, ht, block, nhid, nlayers, bptt, emsize, batch_size, epochs, lr,
            clip, dropout, seed, l1, l1_lambda, log_interval, save_dir, out, limit, fresh,
        )  # fmt: skip
        return
    for option, value in (("-ws", ws), ("-hs", hs), ("-ht", ht)):
        if value is not None:
            raise UserError(f"{option} is for train --retrain, prune, retrain and eval; train makes a dense network")
    check_sizes(bptt, emsize)
    _rates(lr, dropout)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if model_path:
        model = load_sized(model_path, nhid, nlayers, block, dropout)
    else:
        hidden, layers = nhid or HIDDEN, nlayers or LAYERS
        if block < 1 or hidden % block:
            raise UserError(f"-b must divide H = {hidden}, which {block} does not")
        network = Network(mnist_data.SIDE, hidden, layers, CLASSES, block, dropout)
        model = Model(network, (0.0,) * layers)
    parts = split(mnist_data.load(data), limit)
    penalty = l1_lambda if l1 else 0.0
    settings = TrainingSettings(
        seed, batch_size, limit, _digest(model.network), model.network.hidden, model.network.layers, epochs, lr, clip,
        dropout, penalty, (), (), block,
    )  # fmt: skip
    stage = Stage("train", epochs, lr, clip=clip, l1=penalty)
    state = save_dir / "train-state.pt"
    _train(model, "train", settings, parts, stage, log_interval, fresh, out or save_dir / "train.pt", state)


def _rates(lr: float, dropout: float) -> None:
    if not 0 < lr < 1:
        raise UserError(f"--lr must be above 0 and below 1 (Adam's, not SGD's), not {lr:g}")
    if not 0 <= dropout < 1:
        raise UserError(f"--dropout must be in [0, 1), not {dropout:g}")


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
) -> None:
    """Drop the smallest weights of each matrix, to the exact count, and set the thresholds of hidden-state pruning.

    Nothing is trained; biases and the output layer are never pruned.
    """
    torch.set_num_threads(1)
    model = load_sized(model_path or save_dir / "train.pt", nhid, nlayers, block)
    zeros = prune_weights(model, mode, ws, wt)
    if hs is not None:
        model = set_thresholds(model, hs, ht, split(mnist_data.load(data), limit)[1])
    elif ht is not None:
        model = replace(model, thresholds=thresholds(ht, model.network.layers))
    elif zeros is None:
        raise UserError("nothing to prune: give -ws, or -m threshold -wt, or -hs or -ht")
    path = out or save_dir / "prune.pt"
    done = {"command": "prune", "zeros": zeros, "thresholds": list(model.thresholds), "commit": commit()}
    write_all({path: replace(model, history=[*model.history, done]).to_bytes()})
    for name, weight in model.network.weights():
        print(f"{name}: {int((weight == 0).sum()):,} of {weight.numel():,} weights are 0")
    print(f"thresholds {listed(model.thresholds)}; wrote {path}")


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
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    clip: ClipOption = CLIP,
    dropout: DropoutOption = 0.0,
    seed: Annotated[int, typer.Option(help="Of the order of the images.")] = 1,
    l1: L1Option = False,
    l1_lambda: LambdaOption = 1e-5,
    log_interval: LogOption = 0,
    save_dir: SaveOption = SAVE_DIR,
    out: OutOption = None,
    limit: LimitOption = 0,
    fresh: FreshOption = False,
) -> None:
    """Train a pruned model further: what is zero stays zero; with thresholds above 0 hidden-state pruning takes part.

    With -ws, -wt, -hs or -ht the model is pruned first, as the original's --retrain does.
    """
    check_sizes(bptt, emsize)
    _rates(lr, dropout)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = load_sized(model_path or save_dir / "prune.pt", nhid, nlayers, block, dropout)
    zeros = prune_weights(model, mode, ws, wt)
    parts = split(mnist_data.load(data), limit)
    model = set_thresholds(model, hs, ht, parts[1])
    pruned = model.thresholds if any(model.thresholds) else None
    penalty = l1_lambda if l1 else 0.0
    settings = TrainingSettings(
        seed, batch_size, limit, _digest(model.network), model.network.hidden, model.network.layers, epochs, lr, clip,
        dropout, penalty, tuple((zeros or {}).values()), model.thresholds, block,
    )  # fmt: skip
    stage = Stage("retrain", epochs, lr, thresholds=pruned, clip=clip, l1=penalty)
    state = save_dir / "retrain-state.pt"
    _train(model, "retrain", settings, parts, stage, log_interval, fresh, out or save_dir / "retrain.pt", state)
