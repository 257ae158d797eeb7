"""The one command: what it offers, its errors, its completion."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from golden.version import __version__
from sim import elstm

ROOT = Path(__file__).parents[2]
COMMANDS = [command.name or "" for command in elstm.app.registered_commands]


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        monkeypatch.setattr("sys.argv", ["elstm", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            elstm.main()
        return end.value.code, *capsys.readouterr()

    return invoke


def test_it_offers_everything_that_runs_without_torch():
    assert {"mnist", "layer", "elf", "twin", "report", "figure9", "figure10", "verilog", "pack", "tune"} < set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(command, name):
    code, out, _ = command(name, "--help")
    assert code == 0
    assert f"Usage: elstm {name}" in out


def test_it_does_what_the_module_does(command, tmp_path):
    assert command("formats", 16, 16, 0.5, "--json", "f.json")[0] == 0
    assert (tmp_path / "f.json").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["report", "missing.json"], "error: missing.json: No such file or directory"),
        (["mnist", "--preset", "huge"], "error: no preset 'huge'; there are: default"),
        (["nothing"], "error: No such command 'nothing'"),
        (["tune", "--npe", "99"], "error: --npe must be in 2..8, not 99"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, text):
    code, _, err = command(*arguments)
    assert code == 2
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_the_shell_completes_commands():
    program = "from sim.elstm import main; main()"
    environment = os.environ | {
        "_ELSTM_COMPLETE": "complete_bash", "COMP_WORDS": "elstm fig", "COMP_CWORD": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    code = f"import sys; sys.argv = ['elstm']; {program}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert sorted(done.stdout.split()) == ["figure10", "figure9"]


def test_it_knows_its_version(command):
    assert command("--version") == (0, f"elstm {__version__}\n", "")
    code, out, _ = command("--help")
    assert code == 0 and "Sparse LSTM inference in hardware." in out and "--version" in out


def test_the_version_has_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "golden.version.__version__"}
    newest = next(line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ["))
    assert newest.startswith(f"## [{__version__.partition('.dev')[0]}]")
