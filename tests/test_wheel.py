"""A wheel, installed elsewhere, brings everything that the command lines need."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKED = ("golden", "hdl", "sim", "software", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


def call(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment: the wheel, and the packages it depends on from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PACKED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    call(*pip, "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    environment = folder / "venv"
    call(sys.executable, "-m", "venv", "--without-pip", environment, cwd=folder)
    interpreter = environment / "bin" / "python"
    (wheel,) = folder.glob("elstm-*.whl")
    call(*pip, "--python", interpreter, "install", "--no-deps", wheel, cwd=folder)
    # Paths of a .pth file are added as they are: an editable install of this project there stays behind
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return interpreter


@pytest.mark.slow
def test_the_wheel_is_what_runs(python: Path, tmp_path: Path) -> None:
    code = "import golden, hdl, sim, software; print(*[m.__file__ for m in (golden, hdl, sim, software)], sep='\\n')"
    for line in call(python, "-c", code, cwd=tmp_path).splitlines():
        assert Path(line).is_relative_to(python.parents[1])


@pytest.mark.slow
def test_it_emits_verilog_under_build(python: Path, tmp_path: Path) -> None:
    printed = call(python, "-m", "hdl.build", "--preset", "tiny", cwd=tmp_path)
    assert printed.splitlines()[-1] == "wrote build/elstm_soc_tiny.v"
    assert "module elstm_soc" in (tmp_path / "build/elstm_soc_tiny.v").read_text()


@pytest.mark.slow
def test_it_runs_a_digit(python: Path, tmp_path: Path) -> None:
    cache = ROOT / "build" / "cache"  # by content, so what it holds is what the wheel would build
    call(
        python,
        "-m",
        "sim.run",
        "mnist",
        "--digits",
        "1",
        "--json",
        "build/run.json",
        cwd=tmp_path,
        ELSTM_CACHE=str(cache),
    )
    result = json.loads((tmp_path / "build/run.json").read_text())
    assert result["exact"] and result["inputs"][0]["prediction"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


@pytest.mark.slow
def test_it_packs_a_layer(python: Path, tmp_path: Path) -> None:
    assert "eSELL" in call(python, "-m", "software.esell_format", "64", "64", "0.4", cwd=tmp_path)
