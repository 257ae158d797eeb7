"""README.md and docs/hardware.md of area, clock and cycles: made of docs/hardware.json, and marked when old."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from golden.config import ACCELERATOR_PRESETS
from hdl.build import TOPS, emitted
from hdl.synth.targets import ECP5
from hdl.synth.tools import YOSYS
from scripts.hardware import __main__ as command
from scripts.hardware import measure, tables
from scripts.hardware.measure import DESIGNS, Failure, load
from software.cli import UserError, call, new_app

BY_NAME = {design.name: design for design in DESIGNS}


@pytest.fixture
def rows() -> dict[str, Any]:
    return deepcopy(load())


def test_every_preset_is_measured_and_the_pages_say_it(rows: dict[str, Any]) -> None:
    assert {f"accelerator {name}" for name in ACCELERATOR_PRESETS} | {
        "core default",
        "soc default",
        "soc event",
    } == set(BY_NAME)
    assert not command.differences(rows), "run: python -m scripts.hardware"
    blocks = re.findall(
        r"(?m)^<!-- made by python -m scripts\.hardware: (.*) -->$", "".join(p.read_text() for p in tables.PAGES)
    )
    assert sorted(blocks) == sorted(tables.BLOCKS)


def test_what_is_kept_agrees_with_itself(rows: dict[str, Any]) -> None:
    for name, row in rows.items():
        synthesis = row["synthesis"]
        assert (
            synthesis["available"] == {k: v for k, v in ECP5.available.asdict().items() if v} if ECP5.available else {}
        )
        area = synthesis["area"]
        for kind in ("lut", "ff", "mult", "bram", "bits"):
            # units of the first level are disjoint parts
            assert sum(each[kind] for unit, each in area.items() if unit and "." not in unit) <= area[""][kind], (
                name,
                kind,
            )
        if synthesis["rtl"] == row["rtl"]:
            assert area[""]["bits"] == row["memory_bits"], name
        assert row["gates"]["nand2"] > row["gates"]["gates"] > area[""]["lut"], name
        longest = [path["ns"] for path in synthesis["estimated_paths"]]
        assert longest == sorted(longest, reverse=True) and len(longest) == 10
        for placement in row["placements"]:
            assert abs(1000 / placement["fmax"] - placement["path"]["ns"]) < 1.5, "nextpnr counts the setup its own way"
        assert ("cycles" in row) == BY_NAME[name].runs_digits


def test_an_older_rtl_is_marked(rows: dict[str, Any]) -> None:
    for row in rows.values():
        for part in ("synthesis", "gates", "cycles"):
            if part in row:
                row[part]["rtl"] = row["rtl"]
    clean = {name: made(rows) for name, made in tables.BLOCKS.items()}
    assert not any(tables.OLDER in text for text in clean.values())
    rows["accelerator mnist"]["rtl"] = "0" * 64
    for name in ("status", "designs"):
        marked, before = tables.BLOCKS[name](rows).splitlines(), clean[name].splitlines()
        changed = [(a, b) for a, b in zip(marked, before, strict=True) if a != b]
        assert len(changed) == 1 and "mnist" in changed[0][0], name
        assert changed[0][0].replace(f" {tables.OLDER}", "") == changed[0][1]
        assert changed[0][0].count(tables.OLDER) >= 4
    assert tables.note(rows).endswith(f"{tables.OLDER}: of an older RTL than the sources': accelerator mnist.\n")


def test_what_is_not_measured_is_said(rows: dict[str, Any]) -> None:
    for key in ("synthesis", "gates", "cycles", "placements"):
        del rows["accelerator ptb"][key]
    (line,) = [line for line in tables.status(rows).splitlines() if line.startswith("| ptb |")]
    assert line.count("not measured") == 5
    assert "| accelerator ptb | not measured" in tables.designs(rows)
    del rows["core default"]
    assert command.differences(rows) == ["core default is missing"]


def test_placed_numbers_are_those_of_the_rtl_that_was_synthesized(rows: dict[str, Any]) -> None:
    row = rows["accelerator tiny"]
    row["synthesis"]["rtl"] = row["rtl"]
    path = row["synthesis"]["estimated_paths"][0]
    row["placements"] = [
        {"rtl": row["rtl"], "seed": seed, "fmax": fmax, "path": path} for seed, fmax in ((1, 30.0), (2, 31.5))
    ]
    assert tables.clock(row) == "30.0 to 31.5 placed"
    row["placements"] = row["placements"][:1]
    assert tables.clock(row) == "30.0 placed"
    assert f"{path['ns']:.1f} ns (30.0 MHz, seed 1)" in tables.placements(rows)
    row["placements"][0]["rtl"] = "0" * 64
    assert tables.clock(row) == f"~{1000 / path['ns']:.1f}"


def test_what_fits_counts_carries_and_rams(rows: dict[str, Any]) -> None:
    row = rows["core default"]
    assert measure.fits(row) == ""
    area, most = row["synthesis"]["area"][""], row["synthesis"]["available"]["lut"]
    area |= {"lut": most - 10, "carry": 3, "lutram": 1, "mult": 157}
    assert measure.fits(row) == "157 of 156 MULT18"
    area["lutram"] = 2
    assert measure.fits(row) == f"{most + 4:,} of {most:,} LUT4, 157 of 156 MULT18"


def test_what_does_not_fit_is_not_placed(rows: dict[str, Any]) -> None:
    row = rows["accelerator tiny"]
    row["synthesis"]["rtl"] = row["gates"]["rtl"] = row["rtl"]
    row["placements"] = []
    tiny = BY_NAME["accelerator tiny"]
    assert [what for what, _ in measure.missing(tiny, row, [1, 4])] == ["placement, seed 1, 4"]
    row["synthesis"]["area"][""]["bram"] = 209
    assert measure.missing(tiny, row, [1, 4]) == []


def test_a_page_with_a_wrong_mark(rows: dict[str, Any]) -> None:
    begin = "<!-- made by python -m scripts.hardware: {} -->\n"
    for text, message in (
        (begin.format("nothing") + "<!-- end -->\n", "x.md: no block 'nothing'; there are: status, "),
        (begin.format("note"), "x.md: block 'note' must be there once, with its end"),
        (2 * (begin.format("note") + "<!-- end -->\n"), "x.md: block 'note' must be there once, with its end"),
    ):
        with pytest.raises(UserError, match=message):
            tables.rewritten(Path("x.md"), text, rows)
    text = "a\n" + begin.format("note") + "old\n<!-- end -->\nb\n"
    assert tables.rewritten(Path("x.md"), text, rows) == text.replace("old\n", tables.note(rows))


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The command on copies of the file and the pages."""
    pages = [tmp_path / page.name for page in tables.PAGES]
    for copy, page in zip(pages, tables.PAGES, strict=True):
        copy.write_text(page.read_text())
    file = tmp_path / "hardware.json"
    file.write_text(measure.FILE.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "PAGES", tuple(pages))
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setattr(measure.load, "__defaults__", (file,))
    monkeypatch.setattr(measure.save, "__defaults__", (file,))

    def run(text: str) -> tuple[int, str, str]:
        app = new_app()
        app.command()(command.main)
        code = call(app, text.split())
        out, err = capsys.readouterr()
        return code, out, err

    return run


