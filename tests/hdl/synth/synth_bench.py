"""Commands of synthesis as a user gives them, in a folder of their own."""

from collections.abc import Callable
from typing import Any

import pytest

from hdl.synth import tools
from software.cli import call, new_app

needs_yosys = pytest.mark.skipif(tools.YOSYS.there() is None, reason="yosys is not installed: apt install yosys")

Line = Callable[[str], tuple[int, str, str]]


def command_line(command: Callable[..., Any], capsys: pytest.CaptureFixture[str], before: str = "") -> Line:
    """Runs a command with the words of a text, behind those of ``before``; gives exit code, output and errors."""

    def run(text: str) -> tuple[int, str, str]:
        app = new_app()
        app.command()(command)
        code = call(app, f"{before} {text}".split())
        out, err = capsys.readouterr()
        return code, out, err

    return run
