"""The network in PyTorch against golden, exact pruning, and runs that are interrupted."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
# Here as in the script: on a busy machine two threads are many times slower than one
torch.set_num_threads(1)

from golden.layer import Layer, pack_layer  # noqa: E402
from software.benchmark.common.network import Masks, Network, export, keep_blocks  # noqa: E402
from software.benchmark.common.training import Data, Settings, Stage, Trainer, evaluate, rate_at  # noqa: E402
from software.checkpoint import load_checkpoint  # noqa: E402
from software.cli import Interrupted, UserError  # noqa: E402

SETTINGS = Settings(seed=1, batch=8, limit=0)
STAGES = (
    Stage("dense", 2, 1e-2),
    Stage("sparse", 2, 1e-2, sparsity={"l1.w": 0.3, "l1.u": 0.5, "l2.w": 0.2, "l2.u": 0.4}),
    Stage("hidden", 1, 1e-2, thresholds=(0.05, 0.1)),
)


def network(seed: int = 1) -> Network:
    torch.manual_seed(seed)
    return Network(6, 8, 2, 3)


def data(seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(40, 5, 6, generator=generator)
    return Data(x, (x.sum((1, 2)) * 0.7).long() % 3)


def trainer(path: Path) -> Trainer:
    return Trainer(network(), data(1), data(2), SETTINGS, path)


def run(of: Trainer, stop_after: int | None = None) -> list:
    """Run all stages; with ``stop_after`` a Ctrl-C comes at that batch of the whole run."""
    batches = 0

    def progress(name: str, done: int) -> None:
        nonlocal batches
        batches += 1
        if batches == stop_after:
            raise KeyboardInterrupt

    return of.run(STAGES, progress, lambda line: None)


@pytest.mark.parametrize("seed", range(3))
def test_the_exported_network_is_the_trained_one(seed: int) -> None:
    net = network(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn(weight.shape) * 0.3 * weight.requires_grad)
    x = torch.rand(16, 5, 6)
    thresholds = (0.3, 0.4)
    answer = net(x, thresholds)
    arrays = export(net, thresholds)
    h = x.numpy()
    for layer, threshold in enumerate(thresholds, 1):
        w, u, b = (arrays[f"l{layer}.{n}"] for n in "wub")
        h = Layer(pack_layer(w, u, b)).run(h, threshold).h_pruned
    logits = h[:, -1] @ arrays["out.w"].T + arrays["out.b"]
    # fp16 weights against fp32 ones; a block on the edge may fall to the other side in a few of the sequences
    close = np.abs(logits - answer.logits.detach().numpy()).max(axis=1) < 5e-3
    assert close.mean() > 0.7
    assert 0 < answer.pruned[0] < 1


def test_without_thresholds_the_fused_lstm_is_the_cell() -> None:
    net, x = network(), torch.rand(4, 5, 6)
    torch.testing.assert_close(net(x).logits, net(x, (0.0, 0.0)).logits, rtol=1e-5, atol=1e-6)
    assert net(x, (0.0, 0.0)).pruned == (0.0, 0.0)
    assert net(x, (float("inf"),) * 2).pruned == (1.0, 1.0)


def test_a_block_is_kept_by_its_sum_or_by_one_large_unit() -> None:
    h = torch.tensor([[0.25, -0.25, 0.25, -0.25, 0.5, 0, 0, 0, 0.25, -0.25, 0.25, -0.125, 0, 0, -0.49, 0.49]])
    assert keep_blocks(h, 1.0).flatten().tolist() == [True, True, False, False]


def test_masks_drop_exactly_the_smallest() -> None:
    net = network()
    masks = Masks.by_magnitude(net, {"l1.w": 0.3, "l1.u": 0.5, "l2.w": 0.0, "l2.u": 1.0})
    biases = net.lstm.get_parameter("bias_ih_l0").detach().clone()
    before = {name: weight.detach().clone() for name, weight in net.weights()}
    masks.apply(net)
    for (name, weight), share in zip(net.weights(), (0.3, 0.5, 0.0, 1.0), strict=True):
        assert int((~masks.masks[name]).sum()) == round(share * weight.numel())
        dropped, stays = before[name][~masks.masks[name]].abs(), before[name][masks.masks[name]].abs()
        assert not len(dropped) or not len(stays) or dropped.max() <= stays.min()
        assert int((weight == 0).sum()) == len(dropped)
    assert torch.equal(net.lstm.bias_ih_l0, biases)


def test_training_learns_under_its_masks(tmp_path: Path) -> None:
    done = trainer(tmp_path / "state.pt")
    before = evaluate(done.network, data(1), None).accuracy
    dense, _, hidden = run(done)
    done.network.load_state_dict(dense.weights)
    assert evaluate(done.network, data(1), None).accuracy > before
    assert STAGES[1].sparsity is not None
    for name, share in STAGES[1].sparsity.items():
        weight = hidden.weights[f"lstm.weight_{'ih' if name[-1] == 'w' else 'hh'}_l{int(name[1]) - 1}"]
        assert int((weight == 0).sum()) == round(share * weight.numel())
    assert not any(hidden.weights[f"lstm.bias_hh_l{layer}"].any() for layer in range(2))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list:
    """A run that nothing interrupted."""
    return run(trainer(tmp_path_factory.mktemp("whole") / "state.pt"))


@pytest.mark.parametrize("stop_after", [1, 7, 12, 23])
def test_an_interrupted_run_goes_on_to_the_same_weights(whole: list, tmp_path: Path, stop_after: int) -> None:
    with pytest.raises(Interrupted, match="epochs are in"):
        run(trainer(tmp_path / "parts.pt"), stop_after)
    parts = run(trainer(tmp_path / "parts.pt"))
    for a, b in zip(whole, parts, strict=True):
        assert a.accuracy == b.accuracy and a.best_epoch == b.best_epoch
        assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)


def test_another_runs_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    run(trainer(path))
    other = Settings(2, 8, 0)
    with pytest.raises(UserError, match="is of a run with seed 1; --fresh"):
        Trainer(network(), data(1), data(2), other, path)
    Trainer(network(), data(1), data(2), other, path, fresh=True)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        trainer(path)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [rate_at(n / 100) for n in range(101)]
    assert max(rates) == rates[25] == 1 and rates[0] == 0.1 and 0 < rates[-1] < 0.01
    assert rates[:26] == sorted(rates[:26]) and rates[25:] == sorted(rates[25:], reverse=True)


def test_a_weight_beyond_fp16_is_an_error() -> None:
    net = network()
    with torch.no_grad():
        net.lstm.get_parameter("weight_hh_l1")[0, 0] = 1e5
    with pytest.raises(ValueError, match=r"l2\.u has 1.*fp16 cannot hold"):
        export(net, (0.0, 0.0))


@pytest.mark.slow
def test_the_script_trains_resumes_and_exports(tmp_path: Path) -> None:
    code = """
import numpy as np
from software.benchmark.mnist import command as mnist, data as mnist_data
from software.cli import run_app
rng = np.random.default_rng(1)
def some(n): return rng.integers(0, 256, (n, 28, 28), "u1"), rng.integers(0, 10, n, "u1")
mnist_data.load = lambda data: mnist_data.Mnist(*some(5200), *some(110))
run_app(mnist.app)
"""
    command = [sys.executable, "-c", code, "reproduce", "--out", str(tmp_path), "--limit", "200"]
    command += ["--dense-epochs", "1", "--sparse-epochs", "1", "--hidden-epochs", "1"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "bit-exact model" in done.stdout
    checkpoint = load_checkpoint(tmp_path / "mnist_2x128.npz")
    assert checkpoint.meta["settings"]["seed"] == 1 and len(checkpoint.meta["stages"]) == 3
