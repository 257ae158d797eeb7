"""Texts as word indices: three splits of one corpus and its vocabulary.

A corpus is three files NAME.{train,valid,test}.txt, perhaps gzip, read as ``software.files.text`` says. A word's index
is its place among the sorted words of the training text.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from software.cli import UserError
from software.files.text import END, words_of

SPLITS = ("train", "valid", "test")
UNKNOWN = "<unk>"
KJV_WORDS = 6_000
"""Vocabulary of the King James text with <unk> and <eos>: what keeps the output layer as small as the LSTM."""
KJV_FOLDS = 12
"""Every twelfth chapter is for testing, the one six before it for validation."""

_VERSE = re.compile(r"^([1-3]?[A-Za-z]+)(\d+):(\d+) (.*)$")
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*|[^\sa-z]")


@dataclass(frozen=True, eq=False)
class Corpus:
    """name: of the data set, "text" for any other; words: by index; train, valid, test: (N,) int64 indices."""

    name: str
    words: tuple[str, ...]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]

    def split(self, name: str) -> NDArray[np.int64]:
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]


def words_sha256(words: Sequence[str]) -> str:
    """What tells vocabularies apart."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def encode(words: Sequence[str], vocabulary: dict[str, int], name: str) -> NDArray[np.int64]:
    """Indices of words; one that is not in the vocabulary becomes <unk>, or is an error where there is no <unk>."""
    unknown = vocabulary.get(UNKNOWN)
    found = [vocabulary.get(word, unknown) for word in words]
    if None in found:
        raise UserError(
            f"{name}: the word {words[found.index(None)]!r} is not in the vocabulary, which has no {UNKNOWN}"
        )
    return np.array(found, np.int64)


def make_corpus(name: str, texts: dict[str, bytes]) -> Corpus:
    """The corpus of three texts by split. Raises UserError for an empty text or a word without an index."""
    parts = {split: words_of(texts[split], f"{split} text") for split in SPLITS}
    for split, found in parts.items():
        if not found:
            raise UserError(f"the {split} text is empty")
    words = tuple(sorted({END, *parts["train"]}))
    index = {word: n for n, word in enumerate(words)}
    return Corpus(name, words, *(encode(parts[split], index, f"{split} text") for split in SPLITS))


def kjv_verses(text: str) -> Iterator[tuple[tuple[str, int], list[str]]]:
    """((book, chapter), lower-case words and punctuation marks) of each line ``Ge1:1 In the beginning ...``."""
    for line in text.splitlines():
        found = _VERSE.match(line)
        if found is None:
            raise ValueError(f"not a verse: {line[:40]!r}")
        yield (found[1], int(found[2])), _WORD.findall(found[4].lower())


def kjv_texts(text: str) -> dict[str, bytes]:
    """The three splits of the King James text, by chapter, rare words replaced by <unk>."""
    lines: dict[str, list[list[str]]] = {name: [] for name in SPLITS}
    chapters: dict[tuple[str, int], int] = {}
    for chapter, words in kjv_verses(text):
        fold = chapters.setdefault(chapter, len(chapters)) % KJV_FOLDS
        lines[{KJV_FOLDS // 2 - 1: "valid", KJV_FOLDS - 1: "test"}.get(fold, "train")].append(words)
    counts = Counter(word for words in lines["train"] for word in words)
    # by count, then by the alphabet, so that a tie never depends on the order of the text
    kept = {word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: KJV_WORDS - 2]}
    return {
        name: "".join(" ".join(word if word in kept else UNKNOWN for word in words) + "\n" for words in part).encode()
        for name, part in lines.items()
    }
