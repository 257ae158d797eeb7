"""The six layers of the paper's Table 2 with its cycles (Figure 10), and the data that stands in for its networks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.config import LayerShape
from golden.cycles import published_cycles
from golden.isa import BUILT_FORMATS, Format
from golden.layer import Layer, PackedLayer, pack_layer
from golden.numbers import Float16
from software.checkpoint import LayerWeights
from software.esell_format import random_matrix
from software.weight_formats import ALL_ESELL, FormatChoice


@dataclass(frozen=True)
class PaperLayer:
    """A row of Table 2: sizes, sparsity of W, of U and of the blocks of h; cycles of the bars ``original`` and
    ``fused``, read off Figure 10, and the fused one's N_fuse."""

    name: str
    network: str
    number: int
    shape: LayerShape
    w_sparsity: float
    u_sparsity: float
    h_sparsity: float
    original: float
    fused: float
    n_fuse: int

    @property
    def title(self) -> str:
        return f"{self.network}-L{self.number}"

    def cycles(self, scheme: str) -> float | None:
        """The paper's bar, None where it gives no number."""
        return {"original": self.original, "fused": self.fused}.get(scheme)


def h_sparsity_of_bar(paper: PaperLayer, w_words: int, u_words: int) -> float:
    """The sparsity of h at which the published formula gives the paper's fused bar, at its N_fuse, if every step drops
    the same share of U's words. w_words, u_words: of the packed weights."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        loaded = np.full(paper.shape.t, round(u_words * (1 - middle)))
        if published_cycles(paper.shape, w_words, loaded, paper.n_fuse) > paper.fused:
            low = middle
        else:
            high = middle
    return middle


def _layer(network: str, number: int, shape: tuple[int, int, int], *rest: float) -> PaperLayer:
    w, u, h, original, fused, n_fuse = rest
    name = f"{network.lower()}-l{number}"
    return PaperLayer(name, network, number, LayerShape(*shape), w, u, h, original, fused, int(n_fuse))


LAYERS: dict[str, PaperLayer] = {
    layer.name: layer
    for layer in (
        _layer("MNIST", 1, (28, 128, 28), 0.3, 0.5, 0.22, 4.04e5, 2.88e5, 4),
        _layer("MNIST", 2, (128, 128, 28), 0.2, 0.4, 0.29, 6.34e5, 4.19e5, 3),
        _layer("PTB", 1, (800, 800, 35), 0.2, 0.5, 0.56, 2.91e7, 1.31e7, 3),
        _layer("PTB", 2, (800, 800, 35), 0.2, 0.6, 0.41, 2.68e7, 1.32e7, 2),
        _layer("Wiki", 1, (1500, 1500, 35), 0.4, 0.5, 0.37, 9.62e7, 5.14e7, 4),
        _layer("Wiki", 2, (1500, 1500, 35), 0.3, 0.4, 0.39, 1.07e8, 5.87e7, 6),
    )
}


@dataclass(frozen=True, eq=False)
class Case:
    """One sequence for one layer: what the three schemes are compared on.

    source: "random" or "trained"; index: of the digit or sentence; x: (T, X) float32; threshold: of the pruned schemes.
    """

    layer: PaperLayer
    source: str
    index: int
    packed: PackedLayer
    x: NDArray[np.float32]
    threshold: float

    @property
    def title(self) -> str:
        return f"{self.layer.title} {self.source}" + (f" {self.index}" if self.source == "trained" else "")


def threshold_for(layer: Layer, xs: NDArray[np.float32], sparsity: float, tolerance: float = 0.005) -> float:
    """The threshold at which the sequences xs (N, T, X) drop this share of all blocks, step 0's zeros included.

    The h that a threshold leaves depends on it, so the right quantile is searched for. Raises ValueError when the
    share is not met within ``tolerance``.
    """
    low, high = 0.0, 8.0
    for _ in range(24):
        middle = (low + high) / 2
        share = 1 - float(layer.run(xs, middle).kept.mean())
        if abs(share - sparsity) < 0.0005:
            break
        low, high = (low, middle) if share > sparsity else (middle, high)
    if abs(share - sparsity) > tolerance:
        raise ValueError(f"no threshold drops {sparsity:.3f} of the blocks, the nearest found drops {share:.3f}")
    return float(np.float32(middle))


def random_data(
    shape: LayerShape, w_sparsity: float, u_sparsity: float, seed: int, number: Format = Format.ESELL
) -> tuple[PackedLayer, NDArray[np.float32]]:
    """Normal weights of these sparsities, scaled down as a trained network's are, in the format of that number, and
    normal inputs (T, X)."""
    w, u, b, x = _random_arrays(shape, w_sparsity, u_sparsity, seed)
    return pack_layer(w, u, b, number, number), x


def _random_arrays(
    shape: LayerShape, w_sparsity: float, u_sparsity: float, seed: int
) -> tuple[Float16, Float16, Float16, NDArray[np.float32]]:
    rows = 4 * shape.h
    scale = np.float16(1 / np.sqrt(shape.h))
    w = random_matrix(rows, shape.x, 1 - w_sparsity, seed) * scale
    u = random_matrix(rows, shape.h, 1 - u_sparsity, seed + 1) * scale
    x = np.random.default_rng(seed + 2).standard_normal((shape.t, shape.x)).astype(np.float32)
    return w, u, np.zeros(rows, np.float16), x


def random_case(paper: PaperLayer, seed: int, formats: FormatChoice = ALL_ESELL) -> Case:
    """Random data of the paper's sparsities, with the threshold that drops the paper's share of the blocks of h."""
    return random_cases(paper, seed, formats)[0]


def random_cases(
    paper: PaperLayer, seed: int, formats: FormatChoice, built: Sequence[Format] = BUILT_FORMATS
) -> list[Case]:
    """The same in every packing that is left open, of the formats ``built``."""
    w, u, b, x = _random_arrays(paper.shape, paper.w_sparsity, paper.u_sparsity, seed)
    return [
        Case(paper, "random", seed, packed, x, threshold_for(Layer(packed), x[None], paper.h_sparsity))
        for packed in formats.packings(w, u, b, built)
    ]


def trained_cases(
    network: str,
    layers: tuple[LayerWeights, ...],
    xs: NDArray[np.float32],
    threshold: Callable[[PaperLayer, Layer, NDArray[np.float32]], float],
    wanted: frozenset[str],
) -> list[Case]:
    """A network's layers on the sequences xs (N, T, X), each on the pruned h of the one below.

    ``threshold`` chooses a layer's; ``wanted``: names of layers.
    """
    cases = []
    for number, weights in enumerate(layers, 1):
        paper = LAYERS[f"{network.lower()}-l{number}"]
        packed = pack_layer(weights.w, weights.u, weights.b)
        layer = Layer(packed)
        chosen = threshold(paper, layer, xs)
        if paper.name in wanted:
            cases += [Case(paper, "trained", n, packed, x, chosen) for n, x in enumerate(xs)]
        xs = layer.run(xs, chosen).h_pruned
    return cases
