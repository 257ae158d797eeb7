"""``python -m software.firmware PROGRAM [-o FILE] [--toolchain gcc|zig]``: build a bare-metal program for the core."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from golden.layer import pack_layer
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, CheckpointError, load_checkpoint, load_digits
from software.cli import UserError, run
from software.firmware import layers
from software.firmware.build import HERE, NETWORK_SUPPORT, build, memory_bytes, names, sources, toolchain
from software.firmware.packing import PackedNetwork, write_network

NETWORK_PROGRAMS = ("network", "streaming", "nofence")
LAYER_PROGRAM = "original"
USUAL_MEMORY = 16
"""MiB of RAM that simulators have unless told otherwise."""


def mnist_network(checkpoint: Path, images: Path, digits: int, n_fuse: int) -> PackedNetwork:
    """A trained network with the first digits of a file. Raises UserError."""
    try:
        network, found = load_checkpoint(checkpoint), load_digits(images)
        if not 1 <= digits <= len(found.labels):
            raise UserError(f"--digits must be in 1..{len(found.labels)} (all that {images} holds), not {digits}")
        packed = [(pack_layer(layer.w, layer.u, layer.b), layer.threshold) for layer in network.layers]
        return PackedNetwork(packed, found.inputs()[:digits], network.out_w, network.out_b, n_fuse)
    except (CheckpointError, ValueError) as error:
        raise UserError(str(error)) from None


def main(
    program: Annotated[str, typer.Argument(help=f"One of {', '.join(names())}, or the path of a .c or .S file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="build/firmware/PROGRAM.elf if not given.")
    ] = None,
    tools: Annotated[
        str | None, typer.Option("--toolchain", help="gcc or zig; the first that is installed if not given.")
    ] = None,
    digits: Annotated[
        int | None,
        typer.Option(help=f"Link with a packed network and that many inputs; 2 for {', '.join(NETWORK_PROGRAMS)}."),
    ] = None,
    checkpoint: Annotated[Path, typer.Option(help="The trained network, .npz.")] = MNIST_CHECKPOINT,
    images: Annotated[Path, typer.Option(help="Its inputs, .npz.")] = MNIST_DIGITS,
    layer: Annotated[
        str | None, typer.Option(help=f"Data of {LAYER_PROGRAM}: one of {', '.join(layers.NAMES)}.")
    ] = None,
    sequences: Annotated[int, typer.Option(help=f"Sequences of {LAYER_PROGRAM}.")] = layers.SEQUENCES,
    n_fuse: Annotated[int | None, typer.Option(min=1, help=f"Fusion factor; 3, {LAYER_PROGRAM} 7.")] = None,
) -> None:
    """Build a bare-metal program; prints the path of the ELF."""
    compiler = toolchain(tools)
    if (layer is not None) != (program == LAYER_PROGRAM):
        raise UserError(f"{LAYER_PROGRAM} and --layer go together; layers are: {', '.join(layers.NAMES)}")
    if digits is None and program in NETWORK_PROGRAMS:
        digits = 2
    files, flags = sources(program), []
    name = Path(program).stem
    with tempfile.TemporaryDirectory(prefix="firmware-") as folder:
        if layer is not None:
            data = layers.layer_data(layer, sequences)
            files.append(layers.write_layer(data, Path(folder)))
            flags = layers.defines(data, n_fuse or layers.N_FUSE)
            name = layer
        elif digits is not None:
            network = mnist_network(checkpoint, images, digits, n_fuse or 3)
            files += [HERE / NETWORK_SUPPORT, write_network(network, Path(folder))]
        path = build(files, output or Path("build/firmware") / f"{name}.elf", compiler, flags)
    print(path)
    if (needed := -(-memory_bytes(path) >> 20)) > USUAL_MEMORY:
        print(f"needs {needed} MiB of memory, more than the usual {USUAL_MEMORY}: run it with --ram {needed}")


if __name__ == "__main__":
    run(main)
