"""``sim.run mnist`` around an engine that is golden itself; the RTL's own run is in test_mnist_rtl.py."""

import dataclasses
import json

import numpy as np
import pytest

from golden.isa import Error, Schedule
from sim import run
from sim.commands.mnist import answers_line, versions
from sim.digits.network import whole_test_set
from sim.engines import registry
from sim.results.result import InputRun, RunResult, from_json
from software import checkpoint
from software.checkpoint import MNIST_CHECKPOINT, load_checkpoint
from software.tuning.plan import Plan
from software.tuning.schedule_choice import PlannedLayer
from software.weight_formats import FormatChoice
from tests.sim.golden_engine import GoldenEngine

SEED = 4
DIGITS = 4


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(SEED)

    def weights(rows, columns):
        w = rng.normal(size=(rows, columns)) / np.sqrt(columns)
        return np.where(rng.random(w.shape) < 0.4, 0, w).astype(np.float16)

    arrays = {
        "l1.w": weights(48, 8), "l1.u": weights(48, 12), "l1.b": weights(48, 1)[:, 0],
        "l2.w": weights(32, 12), "l2.u": weights(32, 8), "l2.b": weights(32, 1)[:, 0],
        "out.w": rng.normal(size=(10, 8)).astype(np.float32), "out.b": np.zeros(10, np.float32),
        "thresholds": np.array([0.3, 0.5], np.float32), "meta": np.array("{}"),
    }  # fmt: skip
    np.savez(tmp_path / "net.npz", **arrays)
    images = rng.integers(0, 256, (DIGITS, 6, 8)).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", images=images, labels=np.arange(DIGITS, dtype=np.uint8))
    return tmp_path


@pytest.fixture
def engine(monkeypatch):
    chosen = GoldenEngine()
    monkeypatch.setitem(registry._ENGINES["accelerator"], "golden", lambda: chosen)
    return chosen


@pytest.fixture
def command(files, engine, monkeypatch, capsys):
    def invoke(*arguments, engine="golden", system="accelerator"):
        options = [
            "mnist", "--system", system, "--engine", engine, "--preset", "tiny", "--workers", "1", "--digits", 2,
            "--checkpoint", files / "net.npz", "--images", files / "digits.npz",
        ]  # fmt: skip
        monkeypatch.setattr("sys.argv", [str(a) for a in ["sim.run", *options, *arguments]])
        monkeypatch.setenv("COLUMNS", "220")
        code = run.main()
        return code, *capsys.readouterr()

    return invoke


def test_exact_run(command, files):
    code, out, _ = command("--digits", 3, "--json", files / "r.json", "--seed", 9)
    assert code == 0
    assert "3 of 3 digits bit-exact" in out
    result = from_json((files / "r.json").read_text())
    assert result.exact
    assert (result.kind, result.engine, result.preset, result.seed) == ("mnist", "golden", "tiny", 9)
    assert result.verilog_sha256 == "0" * 64
    assert [run.index for run in result.inputs] == [0, 1, 2]
    for digit in result.inputs:
        assert digit.prediction == digit.golden_prediction
        assert [(layer.x, layer.h, layer.t) for layer in digit.layers] == [(8, 12, 6), (12, 8, 6)]
        for layer in digit.layers:
            assert layer.cycles == layer.harness_cycles == 6000
            assert layer.u_words_loaded <= 6 * layer.u_words
            assert layer.max_abs_error is not None and 0 < layer.max_abs_error < 2**-6
    right = sum(run.prediction == run.label for run in result.inputs)
    assert result.accuracy == right / 3
    assert f"\n{right} of 3 answers right" in out and "accuracy" not in out
    assert result.tested_accuracy is None and "test digits" not in out, "the checkpoint does not say"
    assert result.versions == versions()
    text = json.loads((files / "r.json").read_text())
    assert {"exact", "verilog_sha256", "engine", "seed", "commit"} <= set(text)
    assert {"cycles", "w_words", "u_words", "kept_blocks"} <= set(text["inputs"][0]["layers"][0])


def test_the_tuner_chooses_schedule_and_formats(command, files):
    built = ("--set", "group_list=true", "--set", "stream16=true")
    code, out, _ = command("--digits", 1, *built, "--best", "--json", files / "r.json")
    assert code == 0, out
    for layer in from_json((files / "r.json").read_text()).inputs[0].layers:
        number = layer.layer.removeprefix("L")
        assert f"\nlayer {number}: W {layer.format}" in f"\n{out}" and layer.format == "stream-16"
        assert layer.schedule == Schedule.LIST and layer.x_skip
        assert f"\nlayer {number}: list, groups of {', '.join(map(str, layer.group_sizes))}, units of W skip" in out
    code, out, _ = command("--digits", 1, *built, "--best", "--w-format", "esell", "--u-format", "esell")
    assert code == 0 and "layer 1: W eSELL" not in out and "\nlayer 2: list, groups of " in f"\n{out}"


def test_the_headline_is_of_the_whole_test_set_and_names_the_wrong_digit():
    answers = [(8, 5, 8), (9, 9, 9)]
    runs = [InputRun(n, True, [], label=label, prediction=answer) for n, label, answer in answers]
    result = result_of(inputs=runs) | whole_test_set(load_checkpoint(MNIST_CHECKPOINT))
    assert answers_line(RunResult(**result)) == (
        "1 of 2 answers right, all but digit 8 (a 5, answer 8); of all 10,000 test digits golden answers 99.09% right"
    )


