"""The budget of path lengths: what it says of a design, files that are no budget, and a slow path that was planted."""

import json
import re
from pathlib import Path

import pytest

from hdl.synth import budget
from hdl.synth.budget import FILE, Limit, check, load
from hdl.synth.flow import PATHS, Synthesis
from hdl.synth.timing import Path as TimingPath
from software.cli import UserError
from tests.hdl.synth.synth_bench import command_line, needs_yosys
from tests.planting import patches, planted, run_in

UNIT = '[[budget]]\nunit = "hdl.accelerator.spmv_pe:SpmvPe"\nmax_ns = {}\n'


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    return command_line(budget.main, capsys)


def synthesis(*ns: float) -> Synthesis:
    paths = tuple(TimingPath(f"a_{n}", ("b",), f"c_{n}", each, 3) for n, each in enumerate(ns))
    return Synthesis({}, paths, Path("netlist.json"), "yosys")


def test_a_line_for_each_path_that_is_too_long() -> None:
    limit = Limit("core", "default", 20)
    assert check(limit, synthesis(20, 19)) == []
    assert check(limit, synthesis(20.01, 20.0, 1)) == ["core default: 20.01 ns, 20 are allowed: a_0 -> b -> c_0"]
    many = check(limit, synthesis(*[21] * PATHS))
    assert len(many) == PATHS + 1 and many[-1] == f"core default: these are the {PATHS} slowest; more may be too long"


def test_the_budget_has_core_and_tiny() -> None:
    found = {limit.name: limit.max_ns for limit in load(FILE)}
    assert {"core default", "accelerator tiny"} <= found.keys()
    # the clock that issue by issue is lowered, never looser than where it began
    assert found["core default"] <= 16 and found["accelerator tiny"] <= 18


@needs_yosys
def test_a_unit_within_and_over_its_budget(line) -> None:
    Path("b.toml").write_text(UNIT.format(100))
    code, out, err = line("--file b.toml --json r.json")
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith("SpmvPe: ") and " ns of 100, " in first and first.endswith(" MHz estimated")
    found = json.loads(Path("r.json").read_text())
    slowest = found["designs"][0]["paths"][0]
    assert found["designs"][0]["area"]["mult"] == 4
    assert found["within"] and f"SpmvPe: {slowest['ns']:.2f} ns" in first
    Path("b.toml").write_text(UNIT.format(slowest["ns"] - 0.01))
    code, out, _ = line("--file b.toml --json r.json")
    assert code == 1 and not json.loads(Path("r.json").read_text())["within"]
    assert (
        f"SpmvPe: {slowest['ns']:.2f} ns, {slowest['ns'] - 0.01:g} are allowed: {slowest['path']}" in out.splitlines()
    )


