"""Run things: ``python -m sim.run mnist --digits N``, ``layer FILE.npz`` and ``elf FILE`` on the RTL, ``twin FILE`` on
Spike; ``digit N`` and ``timeline LAYER`` draw what the RTL did in every cycle."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from sim.commands.digit import run_digit
from sim.commands.elf import run_elf
from sim.commands.layer import run_layer
from sim.commands.mnist import run_mnist
from sim.commands.timeline import run_timeline
from sim.commands.twin import run_twin
from software.cli import SETTINGS, call, new_app


def add_commands(app: typer.Typer) -> None:
    """The commands of this module."""
    commands: dict[str, Callable[..., Any]] = {
        "mnist": run_mnist, "layer": run_layer, "elf": run_elf, "twin": run_twin, "digit": run_digit,
        "timeline": run_timeline,
    }  # fmt: skip
    for name, function in commands.items():
        app.command(name, context_settings=SETTINGS)(function)


def main() -> int:
    """Exit code of ``python -m sim.run``."""
    app = new_app(help="Run networks, layers and programs on the RTL, or draw what the RTL did in every cycle.")
    add_commands(app)
    return call(app)


if __name__ == "__main__":
    sys.exit(main())
