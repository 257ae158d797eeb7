"""Cycles of a digit against accuracy: points from results, the picture, and what docs/compare.md says of them."""

import json
import re
from pathlib import Path

import pytest

from sim import cycles_accuracy
from sim.cycles_accuracy import NETWORKS, OUTSIDE, RIVALS, RTL, SCHEMA, Point, gid, picture, with_dark
from sim.results.result import InputRun, LayerRun, RunResult
from software.cli import run
from tests.test_docs_facts import DOCS, table

PAGE = "compare.md"
TOLD = {"networks": [{"name": "delta", "cycles": 23331.03, "accuracy": 0.9915, "loss": 0.03}]}
DENSE = 28 * (4 * 128 * (28 + 128) + 4 * 128 * (128 + 128))
"""Multiplications of a digit, 28 steps of two layers."""


def layer(cycles: int) -> LayerRun:
    return LayerRun("L", 28, 128, 28, 1, 1, 0.1, cycles, cycles, 1, 1, 1, 1, 1, True)


def result(exact: bool = True, kind: str = "mnist") -> RunResult:
    digits = [InputRun(n, exact, [layer(100 + n), layer(200)]) for n in range(2)]
    return RunResult(kind, exact, "native", "accelerator", "event", {}, "", 1, "", "", {}, digits)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.json").write_text(json.dumps(TOLD))
    # what a result must be otherwise is tests/sim/results' subject
    monkeypatch.setattr(cycles_accuracy, "check", lambda *_: None)
    result().save(tmp_path / "run.json")
    result(exact=False).save(tmp_path / "wrong.json")
    result(kind="layers").save(tmp_path / "layers.json")

    def invoke(*arguments):
        monkeypatch.setattr("sys.argv", ["cycles-accuracy", *arguments])
        with pytest.raises(SystemExit) as end:
            run(cycles_accuracy.main)
        return end.value.code, *capsys.readouterr()

    return invoke


def test_a_run_takes_the_model_s_place(command, tmp_path: Path) -> None:
    code, out, _ = command("--networks", "n.json", "-o", "a.svg")
    assert code == 0 and "delta: 23,331 cycles, 99.15%, model\nwrote a.svg\n" in out
    code, out, _ = command("--networks", "n.json", "-o", "b.svg", "--run", "delta=run.json", "--json", "b.json")
    # (100 + 200 + 101 + 200) / 2
    assert code == 0 and "delta: 300 cycles, 99.15%, RTL\n" in out
    told = json.loads((tmp_path / "b.json").read_text())
    assert told["schema"] == SCHEMA and told["points"][-1] == {
        "name": "delta", "cycles": 300.5, "accuracy": 0.9915, "by": "RTL",
    }  # fmt: skip
    assert len(told["points"]) == len(RIVALS) + 1
    assert 'id="delta: 300 cycles, 99.15%, RTL"' in (tmp_path / "b.svg").read_text()
    assert 'id="delta: 23,331 cycles, 99.15%, model"' in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--networks", "none.json"), "none.json: No such file or directory"),
        (("--networks", "run.json"), "run.json: no accuracies of networks, or damaged"),
        (("--run", "delta"), "--run takes NAME=FILE, not 'delta'"),
        (("--run", "vast=run.json"), "no network 'vast'; n.json has: delta"),
        (("--run", "delta=none.json"), "none.json: No such file or directory"),
        (("--run", "delta=wrong.json"), "wrong.json: the run is not exact, its cycles say nothing"),
        (("--run", "delta=layers.json"), "layers.json must be a result of sim.run mnist, not of kind 'layers'"),
        (("-o", "a.png"), "--out must name a .svg file, not a.png"),
    ],
)
def test_a_mistake_is_one_line(command, arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    given = arguments if arguments[0] == "--networks" else ("--networks", "n.json", *arguments)
    code, _, err = command(*given)
    assert (code, err) == (2, f"error: {message}\n")
    assert not list(tmp_path.glob("*.svg"))


def test_the_picture_is_the_same_every_time_and_changes_for_dark_pages() -> None:
    points = [*RIVALS, Point("delta", 300, 0.9915, RTL)]
    drawn = picture(points)
    assert drawn == picture(points)
    text = drawn.decode()
    sheet = text[text.index("<style>") : text.index("</style>")]
    assert "prefers-color-scheme: dark" in sheet
    used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", text.replace(sheet, "")))
    assert used and used <= set(cycles_accuracy.DARK), "a colour that stays as it is on a dark page"
    with pytest.raises(ValueError):
        with_dark("no picture")


def points() -> list[Point]:
    told = json.loads((DOCS / "results/cycles-accuracy.json").read_text())
    assert told["schema"] == SCHEMA
    return [Point(**row) for row in told["points"]]


def test_the_shipped_picture_has_the_shipped_points() -> None:
    svg = (DOCS / "cycles-accuracy.svg").read_text()
    for point in points():
        assert f'id="{gid(point)}"' in svg, gid(point)
    assert tuple(point for point in points() if point.by == OUTSIDE) == RIVALS
    if NETWORKS.exists():
        known = {row["name"]: row["accuracy"] for row in json.loads(NETWORKS.read_text())["networks"]}
        assert {point.name: point.accuracy for point in points() if point.by == RTL} == known


def test_the_table_has_the_points_and_what_they_make_of_their_macs() -> None:
    named = {"the paper's design": "paper", "E-LSTM as published": "E-LSTM, the paper"}
    found = {point.name: point for point in points()}
    shown = set()
    for design, cycles, accuracy, macs, dense, share, source in table(PAGE, "design", "cycles of a digit"):
        own = design.startswith("ours, ")
        name = design.removeprefix("ours, ").strip("`")
        name = named.get(name, name)
        shown.add(name)
        count = float(cycles.replace(",", ""))
        work = DENSE * (0.75 if "EdgeDRNN" in design else 1)
        assert dense == f"{work / 1e6:.2f} M" and share == f"{work / count / int(macs):.1f}", design
        if name in found:
            assert (cycles, accuracy) == (f"{found[name].cycles:,.0f}", f"{100 * found[name].accuracy:.2f} %"), design
        assert source.startswith("outside: ") is not own
        if own:
            assert f"--network {name} --digits 10 --system accelerator`" in source
    assert set(found) <= shown
    assert 28 * (8888 + 12688) == 604128
    assert not {row[0].split(",")[0] for row in table(PAGE, "design", "cycles of a digit")} - {
        row[0] for row in table(PAGE, "design", "what is not comparable")
    }


def test_the_time_of_a_digit_is_its_cycles_at_that_clock() -> None:
    row = next(row for row in table(PAGE, "program, one core of a server") if row[0].startswith("ours"))
    cycles, clock = re.findall(r"([\d,]+) cycles at (\d+) MHz", row[2])[0]
    delta = next(point for point in points() if point.name == "delta")
    assert cycles == f"{delta.cycles:,.0f}" and row[1] == f"{delta.cycles / int(clock) / 1000:.2f}"
