"""docs/contributing.md adds a format and a schedule: done as it says in a copy of the sources, both are there."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.config import LayerShape, preset
from golden.cycles import word_model
from golden.formats import esell
from golden.layer import Layer
from sim.layers.table2 import random_data
from software.esell_format import random_matrix
from tests.doc_commands import ROOT, span_commands
from tests.planting import must_fail, patches, planted, run_in

PAGE = "docs/contributing.md"
FORMAT, SCHEDULE = "How to add a format", "How to add a schedule"
SHAPE = LayerShape(16, 24, 9)
"""Of the layer in the sweeps of the page; W has 30 % zeros, U 50 %, and the seed is 1."""


def section(heading: str) -> str:
    """What the page says below a heading."""
    text = (ROOT / PAGE).read_text()
    start = text.index(f"## {heading}\n")
    end = text.find("\n## ", start)
    return text[start:end]


def fences(text: str) -> Iterator[tuple[str, str, str]]:
    """(language, path, content) of every fence with a path, in order."""
    for fence in re.finditer(r"(?ms)^```(\w+) (\S+/\S+)\n(.*?)^```$", text):
        yield fence[1], fence[2], fence[3]


def changed(text: str, diff: str) -> str:
    """A text with the parts of a diff applied, each of which must fit at one place."""
    for part in re.split(r"(?m)^@@\n", diff):
        lines = part.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
        assert text.count(before) == 1, f"it does not fit: {part}"
        text = text.replace(before, after)
    return text


def follow(text: str, tree: Path) -> None:
    """Do what a section says to the files of a copy of the sources."""
    for language, path, content in fences(text):
        target = tree / path
        if language == "diff":
            target.write_text(changed(target.read_text(), content))
        else:
            assert not target.exists(), path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)


def run_commands(text: str, tree: Path) -> str:
    """What the section's commands print in the copy."""
    printed = ""
    for command in span_commands(PAGE, text):
        if command.module:
            done = run_in(tree, *command.words[1:])
            assert done.returncode == 0, f"{command.text}\n{done.stdout}{done.stderr}"
            printed += done.stdout
    return printed