def test_of_rounded_weights_the_whole_test_set_is_not_known():
    network = load_checkpoint(MNIST_CHECKPOINT)
    for form, fields in (("esell", {"tested_accuracy", "tested_inputs"}), ("stream16", set())):
        packed = FormatChoice("esell", form)
        layers = [
            PlannedLayer(packed.pack(layer.w, layer.u, layer.b), layer.threshold, Plan()) for layer in network.layers
        ]
        assert set(whole_test_set(network, layers)) == fields


def result_of(**fields):
    plain = {field.name: "" for field in dataclasses.fields(RunResult) if field.default is dataclasses.MISSING}
    return plain | {"notes": [], "rows": []} | fields


def test_the_input_of_layer_2_is_what_the_rtl_stored(command, files, engine, monkeypatch):
    monkeypatch.setattr("sim.commands.mnist.mismatch_wave", lambda setup, run, path: "planted")
    engine.wrong, engine.wrong_run = (2, 3), 0
    code, out, _ = command("--digits", 1, "--json", files / "r.json", "--report", files / "r.html")
    assert 'data-exact="false"' in (files / "r.html").read_text()
    assert f"wrote {files / 'r.html'}" in out
    result = from_json((files / "r.json").read_text())
    assert code == 1
    assert not result.exact
    mismatch = result.inputs[0].layers[0].mismatch
    assert mismatch is not None
    assert (mismatch.layer, mismatch.step, mismatch.unit, mismatch.lsb) == ("L1", 2, 3, 2**14)
    assert "L1 h[2, 3] must be" in out
    assert "off by 16384 * 2^-24" in out
    # the second layer ran on the wrong h
    assert not result.inputs[0].layers[1].exact
    assert "waveform planted" in result.notes


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"stuck": True}, "L1: stuck at cycle 5: planted"),
        ({"cycles_off": 1}, "L1: counter CYCLES is 6001, must be 6000"),
        ({"code": Error.BAD_X}, "L1: the run ended with BAD_X, must be NONE"),
    ],
)
def test_other_disagreements(command, engine, monkeypatch, fault, message):
    monkeypatch.setattr("sim.commands.mnist.mismatch_wave", lambda setup, run, path: "planted")
    for name, value in fault.items():
        setattr(engine, name, value)
    code, out, _ = command("--digits", 2)
    assert code == 1
    assert message in out


def test_user_errors_are_one_line(command, files, engine, monkeypatch):
    net, digits = np.load(files / "net.npz"), files / "digits.npz"
    np.savez(files / "wide.npz", **{**net, "l1.w": np.zeros((48, 9), np.float16)})
    (files / "cut.npz").write_bytes((files / "net.npz").read_bytes()[:3000])
    net.close()
    for arguments, message in [
        (("--digits", 0), f"--digits must be in 1..4 (all that {digits} holds), not 0"),
        (("--digits", 5), f"--digits must be in 1..4 (all that {digits} holds), not 5"),
        (("--digits", "two"), "Invalid value for '--digits': "),
        (("--engine", "vcs"), "no engine 'vcs'; there are: native, verilator, pysim, icarus"),
        (("--preset", "huge"), "no preset 'huge'; there are:"),
        (("--checkpoint", files / "none.npz"), f"{files / 'none.npz'}: No such file or directory"),
        (("--checkpoint", files / "cut.npz"), f"{files / 'cut.npz'}: not an .npz file, or truncated or damaged"),
        (("--checkpoint", files / "wide.npz"), "layer 1 takes 9 inputs, an image row has 8"),
        (("--json", "/proc/r.json"), "cannot write /proc/r.json: No such file or directory"),
        (("--json", files), f"cannot write {files}: is a directory"),
        (("--report", files), f"cannot write {files}: is a directory"),
        (("--wave", "/proc/w.vcd"), "cannot write /proc/w.vcd: No such file or directory"),
        (("--wave-window", "9"), "--wave-window must be FIRST:LAST in cycles, not '9'"),
        (("--latency", 0), "latency must be in 1..10000, not 0"),
        (("--n-fuse", 0), "Invalid value for '--n-fuse': "),
        (("--what",), "No such option: --what"),
    ]:
        code, out, err = command(*arguments)
        assert (code, out) == (2, ""), arguments
        assert err.startswith(f"error: {message}"), err
        assert err.count("\n") == 1
    monkeypatch.setattr("shutil.which", lambda name: None)
    code, _, err = command(engine="icarus")
    assert (code, err) == (2, "error: engine icarus: Icarus Verilog is not installed: apt install iverilog\n")


def test_network_that_the_preset_cannot_hold(command, files):
    with np.load(files / "net.npz") as net:
        arrays = dict(net)
    arrays |= {"l2.w": np.zeros((320, 12), np.float16), "l2.u": np.zeros((320, 80), np.float16)}
    arrays |= {"l2.b": np.zeros(320, np.float16), "out.w": np.zeros((10, 80), np.float32)}
    np.savez(files / "big.npz", **arrays)
    code, _, err = command("--checkpoint", files / "big.npz")
    assert (code, err) == (2, "error: layer 2 has H = 80, the preset allows 64\n")


def test_defaults_name_the_shipped_files():
    assert checkpoint.MNIST_CHECKPOINT.name == "mnist_2x128.npz"
    assert checkpoint.MNIST_DIGITS.name == "mnist_100.npz"
    assert checkpoint.MNIST_DIGITS.parent.name == "shipped"
