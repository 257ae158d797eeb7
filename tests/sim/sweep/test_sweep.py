"""``sim.sweep`` on the cycle models and around an engine that is golden itself; the RTL is in test_sweep_rtl.py."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from golden.config import AcceleratorConfig, LayerShape, preset
from golden.cycles import LIST, LayerWords
from golden.formats import esell
from golden.isa import Format
from golden.layer import Layer
from sim.engines import registry
from sim.figure10.rows import runs_of
from sim.layers.record import predicted
from sim.layers.table2 import LAYERS, random_case, random_data
from sim.results.result import from_json, layer_run_from
from sim.sweep import command as sweep
from sim.sweep import point as sweep_point
from sim.sweep.output import COLUMNS
from sim.sweep.point import Failure, evaluate, model_version
from sim.sweep.spec import load_spec
from software.cli import run as run_command
from software.extras import install_line
from tests.sim.sweep.sweep_bench import SMALL, rows_of

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
FIGURE10 = ROOT / "docs" / "results" / "figure10.json"


def test_numbers_are_those_of_figure_10(sweep_command):
    grid = '[grid]\nlayer = ["mnist-l1", "mnist-l2"]\nn_fuse = [1, "best"]\npreset = "mnist"\n'
    point = '[[points]]\nlayer = "mnist-l1"\nn_fuse = 1\nh_sparsity = 0\npreset = "mnist"\n'
    assert sweep_command(grid + point)[0] == 0
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
        assert (row["memory_bits"], row["macs"]) == ("366012", "12"), "the README's"
        assert 1 - float(row["h_dropped"]) == pytest.approx(run.kept_blocks / (28 * 32))


def test_csv_json_and_picture(sweep_command):
    code, out, _ = sweep_command(SMALL, "--json", "all.json")
    assert code == 0
    assert out.endswith("wrote build/sweep/small/sweep.csv\nwrote all.json\nwrote build/sweep/small/pareto.png\n")
    assert Path("build/sweep/small/pareto.png").read_bytes().startswith(b"\x89PNG")
    rows = rows_of()
    assert len(rows) == 24
    assert tuple(rows[0]) == COLUMNS
    stored = json.loads(Path("all.json").read_text())
    assert (stored["schema"], stored["name"], stored["failures"]) == ("elstm.sweep/1", "small", [])
    for text, record in zip(rows, stored["rows"], strict=True):
        assert set(record) == {*COLUMNS, "run"}
        assert text == {name: "" if record[name] is None else str(record[name]) for name in COLUMNS}
        assert record["cycles"] > record["bound_cycles"] > 0
        assert all(record[name] is None for name in ("exact", "latency", "verilog_sha256", "run"))
    hardware = [(n_pe, slots) for n_pe in (2, 3, 4) for slots in (6, 12)]
    asked = [(u, h, *both) for u in (0.4, 0.5) for h in (0, 0.4) for both in hardware]
    assert [(r["u_sparsity"], r["h_sparsity"], r["n_pe"], r["slots"]) for r in stored["rows"]] == asked
    shown = [line for line in out.splitlines() if line.split()[-1] in ("8", "12", "16")]
    assert len(shown) == sum(record["pareto"] for record in stored["rows"]) > 4
    assert len(out.splitlines()[0]) <= 80
    assert "…" not in out


def test_parquet_has_the_same_columns_with_types(sweep_command):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (extra 'sweep')")
    code, out, _ = sweep_command(SMALL, "--parquet", "p/rows.parquet")
    assert code == 0
    assert "\nwrote p/rows.parquet\n" in out
    table = parquet.read_table("p/rows.parquet")
    assert tuple(table.column_names) == COLUMNS
    kinds = {name: str(table.schema.field(name).type) for name in COLUMNS}
    assert {kinds[name] for name in ("cycles", "memory_bits", "latency", "published_cycles")} == {"int64"}
    assert (kinds["h_dropped"], kinds["layer"], kinds["pareto"], kinds["exact"]) == ("double", "string", "bool", "bool")
    for text, typed in zip(rows_of(), table.to_pylist(), strict=True):
        assert text == {name: "" if value is None else str(value) for name, value in typed.items()}


def test_a_failed_point_is_said_and_tried_again(sweep_command, monkeypatch):
    text = SMALL.replace("h_sparsity = [0, 0.4]", "h_sparsity = [0, 0.01]")
    code, out, _ = sweep_command(text, "--json", "all.json")
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
    code, out, err = sweep_command(text)
    assert (code, err) == (1, "12 of 24 points are there from before\n")
    monkeypatch.setattr(sweep_point, "threshold_for", lambda layer, xs, share, tolerance: 0.25)
    code, out, _ = sweep_command(text)
    assert code == 0
    assert "failed" not in out
    assert len(rows_of()) == 24


def test_a_defect_in_one_point_does_not_end_the_others(sweep_command, monkeypatch):
    evaluate = sweep_point._row

    def defective(point, sha256):
        if point.config.n_pe == 4:
            raise KeyError(4)
        return evaluate(point, sha256)

    monkeypatch.setattr(sweep_point, "_row", defective)
    code, out, _ = sweep_command(SMALL)
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


def test_a_simulator_s_run_is_compared_with_golden(sweep_command, monkeypatch, golden_rtl):
    seen = []
    simulate = golden_rtl.run

    def watched(design, job, progress=None):
        seen.append(job.timing)
        return simulate(design, job, progress)

    monkeypatch.setattr(golden_rtl, "run", watched)
    monkeypatch.setitem(registry._ENGINES["accelerator"], "native", lambda: golden_rtl)
    golden_rtl.wrong, golden_rtl.wrong_run = (5, 17), 1
    code, out, _ = sweep_command(RTL, "--json", "all.json")
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
    assert sweep_command(RTL)[0] == 0
    assert golden_rtl.runs == 3, "only the wrong one is simulated again"
    monkeypatch.setattr(golden_rtl, "verilog_sha256", lambda design: "1" * 64)
    assert sweep_command(RTL)[0] == 0
    assert golden_rtl.runs == 5, "other Verilog is other hardware"


def test_a_design_that_cannot_be_emitted_fails_its_points(sweep_command, monkeypatch, golden_rtl):
    def broken(design):
        raise registry.EngineError("yosys: planted")

    monkeypatch.setattr(golden_rtl, "verilog_sha256", broken)
    monkeypatch.setitem(registry._ENGINES["accelerator"], "native", lambda: golden_rtl)
    code, out, _ = sweep_command(RTL + SMALL)
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


def test_grids_leave_out_what_no_hardware_runs(sweep_command):
    text = SMALL.replace("slots = [6, 12]", "slots = [4, 6, 12]") + "n_fuse = [1, 2, 3]"
    code, out, _ = sweep_command(text)
    assert code == 0
    runs = {(2, 4): 2, (2, 6): 3, (2, 12): 6, (3, 4): 1, (3, 6): 1, (3, 12): 3, (4, 6): 1, (4, 12): 2}
    wanted = {(*hardware, n) for hardware, most in runs.items() for n in (1, 2, 3) if n <= most}
    assert {(int(r["n_pe"]), int(r["slots"]), int(r["n_fuse"])) for r in rows_of()} == wanted
    assert f"left out {4 * 3} combinations: fewer slots than 2 (n_pe - 1)\n" in out
    assert f"left out {4 * (8 * 3 - len(wanted))} combinations: n_fuse over the capacity\n" in out


def test_a_format_that_knows_only_sizes_is_swept_by_the_model(sweep_command):
    names = ["eSELL", "dense", "CSC, log2 index", "EC"]
    text = SMALL.replace("n_pe = [2, 3, 4]", "n_fuse = 1").replace("slots = [6, 12]", f"format = {json.dumps(names)}")
    code, out, _ = sweep_command(text.replace("u_sparsity = [0.4, 0.5]", "u_sparsity = 0.5"))
    assert code == 0
    assert out.splitlines()[0].split()[-1] == "format"
    rows = {(row["format"], row["h_sparsity"]): row for row in rows_of()}
    assert len(rows) == 2 * len(names)
    packed, _ = random_data(LayerShape(16, 24, 9), 0.3, 0.5, 1)
    matrices = [esell.unpack(m.words, m.rows, m.cols) for m in (packed.w, packed.u)]

    def words(matrix, name):
        """By hand: of four columns together, in whole words."""
        total = 0
        for first in range(0, matrix.shape[1], 4):
            part = matrix[:, first : first + 4]
            nonzeros = sum(value != 0 for value in part.ravel().tolist())
            # 96 rows: an index of 7 bits; 5 pointers of 32
            bits = {"dense": 96 * 4 * 16, "CSC, log2 index": nonzeros * (16 + 7) + 5 * 32}
            total += -(-bits[name] // 64)
        return total

    for name in ("dense", "CSC, log2 index"):
        w, u = (words(matrix, name) for matrix in matrices)
        for h in ("0.0", "0.4"):
            row, ours = rows[name, h], rows["eSELL", h]
            assert (int(row["w_words"]), int(row["u_words"])) == (w, u)
            assert [row[key] for key in ("threshold", "h_dropped")] == [ours[key] for key in ("threshold", "h_dropped")]
            assert row["exact"] == row["latency"] == ""
        # 9 steps at N_fuse 1 are 5 passes over W, and with nothing dropped 9 over U
        more = 5 * (w - len(packed.w.words)) + 9 * (u - len(packed.u.words))
        assert int(rows[name, "0.0"]["port_words"]) - int(rows["eSELL", "0.0"]["port_words"]) == more
    # Each step keeps some blocks of U, all of the same size
    dense, kept = rows["dense", "0.4"], 1 - float(rows["dense", "0.4"]["h_dropped"])
    loaded = round(kept * 9 * 6) * 96
    assert int(dense["port_words"]) == int(rows["dense", "0.0"]["port_words"]) - 9 * 6 * 96 + loaded


def test_a_list_is_swept_by_its_model_with_the_sizes_it_finds(sweep_command):
    text = SMALL.replace("n_pe = [2, 3, 4]", 'schedule = "list"').replace("u_sparsity = [0.4, 0.5]", "u_sparsity = 0.5")
    code, out, _ = sweep_command(text.replace("slots = [6, 12]", 'format = ["eSELL", "stream-8"]'))
    assert code == 0
    numbers = {"eSELL": Format.ESELL, "stream-8": Format.STREAM8}
    rows = rows_of()
    assert len(rows) == 4 and all(row["group_sizes"] in out for row in rows if row["pareto"] == "True")
    for row in rows:
        packed, x = random_data(LayerShape(16, 24, 9), 0.3, 0.5, 1, numbers[row["format"]])
        words = LayerWords.of_layer(packed, Layer(packed).run(x, float(row["threshold"])).kept)
        chosen: dict[str, Any] = {key: int(row[key]) for key in ("n_pe", "slots", "max_x", "max_h", "window")}
        config = AcceleratorConfig(**chosen)
        sizes = tuple(map(int, row["group_sizes"].split()))
        model = LIST.model(words, config, sizes)
        assert (int(row["cycles"]), int(row["port_words"])) == (model.cycles, model.port_words)
        assert (row["n_fuse"], row["n_fuse_best"], row["published_cycles"]) == ("", "False", "")
        assert row["macs"] == {"eSELL": "12", "stream-8": "24"}[row["format"]]


@pytest.mark.slow
def test_a_list_on_the_rtl_is_exact_with_the_sizes_it_finds(sweep_command):
    text = "[grid]\nlayer = { x = 16, h = 24, t = 9 }\nw_sparsity = 0.3\nu_sparsity = 0.5\nh_sparsity = 0.4\n"
    text += 'preset = "tiny"\nengine = "native"\nschedule = "list"\nformat = "stream-16"\n'
    assert sweep_command(text)[0] == 0
    (row,) = rows_of()
    assert (row["schedule"], row["format"], row["exact"]) == ("list", "stream-16", "True")
    assert row["group_sizes"] and int(row["cycles"]) > 0.8 * int(row["word_model_cycles"])


def test_bandwidth_is_that_of_the_word_model(sweep_command):
    assert sweep_command('[grid]\nlayer = "mnist-l2"\npreset = "mnist"\nbandwidth = [1, 0.25]')[0] == 0
    full, slow = rows_of()
    case = random_case(LAYERS["mnist-l2"], 1)
    (run,) = runs_of(case, ("fused",), replace(load_spec(EXAMPLES / "sweep-small.toml").points[0].config, n_pe=3))
    assert int(full["cycles"]) == predicted(replace(run.call, n_fuse=3), run.golden, preset("default")).word.cycles
    assert int(slow["cycles"]) >= 4 * int(slow["port_words"])
    assert int(slow["cycles"]) < 4 * int(full["cycles"])
    assert (full["published_cycles"], slow["published_cycles"] == "") == (full["published_cycles"], True)


def test_a_mistake_in_the_file_is_one_line(sweep_command):
    code, out, err = sweep_command(SMALL + "npe = 3")
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
def test_a_mistake_on_the_command_line_is_one_line(sweep_command, arguments, said):
    code, _, err = sweep_command(SMALL, *arguments)
    assert code == 2
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(sweep_command, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sim.sweep", "missing.toml"])
    with pytest.raises(SystemExit):
        run_command(sweep.main)
    assert capsys.readouterr().err == "error: cannot read missing.toml: No such file or directory\n"


@pytest.mark.parametrize(("package", "option"), [("pyarrow", "--parquet"), ("distributed", "--scheduler")])
def test_a_package_that_is_missing_is_named(sweep_command, monkeypatch, capsys, package, option):
    monkeypatch.setitem(sys.modules, package, None)
    Path("small.toml").write_text(SMALL)
    monkeypatch.setattr("sys.argv", ["sim.sweep", "small.toml", option, "tcp://127.0.0.1:1"])
    with pytest.raises(SystemExit) as end:
        run_command(sweep.main)
    assert end.value.code == 2
    name = {"pyarrow": "pyarrow", "distributed": "Dask"}[package]
    err = capsys.readouterr().err
    assert err == f"error: {option} needs {name}: {install_line('sweep')}\n"
    # There is no elstm on PyPI to ask for its extras
    assert f"'{package}" in err and "elstm" not in err
