"""``sim.sweep`` on the RTL, on two processes that are killed half way, and on a Dask cluster."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sim.results.result import from_json
from sim.sweep import command as sweep
from sim.sweep.point import Row
from sim.sweep.spec import load_spec
from sim.sweep.store import opened
from software.cli import run as run_command

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "sweep.toml"
RTL_EXAMPLE = ROOT / "docs" / "examples" / "sweep-rtl.toml"
FIGURE10 = ROOT / "docs" / "results" / "figure10.json"
POINTS = 200
"""Of EXAMPLE."""
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
"""A cluster on this machine until stdin is closed; it prints its address."""


def invoke(*arguments: object) -> object:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("sys.argv", ["sim.sweep", *map(str, arguments)])
        run_command(sweep.main)
    return end.value.code


def stored(folder: Path) -> list[Row]:
    with opened(folder, fresh=False) as store:
        assert not store.damaged
        return [result for result in store.results.values() if isinstance(result, Row)]


@pytest.mark.slow
def test_rtl_points_are_figure_10_s_and_near_the_model_at_every_bandwidth(tmp_path: Path, capsys) -> None:
    assert invoke(RTL_EXAMPLE, "--out", tmp_path, "--workers", 2) == 0
    assert "48 of 48 points" in (out := capsys.readouterr().out)
    assert "24 on the RTL, bit-exact in every h" in out
    committed: dict[tuple[str, int | None], Any] = {
        (run.layer, run.n_fuse): run
        for run in from_json(FIGURE10.read_text()).rows
        if run.source == "random" and run.scheme != "original"
    }
    rows = [row for row in stored(tmp_path) if row.run]
    assert len(rows) == 24
    for row in rows:
        what = f"{row.layer} N_fuse {row.n_fuse} latency {row.latency} bandwidth {row.bandwidth}"
        assert row.run is not None and row.exact and row.run.exact, what
        assert row.cycles == row.run.cycles == row.run.harness_cycles, what
        assert row.run.port_busy == row.port_words, what
        # the record's own word model knows a full port only
        assert (row.run.word_model_cycles == row.word_model_cycles) == (row.bandwidth == 1), what
        most = 1.005 if row.latency == 8 else 1.01
        assert 0.97 <= row.cycles / row.word_model_cycles <= most, what
        if (row.latency, row.bandwidth) == (8, 1):
            run = committed[row.layer, row.n_fuse]
            assert (row.cycles, row.threshold, row.port_words) == (run.cycles, run.threshold, run.port_busy), what
            # VERSION says the preset, which is another; the committed rows are of before there were counters of changes
            counted = {name: row.run.counters[name] for name in run.counters if name != "VERSION"}
            assert counted == {name: value for name, value in run.counters.items() if name != "VERSION"}, what
        else:
            assert row.cycles > committed[row.layer, row.n_fuse].cycles, what


@contextmanager
def dask_cluster() -> Iterator[str]:
    """The address of two workers in processes of their own."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.communicate(timeout=60)


def kill_half_way(*arguments: object) -> int:
    """A sweep of the example into the folder "half", ended by SIGKILL; gives the points that are on the disk."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.sweep", str(EXAMPLE), "--out", "half", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    path = Path("half/points.jsonl")
    deadline = time.monotonic() + 300
    while not path.exists() or path.read_bytes().count(b"\n") < POINTS // 2:
        assert process.poll() is None, "the sweep must not end by itself"
        assert time.monotonic() < deadline, "half of the points within 300 s"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return path.read_bytes().count(b"\n")


def check_resumed(kept: int, arguments: list[object], capsys) -> None:
    """The same sweep computes what is missing and no more, and ends as one that nobody killed."""
    assert POINTS // 2 <= kept < POINTS
    before = Path("half/points.jsonl").read_bytes().splitlines()[:kept]
    assert invoke(EXAMPLE, "--out", "half", *arguments) == 0
    out, err = capsys.readouterr()
    assert f"{kept} of {POINTS} points are there from before" in err
    assert f"{POINTS} of {POINTS} points" in out
    after = Path("half/points.jsonl").read_bytes().splitlines()
    assert (len(after), after[:kept]) == (POINTS, before)
    assert invoke(EXAMPLE, "--out", "whole", "--workers", 2) == 0
    assert Path("half/sweep.csv").read_bytes() == Path("whole/sweep.csv").read_bytes()
    with Path("half/sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(load_spec(EXAMPLE).points) == POINTS
    assert 0 < sum(row["pareto"] == "True" for row in rows) < POINTS


@pytest.mark.slow
def test_a_sweep_on_two_processes_killed_half_way(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    check_resumed(kill_half_way("--workers", 2), ["--workers", 2], capsys)


@pytest.mark.slow
def test_a_sweep_on_a_dask_cluster_killed_half_way(tmp_path: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("distributed", reason="needs Dask (extra 'sweep')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    with dask_cluster() as address:
        assert re.fullmatch(r"tcp://[\d.]+:\d+", address)
        check_resumed(kill_half_way("--scheduler", address), ["--scheduler", address], capsys)


@pytest.mark.slow
def test_a_scheduler_that_is_not_there_or_has_no_worker(tmp_path: Path, monkeypatch, capsys) -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask (extra 'sweep')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.sweep.pool.CONNECT_SECONDS", 1)
    assert invoke(EXAMPLE, "--scheduler", "tcp://127.0.0.1:9") == 2
    assert capsys.readouterr().err.startswith("error: --scheduler tcp://127.0.0.1:9: ")
    assert invoke(EXAMPLE, "--scheduler", "nonsense") == 2
    assert capsys.readouterr().err == "error: --scheduler nonsense: missing port number in address 'nonsense'\n"
    # Dask's own port for its pages may be another cluster's, of a test beside this one
    options = {"n_workers": 0, "processes": False, "protocol": "tcp://", "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        assert invoke(EXAMPLE, "--scheduler", address) == 2
    assert f"error: --scheduler {address}: no worker has come in 1 s\n" in capsys.readouterr().err


@pytest.mark.slow
def test_a_scheduler_that_stops_keeps_what_is_finished(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("distributed", reason="needs Dask (extra 'sweep')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    with dask_cluster() as address:
        process = subprocess.Popen(
            [sys.executable, "-m", "sim.sweep", str(EXAMPLE), "--out", "half", "--scheduler", address],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 300
        while not Path("half/points.jsonl").exists() or not Path("half/points.jsonl").read_bytes():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith("error: those who computed points are gone")
    assert 0 < len(stored(Path("half"))) < POINTS
