"""Texts as people's editors and tools leave them: the same words, or one line that says what the file is."""

import bz2
import codecs
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from software.benchmark.data.command import checked, find, load_corpus, without_training_text
from software.benchmark.data.corpus import make_corpus
from software.cli import UserError
from software.files.text import lines_of, unpack, words_of

TEXT = "the first word\nand a second\n"
WORDS = ["the", "first", "word", "<eos>", "and", "a", "second", "<eos>"]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.rstrip("\n").encode(),
        TEXT.replace("\n", " <eos>\n").encode(),
        TEXT.replace("\n", " <eos> \r\n").encode(),
        b"".join(codecs.BOM_UTF8 + line for line in TEXT.encode().splitlines(keepends=True)),
    ],
    ids=["mark", "crlf", "mark and crlf", "cr", "utf-16 le", "utf-16 be", "no end", "eos", "eos, crlf", "joined"],
)
def test_a_text_gives_the_same_words_however_it_was_saved(content: bytes) -> None:
    assert words_of(content, "t") == WORDS


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_newlines_end_a_line_everywhere(separator: str) -> None:
    text = f"a b{separator}c\nd\n".encode()
    assert words_of(text, "t") == ["a", "b", "c", "<eos>", "d", "<eos>"]
    assert len(lines_of(text, "t")) == 2
    parts = without_training_text({"valid": text * 5, "test": text})
    assert len(words_of(parts["train"] + parts["valid"], "t")) == 5 * 6


def test_a_mark_alone_is_an_empty_text() -> None:
    assert lines_of(codecs.BOM_UTF8, "t") == lines_of(b"", "t") == []
    assert lines_of(codecs.BOM_UTF8 + b"\n", "t") == [""]


def test_an_eos_that_ends_no_line_stays_a_word() -> None:
    assert words_of(b"a <eos> b\nx<eos>\n\n<eos>\n", "t") == ["a", "<eos>", "b", "<eos>", "x<eos>", *["<eos>"] * 3]


def packed_in_zip(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("train.txt", content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed_in_zip(b"a b"), r"is a zip archive \(train.txt\), no text: unpack it first"),
        (bz2.compress(b"a b\n"), "is a bzip2 file, no text: unpack it first"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer.*git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, as a download that failed leaves"),
        (gzip.compress(b"a b")[:-3], "not a gzip file, or truncated or damaged"),
    ],
    ids=["zip", "bzip2", "lfs", "html", "cut gzip"],
)
def test_what_is_no_text_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"train.txt.*{message}"):
        unpack(path)


@pytest.mark.parametrize("content", ["a b\n".encode("utf-16-le"), b"a\0b\n", "caf\xe9\n".encode("latin-1")])
def test_another_encoding_is_named_and_never_words(content: bytes) -> None:
    with pytest.raises(UserError, match="t: not a text in UTF-8"):
        words_of(content, "t")


@pytest.mark.parametrize(("name", "packed"), [("train.txt", True), ("train.txt.gz", False), ("train.txt.gz", True)])
def test_gzip_is_known_by_its_bytes(name: str, packed: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gzip.compress(TEXT.encode()) if packed else TEXT.encode())
    assert unpack(tmp_path / name) == TEXT.encode()


def test_a_folder_of_texts_from_another_system_is_the_same_corpus(tmp_path: Path) -> None:
    here = make_corpus("text", dict.fromkeys(("train", "valid", "test"), TEXT.encode()))
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_bytes(codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode())
    there = load_corpus(str(tmp_path))
    assert there.words == here.words
    np.testing.assert_array_equal(there.train, here.train)


def test_a_known_text_with_other_line_ends_is_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("software.benchmark.data.command.WIKITEXT_TRAIN", (5, 4))
    windows = codecs.BOM_UTF8 + b"a b\r\nc\r\n"
    assert checked("wikitext-2", "train", windows, "here") == b"a b\nc\n"


def test_a_file_for_a_folder_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "wikitext-2-v1.zip"
    path.write_bytes(packed_in_zip(b"a"))
    with pytest.raises(UserError, match=r"--data must be a folder or one of .*v1.zip, which is a zip archive"):
        load_corpus(str(path))
    with pytest.raises(UserError, match="v1.zip is a zip archive .*, not the folder of the texts"):
        find("ptb", path)
