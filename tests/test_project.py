"""What stands around the code: notices, the script for system packages."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_notice_lists_every_shipped_datum_with_its_checksum() -> None:
    notice = (ROOT / "NOTICE").read_text()
    listed = dict(re.findall(r"^(\S+\.npz)\n +SHA-256 +([0-9a-f]{64})$", notice, re.MULTILINE))
    shipped = [path for room in ("golden", "hdl", "sim", "software") for path in (ROOT / room).rglob("*.npz")]
    assert listed == {str(p.relative_to(ROOT)): hashlib.sha256(p.read_bytes()).hexdigest() for p in shipped}


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine of stubs: sh and a log of what was asked of apt; no compiler, no venv, not root, no sudo."""
    folder = tmp_path / "bin"
    folder.mkdir()
    shell = shutil.which("sh")
    assert shell
    for tool in ("sh", "env"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    stub(folder, "id", "echo 1000")
    stub(folder, "python3", "exit 1")
    return folder


def stub(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def setup(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("CXX", "PYTHON")}
    return subprocess.run(
        [folder / "sh", ROOT / "scripts/setup-system", *arguments],
        env=environment | {"PATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


APT = 'echo "$DEBIAN_FRONTEND $*" >> "${0%/*}/asked"'


def test_without_permission_it_prints_and_goes_on(machine: Path) -> None:
    stub(machine, "apt-get", APT)
    stub(machine, "sudo", "exit 1")
    done = setup(machine)
    assert done.returncode == 0 and not done.stderr
    assert "missing: g++ (36 MB): compiles the simulator" in done.stdout
    assert "sudo apt-get install python3-venv g++\n" in done.stdout
    assert not (machine / "asked").exists()


def test_with_silent_sudo_it_installs_what_is_missing_only(machine: Path) -> None:
    stub(machine, "apt-get", APT)
    stub(machine, "sudo", 'test "$1" = -n || exit 9\nshift\nexec "$@"')
    stub(machine, "true", "exit 0")
    stub(machine, "g++", "exit 0")
    stub(machine, "iverilog", "exit 0")
    done = setup(machine, "test-all")
    assert done.returncode == 0, done.stderr
    update, install = (machine / "asked").read_text().splitlines()
    assert update == "noninteractive update -qq"
    assert install.startswith("noninteractive install -y")
    assert install.split("recommends ")[1] == "python3-venv verilator chromium gcc-riscv64-unknown-elf"


def test_a_failing_apt_is_no_failure(machine: Path) -> None:
    stub(machine, "apt-get", "exit 100")
    stub(machine, "id", "echo 0")
    done = setup(machine)
    assert done.returncode == 0 and "apt failed; going on without: python3-venv g++" in done.stdout


def test_with_everything_there_it_is_silent(machine: Path) -> None:
    stub(machine, "python3", "exit 0")
    stub(machine, "clang++", "exit 0")
    done = setup(machine, "demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_group_is_an_error(machine: Path) -> None:
    done = setup(machine, "all")
    assert done.returncode == 2 and "no group 'all'; there are: demo, test-all" in done.stderr
