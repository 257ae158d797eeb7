"""The report of a run: right, wrong, and of files that are no results."""

import json
from dataclasses import replace

import numpy as np
import pytest

from golden.config import preset
from golden.cycles import SCHEDULES, Schedule
from golden.isa import Counter
from golden.layer import Layer
from golden.registry import Registry
from sim.commands.layer import layers_table
from sim.layers.compare import judge
from sim.layers.float_check import float_checks
from sim.layers.jobs import LayerCall, decode, layer_job
from sim.layers.record import layer_run
from sim.protocol.base import Design
from sim.report import command as report
from sim.report import model
from sim.report.model import VIEWS, as_json, bin_names, summarise
from sim.results.result import InputRun, LayerRun, Mismatch, RunResult
from software.cli import run as run_command
from tests import browser
from tests.hdl.accelerator.test_axi4_accelerator import call_of
from tests.sim.golden_engine import GoldenEngine


def result_of(**fields: object) -> RunResult:
    """Two inputs through one layer, simulated by golden."""
    runs = [layer_of(call_of(seed)) for seed in (1, 2)]
    inputs = [
        InputRun(n, run.exact, [run], label=n, prediction=n, golden_prediction=n, console="<b>bold</b>")
        for n, run in enumerate(runs)
    ]
    values: dict[str, object] = {
        "kind": "mnist", "exact": all(run.exact for run in runs), "engine": "golden", "system": "soc", "preset": "tiny",
        "config": {"n_pe": 3}, "verilog_sha256": "ab" * 32, "seed": 7, "commit": "c0ffee", "accuracy": 1.0,
        "command": "python -m sim.run mnist --digits 2", "versions": {"numpy": "2"}, "inputs": inputs,
    }  # fmt: skip
    return RunResult(**(values | fields))  # type: ignore[arg-type]


def layer_of(call: LayerCall, engine: GoldenEngine | None = None) -> LayerRun:
    config = preset("tiny")
    x = np.asarray(call.x, np.float32)
    golden = Layer(call.packed).run(x, call.threshold)
    rtl = decode(call, (engine or GoldenEngine()).run(Design("accelerator", config), layer_job(call)))
    batch = Layer(call.packed).run(x[None], call.threshold)
    check = float_checks(call.packed, x[None], call.threshold, batch)[0]
    return layer_run("L1", call, golden, rtl, judge("L1", call, golden, rtl, config), config, check)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        monkeypatch.setattr("sys.argv", ["sim.report", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run_command(report.main)
        return end.value.code, *capsys.readouterr()

    return invoke


def test_a_right_run(command, tmp_path):
    result_of().save(tmp_path / "run.json")
    code, out, _ = command("run.json", "--out", "page.html", "--json", "report.json")
    assert code == 0
    assert "run.json: bit-exact: all 48 values of h in 2 runs of a layer" in out
    assert "wrote page.html\nwrote report.json" in out
    page = (tmp_path / "page.html").read_text()
    for text in (
        "bit-exact: all 48 values",
        'data-exact="true"',
        "W_STOLEN",
        "Where the cycles went",
        "seed</dt><dd>7",
    ):
        assert text in page
    assert "http" not in page.replace("https://www.w3.org", "")
    values = json.loads((tmp_path / "report.json").read_text())
    assert (values["exact"], values["reports"][0]["layers"][0]["runs"]) == (True, 2)


def test_every_view_adds_up_to_the_cycles(tmp_path):
    summary = summarise("x", result_of()).layers[0]
    assert [view.name for view in summary.views] == list(VIEWS)
    for view in summary.views:
        assert sum(part.cycles for part in view.parts) == summary.cycles
        assert sum(part.share for part in view.parts) == pytest.approx(1)
    assert len(summary.histogram) == len(bin_names())
    assert sum(summary.histogram) == 48


def test_format_and_schedule_are_the_run_s_own(command, tmp_path, monkeypatch):
    result = result_of()
    other = result.inputs[1].layers[0]
    other.layer, other.format, other.schedule, other.published_model_cycles = "L2", "eSELL and <b>", 3, 0
    result.save(tmp_path / "run.json")
    assert command("run.json", "--out", "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text()
    assert "<dt>weights, schedule</dt><dd>eSELL, cell-fusion; eSELL and &lt;b&gt;, schedule 3</dd>" in page
    published = result.inputs[0].layers[0].published_model_cycles
    row = page[page.index("<tr><td>L2</td>") :].partition("</tr>")[0]
    assert page.count(f"<td>{published:,}</td>") == 1
    assert "<td></td>" in row and "<td>0</td>" not in row, "a formula that it does not have"

    class Other(Schedule):
        name = "other"
        number = 3  # type: ignore[assignment]  # none of golden.isa

        def model(self, *_):
            raise AssertionError

    monkeypatch.setattr(model, "SCHEDULES", Registry("schedule", *SCHEDULES.values(), Other()))
    first, second = summarise("x", result).layers
    assert (first.format, first.schedule, first.n_fuse) == ("eSELL", "cell-fusion", "2")
    assert (second.format, second.schedule, second.n_fuse) == ("eSELL and <b>", "other", "")
    assert [layer["schedule"] for layer in as_json([summarise("x", result)])["reports"][0]["layers"]] == [
        "cell-fusion", "other",
    ]  # fmt: skip


def test_one_wrong_bit_is_named_everywhere(command, tmp_path):
    call = call_of(1)
    wrong = layer_of(call, GoldenEngine(wrong=(2, 5)))
    assert not wrong.exact
    result = result_of()
    inputs = [result.inputs[0], replace(result.inputs[1], layers=[wrong], exact=False)]
    notes = ["digit 1: L1 h[2, 5] must be", "waveform build/mismatch_digit1.vcd: digit 1, L1"]
    replace(result, inputs=inputs, exact=False, notes=notes).save(tmp_path / "run.json")
    code, out, _ = command("run.json", "--out", "page.html", "--json", "report.json")
    assert code == 1
    page = (tmp_path / "page.html").read_text()
    told = json.loads((tmp_path / "report.json").read_text())["reports"][0]["verdict"]
    for text in (out, page, told):
        assert "MISMATCH: input 1, layer L1, step 2, unit 5: golden" in text
    # golden_engine adds 2^-10
    assert f"+{2**14} LSB of 2^-24" in out
    assert 'data-exact="false"' in page
    assert "Waveform: build/mismatch_digit1.vcd" in page
    assert "waveform build/mismatch_digit1.vcd" in out


def test_a_value_that_was_never_stored_is_said_so(tmp_path):
    result = result_of()
    result.inputs[0].layers[0].mismatch = Mismatch("L1", 0, 3, 0.5, float("nan"), 0)
    assert "golden 0.5, RTL never stored it" in summarise("x", result).verdict


def test_a_run_that_failed_without_a_wrong_h_is_no_success(command, tmp_path):
    result_of(exact=False, notes=["digit 0: counter CYCLES is 3, must be 4"]).save(tmp_path / "run.json")
    code, out, _ = command("run.json")
    assert code == 1
    assert "FAILED: digit 0: counter CYCLES is 3, must be 4" in out


def test_text_of_programs_is_no_markup(tmp_path):
    result = result_of(exact=False, notes=["<script>alert(1)</script>"])
    page = report.page([summarise("<x>", result)])
    assert "<script>alert" not in page and "<x>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("field", ["seed", "counters", "mismatch", "float_check"])
def test_a_missing_field_is_named(command, tmp_path, field):
    value = json.loads(result_of().to_json())
    (value if field == "seed" else value["inputs"][0]["layers"][0]).pop(field)
    (tmp_path / "run.json").write_text(json.dumps(value))
    code, _, err = command("run.json")
    assert code == 2
    assert f"field '{field}' is missing" in err and "run.json" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "No such file or directory"), ("{", "not JSON"), ('{"schema": "other"}', "schema must be 'elstm.run/2'")],
)
def test_no_result_at_all(command, tmp_path, content, text):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    code, _, err = command("run.json")
    assert (code, err.count("\n")) == (2, 1)
    assert text in err


