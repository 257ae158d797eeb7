"""How the command lines of the pages are run: smaller, on files that a reader has, or not at all and why.

docs/contributing.md says how to write them.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hdl.synth.tools import YOSYS
from sim.engines.build_cache import cache_root
from tests.doc_commands import ROOT, Command, block_commands

LM = r"software\.benchmark\.lm "
SMALLER: tuple[tuple[str, str], ...] = (
    (r"--digits 10\b", "--digits 1"),
    (r"--retired 1000000\b", "--retired 2000"),
    (r"sim\.figure10( --layers \S+)?$", "sim.figure10 --layers mnist-l1 --schemes fused --sources random"),
    (r"sim\.figure10 --sources (random --schemes list-|trained --layers ptb-).*$",
     "sim.figure10 --sources random --schemes list-stream16 --layers mnist-l1"),
    (r"docs/examples/sweep(-list)?\.toml", "docs/examples/sweep-small.toml"),
    (r"timeline ptb-l1 --window 4000000:4200000", "timeline mnist-l1 --window 40000:42000"),
    # tests/hdl builds every preset
    (r"hdl\.build( --preset rvfi)?$", "hdl.build --preset tiny"),
    (r"hdl\.build .*(--synth|--timing).*$", "hdl.build --top core --timing"),
    (r"hdl\.synth\.budget --only \w+", "hdl.synth.budget --only SpmvPe"),
    (r"mnist reproduce\b", "mnist reproduce --limit 100 --dense-epochs 1 --sparse-epochs 1 --hidden-epochs 1"),
    (r"mnist eval", "mnist eval --limit 20"),
    (r"mnist networks", "mnist networks delta --limit 20"),
    (r"format_cost( software/benchmark/shipped/mnist\S+)?$", r"format_cost\1 --limit 4"),
    (r"format_cost (.*)--data sample --streams 50", r"format_cost \1--data sample --streams 5 --limit 60"),
    (r"format_cost checkpoints/\S+ --data ptb.*", r"format_cost PTB.npz --data text --limit 40 --streams 4"),
    # a small model of a small text takes the place of those whose text does not ship
    (rf"({LM}.*)--data (kjv|ptb|wikitext-2(?:-valid)?)\b", r"\1--data text"),
    (rf"({LM}.*?) -?-emsize \d+ -?-nhid \d+", r"\1 -emsize 8 -nhid 8"),
    (rf"({LM}.*)--epochs 5", r"\1--epochs 1"),
    (rf"({LM}.*)--bptt 20", r"\1--bptt 5"),
    (rf"({LM}.*)--tokens \d+", r"\1--tokens 200"),
    (rf"({LM}.*)--batch_size \d+", r"\1--batch_size 4"),
    (rf"({LM}.*)checkpoints/ptb-2x800\.npz", r"\1build/lm/trained.pt"),
    (rf"({LM}(?:retrain|export|eval) -(?:model|-model_path) \S+)(?!.*--data)", r"\1 --data text"),
    (rf"({LM}eval)(?!.* -(?:model|-model_path) )", r"\1 --split sample --tokens 200"),
)  # fmt: skip
"""(pattern, replacement), all of them in this order: what takes minutes or hours as printed."""

LEFT_OUT: tuple[tuple[str, str], ...] = (
    (r"^make (demo|test|test-all|regress|timing|twin|same-verilog)\b", "CI runs it"),
    (
        r"^python -m scripts\.hardware\b",
        "it measures for a quarter of an hour; tests/test_hardware_page.py has it on copies",
    ),
    (r"^make (docs|firmware)\b", "it installs packages; what it runs stands on other pages"),
    (r"^pip ", "it installs packages"),
    (r"--scheduler ", "it needs a Dask cluster; tests/sim/sweep/test_sweep_rtl.py starts one"),
    (r"^python -m pytest ", "CI runs the tests"),
)
"""(pattern, reason): what is parsed and not run."""

NEEDS: tuple[tuple[str, str], ...] = (
    (r"software\.benchmark\.|import torch", "torch"),
    (r"sim\.run twin|--engine spike|core_lockstep|import twin", "riscv"),
    (r"hdl\.build .*--timing|hdl\.synth\.budget", "yosys"),
    (r"software\.firmware|core_cpi|sim\.run (mnist(?!.*--system accelerator)|twin|elf FILE)", "RISC-V compiler"),
)
"""(pattern, what): what cannot be run without a package or a compiler."""

# no training set of that size ships, and the original's is checked by its sum
_MADE_UP_DIGITS = """
import numpy as np
from software.benchmark.mnist import data as mnist_data
rng = np.random.default_rng(2)
def some(count):
    return rng.integers(0, 256, (count, 28, 28), "u1"), rng.integers(0, 10, count, "u1")