def fake_build(failing: str = "") -> Any:
    """hdl.build that finds one changed design, and synthesizes it."""
    kept = deepcopy(load())

    def build(design: measure.Measured, *options: str) -> dict[str, Any]:
        if design.name == failing:
            raise Failure("hdl.build: yosys failed (1): out of patience")
        row = kept[design.name]
        found = {key: row[key] for key in ("rtl", "config", "register_bits", "memory_bits")}
        if design.name == "accelerator tiny":
            found["rtl"] = "1" * 64
        if "generic" in options:
            found["synthesis"] = {"area": {"": {"gates": 9, "nand2": 12.5, "ff": 3, "bits": row["memory_bits"]}}}
        elif options:
            assert "--timing" in options
            fmax = (
                [{"seed": 3, "fmax": 40.0, "path": row["synthesis"]["estimated_paths"][0]}]
                if "--place" in options
                else []
            )
            found["synthesis"] = row["synthesis"] | {"placements": fmax}
        return found

    return build


def test_what_changed_is_measured_and_kept(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "build", fake_build())
    code, out, err = line("--mark")
    assert (code, err) == (0, "") and "accelerator tiny: left out: synthesis, gates\n" in out
    assert load(Path("hardware.json"))["accelerator tiny"]["rtl"] == "1" * 64
    assert tables.OLDER in Path("README.md").read_text()
    # beside those that the committed file marks
    marked = [d.name for d in measure.DESIGNS if d.name == "accelerator tiny" or tables.status_of(load()[d.name])]
    assert line("--check") == (0, f"marked as older than the RTL: {', '.join(marked)}\n", "")
    code, out, _ = line("--only tiny")
    assert code == 0 and re.search(r"accelerator tiny: synthesis, \d+ s\naccelerator tiny: gates, \d+ s\n", out)
    assert "| 12 + 3 |" in Path("hardware.md").read_text()
    assert "accelerator tiny" not in tables.note(load(Path("hardware.json")))
    code, out, _ = line("--only tiny --place --seed 3")
    assert code == 0 and re.search(r"accelerator tiny: placement, seed 3, \d+ s\n", out)
    assert "| tiny |" in Path("README.md").read_text() and "40.0 placed" in Path("README.md").read_text()
    assert "accelerator tiny: up to date" in line("--only tiny --place --seed 3")[1]


