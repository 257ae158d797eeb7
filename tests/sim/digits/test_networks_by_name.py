"""``--network`` and the options of changes, on an engine that is golden: what reaches the hardware and the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from golden.isa import Counter, Schedule
from sim import run
from sim.engines import registry
from sim.results.result import RunResult, from_json
from software.checkpoint import MNIST_DIGITS, load_digits
from software.tuning.networks import NETWORKS
from tests.sim.golden_engine import GoldenEngine

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    chosen = GoldenEngine()
    monkeypatch.setitem(registry._ENGINES["accelerator"], "golden", lambda: chosen)
    monkeypatch.setenv("COLUMNS", "220")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", [str(a) for a in ["sim.run", *arguments]])
        code = run.main()
        return code, *capsys.readouterr()

    return invoke


def mnist(command: Command, folder: Path, *arguments: object) -> tuple[RunResult, str]:
    where = ("--system", "accelerator", "--engine", "golden", "--workers", 1, "--json", folder / "r.json")
    code, out, err = command("mnist", *where, *arguments)
    assert code == 0, err
    return from_json((folder / "r.json").read_text()), out


def test_a_network_by_events_runs_on_what_suits_it(command: Command, tmp_path: Path) -> None:
    result, out = mnist(command, tmp_path, "--network", "delta", "--digits", 2)
    assert result.exact and result.preset == "event" and result.config["vector_units"] == 4
    lower, upper = result.inputs[0].layers
    assert (lower.schedule, lower.delta, lower.x_format, lower.h_fp16) == (Schedule.EVENTS, True, "uint8", True)
    assert (upper.schedule, upper.delta, upper.x_format, upper.h_fp16) == (Schedule.EVENTS, True, "fp16", True)
    assert lower.counters[Counter.X_WORDS.name] == 28 * 4 and upper.counters[Counter.X_WORDS.name] == 28 * 32
    assert upper.counters[Counter.STORE_WORDS.name] == 28 * 32
    sent = [layer.counters[Counter.X_SENT.name] + layer.counters[Counter.X_SKIPPED.name] for layer in (lower, upper)]
    assert sent == [28 * 28, 28 * 128]
    assert lower.kept_blocks == lower.counters[Counter.KEPT_BLOCKS.name] < 0.4 * lower.blocks
    words = sum(layer.w_words_loaded + layer.u_words_loaded for layer in (lower, upper))
    assert 15_000 < words < 25_000 and lower.published_model_cycles == 0
    assert 20_000 < sum(layer.word_model_cycles for layer in (lower, upper)) < 26_000
    assert result.tested_accuracy is not None and result.tested_accuracy >= 0.991
    assert "layer 1: events, x as uint8, rows of h as fp16\n" in out
    assert result.inputs[0].prediction == 7


def test_another_schedule_leaves_it_its_changes(command: Command, tmp_path: Path) -> None:
    """W fused on the list, of a build with both; sums of U as by events."""
    fused = ("--preset", "default", "--set", "delta=true", "--schedule", "list", "--groups", "6,22", "--x-skip")
    result, out = mnist(command, tmp_path, "--network", "delta", "--digits", 1, *fused)
    assert result.exact and result.preset.startswith("default")
    for layer in result.inputs[0].layers:
        assert (layer.schedule, layer.delta, layer.x_format, layer.h_fp16) == (Schedule.LIST, True, "fp16", True)
        assert layer.counters[Counter.X_SENT.name] == 0
    assert "changes of h, x as fp16, rows of h as fp16" in out and result.tested_accuracy is None
    plain = ("--no-delta", "--x-format", "fp32", "--h-fp32", "--schedule", "cell-fusion", "--preset", "default")
    result, _ = mnist(command, tmp_path, "--network", "delta", "--digits", 1, *plain)
    assert [layer.delta for layer in result.inputs[0].layers] == [False, False]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--network", "huge"), "error: no network 'huge'; there are: paper, sparse90, delta, tiny, smallest"),
        (("--network", "tiny", "--checkpoint", "x.npz"), "error: --network and --checkpoint both give the network"),
        (("--network", "tiny", "--preset", "default"), "error: --schedule events is not built with events=false"),
        (("--network", "paper", "--delta"), "error: --delta is not built with delta=false"),
        (
            ("--set", "delta=true", "--x-format", "uint8"),
            "error: --x-format uint8 is not built with this configuration",
        ),
        (("--x-format", "fp8"), "error: --x-format must be fp32, fp16, uint8, not 'fp8'"),
        (("--balance",), "error: --balance needs stream formats that are given, with --unit 1"),
        (("--x-threshold", 0.5), "error: --x-threshold is for --schedule events, not cell-fusion"),
    ],
)
def test_what_there_is_not_is_one_line(arguments: tuple[object, ...], text: str, command: Command) -> None:
    code, out, err = command("mnist", "--system", "accelerator", "--engine", "golden", *arguments)
    assert (code, out) == (2, "") and err.startswith(text) and err.count("\n") == 1


def test_layers_of_any_checkpoint_send_changes(command: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", load_digits(MNIST_DIGITS).inputs(256)[:2])
    streams = ("--w-format", "stream16", "--u-format", "stream16", "--unit", 1)
    formats = ("--x-format", "uint8", "--h-fp16", "--x-threshold", 0.05)
    shared = ("layer", NETWORKS["delta"].path, "--engine", "golden", "--preset", "event", *streams)
    events = (*shared, "--schedule", "events", *formats)
    code, out, err = command(*events, "--x", tmp_path / "x.npy", "--batch-first", "--json", tmp_path / "r.json")
    assert code == 0, err
    assert "4 of 4 layer runs bit-exact" in out
    layers = from_json((tmp_path / "r.json").read_text()).inputs[1].layers
    assert [(one.x_format, one.x_threshold) for one in layers] == [("uint8", 0.05), ("fp16", 0.05)]
    assert all(one.delta for one in layers)
    code, _, err = command(*events, "--random", 4)
    assert code == 2 and err.startswith("error: x as uint8 must be k/256, k in 0..255, not ") and err.count("\n") == 1
    code, _, err = command(*shared, "--schedule", "events", "--random", 4)
    assert code == 2 and err.startswith("error: layer 1 stops: ") and err.count("\n") == 1
