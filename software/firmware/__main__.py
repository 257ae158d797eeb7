"""``python -m software.firmware PROGRAM [-o FILE] [--toolchain gcc|zig]``: build a bare-metal program for the core."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from golden.settings import USUAL, Configuration
from software import progress
from software.checkpoint import MNIST_DIGITS, CheckpointError, load_checkpoint, load_digits
from software.cli import UserError, check_outputs, run, within
from software.firmware import layers
from software.firmware.build import build, memory_bytes, names, sources, toolchain
from software.firmware.packing import PackedNetwork, build_network
from software.options import (
    ConfigOption,
    ImagesOption,
    OtherCheckpointOption,
    SetOption,
    accelerator_if_asked,
    check_fits,
)
from software.tuning.networks import NetworkOption, for_digits, network_of
from software.tuning.schedule_choice import (
    BestOption,
    DeltaOption,
    GroupsOption,
    HFp16Option,
    ScheduleChoice,
    ScheduleOfNetworkOption,
    XFormatOption,
    XSkipOption,
    XThresholdOption,
    roomy,
    tell_plans,
)
from software.weight_formats import (
    ALL_ESELL,
    BalanceOption,
    FormatChoice,
    GapBitsOption,
    UFormatOption,
    UnitOfNetworkOption,
    WFormatOption,
)

NETWORK_PROGRAMS = ("network", "streaming", "nofence")
USUAL_MEMORY = 16
"""MiB of RAM that simulators have unless told otherwise."""


def defines(asked: Configuration[AcceleratorConfig] | None) -> list[str]:
    """The compiler's flags that tell a program the accelerator it is built for, ELSTM_CONFIG_N_PE and so on."""
    return [f"-DELSTM_CONFIG_{key.upper()}={value}" for key, value in asked.config.as_dict().items()] if asked else []


def packed_network(
    checkpoint: Path,
    images: Path,
    digits: int,
    formats: FormatChoice,
    schedule: ScheduleChoice,
    asked: Configuration[AcceleratorConfig] | None,
) -> PackedNetwork:
    """A trained network with the first digits of a file, for the accelerator that is asked for. Raises UserError.

    Where none is, searches take the usual one, with room for the layers, and any format may be given.
    """
    try:
        found = load_digits(images)
        if not 1 <= digits <= len(found.labels):
            raise UserError(f"--digits must be in 1..{len(found.labels)} (all that {images} holds), not {digits}")
        network, x = for_digits(load_checkpoint(checkpoint), found, schedule, formats)
        x = x[:digits]
        shapes = [layer.shape(x.shape[1]) for layer in network.layers]
        if asked:
            check_fits(shapes, x.shape[1], asked)
            schedule.check(asked.config)
        config = asked.config if asked else ACCELERATOR_PRESETS[USUAL] if schedule.given else roomy(shapes)
        if not asked and not formats.open:
            config = replace(config, esell=True, stream16=True, stream8=True)
        return PackedNetwork.of(network, x, formats, schedule, config)
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
    network_name: NetworkOption = None,
    checkpoint: OtherCheckpointOption = None,
    images: ImagesOption = MNIST_DIGITS,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Data of {layers.PROGRAM}: one of {', '.join(layers.NAMES)}."),
    ] = None,
    sequences: Annotated[int, typer.Option(metavar="N", help=f"Sequences of {layers.PROGRAM}.")] = layers.SEQUENCES,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Refuse what is too large for this accelerator: {', '.join(ACCELERATOR_PRESETS)}.",
            show_default=f"any; {USUAL} with --config or --set",
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    n_fuse: Annotated[
        int | None,
        typer.Option(callback=within(1, 2**31 - 1), metavar="N", help=f"Fusion factor; 3, {layers.PROGRAM} 7."),
    ] = None,
    schedule: ScheduleOfNetworkOption = None,
    groups: GroupsOption = None,
    x_skip: XSkipOption = False,
    best: BestOption = False,
    delta: DeltaOption = None,
    x_threshold: XThresholdOption = None,
    x_format: XFormatOption = None,
    h_fp16: HFp16Option = None,
    w_format: WFormatOption = None,
    u_format: UFormatOption = None,
    gap_bits: GapBitsOption = None,
    unit: UnitOfNetworkOption = None,
    balance: BalanceOption = False,
) -> None:
    """Build a bare-metal program for the core; prints the path of the ELF.

    Programs ask the accelerator what it is. One that must know sooner has the macros ELSTM_CONFIG_N_PE, _SLOTS,
    _MAX_X, _MAX_H, _MAX_T and _WINDOW of the configuration, if one was named.

    \b
    Examples:
      python -m software.firmware hello
      python -m software.firmware network --digits 3
      python -m software.firmware network --w-format stream16 --u-format auto
      python -m software.firmware network --schedule list --groups 6,22 --x-skip
      python -m software.firmware network --network delta
      python -m software.firmware original --layer mnist-l1
      python -m software.firmware mine.c -o build/mine.elf
      python -m software.firmware network --preset mnist --set n_pe=4
    """
    shipped = network_of(network_name, checkpoint)
    formats = shipped.formats_of(w_format, u_format, gap_bits, unit, best, balance)
    choice = shipped.schedule_of(n_fuse, schedule, groups, x_skip, best, delta, x_threshold, x_format, h_fp16)
    compiler = toolchain(tools)
    if (layer is not None) != (program == layers.PROGRAM):
        raise UserError(f"{layers.PROGRAM} and --layer go together; layers are: {', '.join(layers.NAMES)}")
    if digits is None and program in NETWORK_PROGRAMS:
        digits = 2
    if digits is None:
        if network_name is not None:
            raise UserError(f"--network is of a packed network, which {program} has not")
        if best or not choice.plain:
            raise UserError(f"--schedule and --best are of a packed network, which {program} has not")
        if formats != ALL_ESELL:
            raise UserError(f"--w-format and --u-format are of a packed network, which {program} has not")
    path = output or Path("build/firmware") / f"{layer or Path(program).stem}.elf"
    check_outputs(path)
    asked = accelerator_if_asked(preset, config, settings)
    flags = defines(asked)
    if layer is not None:
        with progress.steps(2) as step:
            step("packing the layer")
            packed = layers.layer_data(layer, sequences)
            if asked:
                check_fits([packed.packed], packed.x.shape[1], asked)
            step("compiling")
            layers.build_layer(packed, path, compiler, n_fuse or layers.N_FUSE, flags)
    elif digits is not None:
        network = packed_network(shipped.path, images, digits, formats, choice, asked)
        build_network(network, program, path, compiler, flags)
        tell_plans(formats, choice, network.planned)
    else:
        build(sources(program), path, compiler, flags)
    print(path)
    if (needed := -(-memory_bytes(path) >> 20)) > USUAL_MEMORY:
        print(f"needs {needed} MiB of memory, more than the usual {USUAL_MEMORY}: run it with --ram {needed}")


if __name__ == "__main__":
    run(main)