def test_one_failure_does_not_hide_the_others(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "build", fake_build("accelerator mnist"))
    code, out, _ = line("--only tiny")
    assert code == 1 and "accelerator mnist: FAILED: hdl.build: yosys failed (1): out of patience\n" in out
    assert re.search(r"accelerator tiny: synthesis, \d+ s\n", out) and "soc default" in out
    assert "wrote README.md" in out, "with what is there of before"


def test_pages_changed_by_hand_are_seen(line) -> None:
    page = Path("README.md")
    page.write_text(re.sub(r"(?m)^(\| tiny \| .* \| 3, 1)2 ", r"\g<1>3 ", page.read_text()))
    code, out, _ = line("--check")
    assert code == 1 and out.startswith("README.md is not what hardware.json says: run python -m scripts.hardware\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--seed 3", "--seed is for --place"),
        ("--only huge", "no design 'huge'; there are: core default, "),
    ],
)
def test_wrong_lines_are_named(line, text: str, message: str) -> None:
    code, out, err = line(text)
    assert (code, out) == (2, "") and err.startswith(f"error: {message}") and err.count("\n") == 1


@pytest.mark.parametrize("content", ["{", '{"schema": "elstm.hardware/9"}'])
def test_a_damaged_file_is_one_line(line, content: str) -> None:
    Path("hardware.json").write_text(content)
    code, out, err = line("--check")
    assert (code, out, err.count("\n")) == (2, "", 1) and "hardware.json: " in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["core default", "accelerator tiny"])
def test_the_file_knows_what_the_sources_emit(name: str, rows: dict[str, Any]) -> None:
    top = TOPS[BY_NAME[name].top]
    config = top.presets[BY_NAME[name].preset]
    text = emitted(top.elaborate(config), top.module, config).verilog
    found = re.search(r"(?m)^// sha256 of all that follows this line: (\w{64})$", text)
    assert found and found[1] == rows[name]["rtl"], (
        "run: python -m scripts.hardware, or with --mark: what is old is marked"
    )


@pytest.mark.slow
@pytest.mark.skipif(YOSYS.there() is None, reason="yosys is not installed: apt install yosys")
def test_the_core_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    row: dict[str, Any] = {}
    core = BY_NAME["core default"]
    measure.emit(core, row)
    todo = measure.missing(core, row, ())
    for _, run in todo:
        run()
    assert [what for what, _ in todo] == ["synthesis", "gates"] and row["gates"]["bits"] == row["memory_bits"]
    assert row["synthesis"]["area"][""]["bits"] == row["memory_bits"]
    assert measure.missing(core, row, ()) == []
    assert json.loads(json.dumps(row)) == row
