"""Pruning while training, of both benchmarks: the schedule, the exact count in the end, interrupted runs."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
torch.set_num_threads(1)

from software.benchmark.common.network import Masks, Network  # noqa: E402
from software.benchmark.common.spelling import call_spelled  # noqa: E402
from software.benchmark.common.training import Data, Settings, Stage, Trainer  # noqa: E402
from software.benchmark.common.weight_pruning import Gradual, kept, prune_to, zeros  # noqa: E402
from software.benchmark.lm import command as lm  # noqa: E402
from software.benchmark.lm.files import load_model  # noqa: E402
from software.benchmark.lm.language_model import LanguageNet, Size  # noqa: E402
from software.benchmark.lm.training import LmSettings, LmTrainer  # noqa: E402
from software.benchmark.mnist import command as mnist  # noqa: E402
from software.benchmark.mnist import data as mnist_data  # noqa: E402
from software.benchmark.mnist.model import load_model as load_mnist  # noqa: E402
from software.cli import Interrupted  # noqa: E402

TARGETS = (0.5, 0.9, 0.25, 0.8)
GRADUAL = Gradual(TARGETS, 0.6, 7)
LM = LmSettings(1, 2, 5, 4, 1e-2, 1.0, 0.2, 0.0, None, 4, GRADUAL)


def quiet(*_: object) -> None:
    pass


def test_the_schedule_is_cubic_and_ends_at_the_targets() -> None:
    gradual = Gradual((0.8, 0.2), 0.5, 10)
    assert gradual.last(100) == 50 and gradual.last(101) == 51 and gradual.last(1) == 1
    start = (0.0, 0.5)
    found = {done: gradual.sparsities(start, done, 100) for done in range(1, 101)}
    assert [done for done, wanted in found.items() if wanted] == [10, 20, 30, 40, 50]
    for done in (10, 20, 30, 40, 50):
        wanted = found[done]
        assert wanted is not None
        assert wanted[0] == pytest.approx(0.8 - 0.8 * (1 - done / 50) ** 3)
        assert wanted[1] == 0.2, "what is sparser already stays so"
    assert found[50] == (0.8, 0.2)


def test_a_share_of_a_run_that_is_no_multiple_of_the_step_ends_exactly() -> None:
    gradual = Gradual((0.7,), 1.0, 10)
    assert gradual.sparsities((0.1,), 33, 33) == (0.7,)
    assert gradual.sparsities((0.1,), 31, 33) is None


def lm_trainer(path: Path, settings: LmSettings = LM, start: float = 0.3) -> LmTrainer:
    generator = torch.Generator().manual_seed(1)
    training, validation = (torch.randint(0, 12, (160, 4), generator=generator) for _ in range(2))
    torch.manual_seed(1)
    net = LanguageNet(Size(12, 8, 8, 2, True), 0.2)
    prune_to(net, (start,) * 4)
    return LmTrainer(net, training, validation, settings, path, "tiny")


@pytest.mark.parametrize("thresholds", [None, (0.2, 0.2)])
def test_a_language_model_is_pruned_step_by_step(tmp_path: Path, thresholds: tuple[float, ...] | None) -> None:
    trainer = lm_trainer(tmp_path / "state", replace(LM, thresholds=thresholds))
    first = {name: weight == 0 for name, weight in trainer.net.weights()}
    shares: list[list[int]] = []
    trainer.run(lambda batch, loss: shares.append([int((w == 0).sum()) for _, w in trainer.net.weights()]), quiet)
    counts = np.array(shares)
    assert len(counts) == 64 and (np.diff(counts, axis=0) >= 0).all(), "what is pruned stays so"
    changes = 1 + np.flatnonzero((np.diff(counts, axis=0) > 0).any(axis=1))
    assert (changes + 1).tolist() == [7, 14, 21, 28, 35], "the last four batches of the schedule round to nothing"
    final = [max(round(0.3 * 256), round(target * 256)) for target in TARGETS]
    assert counts[-1].tolist() == final == [int((w == 0).sum()) for _, w in trainer.net.weights()]
    assert all((weight[first[name]] == 0).all() for name, weight in trainer.net.weights())


@pytest.mark.parametrize("stop_after", [1, 7, 20, 32, 39, 50])
def test_an_interrupted_language_model_ends_in_the_same_weights(tmp_path: Path, stop_after: int) -> None:
    whole, first = lm_trainer(tmp_path / "whole"), lm_trainer(tmp_path / "parts")
    whole.run(quiet, quiet)
    with pytest.raises(Interrupted, match=f"{stop_after} of 64 batches are in .*parts"):
        first.run(quiet, quiet, lambda: first.batch >= stop_after)
    second = lm_trainer(tmp_path / "parts")
    second.run(quiet, quiet)
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name]), name
    assert second.scores == whole.scores and second.best_epoch == whole.best_epoch


def test_only_epochs_that_end_with_all_of_it_done_are_chosen_from(tmp_path: Path) -> None:
    trainer = lm_trainer(tmp_path / "state")
    trainer.scores = [(1.0, ())]
    assert trainer.best_epoch == 0, "39 of 64 batches are not in the first 32"
    trainer.scores = [(1.0, ()), (3.0, ())]
    assert trainer.best_epoch == 2
    assert Stage("", 5, 0.1, gradual=Gradual(TARGETS, 0.4, 1)).first_epoch(10) == 1
    assert Stage("", 5, 0.1, gradual=Gradual(TARGETS, 0.41, 1)).first_epoch(10) == 2
    assert Stage("", 5, 0.1).first_epoch(10) == 0


def mnist_trainer(path: Path) -> Trainer:
    torch.manual_seed(1)
    network = Network(6, 8, 2, 3)
    prune_to(network, (0.3,) * 4)
    generator = torch.Generator().manual_seed(1)
    parts = []
    for _ in range(2):
        x = torch.rand(40, 5, 6, generator=generator)
        parts.append(Data(x, (x.sum((1, 2)) * 0.7).long() % 3))
    train, valid = parts
    return Trainer(network, train, valid, Settings(1, 4, 0), path, masks=Masks.of_zeros(network))


@pytest.mark.parametrize("stop_after", [5, 12, 25])
def test_an_interrupted_mnist_network_ends_in_the_same_weights(tmp_path: Path, stop_after: int) -> None:
    stage = Stage("retrain", 3, 1e-2, thresholds=(0.05, 0.1), gradual=GRADUAL)

    def stop(name: str, done: int) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    whole = mnist_trainer(tmp_path / "whole")
    (wanted,) = whole.run((stage,), quiet, quiet)
    assert wanted.best_epoch >= 1, "18 of 30 batches are not in the first 10"
    with pytest.raises(Interrupted):
        mnist_trainer(tmp_path / "parts").run((stage,), stop, quiet)
    (found,) = mnist_trainer(tmp_path / "parts").run((stage,), quiet, quiet)
    for name, value in wanted.weights.items():
        assert torch.equal(value, found.weights[name]), name
    whole.network.load_state_dict(found.weights)
    for (name, weight), target in zip(whole.network.weights(), TARGETS, strict=True):
        count = max(round(0.3 * weight.numel()), round(target * weight.numel()))
        assert int((weight == 0).sum()) == count, name


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line of one of the programs on a little data; gives stdout, or the error."""
    rng = np.random.default_rng(1)
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(" ".join(rng.choice(["a", "b", "c"], 2000)) + "\n")
    images, labels = rng.integers(0, 256, (5100, 28, 28), "u1"), rng.integers(0, 10, 5100, "u1")
    digits = mnist_data.Mnist(images, labels, images[:50], labels[:50])
    monkeypatch.setattr(mnist_data, "load", lambda data=None: digits)
    monkeypatch.chdir(tmp_path)

    def run(program: str, line: str, code: int = 0) -> str:
        capsys.readouterr()
        assert call_spelled(lm.app if program == "lm" else mnist.app, line.split()) == code, capsys.readouterr().err
        captured = capsys.readouterr()
        return captured.err if code else captured.out

    return run


