"""Texts of a language model: a sentence a line, words between spaces; every line's end is the word <eos>."""

import codecs
from pathlib import Path

from software.cli import UserError
from software.files.content import kind_of, read_file

END = "<eos>"
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
"""Byte-order marks and what they say of the text behind them."""
UNREADABLE = ("packed", "zip", "npz", "torch", "hdf5", "lfs", "html", "pdf", "pickle")
"""Kinds of files that are no text, however they are called."""


def unpack(path: Path) -> bytes:
    """Content of a text, perhaps gzip, whatever the file is called. Raises UserError."""
    content = read_file(path)
    kind = kind_of(content)
    if kind.key in UNREADABLE:
        advice = ": unpack it first" if kind.key in ("packed", "zip") else ""
        raise UserError(f"{path} is {kind.name}, no text{advice}")
    return content


def lines_of(content: bytes, name: str) -> list[str]:
    r"""The lines of a text: they end at \n, \r\n or \r and nowhere else, so that all parts of a program agree.

    Byte-order marks are no part of a word: they are left out at the start of a line, where joined files have them.
    Raises UserError when it is no text in UTF-8, or in UTF-16 with its mark.
    """
    encoding = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not a text in UTF-8: {error}") from None
    if "\0" in text:
        raise UserError(f"{name}: not a text in UTF-8: it has NUL characters, as UTF-16 without a byte-order mark has")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.lstrip("\ufeff") for line in lines]


def words_of(content: bytes, name: str) -> list[str]:
    """All words of a text with an <eos> for each line; a line that ends in one of its own gets no second.

    Raises UserError as ``lines_of`` does.
    """
    words: list[str] = []
    for line in lines_of(content, name):
        found = line.split()
        words += found if found[-1:] == [END] else [*found, END]
    return words