def test_all_takes_every_result_of_the_build(command, tmp_path):
    assert "no RUN.json given" in command()[2]
    assert "none of build/**/*.json is a run result" in command("--all")[2]
    result_of().save(tmp_path / "build/a/run.json")
    result_of().save(tmp_path / "build/b/run.json")
    (tmp_path / "build/other.json").write_text("{}")
    code, out, _ = command("--all")
    assert code == 0
    assert "build/a/run.json: bit-exact" in out and "build/b/run.json: bit-exact" in out


def test_counters_that_a_layer_lacks_leave_no_view(tmp_path):
    result = result_of()
    result.inputs[0].layers[0].counters = {}
    summary = summarise("x", result).layers[0]
    assert summary.views == ()
    assert Counter.PE_BUSY.name in result.inputs[1].layers[0].counters
    assert as_json([summarise("x", result)])["exact"]


@pytest.mark.skipif(not browser.PROGRAM, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_a_complaint(tmp_path, width):
    path = tmp_path / "page.html"
    path.write_text(report.page([summarise("run.json", result_of())]))
    with browser.page() as page:
        page.open(f"file://{path}", width)
        assert "bit-exact: all 48 values" in page.value("document.querySelector('.verdict').innerText")
        assert page.value("document.querySelectorAll('table').length") == 2
        inputs = "[...document.querySelectorAll('table')[1].tBodies[0].rows].map((row) => row.cells[0].innerText)"
        before = page.value(inputs)
        for order in (before, before[::-1]):
            page.value("document.querySelectorAll('table')[1].tHead.rows[0].cells[0].click()")
            assert page.value(inputs) == order
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.complaints == []


def test_a_result_that_contradicts_itself_is_one_line(command, tmp_path):
    result = result_of()
    result.inputs[1].layers[0].cycles += 1
    result.save(tmp_path / "run.json")
    code, out, err = command("run.json")
    assert (code, out) == (2, "")
    assert err.startswith("error: run.json.inputs[1].layers[0].cycles is ") and err.count("\n") == 1
    assert not (tmp_path / "build").exists()


def test_what_formats_and_schedule_left_open_is_on_the_page(command, tmp_path):
    result = result_of()
    second = result.inputs[1].layers[0]
    second.layer, second.format, second.schedule, second.group_sizes, second.x_skip = "L2", "stream-16", 1, [3, 6], True
    second.w_gap_bits, second.w_unit_cols, second.u_gap_bits, second.published_model_cycles = 4, 1, 5, 0
    result.save(tmp_path / "run.json")
    assert command("run.json", "--out", "page.html")[0] == 0
    said = (
        "stream-16, list, groups of 3, 6, units of W skipped where x is 0, "
        "W with gap bits 4 and units of 1 column, U with gap bits 5"
    )
    page = (tmp_path / "page.html").read_text()
    assert f"<dt>weights, schedule</dt><dd>eSELL, cell-fusion; {said}</dd>" in page
    assert summarise("x", result).layers[0].parameters == ""
    published = f"{result.inputs[0].layers[0].published_model_cycles:,}"
    assert list(layers_table(result.inputs).columns[-1].cells) == [published, "-"]