@needs_yosys
@pytest.mark.slow
@pytest.mark.parametrize("patch", [None, *patches("budget-")])
def test_a_planted_slow_path_is_named(patch: str | None, tmp_path: Path) -> None:
    assert patches("budget-")
    done = run_in(planted(patch, tmp_path), "-m", "hdl.synth.budget", "--only", "SpmvPe")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    if patch is None:
        assert (done.returncode, len(lines)) == (0, 1)
    else:
        # past the register that the patch took away
        assert done.returncode == 1 and len(lines) >= 2
        (allowed,) = [limit.max_ns for limit in load(FILE) if limit.name == "SpmvPe"]
        way = r"\w+ -> .*multiplier_\d\.magnitude -> .*multiplier_\d\.product"
        assert re.fullmatch(rf"SpmvPe: \d+\.\d\d ns, {allowed:g} are allowed: {way}", lines[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "b.toml: must be tables [[budget]] and nothing else"),
        ("budget = 3", "b.toml: must be tables [[budget]] and nothing else"),
        ("budget = [1]", "b.toml: must be tables [[budget]] and nothing else"),
        ("[[budget]]\n[other]", "b.toml: must be tables [[budget]] and nothing else"),
        ("[[budget", "b.toml: not TOML: "),
        ("[[budget]]", "b.toml: budget 1: needs a top and perhaps its preset, or a unit"),
        ('[[budget]]\ntop = "core"\nunit = "a:B"', "b.toml: budget 1: needs a top and perhaps its preset, or a unit"),
        (
            '[[budget]]\nunit = "a:B"\npreset = "tiny"',
            "b.toml: budget 1: needs a top and perhaps its preset, or a unit",
        ),
        ('[[budget]]\ntop = "core"\nns = 3', "b.toml: budget 1: no key 'ns'; there are: top, preset, unit, max_ns"),
        ('[[budget]]\ntop = "core"', "b.toml: budget 1: max_ns must be a number of ns above 0, not None"),
        ('[[budget]]\ntop = "core"\nmax_ns = "3"', "b.toml: budget 1: max_ns must be a number of ns above 0, not '3'"),
        ('[[budget]]\ntop = "core"\nmax_ns = nan', "b.toml: budget 1: max_ns must be a number of ns above 0, not nan"),
        ('[[budget]]\ntop = "core"\nmax_ns = -1', "b.toml: budget 1: max_ns must be a number of ns above 0, not -1"),
        (
            '[[budget]]\ntop = "core"\nmax_ns = true',
            "b.toml: budget 1: max_ns must be a number of ns above 0, not True",
        ),
        ("[[budget]]\ntop = 3\nmax_ns = 3", "b.toml: budget 1: top must be a name, not 3"),
        ('[[budget]]\ntop = "gpu"\nmax_ns = 3', "b.toml: budget 1: no top 'gpu'; there are: accelerator, core, soc"),
        (
            '[[budget]]\ntop = "core"\npreset = "tiny"\nmax_ns = 3',
            "b.toml: budget 1: no preset 'tiny' of core; there are: default, rvfi",
        ),
        (
            '[[budget]]\ntop = "core"\nmax_ns = 3\narguments = { macs = 8 }',
            "core default: CoreConfig.__init__() got an unexpected keyword argument 'macs'",
        ),
        (
            '[[budget]]\nunit = "hdl.accelerator.spmv_pe:SpmvPe"\nmax_ns = 3\narguments = 8',
            "b.toml: budget 1: arguments must be a table, not 8",
        ),
        (
            '[[budget]]\ntop = "accelerator"\npreset = "tiny"\nmax_ns = 3\narguments = { n_pe = 9 }',
            "accelerator tiny: n_pe must be in 2..8, not 9",
        ),
        (
            '[[budget]]\nunit = "hdl.accelerator.spmv_pe:SpmvPe"\nmax_ns = 3\narguments = { macs = 6 }',
            "SpmvPe cannot be emitted alone: macs must be 4 or 8, not 6",
        ),
        (
            '[[budget]]\nunit = "hdl.accelerator.spmv_pe:SpmvPe"\nmax_ns = 3\narguments = { mags = 8 }',
            "SpmvPe cannot be emitted alone: SpmvPe.__init__() got an unexpected keyword argument 'mags'",
        ),
        ('[[budget]]\nunit = "nothing"\nmax_ns = 3', "no unit 'nothing': must be package.module:Class"),
        ('[[budget]]\nunit = "a.b:C"\nmax_ns = 3', "no unit 'a.b:C': must be package.module:Class"),
    ],
)
def test_a_file_that_is_no_budget(line, content: str, message: str) -> None:
    Path("b.toml").write_text(content)
    code, out, err = line("--file b.toml")
    assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--file no.toml", "cannot read no.toml: No such file or directory"),
        ("--file .", "cannot read .: Is a directory"),
        ("--only nothing", f"{FILE} has no design 'nothing'"),
        ("--json .", "cannot write .: is a directory"),
    ],
)
def test_wrong_lines_are_named(line, text: str, message: str) -> None:
    assert line(text) == (2, "", f"error: {message}\n")


def test_a_missing_tool_is_one_line(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hdl.synth.tools.shutil.which", lambda *_, **__: None)
    Path("b.toml").write_text(UNIT.format(100))
    code, _, err = line("--file b.toml")
    assert code == 2 and err.startswith("error: no yosys: apt install yosys")


def test_a_unit_may_need_the_configuration() -> None:
    design = Limit("hdl.accelerator.frontend.registers:Registers", "", 1).emit()
    assert design.module == "elstm_registers" and "module elstm_registers(" in design.verilog
    # a port that is always ready is no port
    with pytest.raises(UserError, match="ColumnScanner cannot be emitted alone: Only signals"):
        Limit("hdl.accelerator.u.column_scanner:ColumnScanner", "", 1).emit()
    with pytest.raises(UserError, match="no unit 'hdl.rocc:Nothing'"):
        Limit("hdl.rocc:Nothing", "", 1).emit()
