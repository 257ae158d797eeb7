"""Sweeps that are repeated, changed, damaged, killed or shared go on with what is finished."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sim.sweep import command as sweep
from sim.sweep import point as sweep_point
from sim.sweep.point import Failure
from sim.sweep.store import opened
from tests.sim.sweep.sweep_bench import SMALL, lines, rows_of

ROOT = Path(__file__).parents[3]


def test_finished_points_are_not_computed_again(sweep_command, monkeypatch):
    computed: Counter[Any] = Counter()
    evaluate = sweep_point._row

    def counted(point, sha256):
        computed[point] += 1
        return evaluate(point, sha256)

    monkeypatch.setattr(sweep_point, "_row", counted)
    assert sweep_command(SMALL)[0] == 0
    first = rows_of()
    assert sum(computed.values()) == 24
    code, _, err = sweep_command(SMALL)
    assert (code, sum(computed.values())) == (0, 24)
    assert err == "24 of 24 points are there from before\n"
    assert rows_of() == first
    assert sweep_command(SMALL.replace("slots = [6, 12]", "slots = [6, 12, 18]"))[0] == 0
    assert sum(computed.values()) == 36, "a changed file computes what is new"
    assert max(computed.values()) == 1
    assert sweep_command(SMALL + "seed = 2")[0] == 0
    assert sum(computed.values()) == 60, "another seed is other data"
    assert sweep_command(SMALL, "--fresh")[0] == 0
    assert sum(computed.values()) == 84
    assert len(lines()) == 24
    monkeypatch.setattr(sweep_point, "model_version", lambda: "another")
    monkeypatch.setattr(sweep, "model_version", lambda: "another")
    assert sweep_command(SMALL)[0] == 0
    assert sum(computed.values()) == 108, "other sources may count otherwise"


def test_torn_and_damaged_lines_are_computed_again(sweep_command):
    assert sweep_command(SMALL)[0] == 0
    first, stored = rows_of(), lines()
    torn, damaged = stored[-1][:-40], stored[5].replace(b'"macs": ', b'"mags": ')
    assert damaged != stored[5]
    path = Path("build/sweep/small/points.jsonl")
    path.write_bytes(b"".join([*stored[:5], damaged, *stored[6:-1], torn]))
    code, _, err = sweep_command(SMALL)
    assert code == 0
    assert "2 damaged lines count as never written" in err
    assert "22 of 24 points are there from before" in err
    assert rows_of() == first
    assert lines()[:-2] == [*stored[:5], damaged, *stored[6:-1]]
    assert {line for line in lines()[-2:]} == {stored[5], stored[-1]}
    # all but the end of the line was written
    path.write_bytes(b"".join(stored)[:-1])
    assert sweep_command(SMALL)[0] == 0
    assert lines() == stored


def test_two_sweeps_do_not_share_a_folder(sweep_command):
    with opened(Path("build/sweep/small"), fresh=False):
        code, _, err = sweep_command(SMALL)
    assert code == 2
    assert (
        err == "error: another sweep is writing build/sweep/small/points.jsonl: wait for it, or choose another --out\n"
    )


def test_a_point_is_on_the_disk_as_soon_as_it_is_finished(tmp_path):
    with opened(tmp_path, fresh=False) as store:
        for count in (1, 2):
            store.add(f"key {count}", Failure("planted"))
            assert len(lines(tmp_path)) == count


def test_a_pool_that_breaks_keeps_what_is_finished(sweep_command, monkeypatch):
    def broken(*_):
        deadline = time.monotonic() + 60
        while len(lines()) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        raise BrokenExecutor("planted")

    class Breaking(ThreadPoolExecutor):
        def submit(self, fn, /, *arguments, **named):
            return super().submit(broken if arguments[0].config.n_pe == 4 else fn, *arguments, **named)

    monkeypatch.setattr(sweep, "local", Breaking)
    code, _, err = sweep_command(SMALL)
    assert code == 2
    assert err.startswith("error: those who computed points are gone: a process was killed")
    assert 4 <= len(lines()) <= 16
    assert all(b'"n_pe": 4' not in line for line in lines())


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_ended_goes_on_where_it_was(sweep_command, monkeypatch, tmp_path, stop):
    text = SMALL + f"seed = {list(range(12))}"
    Path("small.toml").write_text(text)
    process = subprocess.Popen(
        # what a shell starts in the background ignores Ctrl-C, and so would all that it starts
        ["env", "--default-signal=INT", sys.executable, "-m", "sim.sweep", "small.toml", "--workers", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    path = Path("build/sweep/small/points.jsonl")
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 20:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "20 points within 60 s"
        time.sleep(0.01)
    children = [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    process.send_signal(stop)
    _, err = process.communicate(timeout=30)
    if stop == signal.SIGINT:
        assert process.returncode == 130
        assert err == "stopped; finished points are in build/sweep/small; the same command goes on from there\n"
    kept = len(lines())
    assert 20 <= kept < 288
    deadline = time.monotonic() + 10
    while any(map(alive, children)):
        assert time.monotonic() < deadline, "the sweep's processes must end with it"
        time.sleep(0.05)
    assert len(children) >= 2
    assert len(lines()) == kept
    whole = sum(line.endswith(b"\n") for line in lines())
    code, _, err = sweep_command(text)
    assert code == 0
    assert f"{whole} of 288 points are there from before" in err
    assert len(lines()) == 288, "nothing is computed twice"
    interrupted = rows_of()
    assert sweep_command(text, "--out", "whole")[0] == 0
    assert rows_of("whole/sweep.csv") == interrupted
