"""A network as an object that programs are linked with: images of its layers, output layer, room for the results.

The C side is ``packed.h``. Everything large is a file of its own that the assembler includes: a C array of the same
bytes would be some ten times as long and take minutes to compile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.config import AcceleratorConfig
from golden.isa import Counter
from golden.layer import PackedLayer
from golden.memory import h_bytes, padded_x, state_size
from software import image
from software.checkpoint import Checkpoint
from software.cli import UserError
from software.firmware.build import HERE, NETWORK_SUPPORT, Toolchain, build, sources
from software.places import scratch
from software.tuning.plan import USUAL_PLAN, Plan
from software.tuning.schedule_choice import PlannedLayer, ScheduleChoice, plan_layers
from software.weight_formats import FormatChoice

WEIGHT_BITS, BIAS_BITS = 22, 46
"""Fraction bits of the output layer: h has 24, so that a sum of products has 46."""


@dataclass(frozen=True, eq=False)
class PackedNetwork:
    """What a program runs.

    layers: packed, with thresholds, the first at the bottom; x: (N, T, inputs) float32; out_w (classes, hidden),
    out_b (classes,) float32 of the output layer, or None; plans: of each layer, () where all are the usual ones.
    """

    layers: Sequence[tuple[PackedLayer, float]]
    x: NDArray[np.float32]
    out_w: NDArray[np.float32] | None = None
    out_b: NDArray[np.float32] | None = None
    plans: Sequence[Plan] = ()

    def __post_init__(self) -> None:
        if len(self.plans) not in (0, len(self.layers)):
            raise ValueError(f"there must be a plan for each of {len(self.layers)} layers, not {len(self.plans)}")
        padded_x(self.layers[0][0], self.x)
        if self.x.ndim != 3 or 0 in self.x.shape:
            raise ValueError(f"x must have shape (N, T, inputs), not {self.x.shape}")
        for number, ((below, _), (above, _)) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if below.h != above.x:
                raise ValueError(f"layer {number + 1} takes X = {above.x}, layer {number} gives H = {below.h}")

    @classmethod
    def of(
        cls,
        checkpoint: Checkpoint,
        x: NDArray[np.float32],
        formats: FormatChoice,
        schedule: ScheduleChoice,
        config: AcceleratorConfig,
    ) -> "PackedNetwork":
        """A trained network with its inputs, planned by the first. Raises as ``plan_layers``."""
        planned = plan_layers(checkpoint.layers, x[0], formats, schedule, config)
        layers = [(layer.packed, layer.threshold) for layer in planned]
        return cls(layers, x, checkpoint.out_w, checkpoint.out_b, [layer.plan for layer in planned])

    @property
    def planned(self) -> list[PlannedLayer]:
        """Each layer with its plan."""
        plans = self.plans or [USUAL_PLAN] * len(self.layers)
        return [PlannedLayer(*layer, plan) for layer, plan in zip(self.layers, plans, strict=True)]

    @property
    def sequences(self) -> int:
        return self.x.shape[0]

    @property
    def steps(self) -> int:
        return self.x.shape[1]


def output_words(w: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The output layer as whole numbers: w in 2^-22, b in 2^-46, rounded to nearest.

    With h exact in 2^-24, sums are exact in 64 bits. Raises UserError when a weight or a sum would not fit.
    """
    wide, bias = w.astype(np.float64), b.astype(np.float64)
    largest = float(np.abs(wide).max())
    if not largest < 2 ** (31 - WEIGHT_BITS):
        raise UserError(f"the output layer's weights must be below {2 ** (31 - WEIGHT_BITS)}, not {largest:g}")
    total = float((np.abs(wide).sum(axis=1) + np.abs(bias)).max())
    if not total < 2 ** (62 - BIAS_BITS):
        raise UserError(f"the output layer's sums must stay below {2 ** (62 - BIAS_BITS)}, not {total:g}")
    return np.rint(np.ldexp(wide, WEIGHT_BITS)).astype(np.int32), np.rint(np.ldexp(bias, BIAS_BITS)).astype(np.int64)


def image_symbol(layer: int) -> str:
    """The symbol of a layer's image, which has the image's size; layers count from 1."""
    return f"layer{layer}_image"


def object_text(name: str, size: int, content: str, align: int = 8, local: bool = False) -> str:
    """An object in assembly, whose symbol says how large it is: so it can be found and changed in the ELF."""
    head = "" if local else f".globl {name}\n"
    return f"{head}.type {name}, @object\n.size {name}, {size}\n.balign {align}\n{name}: {content}\n"


def _room(name: str, size: int) -> str:
    return object_text(name, size, f".space {size}", 64)


def write_network(network: PackedNetwork, folder: Path) -> Path:
    """Write the object's source and the files it includes; returns the assembly file, for ``build``."""
    folder.mkdir(parents=True, exist_ok=True)

    def included(name: str, content: bytes, align: int = 8, local: bool = True) -> str:
        file = folder.resolve() / f"{name}.bin"
        file.write_bytes(content)
        return object_text(name, len(content), f'.incbin "{file}"', align, local)

    count = len(network.layers)
    text = '.section .rodata, "a"\n'
    for number, layer in enumerate(network.planned, 1):
        x = network.x if number == 1 else None
        content = image.build(layer.packed, x, layer.threshold, layer.plan)
        text += included(image_symbol(number), content, 64, local=False)
    output = "0"
    if network.out_w is not None and network.out_b is not None:
        output = "output"
        top = network.layers[-1][0]
        w, b = output_words(network.out_w, network.out_b)
        w = np.pad(w, ((0, 0), (0, top.h - w.shape[1])))
        text += included("weights", w.astype("<i4").tobytes())
        text += included("bias", b.astype("<i8").tobytes())
        text += object_text(output, 8 * 4, f".dword {len(w)}, {top.h}, weights, bias", local=True)
    factors = ", ".join(str(layer.plan.n_fuse) for layer in network.planned)
    text += object_text("n_fuse", 8 * count, f".dword {factors}", local=True)
    layers = ", ".join(map(image_symbol, range(1, count + 1)))
    text += object_text("network", 8 * (3 + count), f".dword {count}, n_fuse, {output}, {layers}")
    planned = network.planned
    rows = sum(len(h_bytes(np.zeros(layer.packed.h), layer.plan.h_fp16)) for layer in planned)
    text += '.section .noinit, "aw", @nobits\n'
    text += _room("results", network.sequences * network.steps * rows)
    text += _room("counters", 8 * network.sequences * count * (max(Counter) + 1))
    text += _room("predictions", 8 * network.sequences)
    text += _room(
        "states",
        sum(
            state_size(layer.packed.h, layer.packed.x, delta=layer.plan.delta, events=layer.plan.events)
            for layer in planned
        ),
    )
    text += _room("checksum", 8)
    path = folder / "network.S"
    path.write_text(text)
    return path


def build_network(
    network: PackedNetwork, program: str, output: Path, tools: Toolchain | None = None, flags: Sequence[str] = ()
) -> Path:
    """Build a program together with the network that it runs. Raises UserError."""
    with scratch() as folder:
        data = write_network(network, folder)
        return build([*sources(program), HERE / NETWORK_SUPPORT, data], output, tools, flags)
