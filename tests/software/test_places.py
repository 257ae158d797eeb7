"""Outputs whole or not at all, temporary folders of processes that were killed, homes that cannot be written."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from software import places
from software.cli import UserError, check_outputs, write_all
from tests.doc_commands import ROOT

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from software import places\n"
    "with places.scratch(Path(sys.argv[1])) as one, places.whole(Path(sys.argv[1]) / 'out.json') as (part,):\n"
    "    (one / 'file').write_text('x')\n"
    "    print(one, part, flush=True)\n"
    "    time.sleep(60)\n"
)
NOBODY = 999_999_999
"""A number that no process has."""


def holder(folder: Path) -> "tuple[subprocess.Popen[str], Path, Path]":
    """A process with a temporary folder and a half-written output."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    one, part = process.stdout.readline().split()
    return process, Path(one), Path(part)


def test_what_a_killed_process_leaves_is_swept_at_the_next_start_and_nothing_else(tmp_path: Path) -> None:
    killed, killed_folder, killed_part = holder(tmp_path)
    living, living_folder, living_part = holder(tmp_path)
    try:
        killed.kill()
        killed.communicate()
        theirs = [tmp_path / "elstm-notes-of-mine", tmp_path / "elstm-12", tmp_path / ".other.1-abc.json"]
        for path in theirs:
            path.write_text("")
        assert killed_folder.exists() and killed_part.exists()
        with places.scratch(tmp_path):
            assert not killed_folder.exists() and living_folder.exists()
        write_all({tmp_path / "out.json": b"{}"})
        assert not killed_part.exists() and living_part.exists()
        assert all(path.exists() for path in theirs)
    finally:
        living.kill()
        living.communicate()


def test_a_folder_that_is_locked_stays_even_where_its_number_is_free(tmp_path: Path) -> None:
    """In another container the owner has another number."""
    with places.scratch(tmp_path) as mine:
        elsewhere = mine.rename(tmp_path / f"elstm-{NOBODY}-abcdefgh")
        with places.scratch(tmp_path):
            assert elsewhere.exists()
    with places.scratch(tmp_path):
        assert not elsewhere.exists()


def test_a_folder_of_another_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / f"elstm-{NOBODY}-abcdefgh"
    theirs.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with places.scratch(tmp_path):
        assert theirs.exists()


def test_a_link_with_such_a_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / f"elstm-{NOBODY}-abcdefgh").symlink_to("precious")
    with places.scratch(tmp_path):
        assert (tmp_path / "precious").exists()


def test_nothing_is_left_when_all_went_well_or_wrong(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), places.scratch(tmp_path), places.whole(tmp_path / "a", None):
        raise ZeroDivisionError
    assert not [*tmp_path.iterdir()]
    with places.whole(tmp_path / "deep" / "a.vcd", None) as (part, nothing):
        assert part is not None and nothing is None and part.suffix == ".vcd"
        part.write_text("whole")
        assert not (tmp_path / "deep" / "a.vcd").exists()
    assert [(path.name, path.read_text()) for path in (tmp_path / "deep").iterdir()] == [("a.vcd", "whole")]


def test_links_and_pipes_stay_what_they_are(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    target.write_text("old")
    link.symlink_to(target)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_outputs(link, pipe)
        write_all({link: b"new", pipe: b"down the pipe"})
        assert os.read(reader, 100) == b"down the pipe"
    finally:
        os.close(reader)
    assert link.is_symlink() and target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert pipe.is_fifo()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_output_that_is_our_own_stdout_is_written_into_it(tmp_path: Path) -> None:
    # As /dev/stdout is; that itself would be in danger from a root who replaces outputs carelessly
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    with (tmp_path / "all").open("w") as stdout:
        command = [sys.executable, "-m", "software.esell_format", "8", "8", "0.5", "--json", str(link)]
        subprocess.run(command, cwd=ROOT, stdout=stdout, check=True)
    assert link.is_symlink()
    assert f"wrote {link}" in (said := (tmp_path / "all").read_text()) and '"nonzeros": 32' in said, said


def unshared(script: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a shell script that may mount. Skips where that is not allowed."""
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("not allowed to mount")
    return subprocess.run(
        ["unshare", "-m", "bash", "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    done = unshared(
        f"mount -t tmpfs -o size=16k none {tmp_path} && dd if=/dev/zero of={tmp_path}/x bs=4k count=4 2>/dev/null\n"
        f"{sys.executable} -m software.esell_format 64 64 0.5 --json {tmp_path}/f.json; echo $?; ls -A {tmp_path}"
    )
    assert done.stdout.splitlines()[-2:] == ["2", "x"], done
    assert done.stderr == f"error: cannot write {tmp_path}/f.json: No space left on device\n"


def test_a_folder_that_is_really_read_only(tmp_path: Path) -> None:
    done = unshared(
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}\n"
        f"{sys.executable} -m software.esell_format 64 64 0.5 --json {tmp_path}/deep/f.json; echo $?"
    )
    assert done.stdout == "2\n", done
    assert done.stderr == f"error: cannot write {tmp_path}/deep/f.json: Read-only file system\n"


def test_an_error_in_the_last_step_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(source: object, target: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UserError, match=f"^cannot write {tmp_path}/a.json: .*Read-only file system"):
        write_all({tmp_path / "a.json": b""})
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("cache", ["cache", "no/cache"])
def test_there_may_be_no_home(cache: str, tmp_path: Path) -> None:
    """matplotlib draws and Yosys runs, without a word; where nothing at all can be written, in a temporary folder."""
    (tmp_path / "no").write_text("a file")
    (tmp_path / "tmp").mkdir()
    names = ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    environment |= {"HOME": f"{tmp_path}/no/home", "ELSTM_CACHE": f"{tmp_path}/{cache}", "TMPDIR": f"{tmp_path}/tmp"}
    for command in (
        ["software.group_size_tuning", "--plot", f"{tmp_path}/p.png", "--json", f"{tmp_path}/p.json"],
        ["hdl.build", "--top", "core", "-o", f"{tmp_path}/core.v"],
    ):
        program = [sys.executable, "-m", *command]
        done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (tmp_path / "cache").is_dir() == (cache == "cache")
    assert not [*(tmp_path / "tmp").iterdir()]


def test_compilers_find_a_place_for_what_they_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR", raising=False)
    monkeypatch.setenv("ZIG_LOCAL_CACHE_DIR", "mine")
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    found = places.compiler_environment(tmp_path / "spare")
    assert found["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "cache" / "zig")
    assert found["ZIG_LOCAL_CACHE_DIR"] == "mine"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "file" / "cache"))
    assert places.compiler_environment(tmp_path / "spare")["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "spare" / "zig")


def test_a_process_that_is_waited_for_is_alive() -> None:
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    assert places._alive(process.pid) and places._alive(os.getpid()) and not places._alive(NOBODY)
    process.kill()
    process.wait()
    assert not places._alive(process.pid) and time.monotonic() - started < 30
