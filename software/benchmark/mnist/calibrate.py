"""Thresholds of hidden-state pruning that drop a wanted share of the blocks."""

import torch

from software import progress
from software.benchmark.common.network import Network
from software.benchmark.common.training import Data

IMAGES = 1000
"""So many are enough for a share to half a percent."""
STEPS = 14
LARGEST = 8.0
"""Above the sum of any four |h|, so that it drops every block."""


@torch.no_grad()
def thresholds_for(network: Network, data: Data, shares: tuple[float, ...]) -> tuple[float, ...]:
    """For each layer the threshold that drops ``shares`` of its blocks, on the first images of ``data``.

    One layer after the other, by bisection, each on the pruned h of the one below. A share of 0 is threshold 0.
    """
    network.eval()
    found = [0.0] * network.layers
    with progress.steps(STEPS * sum(map(bool, shares))) as step:
        for layer, share in enumerate(shares):
            low, high = 0.0, LARGEST
            for _ in range(STEPS if share else 0):
                step(f"threshold of layer {layer + 1}")
                found[layer] = (low + high) / 2
                if network(data.x[:IMAGES], found).pruned[layer] < share:
                    low = found[layer]
                else:
                    high = found[layer]
    return tuple(round(threshold, 4) for threshold in found)
