"""What every command line here does alike: one clear line for a user's error, outputs whole or not at all."""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer


class UserError(Exception):
    """Something the user can put right; the message names the value and the limit."""


class Interrupted(Exception):
    """Ctrl-C in a run that can go on; the message says what was kept."""


SETTINGS = {"max_content_width": 100}
"""Of every command: help in lines of at most so many characters."""


def new_app(**settings: Any) -> typer.Typer:
    """An app whose help is plain text, like a manual page; ``settings`` go to typer."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=SETTINGS, **settings)


def run(main: Callable[..., Any]) -> None:
    """Run a command and exit: 0, or 2 with one line on stderr for a UserError or a wrong command line."""
    app = new_app()
    app.command(context_settings=SETTINGS)(main)
    run_app(app)


def run_app(app: typer.Typer, arguments: Sequence[str] | None = None) -> None:
    """As ``run``, for an app of several commands; ``arguments`` instead of the command line's."""
    sys.exit(call(app, arguments))


def call(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """The exit code of ``run_app``: 0, 2 for what the user can put right, 130 after Ctrl-C; each with one line."""
    try:
        return app(arguments, standalone_mode=False) or 0
    except UserError as error:
        message = str(error)
    except Interrupted as stopped:
        print(f"stopped; {stopped}; the same command goes on from there", file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        # Typer's own Ctrl-C and usage errors, wherever their classes live in this version
        if type(error).__name__ == "Abort":
            print("interrupted", file=sys.stderr)
            return 130
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write several files, all or none: everything is written beside its target first, then renamed.

    Raises UserError naming the file that cannot be written.
    """
    staged: list[tuple[str, Path]] = []
    umask = os.umask(0)
    os.umask(umask)
    path = Path()
    try:
        for path, content in files.items():
            if path.is_dir():
                raise IsADirectoryError(21, "is a directory")
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            staged.append((name, path))
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            # mkstemp makes private files; a result is as public as any other file of the user's
            os.chmod(name, 0o666 & ~umask)
        while staged:
            name, path = staged[0]
            os.replace(name, path)
            del staged[0]
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        for name, _ in staged:
            os.unlink(name)
