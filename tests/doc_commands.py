"""The command lines and links of README.md, CONTRIBUTING.md and docs/: found, read and checked without running them.

A command stands in a fenced or indented code block, or as a span in the prose. A span may be a synopsis:
``[--json FILE]``, ``{train,eval}`` and ``...`` are understood, and what it leaves out is not missed.
"""

import argparse
import contextlib
import importlib.util
import io
import re
import runpy
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer.core

ROOT = Path(__file__).parents[1]
PAGES = [
    *(path for name in ("README.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()),
    *sorted((ROOT / "docs").rglob("*.md")),
]
ROOMS = ("golden", "hdl", "sim", "software", "scripts")
OWN = re.compile(r"(python -m|make|elstm|pip) |\$\w+ ")
"""How a command begins; other lines of code blocks are somebody else's."""


@dataclass(frozen=True)
class Command:
    """``text`` is one line: continuations joined, variables in place, without its comment."""

    page: str
    line: int
    text: str
    synopsis: bool = False

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def module(self) -> str:
        """The module that ``python -m`` runs, or ``elstm``; "" for make and pip."""
        words = self.words
        return words[2] if words[0] == "python" else "sim.elstm" if words[0] == "elstm" else ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages outside of the usual dependencies that it cannot do without."""
        return ("torch",) if self.module.startswith("software.benchmark") else ()

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def code_lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line number, line, whether it is code) of a page; the fences themselves are left out."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r" *(```+|~~~+)", line)
        if mark and (not fence or line.strip() == fence):
            fence = "" if fence else mark[1]
            continue
        yield number, line.strip() if fence else line, bool(fence) or line.startswith("    ")


def block_commands(page: str, text: str) -> Iterator[Command]:
    """Commands in code blocks, in order."""
    variables: dict[str, str] = {}
    start, whole = 0, ""
    for number, line, code in code_lines(text):
        if not code and not whole:
            continue
        start = start if whole else number
        whole += line.strip()
        if whole.endswith("\\"):
            whole = whole[:-1]
            continue
        command, whole = whole, ""
        if assigned := re.fullmatch(r'(\w+)="(.*)"', command):
            variables[assigned[1]] = assigned[2]
        elif OWN.match(command):
            command = re.sub(r"\$(\w+)", lambda name: variables.get(name[1], name[0]), command)
            yield Command(page, start, shlex.join(shlex.split(command, comments=True)))


def span_commands(page: str, text: str) -> Iterator[Command]:
    """Commands in the prose; one for each alternative of ``{a,b}``."""
    prose = "\n".join("" if code else line for _, line, code in with_fences_blank(text))
    for span in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose):
        command = " ".join(span[1].split())
        if not OWN.match(command) or command.startswith("$"):
            continue
        line = prose.count("\n", 0, span.start()) + 1
        braces = re.search(r"\{(.+?)\}", command)
        for choice in braces[1].split(",") if braces else [""]:
            chosen = command.replace(braces[0], choice) if braces else command
            plain = chosen if chosen.startswith("pip ") else re.sub(r"[\[\]]|\.\.\.", "", chosen)
            yield Command(page, line, shlex.join(shlex.split(plain)), synopsis=True)


def with_fences_blank(text: str) -> Iterator[tuple[int, str, bool]]:
    """``code_lines`` with a line for every line of the page."""
    kept = {number: (line, code) for number, line, code in code_lines(text)}
    for number in range(1, len(text.splitlines()) + 1):
        line, code = kept.get(number, ("", True))
        yield number, line, code


def commands_of(page: str, text: str) -> list[Command]:
    return [*block_commands(page, text), *span_commands(page, text)]


def all_commands() -> list[Command]:
    """Of every page, in order."""
    return [c for path in PAGES for c in commands_of(str(path.relative_to(ROOT)), path.read_text())]


class _Parsed(BaseException):
    """A command line was understood; nothing has been done yet."""


def _typer_parse(synopsis: bool) -> Any:
    parse = typer.core.TyperCommand.parse_args

    def parse_args(self: Any, ctx: Any, args: list[str]) -> None:
        if "--help" not in args and synopsis:
            self.make_parser(ctx).parse_args(args=list(args))
        elif "--help" not in args:
            parse(self, ctx, args)
        raise _Parsed

    return parse_args


def _argparse_parse(synopsis: bool) -> Any:
    parse = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, args: Sequence[str] | None = None, namespace: Any = None) -> None:
        try:
            parse(self, args, namespace)
        except Exception as error:
            if not synopsis or "required" not in str(error):
                raise
        raise _Parsed

    return parse_args


def _call(module: str, arguments: Sequence[str], synopsis: bool) -> str | None:
    """What the module says against the arguments, or None; only its parsing of them runs."""
    errors = io.StringIO()
    with (
        mock.patch.object(typer.core.TyperCommand, "parse_args", _typer_parse(synopsis)),
        mock.patch.object(argparse.ArgumentParser, "parse_args", _argparse_parse(synopsis)),
        mock.patch.object(sys, "argv", [module, *arguments]),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(errors),
        warnings.catch_warnings(),
    ):
        # runpy warns of a module that something else has imported before
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            if module == "sim.elstm":
                importlib.import_module(module).main()
            else:
                runpy.run_module(module, run_name="__main__")
        except _Parsed:
            return None
        except SystemExit as end:
            if end.code in (0, None):
                return None
            return errors.getvalue().strip() or str(end.code)
    return f"{module} does not parse its arguments with typer or argparse"


def _make_problem(words: Sequence[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        name, equals, _ = word.partition("=")
        known = rf"(?m)^((export )?{name} \?=|export .*\b{name}\b)" if equals else rf"(?m)^{name}:"
        if not re.search(known, makefile):
            return f"the Makefile has no {'variable' if equals else 'target'} {name}"
    return None


def _pip_problem(words: Sequence[str]) -> str | None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        if re.match(r"elstm\b(?!.*\.whl)", word):
            return "there is no elstm on PyPI: pip install '.[...]' in the clone, or the wheel by its name"
        named = re.fullmatch(r"(.*\.whl|\.)\[(.+)\]", word)
        if unknown := [extra for extra in named[2].split(",") if extra not in extras] if named else []:
            return f"there is no extra {unknown[0]}"
    return None


def problem(command: Command) -> str | None:
    """Why the command line cannot work, or None."""
    words = command.words
    if words[0] == "make":
        return _make_problem(words[1:])
    if words[0] == "pip":
        return _pip_problem(words[1:])
    module, arguments = command.module, words[1 if words[0] == "elstm" else 3 :]
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        return f"there is no module {module}"
    if module.split(".")[0] not in ROOMS:
        missing = [word for word in arguments if "/" in word and not (ROOT / word.split("::")[0]).exists()]
        return f"{missing[0]} does not exist" if missing else None
    if command.synopsis and not arguments:
        return None
    # it would be installed here and now
    arguments = ["--help" if word == "--install-completion" else word for word in arguments]
    return _call(module, arguments, command.synopsis)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for _, line, code in code_lines(text):
        if not code and (heading := re.match(r"#+ +(.*)", line)):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
            found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return set(found)


def broken_links(path: Path, text: str) -> list[str]:
    """Links of a page that lead nowhere inside the project; those to the world outside are not followed."""
    prose = "\n".join(line for _, line, code in code_lines(text) if not code)
    prose = re.sub(r"`[^`]*`", "", prose)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        page = (path.parent / target) if target else path
        content = text if not target else page.read_text() if page.is_file() and page.suffix == ".md" else ""
        if (target and not page.exists()) or (anchor and anchor not in anchors(content)):
            broken.append(link)
    return broken
