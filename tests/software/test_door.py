"""What ends a command from outside is one line and an exit code: full disks, closed pipes, Ctrl-C at any moment."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from software import cli, door
from tests.doc_commands import ROOT

FORMAT = ("-m", "software.esell_format", "64", "64", "0.5")
DIGITS = ("-m", "sim.run", "mnist", "--digits", "40", "--workers", "1", "--system", "accelerator")
MODULES = [
    "hdl.build", "hdl.synth.budget", "sim.core_cpi", "sim.core_lockstep", "sim.coverage", "sim.cycles_accuracy",
    "sim.elstm", "sim.figure10", "sim.regress", "sim.report", "sim.run", "sim.sweep", "software.benchmark.data",
    "software.benchmark.format_cost", "software.benchmark.import_torch", "software.benchmark.lm",
    "software.benchmark.mnist", "software.esell_format", "software.figure9", "software.firmware",
    "software.group_size_tuning", "software.lstm_sim_esell", "software.ptb_sentences", "scripts.counter_docs",
    "scripts.firmware_header", "scripts.hardware", "scripts.isa_docs", "scripts.same_verilog", "scripts.wave_lists",
]  # fmt: skip


def python(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    fields: dict[str, object] = {"cwd": ROOT, "text": True, "stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.run([sys.executable, *arguments], check=False, timeout=120, **(fields | settings))  # type: ignore[call-overload, no-any-return]


def shell(line: str) -> "subprocess.CompletedProcess[str]":
    line = line.replace("PYTHON", sys.executable)
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def one_line(text: str) -> bool:
    return text.startswith("error: ") and text.count("\n") == 1


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A device like /dev/full. As root never the machine's own: who replaces outputs carelessly would replace that."""
    if os.geteuid():
        return Path("/dev/full")
    folder = tmp_path / "devices"
    folder.mkdir()
    try:
        os.mknod(folder / "full", 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        (folder / "full").open("w").close()
    except OSError:
        pytest.skip("not allowed to make a device")
    return folder / "full"


def test_every_command_of_the_project_is_known_here() -> None:
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for room in ("golden", "hdl", "sim", "software", "scripts")
        for path in (ROOT / room).rglob("*.py")
        if '\nif __name__ == "__main__":' in path.read_text()
    }
    assert {*MODULES} == found | {"sim.elstm"}


def test_only_the_door_leads_in() -> None:
    """Every ``__main__`` ends in a function of software.cli, directly or by a ``main`` that does nothing else."""
    for module in {*MODULES} - {"sim.elstm"}:
        path = ROOT / Path(*module.split("."))
        path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        text = path.read_text()
        if (command := path.with_name("command.py")).exists():
            text = command.read_text() + text
        last = text[text.rindex('if __name__ == "__main__":') :].splitlines()[1:]
        assert len(last) == 1, module
        assert re.fullmatch(
            r"    (run|run_command|run_spelled|sys\.exit)\((main|app|run|main\(\)|run\(\))\)", last[0]
        ), module
        assert re.search(r"\b(run|run as run_command|call|run_spelled|call_spelled)\b.*$", text, re.MULTILINE), module


def test_a_full_disk_behind_stdout_is_one_line(full: Path) -> None:
    with full.open("w") as stdout:
        done = python(*FORMAT, stdout=stdout)
    assert (done.returncode, done.stderr) == (2, "error: cannot write standard output: No space left on device\n")


COMMANDS = {
    "hdl.build --top core": ("-o", "core.v"),
    "software.firmware hello": ("-o", "hello.elf"),
    "software.group_size_tuning": (),
    "scripts.isa_docs": ("isa.md",),
    "sim.run --help": (),
}
"""Quick commands of every room, and where they would write."""


@pytest.mark.parametrize("command", COMMANDS)
def test_so_it_is_for_commands_of_every_room(command: str, full: Path, tmp_path: Path) -> None:
    written = (word if word.startswith("-") else str(tmp_path / word) for word in COMMANDS[command])
    with full.open("w") as stdout:
        done = python("-m", *command.split(), *written, stdout=stdout)
    assert (done.returncode, done.stderr) == (2, "error: cannot write standard output: No space left on device\n")


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_full_disk_behind_an_output_is_one_line_and_nothing_else_is_written(
    option: str, full: Path, tmp_path: Path
) -> None:
    other = {"--json": "--plot", "--plot": "--json"}[option]
    link = tmp_path / "full.png"
    link.symlink_to(full)
    done = python("-m", "software.group_size_tuning", option, str(link), other, str(tmp_path / "rest.png"))
    assert (done.returncode, done.stderr) == (2, f"error: cannot write {link}: No space left on device\n")
    assert {*tmp_path.iterdir()} == {link, full.parent} - {Path("/dev")}
    assert link.is_symlink() and full.is_char_device()


