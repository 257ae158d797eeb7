"""The network in PyTorch: LSTM layers and one output layer on the last h, with weight masks and block pruning of h.

Hidden-state pruning is the hardware's rule: an aligned block of 4 units is kept when sum |h| >= th or any
|h| >= th/2; what is dropped is zero for the layer's own next step, for the next layer and for the output layer. Blocks
of another size exist here only, to see what they would cost in accuracy.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# An idle thread that spins takes the processor from the one that works
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from golden.config import BLOCK_COLS
from software.benchmark.common.weight_pruning import kept
from software.checkpoint import Checkpoint

GATES = 4
TORCH_TO_HARDWARE = (1, 0, 2, 3)
"""PyTorch's gate rows are i, f, g, o; the hardware's f, i, g, o."""


class Answer(NamedTuple):
    """logits (N, classes); pruned: for each layer the share of its h blocks, over all steps, that were dropped."""

    logits: Tensor
    pruned: tuple[float, ...]


def keep_blocks(h: Tensor, threshold: float, block: int = BLOCK_COLS) -> Tensor:
    """Which blocks of h (N, H) are kept: (N, H/block, 1) bool. Gradients do not flow through the choice."""
    a = h.detach().abs().view(len(h), -1, block)
    return (a.sum(2, keepdim=True) >= threshold) | (a.amax(2, keepdim=True) >= threshold / 2)


class Network(nn.Module):
    """LSTM layers of ``hidden`` units on x (N, T, inputs), then ``classes`` outputs from the last h.

    ``block``: units that are dropped together; ``dropout``: in training, of what a layer hands to the next.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int,
        classes: int,
        block: int = BLOCK_COLS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if hidden % block:
            raise ValueError(f"hidden must be a multiple of {block}, not {hidden}")
        self.hidden, self.layers, self.block, self.dropout = hidden, layers, block, dropout
        self.lstm = nn.LSTM(inputs, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.out = nn.Linear(hidden, classes)
        with torch.no_grad():
            for layer in range(layers):
                # The hardware has one bias: the second stays 0. A forget gate that starts open learns sooner.
                getattr(self.lstm, f"bias_hh_l{layer}").zero_().requires_grad_(False)
                getattr(self.lstm, f"bias_ih_l{layer}").zero_()[hidden : 2 * hidden] = 1

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """W and U of each layer, by name l1.w, l1.u, ..."""
        for layer in range(self.layers):
            yield f"l{layer + 1}.w", getattr(self.lstm, f"weight_ih_l{layer}")
            yield f"l{layer + 1}.u", getattr(self.lstm, f"weight_hh_l{layer}")

    def forward(self, x: Tensor, thresholds: Sequence[float] | None = None) -> Answer:
        """x (N, T, inputs). Without thresholds nothing is pruned, and PyTorch's own LSTM does the work."""
        if thresholds is None:
            return Answer(self.out(self.lstm(x)[0][:, -1]), (0.0,) * self.layers)
        rows = x.transpose(0, 1)
        pruned = []
        for layer, threshold in enumerate(thresholds):
            if layer and self.training and self.dropout:
                rows = nn.functional.dropout(rows, self.dropout)
            rows, kept = self._pruned_layer(layer, rows, threshold)
            pruned.append(1 - kept)
        return Answer(self.out(rows[-1]), tuple(pruned))

    def _pruned_layer(self, layer: int, x: Tensor, threshold: float) -> tuple[Tensor, float]:
        """x (T, N, X) gives the pruned h (T, N, H) and the share of kept blocks."""
        w, u = getattr(self.lstm, f"weight_ih_l{layer}"), getattr(self.lstm, f"weight_hh_l{layer}")
        z_x = nn.functional.linear(x, w, getattr(self.lstm, f"bias_ih_l{layer}"))
        s = c = x.new_zeros(x.shape[1], self.hidden)
        rows, kept = [], 0.0
        for z in z_x:
            i, f, g, o = torch.addmm(z, s, u.T).chunk(GATES, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            keep = keep_blocks(h, threshold, self.block)
            kept += keep.float().mean().item() / len(x)
            s = (h.view(len(h), -1, self.block) * keep).view_as(h)
            rows.append(s)
        return torch.stack(rows), kept


class Masks:
    """Which weights of W and U stay; biases and the output layer are never pruned."""

    def __init__(self, masks: dict[str, Tensor]) -> None:
        self.masks = masks

    @classmethod
    def by_magnitude(cls, network: Network, sparsity: dict[str, float]) -> "Masks":
        """Drop the ``round(sparsity * size)`` smallest |weights| of each matrix, exactly that many."""
        return cls({name: kept(weight, sparsity[name]) for name, weight in network.weights()})

    @classmethod
    def of_zeros(cls, network: Network) -> "Masks":
        """Keep what is not zero now."""
        return cls({name: weight.detach() != 0 for name, weight in network.weights()})

    def tighten(self, network: Network, sparsity: Sequence[float]) -> None:
        """Drop the smallest weights of each matrix too, up to these sparsities; what is dropped stays so."""
        for (name, weight), share in zip(network.weights(), sparsity, strict=True):
            self.masks[name] = self.masks[name] & kept(weight, share)
        self.apply(network)

    @torch.no_grad()
    def apply(self, network: Network) -> None:
        """Set every dropped weight to zero; to be called after each step of the optimizer."""
        for name, weight in network.weights():
            if name in self.masks:
                weight.mul_(self.masks[name])


def _by_gate(rows: Tensor) -> NDArray[np.float32]:
    """Rows of PyTorch's gate order in the hardware's, or the other way round: the two swap f and i."""
    gates = rows.detach().numpy()
    return gates.reshape(GATES, -1, *gates.shape[1:])[list(TORCH_TO_HARDWARE)].reshape(gates.shape)


def export(network: Network, thresholds: Sequence[float]) -> dict[str, NDArray]:
    """The arrays of a checkpoint (software/checkpoint.py) without ``meta``.

    Raises ValueError when a weight is beyond fp16.
    """
    arrays: dict[str, NDArray] = {}
    for layer in range(network.layers):
        names = {"w": "weight_ih", "u": "weight_hh", "b": "bias_ih"}
        for name, torch_name in names.items():
            values = _by_gate(getattr(network.lstm, f"{torch_name}_l{layer}"))
            with np.errstate(over="ignore"):
                arrays[f"l{layer + 1}.{name}"] = half = values.astype(np.float16)
            if not np.isfinite(half).all():
                raise ValueError(f"l{layer + 1}.{name} has {np.abs(values).max()}, which fp16 cannot hold")
    arrays["out.w"] = network.out.weight.detach().numpy().astype(np.float32)
    arrays["out.b"] = network.out.bias.detach().numpy().astype(np.float32)
    arrays["thresholds"] = np.array(thresholds, dtype=np.float32)
    return arrays


@torch.no_grad()
def load_checkpoint_into(network: Network, checkpoint: Checkpoint) -> None:
    """Give a network of the same shape the weights of a checkpoint, gates in PyTorch's order."""
    for layer, weights in enumerate(checkpoint.layers):
        for name, values in (("weight_ih", weights.w), ("weight_hh", weights.u), ("bias_ih", weights.b)):
            rows = _by_gate(torch.from_numpy(values.astype(np.float32)))
            getattr(network.lstm, f"{name}_l{layer}").copy_(torch.from_numpy(rows))
    network.out.weight.copy_(torch.from_numpy(checkpoint.out_w))
    network.out.bias.copy_(torch.from_numpy(checkpoint.out_b))
