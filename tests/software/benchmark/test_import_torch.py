"""Any nn.LSTM becomes a checkpoint that computes the same, runs on the RTL, or is refused by name."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
torch.set_num_threads(1)

from golden.layer import Layer, pack_layer  # noqa: E402
from golden.reference import reference  # noqa: E402
from sim import run  # noqa: E402
from sim.engines import registry  # noqa: E402
from sim.protocol.base import EngineError  # noqa: E402
from sim.results.result import from_json  # noqa: E402
from software.benchmark.common.spelling import run_spelled  # noqa: E402
from software.benchmark.import_torch.command import app, load_tensors, lstm_layers  # noqa: E402
from software.checkpoint import CheckpointError, load_layers  # noqa: E402
from software.cli import UserError  # noqa: E402

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs import_torch; gives its exit code, stdout and stderr."""
    # simulators that are compiled already, wherever the test runs
    monkeypatch.setenv("ELSTM_CACHE", os.environ.get("ELSTM_CACHE") or str(Path("build/cache").absolute()))
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            run_spelled(app, arguments)
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return run_it


def save(model: Any, name: str = "m.pt") -> str:
    torch.save(model.state_dict(), name)
    return name


class Inside(torch.nn.Module):  # type: ignore[name-defined]
    """A network with two LSTMs under names of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.LSTM(5, 8)
        self.head = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(8, 12, bias=False), "out": torch.nn.Linear(12, 2)})


@pytest.mark.parametrize(
    ("inputs", "hidden", "layers", "bias", "seed"),
    [(40, 96, 2, True, 1), (13, 9, 3, True, 2), (4, 4, 1, False, 3), (7, 30, 1, True, 4)],
)
def test_the_checkpoint_computes_what_torch_computes(
    inputs: int, hidden: int, layers: int, bias: bool, seed: int, command: Command
) -> None:
    torch.manual_seed(seed)
    lstm = torch.nn.LSTM(inputs, hidden, layers, bias=bias)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.copy_(weight.to(torch.float16))
        for layer in range(layers if bias else 0):
            # so that merging the two rounds nothing
            getattr(lstm, f"bias_hh_l{layer}").mul_(256).round_().div_(256)
            getattr(lstm, f"bias_ih_l{layer}").mul_(256).round_().div_(256)
    code, out, _ = command(save(lstm), "-o", "c.npz")
    assert code == 0 and f"layer {layers}:" in out
    x = torch.randn(6, 3, inputs)
    with torch.no_grad():
        expected = lstm(x)[0].transpose(0, 1).numpy()
    rows: Any = x.transpose(0, 1).numpy()
    exact = rows
    for weights in load_layers(Path("c.npz")):
        packed = pack_layer(weights.w, weights.u, weights.b)
        rows = reference(packed, rows, weights.threshold).h.astype(np.float32)
        exact = Layer(packed).run(exact, weights.threshold).h_pruned
    assert rows.shape[2] == -(-hidden // 4) * 4 and not rows[..., hidden:].any()
    np.testing.assert_allclose(rows[..., :hidden], expected, atol=1e-5)
    np.testing.assert_allclose(exact[..., :hidden], expected, atol=2e-3)


def test_pruning_is_to_the_exact_count_and_thresholds_are_kept(command: Command) -> None:
    line = "--sparsity 0.3 0.5 0.2 0.4 --thresholds 0.1 0.2"
    assert command(save(torch.nn.LSTM(10, 20, 2)), *line.split())[0] == 0
    first, second = load_layers(Path("m.npz"))
    zeros = [int((a == 0).sum()) for a in (first.w, first.u, second.w, second.u)]
    assert zeros == [240, 800, 320, 640]
    assert (first.threshold, second.threshold) == (float(np.float32(0.1)), float(np.float32(0.2)))
    dense = lstm_layers(load_tensors(Path("m.pt")))[0].w
    assert np.abs(dense[first.w == 0]).max() <= np.abs(dense[first.w != 0]).min()


def test_an_lstm_inside_a_network_is_found_by_its_name(command: Command) -> None:
    torch.save({"epoch": 3, "model_state_dict": Inside().state_dict()}, "net.pt")
    code, _, err = command("net.pt")
    assert code == 2 and "choose one with --name: 'encoder', 'head.rnn'" in err
    assert command("net.pt", "--name", "head.rnn")[0] == 0
    (layer,) = load_layers(Path("net.npz"))
    assert (layer.inputs, layer.hidden) == (8, 12) and not layer.b.any()
    code, _, err = command("net.pt", "--name", "decoder")
    assert code == 2 and "--name must be one of 'encoder', 'head.rnn', not 'decoder'" in err


def test_a_pickled_module_needs_a_word(command: Command) -> None:
    torch.save(torch.nn.LSTM(4, 4), "module.pt")
    code, _, err = command("module.pt")
    assert code == 2 and "save model.state_dict() instead, or give --pickled if you trust it" in err
    assert not Path("module.npz").exists()
    assert command("module.pt", "--pickled")[0] == 0 and Path("module.npz").exists()


def _with(change: Callable[[dict[str, Any]], None], layers: int = 1) -> dict[str, Any]:
    tensors = torch.nn.LSTM(6, 8, layers).state_dict()
    change(tensors)
    return tensors


def _put(name: str, index: tuple[int, ...], value: float) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: tensors[name].__setitem__(index, value)


RANGE = "|value| must be finite and at most 65504"
BAD = {
    "bidirectional": (torch.nn.LSTM(6, 8, bidirectional=True).state_dict(), "the LSTM is bidirectional"),
    "projection": (torch.nn.LSTM(6, 8, proj_size=4).state_dict(), "the LSTM has a proj_size"),
    "gru": (torch.nn.GRU(6, 8).state_dict(), "not 24, as an nn.GRU has; only nn.LSTM is supported"),
    "rnn": (torch.nn.RNN(6, 8).state_dict(), "not 8, as an nn.RNN has; only nn.LSTM is supported"),
    "linear": (torch.nn.Linear(6, 8).state_dict(), "no nn.LSTM in this file"),
    "nan": (_with(_put("weight_hh_l0", (3, 2), float("nan"))), f"weight_hh_l0[3, 2] is nan: {RANGE}"),
    "large": (_with(_put("weight_ih_l0", (0, 1), -7e4)), f"weight_ih_l0[0, 1] is -70000.0: {RANGE}"),
    "bias": (_with(_put("bias_hh_l0", (5,), 2048)), "(bias_ih_l0 + bias_hh_l0)[5] is 204"),
    "missing": (_with(lambda t: t.__delitem__("weight_hh_l0")), "weight_hh_l0 is missing"),
    "width": (
        _with(lambda t: t.update(weight_ih_l1=t["weight_ih_l1"][:, :5]), 2),
        "weight_ih_l1 must have shape (32, 8), not (32, 5)",
    ),
    "short bias": (
        _with(lambda t: t.update(bias_hh_l0=t["bias_hh_l0"][:5])),
        "bias_hh_l0 must have shape (32,), not (5,)",
    ),
    "integers": (
        _with(lambda t: t.update(weight_hh_l0=t["weight_hh_l0"].int())),
        "weight_hh_l0 must be floating point",
    ),
    "list": ([1, 2], "must hold a state_dict, not list"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_the_hardware_has_not_is_refused_by_name(case: str, command: Command) -> None:
    tensors, message = BAD[case]
    torch.save(tensors, "bad.pt")
    code, _, err = command("bad.pt")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert not Path("bad.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.pt"], "nowhere.pt: No such file or directory"),
        (["text.pt"], "text.pt: not a file of torch.save, or damaged"),
        (["cut.pt"], "cut.pt: not a file of torch.save, or damaged"),
        (["m.pt", "--sparsity", "1"], "--sparsity must be in [0, 1), not 1"),
        (
            ["m.pt", "--thresholds", "1,2,3"],
            "--thresholds takes 1 thresholds, one of each layer, or one for all, not 3",
        ),
        (["m.pt", "-o", "folder"], "cannot write folder"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(arguments: list[str], message: str, command: Command) -> None:
    save(torch.nn.LSTM(4, 4))
    Path("text.pt").write_text("weights")
    Path("cut.pt").write_bytes(Path("m.pt").read_bytes()[:700])
    Path("folder").mkdir()
    code, _, err = command(*arguments)
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert message in err


def test_the_range_of_fp16_is_allowed_to_its_end(tmp_path: Path) -> None:
    tensors = _with(_put("weight_ih_l0", (0, 0), 65504.0))
    assert lstm_layers(tensors)[0].w.max() == 65504
    tensors["weight_ih_l0"][0, 0] = 65520
    with pytest.raises(UserError, match="at most 65504"):
        lstm_layers(tensors)


def sim_run(monkeypatch: pytest.MonkeyPatch, line: str) -> int:
    monkeypatch.setattr("sys.argv", ["sim.run", *line.split()])
    try:
        return run.main()
    except SystemExit as stopped:
        return int(stopped.code or 0)


def test_the_layers_run_on_the_rtl(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        registry.get("accelerator", "native")
    except EngineError as missing:
        pytest.skip(str(missing))
    torch.manual_seed(5)
    lstm = torch.nn.LSTM(10, 18, 3)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.mul_(3)
    assert command(save(lstm), "--sparsity", "0.6", "--thresholds", "0.3")[0] == 0
    assert sim_run(monkeypatch, "layer m.npz --random 7 --sequences 2 --preset tiny --seed 3 --json r.json") == 0
    result = from_json(Path("r.json").read_text())
    assert result.kind == "layers" and result.exact and [len(r.layers) for r in result.inputs] == [3, 3]
    layer = result.inputs[1].layers[2]
    assert (layer.x, layer.h, layer.t, layer.threshold) == (20, 20, 7, pytest.approx(0.3))
    assert layer.word_model_cycles and layer.published_model_cycles and layer.cycles
    assert any(r.kept_blocks < r.t * r.h // 4 for run in result.inputs for r in run.layers), "something was pruned"

    x = np.random.default_rng(3).normal(size=(2, 7, 10))
    np.save("x.npy", x)
    assert sim_run(monkeypatch, "layer m.npz --x x.npy --preset tiny --seed 3 --json s.json --report s.html") == 0
    page = Path("s.html").read_text()
    assert 'data-exact="true"' in page and "bit-exact: all" in page and "s.json: layers on accelerator" in page
    again = from_json(Path("s.json").read_text())
    assert [r.cycles for run in again.inputs for r in run.layers] == [
        r.cycles for run in result.inputs for r in run.layers
    ]


def test_the_page_leads_from_torch_to_the_rtl(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        registry.get("accelerator", "native")
    except EngineError as missing:
        pytest.skip(str(missing))
    page = (Path(__file__).parents[3] / "docs/your-own-lstm.md").read_text()
    convert, layer = re.findall("^    python -m (.*)$", page, re.MULTILINE)
    torch.manual_seed(0)
    save(torch.nn.LSTM(40, 96, num_layers=2), "my.pt")
    assert command(*convert.removeprefix("software.benchmark.import_torch ").split())[0] == 0
    assert sim_run(monkeypatch, layer.removeprefix("sim.run ")) == 0
    printed = capsys.readouterr().out
    rows = re.findall("^│.*$", page, re.MULTILINE)
    assert len(rows) == 2 and all(re.sub(" +", " ", row) in re.sub(" +", " ", printed) for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere.npz", "nowhere.npz: No such file or directory"),
        ("m.npz --preset tiny", "layer 1 has H = 68, preset tiny allows 64"),
        ("m.npz --random 300 --preset tiny", "layer 1 has H = 68, preset tiny"),
        ("m.npz --random 5 --x x.npy", "--x and --random both give the inputs"),
        ("m.npz --x wide.npy", "wide.npy: x must have shape (T, 6) or (N, T, 6), not (3, 7)"),
        ("m.npz --x truth.npy", "truth.npy: x must hold real numbers, not bool"),
        ("m.npz --x inf.npy", "inf.npy: x[0, 0] is 1000000.0: fp16 holds magnitudes below 65520"),
        ("m.npz --x m.npz", "m.npz: must be one array of numbers"),
        ("m.npz --x text.npy", "text.npy: not an .npy file"),
        ("m.npz --preset huge", "huge"),
    ],
)
def test_a_run_that_cannot_be_is_one_clear_line(
    arguments: str, message: str, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(save(torch.nn.LSTM(6, 66)))
    np.save("wide.npy", np.zeros((3, 7)))
    np.save("truth.npy", np.zeros((3, 6), bool))
    np.save("inf.npy", np.full((3, 6), 1e6))
    Path("text.npy").write_text("numbers")
    assert sim_run(monkeypatch, f"layer {arguments}") == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_layers_of_a_file_without_thresholds_prune_nothing(tmp_path: Path) -> None:
    layer: dict[str, Any] = {"l1.w": np.ones((16, 3), "f2"), "l1.u": np.ones((16, 4), "f2"), "l1.b": np.zeros(16, "f2")}
    np.savez(tmp_path / "a.npz", **layer)
    (weights,) = load_layers(tmp_path / "a.npz")
    assert weights.threshold == 0
    np.savez(tmp_path / "b.npz", **(layer | {"l1.u": np.ones((16, 5), "f2")}), meta=np.array(json.dumps({})))
    with pytest.raises(CheckpointError, match=r"l1\.u must have shape \(16, 4\)"):
        load_layers(tmp_path / "b.npz")
