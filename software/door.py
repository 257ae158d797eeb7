"""The door of every command line: what ends a command from outside becomes one line and an exit code here, once.

Only the standard library, as it must be there before anything that takes long to import.
"""

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""
READER_GONE = 141
"""Exit code when nobody reads the output any more: 128 and the number of SIGPIPE."""
NARROWEST = 20
"""Characters; tables have nothing to show in fewer."""
_COMMAND = re.compile(r"(-\w*m)?(hdl|sim|software|scripts)(\.\w+)*")
_AGAIN_SECONDS = 0.02


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C where there is nothing to put away: while modules are imported, and when all is done."""
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _handle(handler: Callable[[int, FrameType | None], Any]) -> None:
    """Use ``handler`` for SIGINT if Python's own or ``_leave`` is: whoever ignores or handles it keeps that."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) in (
        signal.default_int_handler,
        _leave,
    ):
        signal.signal(signal.SIGINT, handler)


def quiet_imports() -> None:
    """Make Ctrl-C during the imports of one of our commands as quiet as later; nothing where we are a library.

    A KeyboardInterrupt there would be a traceback from the middle of somebody's package.
    """
    program = sys.argv[0] if sys.argv else ""
    if Path(program).name == "elstm" or (program == "-m" and any(map(_COMMAND.fullmatch, sys.orig_argv[1:]))):
        _handle(_leave)


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, in the end also when it falls into a callback, where it would be lost noise."""
    before = sys.unraisablehook

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            before(what)
        elif threading.main_thread().is_alive():
            # Lost there, so pressed once more as soon as the callback is over
            again = threading.main_thread().ident or 0, signal.SIGINT
            timer = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, again)
            timer.daemon = True
            timer.start()

    sys.unraisablehook = unraisable
    _handle(signal.default_int_handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            _handle(_leave)
        sys.unraisablehook = before


def furnish() -> None:
    """What libraries take for granted: streams that exist, and a terminal that something fits into."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Closed by the caller (>&-); the next file opened would get its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    columns = os.environ.get("COLUMNS")
    if columns is not None and not (columns.isdecimal() and int(columns) >= NARROWEST):
        del os.environ["COLUMNS"]


def error_line(message: str) -> int:
    """Print the one line of an error; exit code 2."""
    with contextlib.suppress(OSError):
        print(f"error: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return 2


def _interrupted() -> int:
    with contextlib.suppress(OSError):
        print("interrupted", file=sys.stderr, flush=True)
    return INTERRUPTED


def _flushed() -> OSError | None:
    """Why what was printed cannot be written; then it is dropped, so that Python does not try again at its end."""
    try:
        sys.stdout.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        return error
    except ValueError:
        # closed
        return None
    return None


def _stdout_is_full() -> bool:
    """Whether an error that names no file can be standard output's, whose buffer may be gone by now."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    try:
        os.write(number, b"")
        return os.fstatvfs(number).f_bavail == 0
    except OSError:
        return True


def _os_error(error: OSError, unwritten: OSError | None = None) -> int:
    unwritten = unwritten or _flushed()
    if isinstance(error, BrokenPipeError) or isinstance(unwritten, BrokenPipeError):
        return READER_GONE
    reason = error.strerror or str(error) or type(error).__name__
    if isinstance(error.filename, str | bytes | os.PathLike):
        return error_line(f"{os.fsdecode(error.filename)}: {reason}")
    return error_line(f"cannot write standard output: {reason}" if unwritten or _stdout_is_full() else reason)


def through(command: Callable[[], int]) -> int:
    """The exit code of a command, whatever happens to it.

    Its own, 130 with one line after Ctrl-C, 2 with one line for a disk or folder that refuses or too little memory,
    141 without a word when the reader of its output is gone.
    """
    furnish()
    try:
        with _interrupts():
            code = command()
            unwritten = _flushed()
        return code if unwritten is None else _os_error(unwritten, unwritten)
    except KeyboardInterrupt:
        _flushed()
        return _interrupted()
    except OSError as error:
        return _os_error(error)
    except MemoryError as error:
        return error_line(f"not enough memory: {error}" if str(error) else "not enough memory")
    except SystemExit as error:
        unwritten = _flushed()
        # how click and rich end when the reader of what they print is gone
        if isinstance(error.__context__, BrokenPipeError):
            return READER_GONE
        if unwritten is not None:
            return _os_error(unwritten, unwritten)
        raise
