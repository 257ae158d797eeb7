"""Texts of the language models: found, checked, fetched and tokenised, all without a network."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from software.benchmark.data import command as data
from software.benchmark.data import sources as data_sources
from software.benchmark.data import web
from software.benchmark.data.command import fetch, find, load_corpus, main
from software.benchmark.data.corpus import SPLITS, kjv_texts, make_corpus, words_of
from software.benchmark.data.sources import from_tar, from_web, from_zip
from software.cli import UserError

TEXTS = {"train": b"a b c\nb <unk>\n", "valid": b"a a\n", "test": b"c z b\n"}


@pytest.fixture(autouse=True)
def ptb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three small texts, taken for the Penn Treebank's; nothing in the environment; an empty folder to work in."""
    for split, text in TEXTS.items():
        monkeypatch.setitem(data.DATASETS["ptb"].sha256, split, hashlib.sha256(text).hexdigest())
    monkeypatch.delenv("ELSTM_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def put(folder: Path, texts: dict[str, bytes], name: str = "ptb.{}.txt", packed: bool = False) -> Path:
    folder.mkdir(parents=True)
    for split, text in texts.items():
        path = folder / (name.format(split) + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(text) if packed else text)
    return folder


def test_words_and_their_indices() -> None:
    corpus = make_corpus("text", TEXTS)
    assert corpus.words == ("<eos>", "<unk>", "a", "b", "c")
    assert corpus.train.tolist() == [2, 3, 4, 0, 3, 1, 0]
    assert corpus.test.tolist() == [4, 1, 3, 0]
    assert words_of(b"\n x \n", "t") == ["<eos>", "x", "<eos>"]


def test_a_word_that_training_never_saw_is_an_error_without_unk() -> None:
    with pytest.raises(UserError, match="test text: the word 'z' is not in the vocabulary"):
        make_corpus("text", TEXTS | {"train": b"a b c\n"})


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [("valid", b"", "the valid text is empty"), ("test", b"\xff\n", "test text: not a text in UTF-8")],
)
def test_a_bad_text_is_named(split: str, text: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_corpus("text", TEXTS | {split: text})


@pytest.mark.parametrize("packed", [False, True])
def test_data_then_the_environment_then_the_cache(
    packed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(data, "fetch", lambda *a: pytest.fail("fetched"))
    put(tmp_path / "build/data/ptb", TEXTS, packed=packed)
    assert find("ptb") == TEXTS
    monkeypatch.setenv("ELSTM_DATA", str(tmp_path / "env"))
    assert find("ptb") == TEXTS
    put(tmp_path / "env/ptb", TEXTS | {"valid": b"other\n"}, packed=packed)
    with pytest.raises(UserError, match="env/ptb/ptb.valid.txt.*SHA-256"):
        find("ptb")
    put(tmp_path / "given/ptb", TEXTS, packed=packed)
    assert find("ptb", tmp_path / "given") == find("ptb", tmp_path / "given/ptb") == TEXTS


def test_a_given_folder_without_a_file_is_no_reason_to_fetch(tmp_path: Path) -> None:
    put(tmp_path / "x", {split: TEXTS[split] for split in ("train", "valid")})
    with pytest.raises(UserError, match="x/ptb.test.txt.gz: No such file"):
        find("ptb", tmp_path / "x")


def test_sources_are_tried_in_turn_and_only_the_original_bytes_taken(tmp_path: Path) -> None:
    mirror = put(tmp_path / "mirror", TEXTS).as_uri() + "/ptb.{}.txt"

    def broken() -> dict[str, bytes]:
        raise OSError("no route")

    said: list[str] = []
    sources = {"first": broken, "second": lambda: TEXTS | {"train": b"?"}, "third": lambda: from_web(mirror)}
    assert fetch("ptb", tmp_path / "cache", sources, said.append) == TEXTS
    assert "no route" in said[1] and "second: SHA-256 of the unpacked train text" in said[3]
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {f"ptb.{split}.txt.gz" for split in SPLITS}


def test_no_source_says_what_to_put_where_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no source of ptb answered; put ptb.train.txt, .* into .*cache.*only: 'test'"):
        fetch("ptb", tmp_path / "cache", {"only": lambda: {k: TEXTS[k] for k in ("train", "valid")}}, lambda _: None)
    assert not (tmp_path / "cache").exists()


def test_archives(tmp_path: Path) -> None:
    tar, packed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive, zipfile.ZipFile(packed, "w") as zipped:
        for split, text in TEXTS.items():
            info = tarfile.TarInfo(f"./d/{split}.txt")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
            zipped.writestr(f"d/{split}", text)
    assert from_tar(tar.getvalue(), "./d/{}.txt") == TEXTS
    assert from_zip(packed.getvalue(), "d/{}") == TEXTS


def test_a_folder_of_any_text_and_one_of_a_known_corpus(tmp_path: Path) -> None:
    assert load_corpus(str(put(tmp_path / "any", TEXTS, "{}.txt"))).name == "text"
    assert load_corpus(str(put(tmp_path / "known", TEXTS))).name == "ptb"
    (tmp_path / "known/ptb.test.txt").write_bytes(b"changed\n")
    with pytest.raises(UserError, match="known/ptb.test.txt: SHA-256"):
        load_corpus(str(tmp_path / "known"))
    with pytest.raises(UserError, match="--data must be a folder or one of ptb, .*, wikitext-2-valid, not nowhere"):
        load_corpus("nowhere")


def test_wikitext_training_text_is_known_by_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "WIKITEXT_TRAIN", (5, 4))
    assert data.checked("wikitext-2", "train", b"a b\nc\n", "here") == b"a b\nc\n"
    with pytest.raises(UserError, match=r"here: has 4 words, 3 different, not \(5, 4\)"):
        data.checked("wikitext-2", "train", b"a b\na", "here")


@pytest.fixture
def wikitext(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the valid and test texts of a small WikiText-2, its training text not to be had."""
    texts = {"valid": b"".join(b"w%d <unk>\n" % (n % 9) for n in range(25)), "test": b"w1 w2\n"}
    for split, content in texts.items():
        monkeypatch.setitem(data.DATASETS["wikitext-2"].sha256, split, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(data, "fetch", lambda *a: pytest.fail("fetched"))
    return put(tmp_path / "wikitext-2", texts, "wiki.{}.tokens")


def test_the_valid_text_of_wikitext_is_split_at_lines_nine_to_one(wikitext: Path) -> None:
    whole = (wikitext / "wiki.valid.tokens").read_bytes()
    texts = find("wikitext-2-valid", wikitext)
    assert texts["train"] + texts["valid"] == whole and texts["test"] == b"w1 w2\n"
    assert [texts[split].count(b"\n") for split in SPLITS] == [22, 3, 1]
    assert all(text.endswith(b"\n") for text in texts.values())
    assert make_corpus("wikitext-2-valid", texts).words[:2] == ("<eos>", "<unk>")


def test_two_texts_of_wikitext_are_enough_wherever_they_are(wikitext: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSTM_DATA", str(wikitext.parent))
    assert find("wikitext-2-valid") == find("wikitext-2-valid", wikitext) == find("wikitext-2-valid", wikitext.parent)
    assert load_corpus("wikitext-2-valid").name == "wikitext-2-valid"
    with pytest.raises(UserError, match="wiki.train.tokens.gz: No such file"):
        find("wikitext-2", wikitext)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_two_texts_of_wikitext_are_checked(wikitext: Path, split: str) -> None:
    path = wikitext / f"wiki.{split}.tokens"
    path.write_bytes(b"w1 w2 w3\n")
    with pytest.raises(UserError, match=f"wiki.{split}.tokens: SHA-256 of the unpacked {split} text"):
        find("wikitext-2-valid", wikitext)
    path.unlink()
    with pytest.raises(UserError, match=f"wiki.{split}.tokens.gz: No such file"):
        find("wikitext-2-valid", wikitext)


def test_the_command_takes_two_texts_of_wikitext(wikitext: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wikitext-2-valid", "--data", str(wikitext)]) == 0
    assert capsys.readouterr().out.startswith("wikitext-2-valid: train 66, valid 9, test 3 words with <eos>, vocab")


def chapters() -> str:
    """24 chapters of one verse, the book's name with a digit."""
    return "".join(f"1Ki{n}:1 The king's word, {'rare' + str(n) if n == 7 else 'THE'}: saith.\n" for n in range(1, 25))


def test_kjv_words_punctuation_and_chapters() -> None:
    texts = kjv_texts(chapters())
    assert texts["valid"].decode().splitlines() == ["the king's word , the : saith ."] * 2
    assert [len(texts[split].splitlines()) for split in SPLITS] == [20, 2, 2]


def test_kjv_keeps_the_most_frequent_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("software.benchmark.data.corpus.KJV_WORDS", 2 + 3)
    # "the" comes twice a verse; of the words that come once the first in the alphabet stay: "," and "."
    assert kjv_texts(chapters())["test"].decode().split("\n")[0] == "the <unk> <unk> , the <unk> <unk> ."


def test_a_line_that_is_no_verse_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a verse: 'usage: bible'"):
        kjv_texts("usage: bible\n")


def test_the_program_of_the_packages_is_asked_for_all_verses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bible"
    program.write_text(f'#!/bin/sh\ntest "$*" = "-p lib -f gen1:1-rev22:21" || exit 3\nprintf "{chapters()}"\n')
    program.chmod(0o755)
    assert data_sources.print_bible([str(program), "-p", "lib"]) == kjv_texts(chapters())
    with pytest.raises(OSError, match="ended with code 3"):
        data_sources.print_bible([str(program)])


def test_apt_that_fails_is_a_source_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 100, "", "E: no network")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: failed)
    with pytest.raises(OSError, match="apt-get download failed: E: no network"):
        data_sources.from_apt()


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    put(tmp_path / "d", TEXTS)
    assert main(["ptb", "--data", "d"]) == 0
    assert capsys.readouterr().out == "ptb: train 7, valid 3, test 4 words with <eos>, vocabulary 5\n"
    assert main(["ptb", "--data", "d", "--json", "sizes.json"]) == 0
    assert json.loads(Path("sizes.json").read_text()) == {
        "name": "ptb", "train": 7, "valid": 3, "test": 4, "vocabulary": 5,
    }  # fmt: skip
    assert capsys.readouterr().out.endswith("vocabulary 5; wrote sizes.json\n")
    (tmp_path / "d/ptb.valid.txt").unlink()
    assert main(["ptb", "-data", "d"]) == 2
    assert capsys.readouterr().err == "error: d/ptb.valid.txt.gz: No such file\n"
    assert main(["imagenet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: NAME must be one of mnist, ptb, ") and error.endswith("not 'imagenet'\n")
    assert error.count("\n") == 1


def test_an_address_gives_all_of_its_bytes_and_says_nothing_in_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    assert web.get((tmp_path / "file").as_uri()) == content
    assert capsys.readouterr() == ("", "")
    with pytest.raises(OSError):
        web.get((tmp_path / "none").as_uri())
