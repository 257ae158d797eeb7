"""Find or fetch a benchmark's data, always by checksum.

    python -m software.benchmark.data {mnist,ptb,wikitext-2,wikitext-2-valid,kjv}

Looked for in ``--data``, then in $ELSTM_DATA, then in build/data; what is nowhere is fetched into build/data from the
first source that sends the original bytes. The Penn Treebank's text is licensed by the Linguistic Data Consortium.
"""

import codecs
import gzip
import hashlib
import json as json_text
import os
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from software.benchmark.common.spelling import call_spelled
from software.benchmark.data.corpus import SPLITS, Corpus, make_corpus
from software.benchmark.data.sources import Source, Texts, kjv_sources, ptb_sources, wikitext_sources
from software.benchmark.mnist import data as mnist_data
from software.cli import SETTINGS, UserError, check_outputs, new_app, write_all
from software.files.content import kind_of, read_file
from software.files.text import unpack

CACHE = Path("build") / "data"


@dataclass(frozen=True)
class Dataset:
    """file: name of a split's file; sha256: of each unpacked text; sources: by name, in the order of trying."""

    file: str
    sha256: dict[str, str]
    sources: Callable[[], dict[str, Source]]


DATASETS = {
    "ptb": Dataset(
        "ptb.{}.txt",
        {
            "train": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
            "valid": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
            "test": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
        },
        ptb_sources,
    ),
    "wikitext-2": Dataset(
        "wiki.{}.tokens",
        {
            "train": "",
            "valid": "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
            "test": "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        },
        wikitext_sources,
    ),
    "kjv": Dataset(
        "kjv.{}.txt",
        {
            "train": "57daa4c2dbabb5e1671372e18b83da44170582dcb3f716491bebe92f2fd264f4",
            "valid": "3a8f0a5266abe52bdc8273629fdd791bea134cb887f55ead20145958ffe01dd7",
            "test": "2fbadbaa00312dd366c1554eebefd67568e7059a2c5399c55d92672ba3735b6e",
        },
        kjv_sources,
    ),
}
WIKITEXT_TRAIN = (2_088_628, 33_278)
"""Words with <eos>, and vocabulary, of WikiText-2's training text as published: no checksum of it is."""


def checked(name: str, split: str, content: bytes, where: str) -> bytes:
    r"""The original text, if that is the content, perhaps with \r\n line ends or a BOM. Raises UserError."""
    content = content.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
    wanted = DATASETS[name].sha256[split]
    found = hashlib.sha256(content).hexdigest()
    if wanted and found != wanted:
        raise UserError(f"{where}: SHA-256 of the unpacked {split} text is {found[:16]}..., not {wanted[:16]}...")
    if not wanted:
        words = content.split()
        size = (len(words) + content.count(b"\n"), len({*words}) + 1)
        if size != WIKITEXT_TRAIN:
            raise UserError(f"{where}: has {size[0]} words, {size[1]} different, not {WIKITEXT_TRAIN}")
    return content


def file_of(folder: Path, names: Sequence[str]) -> Path | None:
    """The first file of these names, packed or not, that the folder has."""
    paths = [folder / f"{name}{suffix}" for name in names for suffix in (".gz", "")]
    return next((path for path in paths if path.is_file()), None)


WIKITEXT_VALID = "wikitext-2-valid"
"""WikiText-2 where its training text is not to be had: the valid text is for training and choosing, test is test."""
NAMES = (*DATASETS, WIKITEXT_VALID)


def without_training_text(texts: Texts) -> Texts:
    """The first nine tenths of the lines of the valid text for training, the rest for choosing."""
    lines = texts["valid"].splitlines(keepends=True)
    cut = len(lines) * 9 // 10
    return {"train": b"".join(lines[:cut]), "valid": b"".join(lines[cut:]), "test": texts["test"]}


def read(name: str, folder: Path, splits: Sequence[str] = SPLITS) -> Texts:
    """Texts of a known corpus out of a folder, checked. Raises UserError."""
    if folder.is_file():
        raise UserError(f"{folder} is {kind_of(read_file(folder)).name}, not the folder of the texts")
    texts = {}
    for split in splits:
        file = DATASETS[name].file.format(split)
        path = file_of(folder, [file, f"{split}.txt"])
        if path is None:
            raise UserError(f"{folder / file}.gz: No such file")
        texts[split] = checked(name, split, unpack(path), str(path))
    return texts


def complete(name: str, folder: Path, splits: Sequence[str] = SPLITS) -> bool:
    """Whether every file of a text is in the folder."""
    return all(file_of(folder, [DATASETS[name].file.format(split), f"{split}.txt"]) for split in splits)


def fetch(name: str, folder: Path, sources: Mapping[str, Source], say: Callable[[str], None]) -> Texts:
    """Into ``folder`` from the first source whose texts are the originals, all three or none.

    Raises UserError that says where to put which files, and of each source what was wrong.
    """
    problems = []
    for source, give in sources.items():
        say(f"{name} from {source}")
        try:
            content = give()
            texts = {split: checked(name, split, content[split], source) for split in SPLITS}
        except (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile, tarfile.TarError,
                subprocess.SubprocessError, UserError) as error:  # fmt: skip
            problems.append(f"{source}: {error}")
            say(f"  {error}")
            continue
        files = {folder / f"{DATASETS[name].file.format(split)}.gz": text for split, text in texts.items()}
        write_all({path: gzip.compress(text, mtime=0) for path, text in files.items()})
        return texts
    wanted = ", ".join(DATASETS[name].file.format(split) for split in SPLITS)
    raise UserError(f"no source of {name} answered; put {wanted} (or .gz) into {folder}. {'; '.join(problems)}")


def find(
    name: str, data: Path | None = None, cache: Path = CACHE, say: Callable[[str], None] = mnist_data.tell
) -> Texts:
    """The texts of one of ``NAMES``. ``data`` without a file is an error, no reason to fetch."""
    if name == WIKITEXT_VALID:
        return without_training_text(find_splits("wikitext-2", SPLITS[1:], data, cache, say))
    return find_splits(name, SPLITS, data, cache, say)


def find_splits(name: str, splits: Sequence[str], data: Path | None, cache: Path, say: Callable[[str], None]) -> Texts:
    """``find`` of these splits; what is fetched is always all three."""
    if data is not None:
        return read(name, data / name if (data / name).is_dir() else data, splits)
    environment = os.environ.get("ELSTM_DATA")
    for folder in [*([Path(environment) / name] if environment else []), cache / name]:
        if complete(name, folder, splits):
            return read(name, folder, splits)
    return fetch(name, cache / name, DATASETS[name].sources(), say)


def load_corpus(data: str, say: Callable[[str], None] = mnist_data.tell) -> Corpus:
    """A corpus by name, or a folder with the three files of a known corpus or {train,valid,test}.txt of any text.

    The known ones are checked. Raises UserError.
    """
    if data in NAMES:
        return make_corpus(data, find(data, say=say))
    folder = Path(data)
    if not folder.is_dir():
        what = f", which is {kind_of(read_file(folder)).name}" if folder.is_file() else ""
        raise UserError(f"--data must be a folder or one of {', '.join(NAMES)}, not {data}{what}")
    for name, dataset in DATASETS.items():
        if file_of(folder, [dataset.file.format(split) for split in SPLITS]):
            return make_corpus(name, read(name, folder))
    texts = {}
    for split in SPLITS:
        path = file_of(folder, [f"{split}.txt"])
        if path is None:
            raise UserError(f"{folder / split}.txt: No such file")
        texts[split] = unpack(path)
    return make_corpus("text", texts)


app = new_app()


@app.command(context_settings=SETTINGS)
def data_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(('mnist', *NAMES))}.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Folder to check, instead of finding or fetching."),
    ] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the sizes as JSON.")] = None,
) -> None:
    """Find or fetch a benchmark's data, and check it by checksum.

    Looked for in --data, then in $ELSTM_DATA, then in build/data; what is nowhere is fetched into build/data. The texts
    are called ptb.train.txt, wiki.train.tokens, kjv.train.txt (and valid, test), the digits as MNIST's four idx files,
    also as 7-Zip, Kaggle and torchvision name them, or Keras's mnist.npz; each may be packed (gzip).

    \b
    Examples:
      python -m software.benchmark.data kjv
      python -m software.benchmark.data ptb --data downloads/ptb
    """
    if name not in ("mnist", *NAMES):
        raise UserError(f"NAME must be one of {', '.join(('mnist', *NAMES))}, not {name!r}")
    check_outputs(json)
    sizes: dict[str, int]
    if name == "mnist":
        mnist = mnist_data.load(data)
        sizes = {"train": len(mnist.train_images), "test": len(mnist.test_images)}
        line = f"{sizes['train']:,} training and {sizes['test']:,} test digits"
    else:
        corpus = make_corpus(name, find(name, data))
        sizes = {split: len(corpus.split(split)) for split in SPLITS}
        line = ", ".join(f"{split} {size:,}" for split, size in sizes.items())
        sizes["vocabulary"] = len(corpus.words)
        line += f" words with <eos>, vocabulary {sizes['vocabulary']:,}"
    if json is not None:
        write_all({json: json_text.dumps({"name": name} | sizes, indent=1).encode() + b"\n"})
    print(f"{name}: {line}" + (f"; wrote {json}" if json is not None else ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 with one line for what the user can put right, 130 after Ctrl-C."""
    return call_spelled(app, arguments)
