"""``sim.sweep`` on the cycle models and around an engine that is golden itself; the RTL is in test_sweep_rtl.py."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sim import engines, sweep, sweep_point
from sim.figure10_rows import runs_of
from sim.layer_run import predicted
from sim.result import from_json, layer_run_from
from sim.sweep_output import COLUMNS
from sim.sweep_point import Failure, evaluate, model_version
from sim.sweep_spec import load_spec
from sim.sweep_store import opened
from sim.table2 import LAYERS, random_case
from software.cli import run as run_command

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
FIGURE10 = ROOT / "docs" / "results" / "figure10.json"
SMALL = """
[grid]
layer = { x = 16, h = 24, t = 9 }
w_sparsity = 0.3
u_sparsity = [0.4, 0.5]
h_sparsity = [0, 0.4]
preset = "tiny"
n_pe = [2, 3, 4]
slots = [6, 12]
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a sweep of a file's text in threads of this process; gives exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")

    @contextmanager
    def threads(workers):
        with ThreadPoolExecutor(workers) as executor:
            yield executor

    monkeypatch.setattr(sweep, "local", threads)

    def invoke(text, *arguments):
        Path("small.toml").write_text(text)
        monkeypatch.setattr("sys.argv", ["sim.sweep", "small.toml", "--workers", "1", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run_command(sweep.main)
        return end.value.code, *capsys.readouterr()

    return invoke


def lines(folder="build/sweep/small"):
    return (Path(folder) / "points.jsonl").read_bytes().splitlines(keepends=True)


def rows_of(path="build/sweep/small/sweep.csv"):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_numbers_are_those_of_figure_10(command):
    grid = '[grid]\nlayer = ["mnist-l1", "mnist-l2"]\nn_fuse = [1, "best"]\npreset = "mnist"\n'
    point = '[[points]]\nlayer = "mnist-l1"\nn_fuse = 1\nh_sparsity = 0\npreset = "mnist"\n'
    assert command(grid + point)[0] == 0
    schemes = {("", "True"): "fused", ("", "False"): "sparse", ("0.0", "False"): "original"}
    published = {(run.layer, run.scheme): run for run in from_json(FIGURE10.read_text()).rows if run.source == "random"}
    rows = rows_of()
    assert len(rows) == 5
    for row in rows:
        scheme = schemes["0.0" if row["h_sparsity"] == "0.0" else "", row["n_fuse_best"]]
        run = published[row["layer"], scheme]
        assert int(row["cycles"]) == int(row["word_model_cycles"]) == run.word_model_cycles
        assert int(row["published_cycles"]) == run.published_model_cycles
        assert int(row["bound_cycles"]) == run.bound_cycles
        assert int(row["n_fuse"]) == run.n_fuse
        assert float(row["threshold"]) == run.threshold
        assert (int(row["w_words"]), int(row["u_words"])) == (run.w_words, run.u_words)
        assert int(row["port_words"]) == run.word_model_port_words
        assert (row["memory_bits"], row["macs"]) == ("364464", "12"), "the README's"
        assert 1 - float(row["h_dropped"]) == pytest.approx(run.kept_blocks / (28 * 32))


def test_csv_parquet_json_and_picture(command):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra 'sweep')")
    code, out, _ = command(SMALL, "--parquet", "p/rows.parquet", "--json", "all.json")
    assert code == 0
    assert out.endswith(
        "wrote build/sweep/small/sweep.csv\nwrote p/rows.parquet\nwrote all.json\nwrote build/sweep/small/pareto.png\n"
    )
    assert Path("build/sweep/small/pareto.png").read_bytes().startswith(b"\x89PNG")
    rows = rows_of()
    assert len(rows) == 24
    assert tuple(rows[0]) == COLUMNS
    table = parquet.read_table("p/rows.parquet")
    assert tuple(table.column_names) == COLUMNS
    kinds = {name: str(table.schema.field(name).type) for name in COLUMNS}
    assert {kinds[name] for name in ("cycles", "memory_bits", "latency", "published_cycles")} == {"int64"}
    assert (kinds["h_dropped"], kinds["layer"], kinds["pareto"], kinds["exact"]) == ("double", "string", "bool", "bool")
    stored = json.loads(Path("all.json").read_text())
    assert (stored["schema"], stored["name"], stored["failures"]) == ("elstm.sweep/1", "small", [])
    for text, typed, record in zip(rows, table.to_pylist(), stored["rows"], strict=True):
        assert {name: record[name] for name in COLUMNS} == typed
        assert text == {name: "" if value is None else str(value) for name, value in typed.items()}
        assert typed["cycles"] > typed["bound_cycles"] > 0
        assert (typed["exact"], typed["latency"], typed["verilog_sha256"]) == (None, None, None)
    assert len(out.splitlines()[0]) <= 80
    assert "…" not in out


def test_finished_points_are_not_computed_again(command, monkeypatch):
    computed = Counter()
    evaluate = sweep_point._row

    def counted(point, sha256):
        computed[point] += 1
        return evaluate(point, sha256)

    monkeypatch.setattr(sweep_point, "_row", counted)
    assert command(SMALL)[0] == 0
    first = rows_of()
    assert sum(computed.values()) == 24
    code, _, err = command(SMALL)
    assert (code, sum(computed.values())) == (0, 24)
    assert err == "24 of 24 points are there from before\n"
    assert rows_of() == first
    assert command(SMALL.replace("slots = [6, 12]", "slots = [6, 12, 18]"))[0] == 0
    assert sum(computed.values()) == 36, "a changed file computes what is new"
    assert max(computed.values()) == 1
    assert command(SMALL + "seed = 2")[0] == 0
    assert sum(computed.values()) == 60, "another seed is other data"
    assert command(SMALL, "--fresh")[0] == 0
    assert sum(computed.values()) == 84
    assert len(lines()) == 24
    monkeypatch.setattr(sweep_point, "model_version", lambda: "another")
    monkeypatch.setattr(sweep, "model_version", lambda: "another")
    assert command(SMALL)[0] == 0
    assert sum(computed.values()) == 108, "other sources may count otherwise"


def test_torn_and_damaged_lines_are_computed_again(command):
    assert command(SMALL)[0] == 0
    first, stored = rows_of(), lines()
    torn, damaged = stored[-1][:-40], stored[5].replace(b'"macs": ', b'"mags": ')
    assert damaged != stored[5]
    path = Path("build/sweep/small/points.jsonl")
    path.write_bytes(b"".join([*stored[:5], damaged, *stored[6:-1], torn]))
    code, _, err = command(SMALL)
    assert code == 0
    assert "2 damaged lines count as never written" in err
    assert "22 of 24 points are there from before" in err
    assert rows_of() == first
    assert lines()[:-2] == [*stored[:5], damaged, *stored[6:-1]]
    assert {line for line in lines()[-2:]} == {stored[5], stored[-1]}
    # all but the end of the line was written
    path.write_bytes(b"".join(stored)[:-1])
    assert command(SMALL)[0] == 0
    assert lines() == stored


def test_a_failed_point_is_said_and_tried_again(command, monkeypatch):
    text = SMALL.replace("h_sparsity = [0, 0.4]", "h_sparsity = [0, 0.01]")
    code, out, _ = command(text, "--json", "all.json")
    assert code == 1
    assert "12 of 24 points" in out
    assert (
        "failed: x16-h24-t9 model: n_pe 2, slots 6, n_fuse best, w 0.3, u 0.4, h 0.01, seed 1, bandwidth 1: "
        "no threshold drops 0.010 of the blocks, the nearest found drops 0.111\n"
    ) in out
    assert len(rows_of()) == 12
    failures = json.loads(Path("all.json").read_text())["failures"]
    assert len(failures) == 12
    assert {failure["h_sparsity"] for failure in failures} == {0.01}
    code, out, err = command(text)
    assert (code, err) == (1, "12 of 24 points are there from before\n")
    monkeypatch.setattr(sweep_point, "threshold_for", lambda layer, xs, share, tolerance: 0.25)
    code, out, _ = command(text)
    assert code == 0
    assert "failed" not in out
    assert len(rows_of()) == 24


def test_a_defect_in_one_point_does_not_end_the_others(command, monkeypatch):
    evaluate = sweep_point._row

    def defective(point, sha256):
        return evaluate(point, sha256) if point.config.n_pe != 4 else {}[4]

    monkeypatch.setattr(sweep_point, "_row", defective)
    code, out, _ = command(SMALL)
    assert code == 1
    assert out.count("failed: ") == 8
    assert "KeyError: 4" in out
    assert {row["n_pe"] for row in rows_of()} == {"2", "3"}


RTL = """
[[points]]
engine = "native"
layer = { x = 16, h = 24, t = 9 }
w_sparsity = 0.3
u_sparsity = 0.5
h_sparsity = 0.4
preset = "tiny"
latency = 5
bandwidth = 0.75
[[points]]
engine = "native"
layer = { x = 16, h = 24, t = 9 }
w_sparsity = 0.3
u_sparsity = 0.5
h_sparsity = 0.2
preset = "tiny"
"""


def test_a_simulator_s_run_is_compared_with_golden(command, monkeypatch, golden_rtl):
    seen = []
    simulate = golden_rtl.run
    monkeypatch.setattr(golden_rtl, "run", lambda d, job, p=None: seen.append(job.timing) or simulate(d, job, p))
    monkeypatch.setitem(engines._ENGINES, "native", lambda: golden_rtl)
    golden_rtl.wrong, golden_rtl.wrong_run = (5, 17), 1
    code, out, _ = command(RTL, "--json", "all.json")
    assert code == 1
    assert "1 on the RTL, bit-exact in every h" in out
    assert out.count("failed: x16-h24-t9 native: ") == 1
    assert "x16-h24-t9 h[5, 17] must be" in out
    (row,) = rows_of()
    assert (row["exact"], row["cycles"], row["verilog_sha256"]) == ("True", "9000", "0" * 64)
    assert row["word_model_cycles"] != row["cycles"]
    timings = {(timing.latency, timing.stall_permille) for timing in seen}
    assert timings == {(5, 250), (8, 0)}
    stored = json.loads(Path("all.json").read_text())["rows"]
    assert layer_run_from(stored[0]["run"], "run").exact
    golden_rtl.wrong = None
    assert command(RTL)[0] == 0
    assert golden_rtl.runs == 3, "only the wrong one is simulated again"
    monkeypatch.setattr(golden_rtl, "verilog_sha256", lambda design: "1" * 64)
    assert command(RTL)[0] == 0
    assert golden_rtl.runs == 5, "other Verilog is other hardware"


def test_a_design_that_cannot_be_emitted_fails_its_points(command, monkeypatch, golden_rtl):
    def broken(design):
        raise engines.EngineError("yosys: planted")

    monkeypatch.setattr(golden_rtl, "verilog_sha256", broken)
    monkeypatch.setitem(engines._ENGINES, "native", lambda: golden_rtl)
    code, out, _ = command(RTL + SMALL)
    assert code == 1
    assert out.count("seed 1, bandwidth 0.75, latency 5: yosys: planted") == 1
    assert out.count(": yosys: planted") == 2
    assert len(rows_of()) == 24


def test_a_worker_with_other_sources_is_refused():
    (point, *_) = load_spec(EXAMPLES / "sweep-small.toml").points
    result = evaluate(point, "0" * 32, None)
    assert isinstance(result, Failure)
    assert "this worker has other sources of elstm" in result.reason
    assert len(model_version()) == 32


def test_grids_leave_out_what_no_hardware_runs(command):
    text = SMALL.replace("slots = [6, 12]", "slots = [4, 6, 12]") + "n_fuse = [1, 2, 3]"
    code, out, _ = command(text)
    assert code == 0
    runs = {(2, 4): 2, (2, 6): 3, (2, 12): 6, (3, 4): 1, (3, 6): 1, (3, 12): 3, (4, 6): 1, (4, 12): 2}
    wanted = {(*hardware, n) for hardware, most in runs.items() for n in (1, 2, 3) if n <= most}
    assert {(int(r["n_pe"]), int(r["slots"]), int(r["n_fuse"])) for r in rows_of()} == wanted
    assert f"left out {4 * 3} combinations: fewer slots than 2 (n_pe - 1)\n" in out
    assert f"left out {4 * (8 * 3 - len(wanted))} combinations: n_fuse over the capacity\n" in out


def test_bandwidth_is_that_of_the_word_model(command):
    assert command('[grid]\nlayer = "mnist-l2"\npreset = "mnist"\nbandwidth = [1, 0.25]')[0] == 0
    full, slow = rows_of()
    case = random_case(LAYERS["mnist-l2"], 1)
    (run,) = runs_of(case, ("fused",), replace(load_spec(EXAMPLES / "sweep-small.toml").points[0].config, n_pe=3))
    assert int(full["cycles"]) == predicted(run.call, run.golden, 3, 3).word.cycles
    assert int(slow["cycles"]) >= 4 * int(slow["port_words"])
    assert int(slow["cycles"]) < 4 * int(full["cycles"])
    assert (full["published_cycles"], slow["published_cycles"] == "") == (full["published_cycles"], True)


def test_a_mistake_in_the_file_is_one_line(command):
    code, out, err = command(SMALL + "npe = 3")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: small.toml: grid: no key 'npe'; there are: engine, layer, ")
    assert not Path("build").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scheduler", "tcp://127.0.0.1:1"], "--workers and --scheduler both say where to compute: choose one"),
        (["--plot", "p.pdf"], "--plot must name a .png file, not p.pdf"),
        (["--csv", "a", "--json", "./a"], "--csv, --parquet, --json and --plot must name different files"),
        (["--csv", "small.toml/x"], "cannot write small.toml/x: "),
        (["--workers", "0"], "Invalid value for '--workers': "),
        (["--out", "small.toml"], "cannot write small.toml/points.jsonl: "),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(command, arguments, said):
    code, _, err = command(SMALL, *arguments)
    assert code == 2
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sim.sweep", "missing.toml"])
    with pytest.raises(SystemExit):
        run_command(sweep.main)
    assert capsys.readouterr().err == "error: cannot read missing.toml: No such file or directory\n"


@pytest.mark.parametrize(("package", "option"), [("pyarrow", "--parquet"), ("distributed", "--scheduler")])
def test_a_package_that_is_missing_is_named(command, monkeypatch, capsys, package, option):
    monkeypatch.setitem(sys.modules, package, None)
    Path("small.toml").write_text(SMALL)
    monkeypatch.setattr("sys.argv", ["sim.sweep", "small.toml", option, "tcp://127.0.0.1:1"])
    with pytest.raises(SystemExit) as end:
        run_command(sweep.main)
    assert end.value.code == 2
    name = {"pyarrow": "pyarrow", "distributed": "Dask"}[package]
    assert capsys.readouterr().err == f"error: {option} needs {name}: pip install 'elstm[sweep]'\n"


def test_two_sweeps_do_not_share_a_folder(command):
    with opened(Path("build/sweep/small"), fresh=False):
        code, _, err = command(SMALL)
    assert code == 2
    assert (
        err == "error: another sweep is writing build/sweep/small/points.jsonl: wait for it, or choose another --out\n"
    )


def test_a_pool_that_breaks_keeps_what_is_finished(command, monkeypatch):
    class Breaking(Executor):
        def submit(self, fn, *arguments):
            future = Future()
            if arguments[0].config.n_pe == 4:
                future.set_exception(BrokenExecutor("planted"))
            else:
                future.set_result(fn(*arguments))
            return future

    monkeypatch.setattr(sweep, "local", lambda workers: Breaking())
    code, _, err = command(SMALL)
    assert code == 2
    assert err.startswith("error: those who computed points are gone")
    assert 0 < len(lines()) <= 16
    assert all(b'"n_pe": 4' not in line for line in lines())


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_ended_goes_on_where_it_was(command, monkeypatch, tmp_path, stop):
    text = SMALL + f"seed = {list(range(12))}"
    Path("small.toml").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.sweep", "small.toml", "--workers", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
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
    code, _, err = command(text)
    assert code == 0
    assert f"{whole} of 288 points are there from before" in err
    assert len(lines()) == 288, "nothing is computed twice"
    interrupted = rows_of()
    assert command(text, "--out", "whole")[0] == 0
    assert rows_of("whole/sweep.csv") == interrupted
