"""The MNIST commands on a few made-up digits: from training to the RTL, and every wrong command line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
torch.set_num_threads(1)

from golden.config import preset  # noqa: E402
from sim.digits.network import Network as OnRtl  # noqa: E402
from sim.digits.network import Setup  # noqa: E402
from sim.engines import registry  # noqa: E402
from sim.protocol.base import EngineError  # noqa: E402
from sim.protocol.timing import MemoryTiming  # noqa: E402
from software.benchmark.common.network import Network  # noqa: E402
from software.benchmark.common.spelling import run_spelled  # noqa: E402
from software.benchmark.common.training import Data  # noqa: E402
from software.benchmark.mnist import command as mnist  # noqa: E402
from software.benchmark.mnist import data as mnist_data  # noqa: E402
from software.benchmark.mnist.calibrate import thresholds_for  # noqa: E402
from software.benchmark.mnist.golden_accuracy import golden_accuracy  # noqa: E402
from software.benchmark.mnist.model import Model, load_model, tensor  # noqa: E402
from software.benchmark.mnist.reproduce import RECIPES  # noqa: E402
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, Digits, load_checkpoint, load_digits  # noqa: E402

Command = Callable[..., tuple[int, str, str]]


def bands(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is where their bright band lies: what a small LSTM learns in seconds."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count, "u1")
    rows = np.arange(28)[None, :, None]
    images = rng.integers(0, 40, (count, 28, 28), "u1")
    first = 2 * labels[:, None, None].astype(int) + 4
    return np.where((rows >= first) & (rows < first + 4), 255 - images, images).astype("u1"), labels


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs a command line of the program on such digits; gives its exit code, stdout and stderr."""
    digits = mnist_data.Mnist(*bands(5600, 1), *bands(200, 2))
    monkeypatch.setattr(mnist_data, "load", lambda data=None: digits)
    # simulators that are compiled already, wherever the test runs
    monkeypatch.setenv("ELSTM_CACHE", os.environ.get("ELSTM_CACHE") or str(Path("build/cache").absolute()))
    monkeypatch.chdir(tmp_path)

    def run(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            run_spelled(mnist.app, line.split())
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return run


def test_from_training_to_the_rtl(command: Command, tmp_path: Path) -> None:
    code, out, err = command(
        "train -nhid 16 --epochs 4 --batch_size 20 --lr 0.03 --limit 300 --seed 3 --log-interval 50"
    )
    assert code == 0 and "train, batch 50 of 60: loss" in err
    code, out, _ = command("prune -ws 0.3 0.5 0.2 0.4 -hs 0.2 0.3 --limit 300")
    assert code == 0 and "l1.w: 538 of 1,792 weights are 0" in out and "l2.u: 410 of 1,024" in out
    code, out, _ = command("retrain --epochs 2 --batch_size 20 --lr 0.02 --limit 300 --clip 0.5")
    assert code == 0, out

    code, out, _ = command("eval -model build/mnist/retrain.pt --arithmetic golden --json result.json -v")
    assert code == 0 and "golden - float: accuracy" in out and "l2.w (64, 16): 20.02% zero" in out
    result = json.loads(Path("result.json").read_text())
    assert result["n"] == 200 and result["accuracy"] > 0.5, "chance is 0.1"
    assert result["loss"] == pytest.approx(result["float"]["loss"], abs=0.02)
    assert all(0.02 < share < 0.7 for share in result["hidden_sparsity"])

    code, out, _ = command("export --header headers --digits 2 -o small.npz")
    assert code == 0, out
    checkpoint = load_checkpoint(Path("small.npz"))
    zeros = [checkpoint.meta["zeros"][name] for name in ("l1.w", "l1.u", "l2.w", "l2.u")]
    assert zeros == pytest.approx([538 / 1792, 0.5, 205 / 1024, 410 / 1024])
    assert [done["command"] for done in checkpoint.meta["history"]] == ["train", "prune", "retrain"]
    assert "float x[1568]" in Path("headers/mnist-l1.h").read_text()
    assert "H = 16, T = 28, 2 sequence(s)" in Path("headers/mnist-l2.h").read_text()

    try:
        engine = registry.get("accelerator", "native")
    except EngineError as missing:
        pytest.skip(str(missing))
    images, labels = bands(2, 5)
    setup = Setup(engine, preset("tiny"), MemoryTiming(latency=3))
    runs = OnRtl(setup, checkpoint, Digits(images, labels)).run()
    assert all(run.record.exact for run in runs), [run.problems for run in runs]


def test_the_originals_way_to_retrain_is_the_same(command: Command) -> None:
    """Its train.py --retrain prunes and retrains in one go."""
    command("train --nhid 8 --epochs 1 --batch_size 20 --limit 100 --save_dir a")
    code, out, _ = command(
        "train --model_path a/train.pt --retrain -ws .5 .5 .5 .5 -ht .1 .1 -b 4 --epochs 1 --limit 100"
    )
    assert code == 0, out
    model = load_model(Path("build/mnist/retrain.pt"))
    assert model.thresholds == (0.1, 0.1)
    assert all(int((weight == 0).sum()) == weight.numel() // 2 for _, weight in model.network.weights())


def test_an_interrupted_command_goes_on_and_another_one_is_refused(command: Command) -> None:
    line = "train --nhid 8 --epochs 1 --limit 40"
    assert command(line)[0] == 0
    before = Path("build/mnist/train.pt").read_bytes()
    code, out, _ = command(line)
    assert code == 0 and "1 of 1 is the best" in out
    assert torch.equal(
        load_model(Path("build/mnist/train.pt")).network.out.weight,
        torch.load(Path("build/mnist/train-state.pt"), weights_only=True)["finished"][0][3]["out.weight"],
    )
    code, _, err = command(line + " --lr 0.1")
    assert code == 2 and "is of a run with lr 0.003; --fresh starts over" in err
    assert Path("build/mnist/train.pt").read_bytes()[:4] == before[:4]
    assert command(line + " --lr 0.1 --fresh")[0] == 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_reproduce_makes_what_its_recipe_says(recipe: str, command: Command) -> None:
    line = f"reproduce --recipe {recipe} --limit 20 --dense-epochs 1 --sparse-epochs 1 --hidden-epochs 1 --out out"
    code, out, err = command(f"{line} --json r.json")
    made = RECIPES[recipe]
    assert code == 0 and f"wrote out/{made.file}, r.json, out/mnist_100.npz" in out
    assert err.count("epoch 1 of 1: validation") == 3 + len(made.steps)
    checkpoint = load_checkpoint(Path("out") / made.file)
    for number, (layer, threshold) in enumerate(zip(checkpoint.layers, made.thresholds, strict=True)):
        assert layer.threshold == np.float32(threshold)
        for weights, share in zip((layer.w, layer.u), made.sparsity[2 * number :], strict=False):
            assert round(share * weights.size) <= (weights == 0).sum() < round(share * weights.size) + 50, "fp16"
    result = json.loads(Path("r.json").read_text())
    assert result["n"] == 20 and result["meta"] == json.loads(json.dumps(checkpoint.meta))
    before = [layer.u.copy() for layer in checkpoint.layers]
    assert command(line)[0] == 0, "all stages are done already"
    again = load_checkpoint(Path("out") / made.file)
    assert all((u == layer.u).all() for u, layer in zip(before, again.layers, strict=True))


def test_eval_takes_the_shipped_network_at_its_own_thresholds(command: Command) -> None:
    code, out, _ = command("eval --json a.json")
    assert code == 0 and out.startswith("float: accuracy")
    code, _, _ = command(
        f"eval -model {MNIST_CHECKPOINT} -ws 0.3 0.5 0.2 0.4 -ht 0.3 0.8 -b 4 -m sparsity --json b.json"
    )
    assert code == 0
    assert json.loads(Path("a.json").read_text()) == json.loads(Path("b.json").read_text())


def test_the_originals_eval_line_runs_as_the_page_prints_it(command: Command) -> None:
    page = (Path(__file__).parents[3] / "docs/from-the-original.md").read_text()
    program = "    python -m software.benchmark.mnist "
    (line,) = [line.removeprefix(program) for line in page.splitlines() if line.startswith(program)]
    assert line == "eval -model software/benchmark/shipped/mnist_2x128.npz -ws 0.3 0.5 0.2 0.4 -ht 0.3 0.8 -b 4"
    code, out, _ = command(line.replace("software/benchmark/shipped/mnist_2x128.npz", str(MNIST_CHECKPOINT)))
    assert code == 0 and "hidden sparsity LSTM1" in out


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_shipped_network_is_what_its_meta_says(recipe: str) -> None:
    made = RECIPES[recipe]
    checkpoint = load_checkpoint(MNIST_CHECKPOINT.with_name(made.file))
    assert f"mnist reproduce --recipe {recipe}" in checkpoint.meta["command"].replace(
        "--seed 1 --batch 100 --limit 0 ", ""
    )
    for number, layer in enumerate(checkpoint.layers):
        assert layer.threshold == pytest.approx(made.thresholds[number])
        for weights, share in zip((layer.w, layer.u), made.sparsity[2 * number :], strict=False):
            # what is dropped, and what fp16 cannot tell from 0
            assert share - 1e-4 < (weights == 0).mean() < share + 0.01
    digits = load_digits(MNIST_DIGITS)
    exact = golden_accuracy(checkpoint, digits.inputs(), digits.labels.astype(np.int64))
    assert exact.accuracy >= 0.97, "of 100 digits"
    assert exact.pruned == pytest.approx(checkpoint.meta["golden"]["pruned"], abs=0.05)


def test_the_page_of_results_says_what_the_networks_say() -> None:
    page = (Path(__file__).parents[3] / "docs/results/mnist.md").read_text()
    for made in RECIPES.values():
        meta = load_checkpoint(MNIST_CHECKPOINT.with_name(made.file)).meta
        for stage in (
            stage for stage in meta["stages"] if stage["name"] in ("dense", "weights pruned", "hidden pruned")
        ):
            assert f"| {stage['validation']:.2%} | {stage['test']:.2%} |".replace("%", " %") in page
        pruned = " / ".join(f"{share:.1%}".replace("%", " %") for share in meta["golden"]["pruned"])
        assert f"| {pruned} | | {meta['golden']['accuracy']:.2%} |".replace("% |", " % |").replace("  %", " %") in page


def test_a_threshold_of_weights_drops_what_is_at_most_that(command: Command) -> None:
    code, out, _ = command(f"prune -model {MNIST_CHECKPOINT} -m threshold -wt 0.1 -o t.pt")
    assert code == 0 and "thresholds 0.3 0.8" in out
    for _, weight in load_model(Path("t.pt")).network.weights():
        assert weight[weight != 0].abs().min() > 0.1 and (weight == 0).float().mean() > 0.3


@pytest.mark.parametrize("seed", [1, 2])
def test_thresholds_are_found_that_drop_a_share(seed: int) -> None:
    torch.manual_seed(seed)
    network = Network(28, 32, 2, 10)
    x = tensor(bands(200, seed)[0])
    found = thresholds_for(network, Data(x, torch.zeros(200, dtype=torch.int64)), (0.4, 0.25))
    assert network(x, found).pruned == pytest.approx((0.4, 0.25), abs=0.02)
    assert thresholds_for(network, Data(x, x), (0.0, 0.0)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prune -model {m} -ws 0.3 0.5 0.2 1.0", "-ws must be in [0, 1), not 1"),
        ("prune -model {m} -ws -0.1", "-ws must be in [0, 1), not -0.1"),
        ("prune -model {m} -ws 0.3 0.5 0.2", "-ws takes 4 weight sparsities"),
        ("prune -model {m} -ws nan", "-ws must be in [0, 1), not nan"),
        ("prune -model {m}", "nothing to prune"),
        ("prune -model {m} -m magic -ws .5", "-m must be sparsity or threshold, not 'magic'"),
        ("prune -model {m} -wt 0.1", "-wt is for -m threshold"),
        ("prune -model {m} -m threshold -wt nan", "-wt must be at least 0, not nan"),
        ("prune -model {m} -hs 1.5 0.2", "-hs must be in [0, 1), not 1.5"),
        ("eval -ht -1 0", "-ht must be at least 0, not -1"),
        ("eval -ht .1 .1 -hs .1 .1", "-hs and -ht both set the thresholds"),
        ("eval -b 3", "-b must divide H = 128, which 3 does not"),
        ("eval -b 0", "-b must divide H = 128, which 0 does not"),
        ("eval -b 8 --arithmetic golden", "-b must be 4 with --arithmetic golden"),
        ("eval --arithmetic exact", "--arithmetic must be float or golden, not 'exact'"),
        ("eval --nhid 64", "-nhid is 64, but this model has 128"),
        ("eval --emsize 800", "-emsize must be 28"),
        ("eval --bptt 35", "--bptt must be 28"),
        ("eval -model nowhere.npz", "nowhere.npz: No such file or directory"),
        ("eval -model nowhere.pt", "nowhere.pt: No such file or directory"),
        ("eval -model {broken}", "broken.pt: neither an .npz checkpoint nor a model"),
        ("eval -model {nan}", "nan.pt: lstm.weight_hh_l0[1, 2] is nan; weights must be finite"),
        ("eval -model {other}", "other.pt: 20 inputs and 10 classes; MNIST needs 28 and 10"),
        ("eval -model {half}", "half.pt: not a model of these commands: arrays are missing or of other shapes"),
        ("export -model {m} -b 8", "-b must be 4: the hardware drops blocks of 4 units, not of 8"),
        ("export -model {large}", "l1.w has 100000.0, which fp16 cannot hold"),
        ("train -ws .1 .1 .1 .1", "-ws is for train --retrain"),
        ("train --lr 20", "--lr must be above 0 and below 1"),
        ("train --dropout 1", "--dropout must be in [0, 1), not 1"),
        ("train --nhid 10", "-b must divide H = 10, which 4 does not"),
        ("train --tied", "No such option: --tied"),
        ("reproduce --recipe best", "--recipe must be one of paper, sparse90, not 'best'"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line(line: str, message: str, command: Command, tmp_path: Path) -> None:
    torch.manual_seed(1)

    def saved(name: str, network: Network) -> Path:
        (tmp_path / name).write_bytes(Model(network, (0.0, 0.0)).to_bytes())
        return tmp_path / name

    nan, large = Network(28, 8, 2, 10), Network(28, 8, 2, 10)
    with torch.no_grad():
        nan.lstm.get_parameter("weight_hh_l0")[1, 2] = float("nan")
        large.lstm.get_parameter("weight_ih_l0")[0, 0] = 1e5
    files = {
        "m": MNIST_CHECKPOINT,
        "nan": saved("nan.pt", nan),
        "large": saved("large.pt", large),
        "other": saved("other.pt", Network(20, 8, 2, 10)),
        "broken": tmp_path / "broken.pt",
        "half": tmp_path / "half.pt",
    }
    files["broken"].write_bytes(files["nan"].read_bytes()[:500])
    weights = {k: v for k, v in Network(28, 8, 2, 10).state_dict().items() if k != "lstm.weight_hh_l1"}
    torch.save({"weights": weights}, files["half"])
    before = sorted(tmp_path.rglob("*"))
    code, _, err = command(line.format(**files))
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1
    assert message in err
    assert sorted(tmp_path.rglob("*")) == before, "nothing may be written"
