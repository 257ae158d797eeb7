"""``python -m software.firmware PROGRAM [-o FILE] [--toolchain gcc|zig]``: build a bare-metal program for the core."""

from pathlib import Path
from typing import Annotated

import typer

from software.cli import run
from software.firmware.build import build, names, sources, toolchain


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
    print(build(sources(program), path, toolchain(tools)))


if __name__ == "__main__":
    run(main)
