"""``elstm``: every command line of the project under one name, with completion in the shell (``--install-completion``).

Each subcommand is what ``python -m`` of its module is, with the same options; training is ``python -m
software.benchmark.mnist`` and ``... .lm``, as it needs PyTorch.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from golden.version import __version__
from hdl import build
from sim import coverage, cycles_accuracy, regress
from sim.figure10 import command as figure10
from sim.report import command as report
from sim.run import add_commands
from sim.sweep import command as sweep
from software import esell_format, figure9, group_size_tuning, lstm_sim_esell
from software.cli import SETTINGS, call, new_app
from software.firmware import __main__ as firmware

app = new_app(completion=True, no_args_is_help=True, help="Sparse LSTM inference in hardware.")
add_commands(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"elstm {__version__}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


_COMMANDS: dict[str, Callable[..., Any]] = {
    "report": report.main,
    "figure9": figure9.main,
    "figure10": figure10.main,
    "cycles-accuracy": cycles_accuracy.main,
    "sweep": sweep.main,
    "regress": regress.main,
    "coverage": coverage.main,
    "verilog": build.main,
    "firmware": firmware.main,
    "pack": lstm_sim_esell.main,
    "formats": esell_format.main,
    "tune": group_size_tuning.main,
}
for _name, _function in _COMMANDS.items():
    app.command(_name, context_settings=SETTINGS)(_function)


def main() -> None:
    """Exits with the subcommand's code; 2 with one line on stderr for what the user can put right."""
    sys.exit(call(app, name="elstm"))
