"""The six layers of the paper's Table 2 as data of the original's program: the arrays of its C header."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden import memory
from golden.layer import Layer, PackedLayer, pack_layer
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError
from software.esell_format import random_matrix
from software.firmware.build import Toolchain, build, sources
from software.firmware.packing import object_text
from software.header import header
from software.places import scratch

PROGRAM = "original"
SEQUENCES = 20
"""As many as the original's program runs."""
N_FUSE = 7
"""What the original's program asks for."""
SEED = 1
HEADER_LIMIT = 1 << 20
"""Bytes of arrays up to which the data is compiled as a C header; beyond, the assembler includes them as files."""


@dataclass(frozen=True)
class RandomLayer:
    """A layer of a language model: X = H, steps, sparsity of W and U, and the threshold at which random sequences
    drop the share of h blocks that the paper gives."""

    size: int
    steps: int
    w_sparsity: float
    u_sparsity: float
    threshold: float


RANDOM = {
    "ptb-l1": RandomLayer(800, 35, 0.2, 0.5, 0.605),
    "ptb-l2": RandomLayer(800, 35, 0.2, 0.6, 0.51),
    "wiki-l1": RandomLayer(1500, 35, 0.4, 0.5, 0.45),
    "wiki-l2": RandomLayer(1500, 35, 0.3, 0.4, 0.48),
}
NAMES = ("mnist-l1", "mnist-l2", *RANDOM)


@dataclass(frozen=True, eq=False)
class LayerData:
    """A packed layer with its input x, (N, T, inputs) float32."""

    packed: PackedLayer
    x: NDArray[np.float32]
    threshold: float


def _trained(number: int, sequences: int) -> LayerData:
    """A layer of the trained MNIST network, on the first digits."""
    checkpoint, digits = load_checkpoint(MNIST_CHECKPOINT), load_digits(MNIST_DIGITS)
    if sequences > len(digits.labels):
        raise UserError(f"--sequences must be at most {len(digits.labels)} for a layer of MNIST, not {sequences}")
    x = digits.inputs()[:sequences]
    for weights in checkpoint.layers:
        packed = pack_layer(weights.w, weights.u, weights.b)
        number -= 1
        if not number:
            break
        x = Layer(packed).run(x, weights.threshold).h_pruned
    return LayerData(packed, x, weights.threshold)


def _random(layer: RandomLayer, sequences: int) -> LayerData:
    """Normal weights, scaled down as a trained network's are, and normal inputs."""
    rows, scale = 4 * layer.size, np.float16(1 / np.sqrt(layer.size))
    w = random_matrix(rows, layer.size, 1 - layer.w_sparsity, SEED) * scale
    u = random_matrix(rows, layer.size, 1 - layer.u_sparsity, SEED + 1) * scale
    x = np.random.default_rng(SEED + 2).standard_normal((sequences, layer.steps, layer.size)).astype(np.float32)
    return LayerData(pack_layer(w, u, np.zeros(rows, np.float16)), x, layer.threshold)


def layer_data(name: str, sequences: int = SEQUENCES) -> LayerData:
    """The layer of that name. Raises UserError when there is none, or not that many sequences for it."""
    if name not in NAMES:
        raise UserError(f"no layer {name!r}; there are: {', '.join(NAMES)}")
    if sequences < 1:
        raise UserError(f"--sequences must be 1 or more, not {sequences}")
    if name.startswith("mnist"):
        return _trained(int(name[-1]), sequences)
    return _random(RANDOM[name], sequences)


def defines(data: LayerData, n_fuse: int = N_FUSE) -> list[str]:
    """The compiler's flags that tell ``original.c`` the sizes."""
    sequences, steps, _ = data.x.shape
    values = {
        "X": data.packed.x,
        "H": data.packed.h,
        "T": steps,
        "SEQUENCES": sequences,
        "THRESHOLD": f"{int(np.float32(data.threshold).view(np.uint32)):#x}",
        "N_FUSE": n_fuse,
    }
    return [f"-DLAYER_{name}={value}" for name, value in values.items()]


def write_layer(data: LayerData, folder: Path) -> Path:
    """Write the arrays as a source for ``build``: the C header, or for large ones an assembly file and its parts."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = memory.layer_bytes(data.packed)
    parts = {
        "w": arrays.w,
        "w_offset": arrays.w_offsets,
        "u": arrays.u,
        "u_offset": arrays.u_offsets,
        "bias": arrays.bias,
        "x": memory.x_bytes(data.packed, data.x),
    }
    if sum(map(len, parts.values())) <= HEADER_LIMIT:
        path = folder / "layer.c"
        path.write_text(header(data.packed, data.x, data.threshold))
        return path
    text = '.section .rodata, "a"\n'
    for name, content in parts.items():
        (folder / f"{name}.bin").write_bytes(content)
        text += object_text(name, len(content), f'.incbin "{folder.resolve() / name}.bin"')
    path = folder / "layer.S"
    path.write_text(text)
    return path


def build_layer(
    data: LayerData, output: Path, tools: Toolchain | None = None, n_fuse: int = N_FUSE, flags: Sequence[str] = ()
) -> Path:
    """Build the original's program with this layer. Raises UserError."""
    with scratch() as folder:
        files = [*sources(PROGRAM), write_layer(data, folder)]
        return build(files, output, tools, [*defines(data, n_fuse), *flags])
