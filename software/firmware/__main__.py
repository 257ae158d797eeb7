"""``python -m software.firmware PROGRAM [-o FILE] [--toolchain gcc|zig]``: build a bare-metal program for the core."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from software.firmware.build import FirmwareError, build, names, sources, toolchain


def main(
    program: Annotated[str, typer.Argument(help=f"One of {', '.join(names())}, or the path of a .c or .S file.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="build/firmware/PROGRAM.elf if not given.")
    ] = None,
    tools: Annotated[
        str | None, typer.Option("--toolchain", help="gcc or zig; the first that is installed if not given.")
    ] = None,
) -> None:
    """Build a bare-metal program; prints the path of the ELF."""
    path = output or Path("build/firmware") / f"{Path(program).stem}.elf"
    try:
        print(build(sources(program), path, toolchain(tools)))
    except FirmwareError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