mnist_data.load = lambda data=None: mnist_data.Mnist(*some(5200), *some(100))
"""


@dataclass(frozen=True)
class Step:
    """What a reader does at this line of a page: run a command or a block of Python, or write a file."""

    line: int
    text: str
    command: Command | None = None
    file: str = ""


def steps(page: str, text: str) -> list[Step]:
    """Of a page, from top to bottom."""
    found = [Step(command.line, smaller(command), command) for command in block_commands(page, text)]
    for fence in re.finditer(r"(?ms)^```(\w+) ?([\w.]*)\n(.*?)^```$", text):
        if fence[2] or fence[1] == "python":
            found.append(Step(text.count("\n", 0, fence.start()) + 1, fence[3], file=fence[2]))
    return sorted(found, key=lambda step: step.line)


def smaller(command: Command) -> str:
    """The command line to run in place of the printed one."""
    text = command.text
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    return text


def left_out(step: Step) -> str | None:
    """Why a command is not run, or None."""
    return next((reason for pattern, reason in LEFT_OUT if step.command and re.search(pattern, step.text)), None)


def missing(step: Step) -> str | None:
    """What is not installed and the step needs, or None."""
    for pattern, what in NEEDS:
        if re.search(pattern, step.text):
            if what == "RISC-V compiler":
                there = shutil.which("riscv64-unknown-elf-gcc") or importlib.util.find_spec("ziglang")
            elif what == "yosys":
                there = YOSYS.there()
            else:
                there = importlib.util.find_spec(what)
            if not there:
                return what
    return None


def python(folder: Path, *arguments: str) -> str | None:
    """Run the interpreter in ``folder``; what it says when it fails."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "ELSTM_CACHE": str(cache_root()), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    environment.pop("ELSTM_DATA", None)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return None if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}{done.stderr}"[-3000:]


def run(step: Step, folder: Path) -> str | None:
    """Take a step in ``folder``; why it failed, or None."""
    if step.file:
        (folder / step.file).write_text(step.text)
        return None
    if step.command is None:
        return python(folder, "-c", step.text)
    words = Command(step.command.page, step.line, step.text).words
    for word in words:
        if word in GIVEN and not (folder / word).exists():
            GIVEN[word](folder / word)
    if words[0] == "elstm":
        return python(folder, "-c", "from sim.elstm import main; main()", *words[1:])
    if words[2] in ("software.benchmark.mnist", "software.benchmark.format_cost"):
        code = f"{_MADE_UP_DIGITS}\nimport runpy\nrunpy.run_module('{words[2]}', run_name='__main__')"
        return python(folder, "-c", code, *words[3:])
    return python(folder, *words[1:])


def prepare(folder: Path) -> None:
    """Make the working folder as in a clone: what the pages name by its path is there."""
    for name in ("software", "docs"):
        (folder / name).symlink_to(ROOT / name)


def _checkpoint(path: Path) -> None:
    shutil.copy(ROOT / "software/benchmark/shipped/mnist_2x128.npz", path)


def _text(path: Path) -> None:
    path.mkdir()
    for split, lines in (("train", 100), ("valid", 20), ("test", 60)):
        (path / f"{split}.txt").write_text("".join(f"a b c d e w{n % 5}\n" for n in range(lines)))


def _language_model(path: Path) -> None:
    if not (path.parent / "text").exists():
        _text(path.parent / "text")
    lm = ("-m", "software.benchmark.lm")
    size = ("-emsize", "8", "-nhid", "8", "--tied", "--epochs", "1", "--batch_size", "4")
    for arguments in (("train", *size), ("export", "-model", "build/lm/trained.pt", "--out", path.name)):
        assert (said := python(path.parent, *lm, *arguments, "--data", "text")) is None, said


def _program(path: Path) -> None:
    assert (said := python(path.parent, "-m", "software.firmware", "hello", "-o", path.name)) is None, said


GIVEN: dict[str, Callable[[Path], None]] = {
    "CHECKPOINT.npz": _checkpoint,
    "PTB.npz": _language_model,
    "WIKI.npz": _language_model,
    "FILE": _program,
    "text": _text,
}
"""What a reader has and a page does not make: made when a command names it."""
