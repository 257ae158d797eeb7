"""Where files go: outputs that are whole or not there, temporary folders that end with their process, caches.

What a process leaves when it is killed carries its number in the name and is locked while it lives; the next one that
writes to the same place takes it away. Raises OSError that names the file of the user's; no other kind.
"""

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_OWNER = re.compile(r"[.-](\d{1,9})-\w+(\.\w+)?$")


def cache_root() -> Path:
    """``$ELSTM_CACHE``, else ``build/cache`` in the working directory."""
    return Path(os.environ.get("ELSTM_CACHE") or Path("build") / "cache").absolute()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _locked(path: Path) -> int | None:
    """A handle that holds the lock of a file or folder; None if somebody else does, or where there are no locks."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _sweep(folder: Path, pattern: str) -> None:
    """Remove what killed processes of this user left: their number is free, and so is the lock, which also protects
    processes that are numbered apart, in another container."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            owner = _OWNER.search(path.name)
            if owner is None or _alive(int(owner[1])) or path.lstat().st_uid != os.geteuid():
                continue
            if (handle := _locked(path)) is None:
                continue
            os.close(handle)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


@contextlib.contextmanager
def scratch(inside: Path | None = None) -> Iterator[Path]:
    """A temporary folder, in ``inside``, which is made, or where the system has them."""
    root = inside or Path(tempfile.gettempdir())
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root, "elstm-*-*")
    path = Path(tempfile.mkdtemp(dir=root, prefix=f"elstm-{os.getpid()}-"))
    handle = _locked(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def is_stream(path: Path) -> bool:
    """Whether a path is no file to replace but something to write into: a device, a pipe, our own standard output."""
    try:
        found = path.stat()
    except OSError:
        return False
    if stat.S_ISREG(found.st_mode):
        return _own(found) is not None
    return not stat.S_ISDIR(found.st_mode)


def _own(found: os.stat_result) -> int | None:
    """Which of our standard streams a file is."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                return number
    return None


def write(path: Path, content: bytes) -> None:
    """Write to what ``whole`` gave."""
    own = _own(path.stat())
    if own is None:
        path.write_bytes(content)
        return
    # Opened anew, it would be written from its beginning, and then once more by what is printed
    sys.stdout.flush()
    with os.fdopen(os.dup(own), "wb") as stream:
        stream.write(content)


@contextlib.contextmanager
def whole(*paths: Path | None) -> Iterator[tuple[Path | None, ...]]:
    """For each path a file beside it to write to, which takes its place when all are written: all or none.

    None stays None, and what is no file (``is_stream``) stands for itself.
    """
    staged: list[tuple[Path, Path]] = []
    handles: list[int] = []
    given: list[Path | None] = []
    umask = os.umask(0)
    os.umask(umask)
    path: Path | None = None
    try:
        try:
            for path in paths:
                if path is None or is_stream(path):
                    given.append(path)
                    continue
                if path.is_dir():
                    raise IsADirectoryError(21, "is a directory")
                # a link stays a link
                target = path.resolve()
                target.parent.mkdir(parents=True, exist_ok=True)
                _sweep(target.parent, f".{_literal(target.stem)}.*-*{_literal(target.suffix)}")
                handle, name = tempfile.mkstemp(
                    dir=target.parent, prefix=f".{target.stem}.{os.getpid()}-", suffix=target.suffix
                )
                handles.append(handle)
                staged.append((Path(name), target))
                given.append(Path(name))
                with contextlib.suppress(OSError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # mkstemp makes private files; a result is as public as any other file of the user's
                os.chmod(name, 0o666 & ~umask)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None
        yield tuple(given)
        while staged:
            part, path = staged[0]
            try:
                os.replace(part, path)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(path)) from None
            del staged[0]
    finally:
        for part, _ in staged:
            part.unlink(missing_ok=True)
        for handle in handles:
            os.close(handle)


def _literal(text: str) -> str:
    """As a pattern of glob that matches nothing else."""
    return re.sub(r"([*?[])", r"[\1]", text)


def can_write(folder: Path) -> bool:
    """Whether files can be written into a folder, which is made. Permissions alone do not tell: the user may be root,
    the file system read-only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _homes() -> tuple[Path, Path] | None:
    """Where this user's caches and settings are; None for a user without a home."""
    try:
        return (
            Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"),
            Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"),
        )
    except RuntimeError:
        return None


def furnish() -> None:
    """Give libraries a place for caches and settings where this user's home is missing or cannot be written: Yosys'
    wasmtime does not run without, matplotlib complains."""
    homes = _homes()
    settings_there = "MPLCONFIGDIR" in os.environ
    if homes and can_write(homes[0]) and (settings_there or homes[1].is_dir() or os.access(homes[1].parent, os.W_OK)):
        return
    place = cache_root() / "home"
    if not can_write(place):
        spare = scratch()
        place = spare.__enter__()
        atexit.register(spare.__exit__, None, None, None)
    os.environ["XDG_CACHE_HOME"] = str(place)
    os.environ.setdefault("MPLCONFIGDIR", str(place / "matplotlib"))


def compiler_environment(spare: Path) -> dict[str, str]:
    """The environment of a compiler: zig keeps what it builds in our cache, or in ``spare`` where that is read-only."""
    place = cache_root() / "zig"
    if not can_write(place):
        place = spare / "zig"
    names = ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
    return {name: str(place) for name in names} | dict(os.environ)
