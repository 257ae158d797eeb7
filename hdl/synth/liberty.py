"""Libraries of standard cells in Liberty's format, as far as area needs them: what each cell is called, how large it
is, and whether it is a register."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TOKEN = re.compile(r"""\s+|/\*.*?\*/|//[^\n]*|\\\n|"(?:[^"\\]|\\.)*"|[{}():;,]|[^\s{}():;,"]+""", re.DOTALL)
_REGISTERS = ("ff", "ff_bank", "latch", "latch_bank")
LARGEST = 1 << 28
"""Bytes of a file."""


class LibertyError(ValueError):
    """A file that cannot be used, in one line with the place."""


@dataclass(frozen=True)
class StandardCell:
    """area: in the library's unit; register: it is a flip-flop or latch."""

    name: str
    area: float
    register: bool


@dataclass(frozen=True)
class Library:
    """A file's name, its text, and the cells that say their area."""

    name: str
    text: str
    cells: tuple[StandardCell, ...]

    @property
    def word(self) -> str:
        """For the name of a folder: the file's name and a checksum of its text."""
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(self.name).stem)[:40]
        return f"{stem}-{hashlib.sha256(self.text.encode()).hexdigest()[:8]}"


def load(path: Path) -> Library:
    """Read a library. Raises LibertyError."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise LibertyError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise LibertyError(f"{path}: must have at most {LARGEST:,} bytes, it has more")
    # names are ASCII, comments and texts may be anything
    text = content.decode("utf-8", "replace")
    cells = tuple(cells_of(text, str(path)))
    if not cells:
        raise LibertyError(f"{path}: no library of cells with an area")
    return Library(path.name, text, cells)


def _tokens(text: str, where: str) -> Iterator[tuple[str, int]]:
    """Words, marks and texts with their places, without comments and space."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise LibertyError(f"{where}:{_line(text, at)}: a text without an end")
        at = found.end()
        token = found[0]
        if not (token[0].isspace() or token.startswith(("/*", "//", "\\\n"))):
            yield token, found.start()


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def cells_of(text: str, where: str) -> Iterator[StandardCell]:
    """The cells that say their area, of a library's text. Raises LibertyError where braces or values do not fit."""
    groups: list[tuple[str, str, int]] = []
    statement: list[str] = []
    area: float | None = None
    register = False
    for token, at in _tokens(text, where):
        if token == "{":
            kind, name = statement[0] if statement else "", "".join(statement[2:-1]).strip('"')
            groups.append((kind, name, at))
            if not kind or (len(groups) == 1) != (kind == "library"):
                raise LibertyError(f"{where}:{_line(text, at)}: not Liberty: {kind or 'a brace'} where none belongs")
            if kind == "cell":
                area, register = None, False
            register |= kind in _REGISTERS and "cell" in (each for each, _, _ in groups)
            statement = []
        elif token in ("}", ";"):
            if statement[:2] == ["area", ":"] and groups and groups[-1][0] == "cell":
                area = _area(statement[2:], f"{where}:{_line(text, at)}", groups[-1][1])
            statement = []
            if token == "}":
                if not groups:
                    raise LibertyError(
                        f"{where}:{_line(text, at)}: not Liberty: a closing brace without an opening one"
                    )
                kind, name, _ = groups.pop()
                if kind == "cell" and area is not None:
                    yield StandardCell(name, area, register)
        else:
            statement.append(token)
    if groups:
        kind, name, at = groups[-1]
        raise LibertyError(f"{where}:{_line(text, at)}: not Liberty: {kind} ({name}) has no end")


def _area(words: list[str], where: str, cell: str) -> float:
    shown = " ".join(words)
    try:
        value = float(shown.strip('"'))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise LibertyError(f"{where}: area of {cell} must be a number in 0..1e12, not {shown[:40]!r}")
    return value
