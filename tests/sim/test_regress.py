"""The regression command around an engine that is golden itself; ``make regress`` runs it on the Verilog."""

import sys
from xml.etree import ElementTree

import pytest

from sim import regress
from sim.engines import registry
from software.cli import run


@pytest.fixture
def command(golden_rtl, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(registry._ENGINES["accelerator"], "golden", lambda: golden_rtl)

    def invoke(*arguments, **environment):
        for name, value in ({"SIM": "golden"} | environment).items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("COLUMNS", "250")
        monkeypatch.setattr(sys, "argv", ["regress", "--xml", str(tmp_path / "r.xml"), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run(regress.main)
        return stop.value.code, *capsys.readouterr()

    return invoke


def cases(tmp_path):
    return ElementTree.parse(tmp_path / "r.xml").getroot()


def test_all_pass(command, tmp_path):
    code, out, _ = command(SEED=17)
    assert code == 0
    suite = cases(tmp_path)
    assert [case.get("name") for case in suite] == list(regress.REGRESSIONS)
    assert (suite.get("tests"), suite.get("failures")) == (str(len(regress.REGRESSIONS)), "0")
    assert out.count("17") >= len(regress.REGRESSIONS)
    assert f"{len(regress.REGRESSIONS)} of {len(regress.REGRESSIONS)} passed on golden" in out


def test_a_failure_can_be_run_again(command, golden_rtl, tmp_path):
    golden_rtl.wrong = (-1, 1)
    code, out, _ = command(SEED=3, TEST="split")
    assert code == 1
    line = "make regress SIM=golden TEST=split SEED=3"
    assert line in out.splitlines()
    (case,) = cases(tmp_path)
    assert case.get("name") == "split"
    failure = case.find("failure")
    assert "must be" in failure.get("message")
    assert line in failure.text
    # the same line fails in the same way
    code, again, _ = command("--seed", 3, "--test", "split")
    assert code == 1
    assert failure.get("message") in again


def test_a_crash_is_a_failure_of_that_test_only(command, golden_rtl, tmp_path, monkeypatch):
    honest = golden_rtl.run

    def crash(design, job, progress=None):
        if design.config.n_pe == 4:
            raise RuntimeError("planted crash")
        return honest(design, job, progress)

    monkeypatch.setattr(golden_rtl, "run", crash)
    code, _, _ = command(TEST="-pes")
    assert code == 1
    failed = [case.get("name") for case in cases(tmp_path) if case.find("failure") is not None]
    assert failed == ["four-pes"]


def test_bad_arguments(command):
    code, _, err = command(TEST="nothing")
    assert (code, err) == (2, f"error: no regression 'nothing'; there are: {', '.join(regress.REGRESSIONS)}\n")
    code, _, err = command(SIM="vcs", TEST="split")
    assert (code, err) == (2, "error: no engine 'vcs'; there are: native, verilator, pysim, icarus, golden\n")
    code, _, err = command("--xml", "/proc/x.xml", SIM="golden")
    assert code == 2
    assert err == "error: cannot write /proc/x.xml: No such file or directory\n"
