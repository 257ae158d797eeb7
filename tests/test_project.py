"""What stands around the code: notices, the script for system packages."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from golden.layer import Layer, pack_layer
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, load_checkpoint, load_digits
from tests.doc_commands import block_commands, problem

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


def setup(folder: Path, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("CXX", "PYTHON")} | given
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
    assert "missing: gcc-riscv64-unknown-elf (209 MB): compiles programs for the core" in done.stdout
    assert "sudo apt-get install python3-venv g++ gcc-riscv64-unknown-elf\n" in done.stdout
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
    assert install.split("recommends ")[1] == "python3-venv gcc-riscv64-unknown-elf verilator yosys chromium"


def test_the_regressions_ask_for_icarus_only(machine: Path) -> None:
    for tool in ("python3", "g++", "riscv64-unknown-elf-gcc"):
        stub(machine, tool, "exit 0")
    done = setup(machine, "regress")
    assert "sudo apt-get install iverilog\n" in done.stdout


def test_a_failing_apt_is_no_failure(machine: Path) -> None:
    stub(machine, "apt-get", "exit 100")
    stub(machine, "id", "echo 0")
    done = setup(machine)
    assert done.returncode == 0 and "apt failed; going on without: python3-venv g++ gcc" in done.stdout


def test_with_everything_there_it_is_silent(machine: Path) -> None:
    stub(machine, "python3", "exit 0")
    stub(machine, "clang++", "exit 0")
    stub(machine, "riscv64-unknown-elf-gcc", "exit 0")
    done = setup(machine, "demo")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_unknown_group_is_an_error(machine: Path) -> None:
    done = setup(machine, "all")
    assert done.returncode == 2 and "no group 'all'; there are: demo, regress, test-all" in done.stderr


def test_a_compiler_that_was_asked_for_is_not_replaced(machine: Path) -> None:
    stub(machine, "python3", "exit 0")
    stub(machine, "g++", "exit 0")
    stub(machine, "riscv64-unknown-elf-gcc", "exit 0")
    done = setup(machine, "demo", CXX="ccashe g++")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: CXX is 'ccashe g++', and there is no program ccashe\n"
    stub(machine, "ccashe", "exit 0")
    done = setup(machine, "demo", CXX="ccashe g++")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_makefile_does_not_replace_it_either() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "$${CXX:-g" not in makefile and 'test -n "$${CXX:-}" || command -v g++ clang++' in makefile


def test_zig_is_for_machines_without_another_compiler(machine: Path) -> None:
    """339 MB: asked for only where the one or the other compiler is neither there nor to be had from apt."""
    makefile = (ROOT / "Makefile").read_text()
    rules = re.findall(r"(?m)^\$\(INSTALLED\)/(\w+):.*\n((?:\t.*\n)+)", makefile)
    with_zig = {name: rule for name, rule in rules if "[zig]" in rule}
    assert set(with_zig) == {"core", "riscv"}
    assert all(re.search(r"command -v [^\n]*\|\| \{ \\\n[^\n]*\$\(ZIG_SIZE\)", rule) for rule in with_zig.values())
    table = re.search(r"(?s)TABLE='\n(.*?)'", (ROOT / "scripts/setup-system").read_text())
    assert table and re.search(r"(?m)^demo +\| riscv64-unknown-elf-gcc ", table[1])


def next_lines() -> list[str]:
    """What the demo prints in the end, with the Makefile's variables in place."""
    done = subprocess.run(
        ["make", "--no-print-directory", "-f", "-", "next"],
        input=f"include {ROOT / 'Makefile'}\nnext: ; @printf '%s\\n' \"$$NEXT\"\n",
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_the_demo_says_what_to_try_next_in_the_shell_where_it_stands() -> None:
    lines = next_lines()
    commands = [line.strip() for line in lines if line.startswith("    ")]
    assert len(commands) >= 2
    for command in commands:
        program, _, rest = command.partition(" ")
        assert program == ".venv/bin/python", "it works before anything is activated"
        (parsed,) = block_commands("Makefile", f"    python {rest}\n")
        assert problem(parsed) is None, command
    assert any(". .venv/bin/activate" in line for line in lines)
    assert all(f"build/demo/{page}.html" in (ROOT / "Makefile").read_text() for page in ("digit-4", "report"))


def test_the_readme_activates_the_environment_before_its_first_python_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.index("source .venv/bin/activate") < readme.index("python -m ")
    assert "`.venv/bin/python` in place of `python`" in readme


def test_the_digit_of_the_demo_is_one_that_the_network_gets_right() -> None:
    number = int(re.findall(r"sim\.run digit (\d+)", (ROOT / "Makefile").read_text())[0])
    network, digits = load_checkpoint(MNIST_CHECKPOINT), load_digits(MNIST_DIGITS)
    x = digits.inputs()[number]
    for layer in network.layers:
        x = Layer(pack_layer(layer.w, layer.u, layer.b)).run(x, layer.threshold).h_pruned
    assert network.logits(x[-1]).argmax() == digits.labels[number]


def test_regress_needs_no_torch() -> None:
    """As the README says; PyTorch is for test-all."""
    done = subprocess.run(["make", "-n", "-B", "regress"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[cocotb]" in done.stdout and "torch" not in done.stdout and "train" not in done.stdout
    assert "setup-system regress" in done.stdout and "test-all" not in done.stdout
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert "`make regress` installs cocotb and, where it may, Icarus with apt" in readme
