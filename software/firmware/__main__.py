"""``python -m software.firmware PROGRAM [-o FILE] [--toolchain gcc|zig]``: build a bare-metal program for the core."""

from pathlib import Path
from typing import Annotated

import typer

from software import progress
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, CheckpointError, load_checkpoint, load_digits
from software.cli import UserError, check_outputs, run, within
from software.firmware import layers
from software.firmware.build import build, memory_bytes, names, sources, toolchain
from software.firmware.packing import PackedNetwork, build_network
from software.options import CheckpointOption, ImagesOption

NETWORK_PROGRAMS = ("network", "streaming", "nofence")
USUAL_MEMORY = 16
"""MiB of RAM that simulators have unless told otherwise."""


def network_of(checkpoint: Path, images: Path, digits: int, n_fuse: int) -> PackedNetwork:
    """A trained network with the first digits of a file. Raises UserError."""
    try:
        network, found = load_checkpoint(checkpoint), load_digits(images)
        if not 1 <= digits <= len(found.labels):
            raise UserError(f"--digits must be in 1..{len(found.labels)} (all that {images} holds), not {digits}")
        return PackedNetwork.of(network, found.inputs()[:digits], n_fuse)
    except (CheckpointError, ValueError) as error:
        raise UserError(str(error)) from None


def main(
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help=f"One of {', '.join(names())}, or the path of a .c or .S file.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", "--output", metavar="FILE", help="ELF to write; else build/firmware/PROGRAM.elf."),
    ] = None,
    tools: Annotated[
        str | None, typer.Option("--toolchain", metavar="NAME", help="gcc or zig; else the first that is installed.")
    ] = None,
    digits: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help=f"Link with a packed network and that many inputs; 2 for {', '.join(NETWORK_PROGRAMS)}.",
        ),
    ] = None,
    checkpoint: CheckpointOption = MNIST_CHECKPOINT,
    images: ImagesOption = MNIST_DIGITS,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Data of {layers.PROGRAM}: one of {', '.join(layers.NAMES)}."),
    ] = None,
    sequences: Annotated[int, typer.Option(metavar="N", help=f"Sequences of {layers.PROGRAM}.")] = layers.SEQUENCES,
    n_fuse: Annotated[
        int | None,
        typer.Option(callback=within(1, 2**31 - 1), metavar="N", help=f"Fusion factor; 3, {layers.PROGRAM} 7."),
    ] = None,
) -> None:
    """Build a bare-metal program for the core; prints the path of the ELF.

    \b
    Examples:
      python -m software.firmware hello
      python -m software.firmware network --digits 3
      python -m software.firmware original --layer mnist-l1
      python -m software.firmware mine.c -o build/mine.elf
    """
    compiler = toolchain(tools)
    if (layer is not None) != (program == layers.PROGRAM):
        raise UserError(f"{layers.PROGRAM} and --layer go together; layers are: {', '.join(layers.NAMES)}")
    if digits is None and program in NETWORK_PROGRAMS:
        digits = 2
    path = output or Path("build/firmware") / f"{layer or Path(program).stem}.elf"
    check_outputs(path)
    if layer is not None:
        with progress.steps(2) as step:
            step("packing the layer")
            packed = layers.layer_data(layer, sequences)
            step("compiling")
            layers.build_layer(packed, path, compiler, n_fuse or layers.N_FUSE)
    elif digits is not None:
        build_network(network_of(checkpoint, images, digits, n_fuse or 3), program, path, compiler)
    else:
        build(sources(program), path, compiler)
    print(path)
    if (needed := -(-memory_bytes(path) >> 20)) > USUAL_MEMORY:
        print(f"needs {needed} MiB of memory, more than the usual {USUAL_MEMORY}: run it with --ram {needed}")


if __name__ == "__main__":
    run(main)
