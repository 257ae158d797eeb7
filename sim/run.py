"""Run things: ``python -m sim.run mnist --digits N``, ``layer FILE.npz`` and ``elf FILE`` on the RTL, ``twin FILE`` on
Spike; ``digit N`` and ``timeline LAYER`` draw what the RTL did in every cycle."""

import sys

import typer

from sim.core_command import run_elf
from sim.layer_command import run_layer
from sim.mnist_command import run_mnist
from sim.protocol import EngineError
from sim.timeline_command import run_digit, run_timeline
from sim.twin_command import run_twin
from software.cli import UserError


def add_commands(app: typer.Typer) -> None:
    """The commands of this module."""
    app.command("mnist")(run_mnist)
    app.command("layer")(run_layer)
    app.command("elf")(run_elf)
    app.command("twin")(run_twin)
    app.command("digit")(run_digit)
    app.command("timeline")(run_timeline)


def call(app: typer.Typer) -> int:
    """Exit code of the command; what the user can put right is one line on stderr and 2."""
    try:
        return app(standalone_mode=False) or 0
    except (UserError, EngineError) as error:
        message = str(error)
    except Exception as error:
        if type(error).__name__ == "Abort":
            print("interrupted", file=sys.stderr)
            return 130
        # Typer's usage errors, wherever their classes live in this version
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def main() -> int:
    """Exit code of ``python -m sim.run``."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    add_commands(app)
    return call(app)


if __name__ == "__main__":
    sys.exit(main())