def test_the_command_of_the_language_models(command: Callable[..., str]) -> None:
    command("lm", "train --data . -emsize 8 -nhid 8 --epochs 1 --batch_size 4")
    line = "retrain -model build/lm/trained.pt --data . -ws .5 .9 .25 .8 --batch_size 4 --bptt 10 --epochs 2"
    command("lm", f"{line} --gradual --gradual_share .4 --gradual-every 5 --json r.json")
    model = load_model(Path("build/lm/retrained.pt"))
    assert list(zeros(model.net).values()) == [round(target * 256) / 256 for target in TARGETS]
    stage = json.loads(Path("r.json").read_text())
    assert stage["settings"]["gradual"] == {"targets": list(TARGETS), "share": 0.4, "every": 5}
    assert stage == json.loads(json.dumps(model.meta["stages"][-1]))
    assert "is of a run with gradual" in command("lm", f"{line} --gradual --gradual-share .5", 2)
    command("lm", f"{line} --fresh -o once.pt")
    once = load_model(Path("once.pt"))
    for (_, gradual), (_, at_once) in zip(model.net.weights(), once.net.weights(), strict=True):
        assert not torch.equal(gradual == 0, at_once == 0)


def test_the_command_of_mnist(command: Callable[..., str]) -> None:
    command("mnist", "train --nhid 8 --epochs 1 --batch_size 10 --limit 100")
    line = "retrain -model build/mnist/train.pt -ws .5 .9 .25 .8 --batch_size 10 --limit 100 --epochs 2 --gradual"
    out = command("mnist", f"{line} --json r.json")
    assert "wrote build/mnist/retrain.pt, r.json" in out
    network = load_mnist(Path("build/mnist/retrain.pt")).network
    sizes = (8 * 4 * 28, 256, 256, 256)
    assert [int((w == 0).sum()) for _, w in network.weights()] == [
        round(t * n) for t, n in zip(TARGETS, sizes, strict=True)
    ]
    assert json.loads(Path("r.json").read_text())["settings"]["gradual"]["every"] == 10
    assert command("mnist", line) == out.replace(", r.json", ""), "the same command is done already"
    command("mnist", f"train --retrain {line.removeprefix('retrain ')} --lr 1e-3 --save_dir other")
    again = load_mnist(Path("other/retrain.pt")).network
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("program", ["lm", "mnist"])
def test_what_is_refused(command: Callable[..., str], program: str) -> None:
    small = "-emsize 8 -nhid 8 --data . --epochs 1" if program == "lm" else "-nhid 8 --epochs 1 --limit 20"
    command(program, f"train {small} -o m.pt")
    line = "retrain -model m.pt --gradual"
    assert "--gradual needs -ws, the sparsities to reach" in command(program, line, 2)
    assert "--gradual needs -ws" in command(program, f"{line} -m threshold -wt .1", 2)
    assert "--gradual-share must be in (0, 1], not 0" in command(program, f"{line} -ws .5 --gradual-share 0", 2)
    assert "--gradual-share must be in (0, 1], not nan" in command(program, f"{line} -ws .5 --gradual-share nan", 2)
    assert "'--gradual-every'" in command(program, f"{line} -ws .5 --gradual-every 0", 2)


def test_the_mask_of_a_matrix_of_equals_has_the_exact_count() -> None:
    assert int((~kept(torch.ones(3, 5), 0.5)).sum()) == round(0.5 * 15)
