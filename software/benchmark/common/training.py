"""Training in stages, with the epoch chosen on validation data, resumable after every epoch."""

import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from software.benchmark.common.network import Masks, Network
from software.benchmark.common.weight_pruning import Gradual, zeros
from software.cli import Interrupted, UserError, write_all

CLIP = 1.0
"""Largest norm of the gradient."""
WARM_UP = 0.25
"""Share of a stage in which the learning rate rises."""
EVALUATION_BATCH = 1000


Progress = Callable[[str, int], None]
"""Called with a stage's name and the batches it has done."""


class Data(NamedTuple):
    """x (N, T, inputs) float32, y (N,) int64."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Settings:
    """What decides the result; a command adds its own. A saved run goes on only under the same."""

    seed: int
    batch: int
    limit: int


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        rate: peak of the one-cycle learning rate.
        sparsity: prune W and U to this at the start; the masks stay for all later stages.
        thresholds: hidden-state pruning in the loop.
        clip: largest norm of the gradient.
        l1: weight of sum |W| + sum |U| in the loss.
        gradual: prune W and U while training; only epochs that end with all of it done are chosen from.
    """

    name: str
    epochs: int
    rate: float
    sparsity: dict[str, float] | None = None
    thresholds: tuple[float, ...] | None = None
    clip: float = CLIP
    l1: float = 0.0
    gradual: Gradual | None = None

    def first_epoch(self, batches: int) -> int:
        """The first epoch (from 0, of ``batches`` each) that ends with all that is to be pruned."""
        return -(-self.gradual.last(self.epochs * batches) // batches) - 1 if self.gradual else 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """Of one stage: its best epoch (from 0), validation accuracy and weights there, seconds of training."""

    best_epoch: int
    accuracy: float
    seconds: float
    weights: dict[str, Tensor]


def rate_at(part: float) -> float:
    """The one-cycle learning rate, as a share of its peak, after ``part`` (0..1) of a stage."""
    if part < WARM_UP:
        return 0.1 + 0.9 * part / WARM_UP
    return max(0.5 + 0.5 * math.cos(math.pi * (part - WARM_UP) / (1 - WARM_UP)), 1e-3)


class Evaluation(NamedTuple):
    """accuracy: share of right answers; pruned: for each layer the share of h blocks dropped; loss: mean cross
    entropy, nats."""

    accuracy: float
    pruned: tuple[float, ...]
    loss: float


@torch.no_grad()
def evaluate(
    network: Network,
    data: Data,
    thresholds: tuple[float, ...] | None,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """The network on all of ``data``; ``progress`` gets how many are done."""
    network.eval()
    correct, loss, pruned = 0, 0.0, [0.0] * network.layers
    for first in range(0, len(data.x), EVALUATION_BATCH):
        x, y = data.x[first : first + EVALUATION_BATCH], data.y[first : first + EVALUATION_BATCH]
        answer = network(x, thresholds)
        correct += int((answer.logits.argmax(1) == y).sum())
        loss += float(nn.functional.cross_entropy(answer.logits, y, reduction="sum"))
        pruned = [total + share * len(x) / len(data.x) for total, share in zip(pruned, answer.pruned, strict=True)]
        progress(first + len(x))
    return Evaluation(correct / len(data.x), tuple(pruned), loss / len(data.x))


class Trainer:
    """Trains a network in stages; ``path`` holds everything after each epoch.

    Each epoch shuffles by a seed of its own, so a resumed run and an uninterrupted one give the same weights. ``masks``
    hold from the start; ``log_interval``: batches between two lines with the loss, 0 for none. Raises UserError when
    ``path`` is another run's, or damaged.
    """

    def __init__(
        self,
        network: Network,
        training: Data,
        validation: Data,
        settings: Settings,
        path: Path,
        fresh: bool = False,
        masks: Masks | None = None,
        log_interval: int = 0,
    ) -> None:
        self.network, self.training, self.validation, self.settings = network, training, validation, settings
        self.path = path
        self.batches = -(-len(training.x) // settings.batch)
        self.masks = masks or Masks({})
        self.log_interval = log_interval
        self.finished: list[Outcome] = []
        self.current: dict[str, Any] | None = None
        if path.exists() and not fresh:
            self._load()

    def _load(self) -> None:
        try:
            saved = torch.load(self.path, weights_only=True)
            settings, current = dict(saved["settings"]), saved["current"]
            finished, masks = [Outcome(*values) for values in saved["finished"]], Masks(saved["masks"])
        except Exception:
            # What torch raises is whatever the damage happened to hit: pickle, zip, key and runtime errors
            raise UserError(f"{self.path} is damaged or no training state; --fresh starts over") from None
        # None is what a state has nothing of that was saved before there was such a setting
        other = ", ".join(f"{k} {settings.get(k)}" for k, v in asdict(self.settings).items() if settings.get(k) != v)
        if other:
            raise UserError(f"{self.path} is of a run with {other}; --fresh starts over")
        self.finished, self.current, self.masks = finished, current, masks

    def _save(self) -> None:
        """Whole or not at all."""
        stream = io.BytesIO()
        finished = [(o.best_epoch, o.accuracy, o.seconds, o.weights) for o in self.finished]
        torch.save(
            {
                "settings": asdict(self.settings),
                "masks": self.masks.masks,
                "finished": finished,
                "current": self.current,
            },
            stream,
        )
        write_all({self.path: stream.getvalue()})

    def run(self, stages: Sequence[Stage], progress: Progress, say: Callable[[str], None]) -> list[Outcome]:
        """Run all stages, each from the best weights of the one before; finished ones are not run again.

        ``say`` gets a line per epoch. Raises Interrupted.
        """
        for number, stage in enumerate(stages):
            if number < len(self.finished):
                progress(stage.name, stage.epochs * self.batches)
                continue
            try:
                self._stage(stage, progress, say)
            except KeyboardInterrupt:
                done = len(self.current["accuracies"]) if self.current else 0
                raise Interrupted(f"{stage.name}: {done} of {stage.epochs} epochs are in {self.path}") from None
        return self.finished

    def _stage(self, stage: Stage, progress: Progress, say: Callable[[str], None]) -> None:
        optimizer = torch.optim.Adam([p for p in self.network.parameters() if p.requires_grad], lr=stage.rate)
        if self.current is None:
            if self.finished:
                self.network.load_state_dict(self.finished[-1].weights)
            if stage.sparsity:
                self.masks = Masks.by_magnitude(self.network, stage.sparsity)
            self.masks.apply(self.network)
            self.current = {"accuracies": [], "seconds": 0.0, "sparsity": list(zeros(self.network).values())}
            if stage.gradual:
                self.masks = Masks.of_zeros(self.network)
        else:
            self.network.load_state_dict(self.current["weights"])
            optimizer.load_state_dict(self.current["optimizer"])
        for epoch in range(len(self.current["accuracies"]), stage.epochs):
            started = time.monotonic()
            self._epoch(stage, epoch, optimizer, progress, say)
            correct, pruned, _ = evaluate(self.network, self.validation, stage.thresholds)
            current = self.current | {
                "accuracies": [*self.current["accuracies"], correct],
                "seconds": self.current["seconds"] + time.monotonic() - started,
                "weights": self.network.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            first = stage.first_epoch(self.batches)
            if epoch >= first and correct > max(self.current["accuracies"][first:], default=-1.0):
                current["best"] = {name: value.clone() for name, value in current["weights"].items()}
            self.current = current
            self._save()
            dropped = f", h blocks dropped {', '.join(f'{100 * p:.1f} %' for p in pruned)}" if stage.thresholds else ""
            say(f"{stage.name}, epoch {epoch + 1} of {stage.epochs}: validation {100 * correct:.2f} %{dropped}")
        accuracies = self.current["accuracies"]
        first = stage.first_epoch(self.batches)
        best = first + accuracies[first:].index(max(accuracies[first:]))
        self.finished.append(Outcome(best, accuracies[best], self.current["seconds"], self.current["best"]))
        self.current = None
        self._save()

    def _epoch(
        self,
        stage: Stage,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + 1000 * len(self.finished) + epoch)
        order = torch.randperm(len(self.training.x), generator=generator)
        total = stage.epochs * self.batches
        assert self.current is not None
        self.network.train()
        for number, chosen in enumerate(order.split(self.settings.batch), epoch * self.batches):
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * rate_at(number / total)
            optimizer.zero_grad()
            logits = self.network(self.training.x[chosen], stage.thresholds).logits
            loss = nn.functional.cross_entropy(logits, self.training.y[chosen])
            if stage.l1:
                loss = loss + stage.l1 * sum(weight.abs().sum() for _, weight in self.network.weights())
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), stage.clip)
            optimizer.step()
            self.masks.apply(self.network)
            wanted = stage.gradual and stage.gradual.sparsities(self.current["sparsity"], number + 1, total)
            if wanted:
                self.masks.tighten(self.network, wanted)
            progress(stage.name, number + 1)
            if self.log_interval and (number + 1) % self.log_interval == 0:
                say(f"{stage.name}, batch {number + 1} of {total}: loss {loss.item():.4f}")
