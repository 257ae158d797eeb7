"""What a program that runs a packed network must leave in memory: golden's h of every layer, classes and checksum.

For any system that runs the ELF, whatever it is simulated on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.memory import h_bytes, h_from_bytes
from software.firmware.packing import PackedNetwork
from software.tuning.schedule_choice import PlannedLayer

SYMBOLS = ("results", "predictions", "checksum")
_START, _PRIME, _MASK = 0xCBF2_9CE4_8422_2325, 0x100_0000_01B3, 2**64 - 1


def checksum(parts: Sequence[bytes]) -> int:
    """FNV-1a, 64 bits, over 32-bit words, as ``checksum_words`` of the firmware."""
    value = _START
    for part in parts:
        for word in np.frombuffer(part, "<u4").tolist():
            value = (value ^ word) * _PRIME & _MASK
    return value


@dataclass(frozen=True, eq=False)
class NetworkResults:
    """h: for each layer (N, T, H) float32; predictions: (N,) classes, None without an output layer; checksum: of all
    h, input by input and in it layer by layer."""

    h: tuple[NDArray[np.float32], ...]
    predictions: NDArray[np.int64] | None
    checksum: int


def golden_results(network: PackedNetwork) -> NetworkResults:
    """Golden's results, every layer on the pruned h of the one below; the output layer in float32."""
    x, layers = network.x, []
    for layer in network.planned:
        x = layer.golden(x).h_pruned
        layers.append(x)
    predictions = None
    if network.out_w is not None and network.out_b is not None:
        last = x[:, -1, : network.out_w.shape[1]]
        predictions = (last @ network.out_w.T + network.out_b).argmax(axis=1)
    stored = [(h, layer.plan.h_fp16) for h, layer in zip(layers, network.planned, strict=True)]
    total = checksum([h_bytes(h[n], half) for n in range(network.sequences) for h, half in stored])
    return NetworkResults(tuple(layers), predictions, total)


def layer_parts(planned: Sequence[PlannedLayer], results: bytes, shape: tuple[int, int]) -> list[bytes]:
    """The bytes of each layer's rows (sequences, steps) in ``results``."""
    ends = np.cumsum([np.prod(shape) * layer.packed.h * (2 if layer.plan.h_fp16 else 4) for layer in planned])
    return [results[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def stored_results(network: PackedNetwork, memory: Mapping[str, bytes]) -> NetworkResults:
    """The bytes of ``SYMBOLS`` as a program left them."""
    shape, h = (network.sequences, network.steps), []
    for part, layer in zip(layer_parts(network.planned, memory["results"], shape), network.planned, strict=True):
        h.append(h_from_bytes(part, layer.packed.h, layer.plan.h_fp16).reshape(*shape, layer.packed.h))
    predictions = None if network.out_w is None else np.frombuffer(memory["predictions"], dtype="<u8").astype(np.int64)
    return NetworkResults(tuple(h), predictions, int.from_bytes(memory["checksum"], "little"))


def differences(stored: NetworkResults, golden: NetworkResults) -> list[str]:
    """What a program found otherwise than golden, in words; of each layer the first h, bit for bit."""
    problems = []
    for number, (found, wanted) in enumerate(zip(stored.h, golden.h, strict=True), 1):
        wrong = np.argwhere(found.view("<u4") != wanted.astype("<f4").view("<u4"))
        if len(wrong):
            n, t, unit = wrong[0].tolist()
            problems.append(
                f"layer {number}: {len(wrong)} values of h differ, the first in input {n}, t {t}, unit {unit}: "
                f"{found[n, t, unit]} where golden has {wanted[n, t, unit]}"
            )
    if stored.predictions is not None and golden.predictions is not None:
        for n in np.flatnonzero(stored.predictions != golden.predictions).tolist():
            problems.append(f"input {n}: class {stored.predictions[n]}, golden's is {golden.predictions[n]}")
    if stored.checksum != golden.checksum:
        problems.append(f"checksum {stored.checksum:#018x}, golden's is {golden.checksum:#018x}")
    return problems