def test_a_waveform_on_a_full_disk_is_one_line(full: Path) -> None:
    words = ("mnist", "--digits", "1", "--system", "accelerator", "--wave-window", "0:9", "--wave", str(full))
    done = python("-m", "sim.run", *words)
    assert done.returncode == 2 and one_line(done.stderr), done.stderr
    assert f"cannot write {full}: No space left on device" in done.stderr


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_bytes(b"old")

    def write_bytes(path: Path, content: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(content[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(cli.UserError, match=f"cannot write {old}: .*No space left on device"):
        cli.write_all({old: b"long enough", new: b"too"})
    assert old.read_bytes() == b"old" and sorted(tmp_path.iterdir()) == [old]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "some.npz"), 2, "error: some.npz: No space left on device\n"),
        (OSError(errno.EROFS, "Read-only file system", b"x"), 2, "error: x: Read-only file system\n"),
        (OSError("strange"), 2, "error: strange\n"),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 2, "error: f: Permission denied\n"),
        (MemoryError(), 2, "error: not enough memory\n"),
        (MemoryError("Unable to allocate 9 TiB"), 2, "error: not enough memory: Unable to allocate 9 TiB\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_whatever_a_command_raises(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main() -> None:
        raise error

    app = cli.new_app()
    app.command()(main)
    assert cli.call(app, []) == code
    assert capsys.readouterr() == ("", line)


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    app = cli.new_app()
    app.command()(main)
    with pytest.raises(ZeroDivisionError):
        cli.call(app, [])


@pytest.mark.parametrize("command", ["hdl.build --help", "sim.run mnist --help", "software.esell_format 64 64 0.5"])
def test_a_reader_that_has_gone_is_no_noise(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = python("-m", *command.split(), stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (door.READER_GONE, "")


def test_head_takes_one_line_without_noise(tmp_path: Path) -> None:
    done = shell(f"set -o pipefail; PYTHON -m hdl.build --top core -o {tmp_path}/core.v | head -1")
    assert done.stderr == "" and done.stdout.count("\n") == 1
    assert done.returncode in (0, door.READER_GONE)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_streams_are_no_error(closed: str) -> None:
    done = shell(f"PYTHON -m software.esell_format 64 64 0.5 {closed}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("columns", ["0", "1", "-3", "wide", ""])
def test_a_terminal_without_columns_still_gets_the_result(columns: str) -> None:
    right = python(*FORMAT, env={key: value for key, value in os.environ.items() if key != "COLUMNS"})
    assert right.stdout.count("\n") > 3
    done = python(*FORMAT, env=os.environ | {"COLUMNS": columns})
    assert (done.returncode, done.stdout) == (0, right.stdout)


@pytest.mark.parametrize(
    ("command", "package"),
    [("sim.run mnist", "numpy"), ("sim.elstm", "amaranth"), ("hdl.build", "amaranth"), ("software.figure9", "numpy"),
     ("software.benchmark.data kjv", "numpy"), ("scripts.isa_docs", "typer")],
)  # fmt: skip
def test_ctrl_c_during_imports(command: str, package: str, tmp_path: Path) -> None:
    # The package presses Ctrl-C while it is imported, as those who wait for it do
    (tmp_path / f"{package}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\n")
    program = ["-m", *command.split()]
    if command == "sim.elstm":
        script = tmp_path / "elstm"
        script.write_text("import sys\nfrom sim.elstm import main\nsys.exit(main())\n")
        program = [str(script), "--help"]
    done = python(*program, env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert (done.returncode, done.stdout, done.stderr) == (door.INTERRUPTED, "", "interrupted\n")


def test_ctrl_c_in_the_middle_of_a_simulation_ends_all_of_it(tmp_path: Path) -> None:
    python(*DIGITS[:3], "--digits", "1", *DIGITS[5:], cwd=ROOT)  # the simulator is compiled
    process = subprocess.Popen(
        [sys.executable, *DIGITS], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not children(process.pid):
        assert time.monotonic() < deadline and process.poll() is None, "no simulator was started"
        time.sleep(0.01)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (door.INTERRUPTED, "interrupted\n")
    assert time.monotonic() - started < 10


def children(parent: int) -> list[int]:
    """Simulators that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = re.fullmatch(r"\d+ \((.*)\) (.*)\n", path.read_text()).groups()  # type: ignore[union-attr]
        except OSError:
            continue
        if int(fields.split()[1]) == parent and name.startswith("accelerator"):
            found.append(int(path.parent.name))
    return found


def test_ctrl_c_that_a_callback_swallows_is_not_lost() -> None:
    code = (
        "import time\n"
        "from software.cli import call, new_app\n"
        "app = new_app()\n"
        "class Loud:\n"
        "    def __del__(self):\n"
        "        raise KeyboardInterrupt\n"
        "@app.command()\n"
        "def main() -> None:\n"
        "    thing = Loud()\n"
        "    del thing\n"
        "    time.sleep(30)\n"
        "raise SystemExit(call(app, []))\n"
    )
    started = time.monotonic()
    done = python("-c", code)
    assert (done.returncode, done.stderr) == (door.INTERRUPTED, "interrupted\n")
    assert time.monotonic() - started < 20


def test_who_ignores_ctrl_c_keeps_ignoring_it() -> None:
    # it lasts until after the signal, however fast the machine
    command = "import time; from software.door import through; exit(through(lambda: time.sleep(3) or 0))"
    done = shell(f"trap '' INT; PYTHON -c '{command}' & sleep 0.5; kill -INT $!; wait $!")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_library_leaves_the_signals_of_its_user_alone() -> None:
    done = python("-c", "import signal, sim, hdl, software; print(signal.getsignal(signal.SIGINT).__name__)")
    assert done.stdout == "default_int_handler\n", done.stderr
