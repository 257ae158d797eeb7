"""Pruning of weights by magnitude, at once or gradually in training. Biases and output layers are never pruned."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Prunable(Protocol):
    """A network whose W and U can be pruned."""

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """W and U of each layer, by name l1.w, l1.u, ..."""
        ...


def kept(weight: Tensor, sparsity: float) -> Tensor:
    """Which weights stay, bool: all but the ``round(sparsity * size)`` smallest |weights|, exactly that many."""
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.detach().abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view_as(weight)


@torch.no_grad()
def prune_to(net: Prunable, sparsities: Sequence[float]) -> None:
    """Zero the smallest weights of W and U of each layer, to the exact count."""
    for (_, weight), sparsity in zip(net.weights(), sparsities, strict=True):
        weight[~kept(weight, sparsity)] = 0


@torch.no_grad()
def prune_below(net: Prunable, thresholds: Sequence[float]) -> None:
    """Zero the weights of W and U of each layer that are of at most a threshold in magnitude."""
    for (_, weight), threshold in zip(net.weights(), thresholds, strict=True):
        weight[weight.abs() <= threshold] = 0


def zeros(net: Prunable) -> dict[str, float]:
    """Share of zeros in each W and U."""
    return {name: float((weight == 0).float().mean()) for name, weight in net.weights()}


@dataclass(frozen=True)
class Gradual:
    """Pruning while training, by the cubic schedule of Zhu and Gupta, "To prune, or not to prune" (2017).

    Attributes:
        targets: sparsity of W and U of layer 1, W and U of layer 2, ..., in the end; what is sparser already stays so.
        share: of the batches of a run, after which the targets are reached.
        every: batches from one step of pruning to the next.
    """

    targets: tuple[float, ...]
    share: float
    every: int

    def last(self, batches: int) -> int:
        """The number of batches (of ``batches`` in all, at least 1) after which the targets are reached."""
        return max(1, min(batches, math.ceil(self.share * batches)))

    def sparsities(self, start: Sequence[float], done: int, batches: int) -> tuple[float, ...] | None:
        """What to prune to after ``done`` batches, from the sparsities ``start``; None: nothing is due."""
        last = self.last(batches)
        if done > last or (done % self.every and done != last):
            return None
        left = (1 - done / last) ** 3
        return tuple(target + (min(first, target) - target) * left
                     for first, target in zip(start, self.targets, strict=True))  # fmt: skip
