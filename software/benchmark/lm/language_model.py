"""The language model in PyTorch: embedding, LSTM layers, output layer on every h; state carried from call to call.

Where h is not pruned PyTorch's own LSTM does the work; where it is, the cell runs step by step under the hardware's
rule (software/benchmark/common/network.py). The bias that PyTorch has twice is once 0 and frozen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from software.benchmark.common.network import GATES, TORCH_TO_HARDWARE

State = tuple[Tensor, Tensor]
"""h and c, each (layers, N, H)."""


@dataclass(frozen=True)
class Size:
    """words: of the vocabulary; tied: the embedding is the output layer too."""

    words: int
    emsize: int
    nhid: int
    nlayers: int
    tied: bool


@dataclass(frozen=True)
class Pruning:
    """Block pruning of h: a threshold for each layer, and the elements of a block (the hardware's is 4)."""

    thresholds: tuple[float, ...]
    block: int


class Output(NamedTuple):
    """h: (T, N, H) of the last layer, pruned; state: after the last step; pruned: share of blocks dropped by layer."""

    h: Tensor
    state: State
    pruned: tuple[float, ...]


def keep(h: Tensor, threshold: float, block: int) -> Tensor:
    """Which blocks of h (N, H) are kept: (N, H / block, 1) bool. Gradients do not flow through the choice."""
    return block_scores(h, block) >= threshold


def block_scores(h: Tensor, block: int) -> Tensor:
    """(N, H / block, 1): the largest threshold that keeps the block: sum |h| >= th or any |h| >= th / 2."""
    a = h.detach().abs().view(len(h), -1, block)
    return torch.maximum(a.sum(2, keepdim=True), 2 * a.amax(2, keepdim=True))


class LanguageNet(nn.Module):
    """Tokens (T, N) to h (T, N, H); ``logits`` makes scores (..., words) of h."""

    def __init__(self, size: Size, dropout: float = 0.0) -> None:
        super().__init__()
        if size.tied and size.emsize != size.nhid:
            raise ValueError(f"--tied needs emsize = nhid, not {size.emsize} and {size.nhid}")
        self.size, self.dropout = size, dropout
        self.embedding = nn.Embedding(size.words, size.emsize)
        self.lstm = nn.LSTM(size.emsize, size.nhid, size.nlayers, dropout=dropout if size.nlayers > 1 else 0.0)
        self.decoder = nn.Linear(size.nhid, size.words)
        if size.tied:
            self.decoder.weight = self.embedding.weight
        with torch.no_grad():
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
            self.decoder.bias.zero_()
            for layer in range(size.nlayers):
                getattr(self.lstm, f"bias_hh_l{layer}").zero_().requires_grad_(False)
                # A forget gate that starts open learns sooner
                getattr(self.lstm, f"bias_ih_l{layer}").zero_()[size.nhid : 2 * size.nhid] = 1

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """W and U of each layer, by name l1.w, l1.u, ..."""
        for layer in range(self.size.nlayers):
            yield f"l{layer + 1}.w", getattr(self.lstm, f"weight_ih_l{layer}")
            yield f"l{layer + 1}.u", getattr(self.lstm, f"weight_hh_l{layer}")

    def zero_state(self, n: int) -> State:
        """h = c = 0 for n streams."""
        zeros = torch.zeros(self.size.nlayers, n, self.size.nhid)
        return zeros, zeros.clone()

    def forward(self, tokens: Tensor, state: State, pruning: Pruning | None = None) -> Output:
        """tokens (T, N) int64; the state is of the steps before, pruned or not (pruning twice changes nothing)."""
        x = self._drop(self.embedding(tokens))
        if pruning is None:
            h, after = self.lstm(x, state)
            return Output(self._drop(h), after, (0.0,) * self.size.nlayers)
        last_h, last_c, pruned = [], [], []
        for layer in range(self.size.nlayers):
            if layer:
                x = self._drop(x)
            x, c, dropped = self._pruned_layer(layer, x, (state[0][layer], state[1][layer]), pruning)
            last_h.append(x[-1])
            last_c.append(c)
            pruned.append(dropped)
        return Output(self._drop(x), (torch.stack(last_h), torch.stack(last_c)), tuple(pruned))

    def _drop(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)

    def _pruned_layer(self, layer: int, x: Tensor, state: State, pruning: Pruning) -> tuple[Tensor, Tensor, float]:
        """x (T, N, X) gives the pruned h (T, N, H), the last c and the share of dropped blocks."""
        w, u = getattr(self.lstm, f"weight_ih_l{layer}"), getattr(self.lstm, f"weight_hh_l{layer}")
        threshold, block = pruning.thresholds[layer], pruning.block
        z_x = nn.functional.linear(x, w, getattr(self.lstm, f"bias_ih_l{layer}"))
        s, c = state
        s = (s.view(len(s), -1, block) * keep(s, threshold, block)).view_as(s)
        u_t = u.T
        rows, kept = [], 0.0
        for z in z_x:
            i, f, g, o = torch.addmm(z, s, u_t).chunk(GATES, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            chosen = keep(h, threshold, block)
            kept += chosen.float().mean().item() / len(x)
            s = (h.view(len(h), -1, block) * chosen).view_as(h)
            rows.append(s)
        return torch.stack(rows), c, 1 - kept

    def logits(self, h: Tensor) -> Tensor:
        """Scores (..., words) of h (..., H)."""
        return self.decoder(h)


def by_gate(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows in PyTorch's gate order in the hardware's, and back: the order is its own inverse."""
    return rows.reshape(GATES, -1, *rows.shape[1:])[list(TORCH_TO_HARDWARE)].reshape(rows.shape)
