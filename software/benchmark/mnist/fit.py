"""One run of MNIST's train or retrain: its settings, its progress, the model and what it says of itself."""

import hashlib
import json as json_text
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from software.benchmark.common.network import Masks, Network
from software.benchmark.common.training import Data, Settings, Stage, Trainer
from software.benchmark.common.weight_pruning import Gradual, zeros
from software.benchmark.mnist.model import Model
from software.benchmark.mnist.reproduce import run_stages
from software.cli import write_all
from software.provenance import commit


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
    gradual: Gradual | None = None


def digest(network: Network) -> str:
    """Of all weights: which model this is."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]


def fit(
    model: Model,
    name: str,
    settings: TrainingSettings,
    parts: tuple[Data, Data, Data],
    stage: Stage,
    log_interval: int,
    fresh: bool,
    files: tuple[Path, Path, Path | None],
) -> None:
    """Train one stage and write the best epoch's model; files: the model, what resumes the run, the result as JSON."""
    out, state, json = files
    network = model.network
    masks = Masks.of_zeros(network) if name == "retrain" else None
    trainer = Trainer(network, parts[0], parts[1], settings, state, fresh, masks, log_interval)
    (outcome,) = run_stages(trainer, (stage,))
    network.load_state_dict(outcome.weights)
    done = {
        "command": name,
        "settings": asdict(settings),
        "best_epoch": outcome.best_epoch,
        "validation": outcome.accuracy,
        "zeros": zeros(network),
        "seconds": round(outcome.seconds, 1),
        "commit": commit(),
        "torch": torch.__version__,
    }
    written = {out: replace(model, history=[*model.history, done]).to_bytes()}
    if json is not None:
        written[json] = json_text.dumps(done, indent=1).encode() + b"\n"
    write_all(written)
    print(
        f"epoch {outcome.best_epoch + 1} of {stage.epochs} is the best on the {len(parts[1].x):,} validation images: "
        f"{100 * outcome.accuracy:.2f} %; wrote {', '.join(map(str, written))}"
    )