def rows_of(tree: Path, name: str) -> list[dict[str, str]]:
    with (tree / f"build/sweep/{name}/sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def kept_of(row: dict[str, str]) -> np.ndarray:
    """(T, H/4) bool, the blocks of h that golden keeps at the row's threshold."""
    packed, x = random_data(SHAPE, 0.3, 0.5, 1)
    return Layer(packed).run(x, float(row["threshold"])).kept


def check_format(text: str, tree: Path) -> None:
    """Follow the section on formats; the toy's numbers must be those of a bitmap, counted here."""
    follow(text, tree)
    printed = run_commands(text, tree)

    figure = json.loads((tree / "build/figure9/figure9.json").read_text())
    for row in figure["random"]:
        nonzeros = sum(value != 0 for value in random_matrix(768, 768, 1 - row["sparsity"], 1).ravel().tolist())
        assert row["mbit"]["bitmap"] == (768 * 768 + 16 * nonzeros) / 1e6
    assert list(figure["random"][0]["mbit"])[-4:-2] == ["bitmap", "eSELL"]
    head, *_ = (line.split()[1:] for line in printed.splitlines() if line.startswith("format "))
    shown, trained = (line.split()[1:] for line in printed.splitlines() if line.startswith("bitmap "))
    mbit = {f"{row['sparsity']:g}": row["mbit"]["bitmap"] for row in figure["random"]}
    assert shown == [f"{mbit[sparsity]:.2f}" for sparsity in head] and len(shown) > 4
    assert trained == [f"{row['mbit']['bitmap']:.2f}" for row in figure["trained"]]

    packed, _ = random_data(SHAPE, 0.3, 0.5, 1)
    w, u = (
        [
            -(-sum(17 if value else 1 for value in matrix[:, first : first + 4].ravel().tolist()) // 64)
            for first in range(0, matrix.shape[1], 4)
        ]
        for matrix in (esell.unpack(m.words, m.rows, m.cols) for m in (packed.w, packed.u))
    )
    rows = rows_of(tree, "formats")
    assert [(row["format"], row["h_sparsity"]) for row in rows] == [
        ("eSELL", "0.0"), ("bitmap", "0.0"), ("eSELL", "0.4"), ("bitmap", "0.4"),
    ]  # fmt: skip
    for row in (row for row in rows if row["format"] == "bitmap"):
        loaded = [sum(u[block] for block in np.flatnonzero(kept).tolist()) for kept in kept_of(row)]
        model = word_model(SHAPE, sum(w), 0, np.array(loaded), 1, preset("tiny").n_pe, h_seq=True)
        assert (int(row["w_words"]), int(row["u_words"])) == (sum(w), sum(u))
        assert (int(row["cycles"]), int(row["port_words"])) == (model.cycles, model.port_words)
        assert int(row["bound_cycles"]) == max(sum(w) + sum(loaded), -(-(9 * sum(w) + sum(loaded)) // 3))


def check_schedule(text: str, tree: Path) -> None:
    """Follow the section on schedules; the toy's cycles must be all its words one by one, counted here."""
    follow(text, tree)
    printed = run_commands(text, tree)

    tuning = json.loads((tree / "build/tuning.json").read_text())
    cycles = 12 * (64 // 2 + tuning["w_words"]) + tuning["u_words_loaded"]
    assert tuning["schedules"]["sequential"] == {"parameters": {}, "cycles": cycles}
    assert tuning["schedules"]["cell-fusion"]["parameters"] == {"n_fuse": tuning["best_n_fuse"]}
    assert f"\nschedule sequential: {cycles:,} cycles by its model\n" in printed

    packed, _ = random_data(SHAPE, 0.3, 0.5, 1)
    rows = rows_of(tree, "schedules")
    assert [row["schedule"] for row in rows].count("cell-fusion") == 4
    theirs = [row for row in rows if row["schedule"] == "sequential"]
    assert [(row["h_sparsity"], row["bandwidth"]) for row in theirs] == [
        ("0.0", "1.0"), ("0.0", "0.3"), ("0.4", "1.0"), ("0.4", "0.3"),
    ]  # fmt: skip
    for row in theirs:
        loaded = sum(int(packed.u.offsets[block]) for kept in kept_of(row) for block in np.flatnonzero(kept).tolist())
        words = 9 * (16 // 2 + len(packed.w.words)) + loaded
        assert int(row["port_words"]) == words
        assert (
            int(row["cycles"])
            == int(row["word_model_cycles"])
            == (words if row["bandwidth"] == "1.0" else -(-words * 10 // 3))
        )
        assert (row["n_fuse"], row["n_fuse_best"], row["published_cycles"]) == ("", "False", "")
    assert {row["n_fuse_best"] for row in rows} == {"True", "False"}


CHECKS = {FORMAT: check_format, SCHEDULE: check_schedule}


@pytest.mark.parametrize("heading", CHECKS)
def test_the_example_of_the_page_is_there(heading: str, tmp_path: Path) -> None:
    CHECKS[heading](section(heading), planted(None, tmp_path))


@pytest.mark.parametrize("heading", CHECKS)
def test_an_example_is_one_file_and_one_row(heading: str) -> None:
    found = list(fences(section(heading)))
    assert [(language, path.partition("/")[0]) for language, path, _ in found] == [
        ("python", "golden"), ("diff", "golden"), ("toml", "build"),
    ]  # fmt: skip
    added = [line for line in found[1][2].splitlines() if not line.startswith((" ", "@@"))]
    assert len(added) == 2
    assert added[0].startswith("+from golden.") and re.fullmatch(r"\+    \w+\(\),", added[1])


def slow(*case: str) -> Any:
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("heading", "right", "wrong", "said"),
    [
        slow(FORMAT, "+    Bitmap(),\n", "", "error: build/formats.toml: grid: format = 'bitmap': there is: dense, "),
        (FORMAT, "matrix.size + ", "", "assert"),
        slow(FORMAT, "VALUE_BITS *", "(VALUE_BITS + 1) *", "assert"),
        slow(
            SCHEDULE,
            "+    Sequential(),\n",
            "",
            "error: build/schedules.toml: grid: schedule = 'sequential': there is: ",
        ),
        (SCHEDULE, "shape.t * step", "(shape.t - 1) * step", "assert"),
        slow(SCHEDULE, "moved(loaded, port_permille)", "loaded", "assert"),
    ],
)
def test_a_mistake_in_an_example_is_found(heading: str, right: str, wrong: str, said: str, tmp_path: Path) -> None:
    text = section(heading)
    assert text.count(right) == 1
    with pytest.raises(AssertionError) as found:
        CHECKS[heading](text.replace(right, wrong), planted(None, tmp_path))
    assert said in str(found.value)


@pytest.mark.slow
def test_the_project_s_tests_take_both_examples(tmp_path: Path) -> None:
    tree = planted(None, tmp_path)
    shutil.copytree(ROOT / "docs", tree / "docs")
    for heading in CHECKS:
        follow(section(heading), tree)
    tests = [f"tests/{name}" for name in (
        "golden/test_registry.py", "golden/test_cycles.py", "software/test_esell_format.py", "software/test_figure9.py",
        "software/test_group_size_tuning.py", "sim/sweep", "test_layering.py",
    )]  # fmt: skip
    # The page asks for the format's number in this one
    by_hand = "tests/software/test_esell_format.py::test_sizes_of_a_small_matrix_by_hand"
    options = ("-q", "-p", "no:cacheprovider", "-m", "not slow", "--deselect", by_hand)
    done = run_in(tree, "-m", "pytest", *options, *tests)
    assert done.returncode == 0, done.stdout[-3000:]
    for check in (("check",), ("format", "--check")):
        lint = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "golden"], cwd=tree, capture_output=True, text=True, check=False
        )
        assert lint.returncode == 0, lint.stdout + lint.stderr


CAUGHT_BY = {
    "registry-list-hides-the-tables": "tests/sim/spike/test_twin.py::test_a_program_runs_the_list_of_its_image",
    "registry-number-is-not-looked-at": "tests/golden/test_registry.py",
    "registry-record-forgets-the-schedule": "tests/sim/layers/test_schedule_of_a_call.py",
    "registry-start-takes-holes": "tests/hdl/accelerator/test_formats_and_schedules.py",
    "registry-sweep-counts-the-stored-words": "tests/sim/sweep/test_sweep.py",
    "registry-tuner-takes-any-format": "tests/software/test_plans.py",
}


def test_every_planted_bug_names_its_test() -> None:
    assert patches("registry-") == sorted(CAUGHT_BY)


@pytest.mark.slow
@pytest.mark.parametrize("patch", CAUGHT_BY)
def test_planted_bug_is_caught(patch: str, tmp_path: Path) -> None:
    must_fail(planted(patch, tmp_path), CAUGHT_BY[patch])
