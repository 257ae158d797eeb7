"""``elstm``: every command line of the project under one name, with completion in the shell (``--install-completion``).

Each subcommand is what ``python -m`` of its module is, with the same options; training is ``python -m
software.benchmark.mnist`` and ``... .lm``, as it needs PyTorch.
"""

import sys
from collections.abc import Callable
from typing import Any

import typer

from hdl import build
from sim import figure10, regress, report
from sim.run import add_commands, call
from software import esell_format, figure9, group_size_tuning, lstm_sim_esell
from software.firmware import __main__ as firmware

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Sparse LSTM inference in hardware.")
add_commands(app)
_COMMANDS: dict[str, Callable[..., Any]] = {
    "report": report.main,
    "figure9": figure9.main,
    "figure10": figure10.main,
    "regress": regress.main,
    "verilog": build.main,
    "firmware": firmware.main,
    "pack": lstm_sim_esell.main,
    "formats": esell_format.main,
    "tune": group_size_tuning.main,
}
for _name, _function in _COMMANDS.items():
    app.command(_name)(_function)


def main() -> None:
    """Exits with the subcommand's code; 2 with one line on stderr for what the user can put right."""
    sys.exit(call(app))
