"""Planted bugs: patches in ``tests/planted`` that the regression must catch.

A patch is applied to a copy of the sources, never to the working tree; its file says in its first line, before the
diff, what the bug is. `must_fail` runs tests in the copy and fails unless they do.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATCHES = Path(__file__).parent / "planted"
_COPIED = ("golden", "hdl", "sim", "software", "tests", "pyproject.toml")


def patches(prefix: str) -> list[str]:
    """Names of the patches that start so."""
    return sorted(path.stem for path in PATCHES.glob(f"{prefix}*.patch"))


def planted(patch: str | None, directory: Path) -> Path:
    """A copy of the sources in ``directory`` with the patch of that name applied, or with none, as the control."""
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    if patch is None:
        return directory
    command = ["git", "apply", "--unsafe-paths", str(PATCHES / f"{patch}.patch")]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{patch}.patch does not apply any more: {done.stderr}"
    return directory


def run_in(tree: Path, *command: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run ``python`` with these arguments in a copy of the sources; compiled simulators are kept in the copy."""
    environment = dict(os.environ, PYTHONPATH=str(tree), ELSTM_CACHE=str(tree / "build/cache"))
    return subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def must_fail(tree: Path, *selection: str, timeout: float = 600) -> str:
    """Run a pytest selection in a copy; returns its output. A run that passes, or that cannot run, is an error."""
    done = run_in(tree, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "", *selection, timeout=timeout)
    output = done.stdout + done.stderr
    # 1: tests ran and some failed; anything else is an error of another kind
    assert done.returncode == 1, f"exit code {done.returncode}, not 1:\n{output[-3000:]}"
    assert "failed" in output, output[-3000:]
    return output
