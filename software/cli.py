"""What every command line here does alike: one clear line for a user's error, options, checks of outputs.

``call`` is the way into every command; what can end one from outside is the matter of ``software.door``.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from software import places
from software.door import INTERRUPTED, error_line, through
from software.errors import UserError

__all__ = [
    "INTERRUPTED",
    "SETTINGS",
    "Interrupted",
    "UserError",
    "call",
    "check_outputs",
    "new_app",
    "run",
    "run_app",
    "within",
    "write_all",
]


class Interrupted(Exception):
    """Ctrl-C in a run that can go on; the message says what was kept."""


SETTINGS = {"max_content_width": 100}
"""Of every command: help in lines of at most so many characters."""


def new_app(completion: bool = False, **settings: Any) -> typer.Typer:
    """An app whose help is plain text, like a manual page; ``completion``: it can install itself in the shell;
    ``settings`` go to typer."""
    return typer.Typer(add_completion=completion, rich_markup_mode=None, context_settings=SETTINGS, **settings)


def run(main: Callable[..., Any]) -> None:
    """Run a command and exit: 0, or 2 with one line on stderr for a UserError or a wrong command line."""
    app = new_app()
    app.command(context_settings=SETTINGS)(main)
    run_app(app)


def run_app(app: typer.Typer, arguments: Sequence[str] | None = None) -> None:
    """As ``run``, for an app of several commands; ``arguments`` instead of the command line's."""
    sys.exit(call(app, arguments))


def _value(cause: BaseException | None) -> str:
    """The value that newer typers leave out of their message, which tells the limit only."""
    errors = getattr(cause, "errors", None)
    return f", not {errors()[0]['input']}" if callable(errors) else ""


def call(app: typer.Typer, arguments: Sequence[str] | None = None, name: str | None = None) -> int:
    """The exit code of ``run_app``: 0, 2 for what the user can put right, 130 after Ctrl-C; each with one line.

    name: of the command in its help, where that is not how Python was started.
    """
    places.furnish()
    return through(lambda: _call(app, arguments, name))


def _call(app: typer.Typer, arguments: Sequence[str] | None, name: str | None) -> int:
    try:
        code = app(arguments, standalone_mode=False, prog_name=name) or 0
    except UserError as error:
        return error_line(str(error))
    except Interrupted as stopped:
        print(f"stopped; {stopped}; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        # Some versions of typer return the code for Ctrl-C, others raise; where its classes live varies too
        if type(error).__name__ == "Abort":
            raise KeyboardInterrupt from None
        if not hasattr(error, "format_message"):
            raise
        return error_line(error.format_message() + _value(error.__cause__))
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    return code


def within(low: int, high: int | None = None) -> Callable[[int | None], int | None]:
    """A callback of a typer option that takes low..high, whose error names the value and the limit."""

    def check(value: int | None) -> int | None:
        if value is not None and (value < low or (high is not None and value > high)):
            limit = f"at least {low}" if high is None else f"in {low}..{high}"
            raise typer.BadParameter(f"must be {limit}, not {value}")
        return value

    return check


def check_outputs(*files: Path | None, folders: Sequence[Path | None] = ()) -> None:
    """Raise UserError for what could not be written in the end: to be called before long work."""
    named = [path for path in files if path is not None]
    resolved = [path.resolve() for path in named]
    for number, path in enumerate(named):
        if resolved[number] in resolved[:number]:
            raise UserError(f"{path} is named for two outputs: they must be different files")
    for path in named:
        if path.is_dir():
            raise UserError(f"cannot write {path}: is a directory")
        if places.is_stream(path):
            if not os.access(path, os.W_OK):
                raise UserError(f"cannot write {path}: Permission denied")
            continue
        _check_folder(path.parent, f"cannot write {path}")
    for folder in folders:
        if folder is not None:
            _check_folder(folder, f"cannot write into {folder}")


def _check_folder(folder: Path, problem: str) -> None:
    """That files can be made in a folder, or the folder itself."""
    there = next(above for above in (folder, *folder.parents) if above.exists())
    if not there.is_dir():
        raise UserError(f"{problem}: {there} is not a directory")
    try:
        # Permissions alone do not tell: the user may be root, the file system read-only
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UserError(f"{problem}: {error.strerror or error}") from None


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files, all or none: everything is written beside its target first, then renamed.

    Raises UserError naming the file that cannot be written.
    """
    try:
        with places.whole(*files) as parts:
            for (path, content), part in zip(files.items(), parts, strict=True):
                assert part is not None
                try:
                    places.write(part, content)
                except OSError as error:
                    raise OSError(error.errno, error.strerror, str(path)) from None
    except OSError as error:
        raise UserError(f"cannot write {error.filename}: {error.strerror or error}") from None
