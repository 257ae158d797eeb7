"""The commands of every page do run, from top to bottom in one folder; smaller where tests/doc_runs.py says so."""

import re
import shlex
from pathlib import Path

import pytest

from scripts.wave_lists import lists
from tests.doc_commands import PAGES, ROOT, all_commands
from tests.doc_runs import GIVEN, LEFT_OUT, SMALLER, left_out, missing, prepare, python, run, steps
from tests.sim.engines.read_vcd import signals


def takes_steps(path: Path) -> bool:
    return any(left_out(step) is None for step in steps(str(path.relative_to(ROOT)), path.read_text()))


def failures(page: str, text: str, folder: Path) -> list[str]:
    """What fails of a page, with the line, the command that was run, and what it said."""
    prepare(folder)
    said = []
    for step in steps(page, text):
        if left_out(step) is None and (error := run(step, folder)):
            said.append(f"{page}:{step.line}: {step.text}\n{error}")
    return said


@pytest.mark.slow
@pytest.mark.parametrize("path", [*filter(takes_steps, PAGES)], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_can_be_followed(path: Path, tmp_path: Path) -> None:
    page = str(path.relative_to(ROOT))
    for step in steps(page, path.read_text()):
        if left_out(step) is None and (what := missing(step)):
            pytest.skip(f"commands of {page}: no {what}")
    assert not failures(page, path.read_text(), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", lists())
def test_a_waveform_has_every_signal_of_the_shipped_list(name: str, tmp_path: Path) -> None:
    if name == "accelerator":
        said = python(
            tmp_path, "-m", "sim.run", "mnist", "--system", "accelerator", "--digits", "1", "--wave", "w.vcd",
            "--wave-window", "0:9",
        )  # fmt: skip
    else:
        program = run(steps("", "    python -m software.firmware hello -o hello.elf")[0], tmp_path)
        if program and "no RISC-V C compiler" in program:
            pytest.skip("no RISC-V compiler")
        said = program or python(
            tmp_path, "-m", "sim.run", "elf", "hello.elf", "--wave", "w.vcd", "--wave-window", "0:9"
        )
    assert said is None, said
    there = signals(tmp_path / "w.vcd", "")
    assert not [signal for group in lists()[name].values() for signal, _ in group if signal not in there]


def test_a_command_that_fails_is_caught(tmp_path: Path) -> None:
    text = "Do\n\n    python -m software.esell_format 16 16 0.5 --json f.json\n    python -m sim.report f.json\n"
    (said,) = failures("page.md", text, tmp_path)
    assert said.startswith("page.md:4: python -m sim.report f.json\nexit code 2\n")


def test_every_rule_is_for_some_command() -> None:
    printed = all_commands()
    assert not [pattern for pattern, _ in LEFT_OUT if not any(re.search(pattern, command.text) for command in printed)]
    texts = [command.text for command in printed if not command.synopsis]
    for pattern, replacement in SMALLER:
        changed = [re.sub(pattern, replacement, text) for text in texts]
        assert changed != texts, f"nothing is made smaller by {pattern}"
        texts = changed
    words = {word for text in texts for word in shlex.split(text)}
    assert not [name for name in GIVEN if name not in words]
