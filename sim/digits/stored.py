"""What a program that runs a packed network must leave in memory: golden's h of every layer, classes and checksum.

For any system that runs the ELF, whatever it is simulated on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.layer import Layer
from software.firmware.packing import PackedNetwork

SYMBOLS = ("results", "predictions", "checksum")
_START, _PRIME, _MASK = 0xCBF2_9CE4_8422_2325, 0x100_0000_01B3, 2**64 - 1


def checksum(arrays: Sequence[NDArray[np.float32]]) -> int:
    """FNV-1a, 64 bits, over the bits of fp32 arrays, as ``checksum_words`` of the firmware."""
    value = _START
    for array in arrays:
        for word in np.ascontiguousarray(array, dtype="<f4").view("<u4").ravel().tolist():
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
    for packed, threshold in network.layers:
        x = Layer(packed).run(x, threshold).h_pruned
        layers.append(x)
    predictions = None
    if network.out_w is not None and network.out_b is not None:
        last = x[:, -1, : network.out_w.shape[1]]
        predictions = (last @ network.out_w.T + network.out_b).argmax(axis=1)
    total = checksum([layer[n] for n in range(network.sequences) for layer in layers])
    return NetworkResults(tuple(layers), predictions, total)


def stored_results(network: PackedNetwork, memory: Mapping[str, bytes]) -> NetworkResults:
    """The bytes of ``SYMBOLS`` as a program left them."""
    values = np.frombuffer(memory["results"], dtype="<f4")
    h, at = [], 0
    for packed, _ in network.layers:
        shape = (network.sequences, network.steps, packed.h)
        h.append(values[at : at + np.prod(shape)].reshape(shape))
        at += int(np.prod(shape))
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
