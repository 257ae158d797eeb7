"""Language models on a tiny text: trained, pruned, retrained, evaluated, exported; against golden; every bad input."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
torch.set_num_threads(1)

from software.benchmark.common.weight_pruning import prune_below, prune_to  # noqa: E402
from software.benchmark.data.command import load_corpus  # noqa: E402
from software.benchmark.lm import command as lm  # noqa: E402
from software.benchmark.lm.files import Model, load_model, npz_of, save_model, to_language_model  # noqa: E402
from software.benchmark.lm.golden_perplexity import golden_loss  # noqa: E402
from software.benchmark.lm.language_model import LanguageNet, Pruning, Size, keep  # noqa: E402
from software.benchmark.lm.model import find_pruning  # noqa: E402
from software.benchmark.lm.training import LmSettings, LmTrainer, evaluate, streams  # noqa: E402
from software.checkpoint import load_language_model  # noqa: E402
from software.cli import Interrupted  # noqa: E402

WORDS = [f"w{n}" for n in range(11)]
SETTINGS = LmSettings(1, 2, 5, 4, 1e-2, 1.0, 0.2, 0.0, None, 4)


def text(seed: int, lines: int) -> str:
    """Each word is mostly followed by the next one, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    words = (rng.integers(len(WORDS), size=(lines, 1)) + np.cumsum(rng.choice([1, 1, 1, 2], (lines, 6)), axis=1)) % 11
    return "".join(" ".join(WORDS[n] for n in line) + "\n" for line in words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With three texts; the working folder."""
    for seed, (split, lines) in enumerate((("train", 300), ("valid", 40), ("test", 60))):
        (tmp_path / f"{split}.txt").write_text(text(seed, lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELSTM_DATA", raising=False)
    return tmp_path


def net(seed: int = 1, tied: bool = True, scale: float = 0.4) -> LanguageNet:
    """With weights large enough that h is far from 0."""
    torch.manual_seed(seed)
    made = LanguageNet(Size(12, 8, 8, 2, tied))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn(weight.shape) * scale * weight.requires_grad)
    return made.eval()


def run(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Standard output of a command that succeeds."""
    code = lm.main(line.split())
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def fails(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that fails."""
    code = lm.main(line.split())
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1, err
    return err


def test_train_prune_retrain_eval_export_golden(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "wrote build/lm/trained.pt" in run(
        "train --data . -emsize 16 -nhid 16 --tied --epochs 6 --lr .02 --batch_size 4 --bptt 10", capsys
    )
    run("eval -model build/lm/trained.pt --data . --json dense.json", capsys)
    dense = json.loads(Path("dense.json").read_text())
    assert dense["perplexity"] < 6, "learns that words follow each other"
    out = run("prune -model build/lm/trained.pt -m sparsity -ws .2 .5 .2 .6", capsys)
    assert "l1.w 0.2002, l1.u 0.5000, l2.w 0.2002, l2.u 0.5996" in out
    run("retrain -model build/lm/pruned.pt --data . -ht .4 .4 --epochs 2 --batch_size 4", capsys)
    out = run("eval -model build/lm/retrained.pt --data . --json hidden.json -v", capsys)
    hidden = json.loads(Path("hidden.json").read_text())
    assert {"perplexity", "loss", "hidden_sparsity", "n"} <= hidden.keys()
    assert hidden["n"] == 410 and min(hidden["hidden_sparsity"]) > 0 and max(hidden["hidden_sparsity"]) < 1
    assert hidden["weight_sparsity"] == dense["weight_sparsity"] | {
        "l1.w": 205 / 1024, "l1.u": 0.5, "l2.w": 205 / 1024, "l2.u": 614 / 1024,
    }  # fmt: skip
    assert "thresholds of h: [0.4000000059604645, 0.4000000059604645]" in out

    run("export -model build/lm/retrained.pt --data . --out model.npz --layers layers.npz --header h", capsys)
    assert "w[" in Path("h/l2.h").read_text()
    model = load_language_model(Path("model.npz"))
    assert model.words == ("<eos>", *sorted(WORDS)) and model.sample is not None and model.sample.shape == (10, 35)
    assert [stage["name"] for stage in model.meta["stages"]] == ["train", "prune", "retrain"]
    simulated = subprocess.run(
        [sys.executable, "-m", "software.lstm_sim_esell", "model.npz", "--out", "r.npz", "--digits", "2"],
        env=os.environ | {"PYTHONPATH": str(Path(lm.__file__).parents[2])}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert simulated.returncode == 0, simulated.stderr
    with np.load("r.npz") as result:
        assert result["l2.h"].shape == (2, 35, 16)
    run("eval -model model.npz --data . --arithmetic golden --json golden.json", capsys)
    golden = json.loads(Path("golden.json").read_text())
    assert golden["float"]["loss"] == pytest.approx(hidden["loss"], abs=2e-3)
    assert abs(golden["difference"]["loss"]) < 5e-3 and golden["hidden_sparsity"] != [0.0, 0.0]
    assert golden["hidden_sparsity"] == pytest.approx(golden["float"]["hidden_sparsity"], abs=0.02)


def test_prune_with_retrain_and_threshold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("train --data . -emsize 8 -nhid 8 --epochs 1 --save_dir s --l1", capsys)
    out = run("prune -model s/trained.pt --data . -m threshold -wt .1 .2 .1 .2 --retrain --save_dir s", capsys)
    assert "wrote s/retrained.pt" in out
    before, after = load_model(Path("s/pruned.pt")).net, load_model(Path("s/retrained.pt")).net
    for (_, old), (_, new) in zip(before.weights(), after.weights(), strict=True):
        assert (old == 0).any() and torch.equal(old == 0, new == 0) and not torch.equal(old, new)


def test_train_goes_on_with_a_model_all_weights_free(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = net(tied=False)
    prune_to(made, (0.5,) * 4)
    exported = to_language_model(Model(made, None, Pruning((0.3, 0.3), 4), {}))
    Path("m.npz").write_bytes(npz_of(exported))
    line = "train -model m.npz --data . --epochs 1 --lr .01 --batch_size 4"
    assert "wrote build/lm/trained.pt" in run(line, capsys)
    after = load_model(Path("build/lm/trained.pt"))
    assert after.pruning is None and after.words == ("<eos>", *sorted(WORDS)) and after.meta["data"] == "text"
    assert [stage["name"] for stage in after.meta["stages"]] == ["train"]
    for (_, old), (_, new) in zip(made.weights(), after.net.weights(), strict=True):
        assert (old == 0).sum() == 128 and (new == 0).sum() < 10 and 0 < (new - old).abs().max() < 0.3
    assert "is of a run with start train" in fails(f"{line} --seed 1 -model build/lm/trained.pt", capsys)
    assert "m.npz has nhid 8, not 12" in fails(f"{line} --nhid 12", capsys)
    assert "--tied: m.npz has an output layer of its own" in fails(f"{line} --tied", capsys)


def test_the_original_s_eval_lines_prune_what_they_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(Path("m.pt"), Model(net(), None, None, {}))
    for line in (
        "eval --model_path m.pt -m sparsity --data . -ws 0.2 0.5 0.2 0.6 -ht 0.12 0.22 -b 4",
        "eval -model m.pt -m sparsity -data . --emsize 8 --nhid 8 -ws 0.2 0.5 0.2 0.6 -ht 0.12 0.22 -b 4",
    ):
        run(f"{line} --json r.json", capsys)
        result = json.loads(Path("r.json").read_text())
        assert list(result["weight_sparsity"].values()) == [round(s * 256) / 256 for s in (0.2, 0.5, 0.2, 0.6)]
        assert result["thresholds"] == [float(np.float32(th)) for th in (0.12, 0.22)]


def test_train_with_retrain_is_retrain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the original's train.py --retrain, which prunes and trains on in one go."""
    save_model(Path("m.pt"), Model(net(), None, None, {}))
    options = "-model m.pt --data . -ws .5 .5 .5 .5 -ht .1 .1 -b 4 --batch_size 4"
    assert "wrote build/lm/retrained.pt" in run(f"train --retrain {options}", capsys)
    run(f"retrain {options} --save_dir other", capsys)
    one, other = (load_model(Path(name)) for name in ("build/lm/retrained.pt", "other/retrained.pt"))
    for name, value in one.net.state_dict().items():
        assert torch.equal(value, other.net.state_dict()[name]), name
    assert one.pruning == other.pruning == Pruning((float(np.float32(0.1)),) * 2, 4)
    assert [int((weight == 0).sum()) for _, weight in one.net.weights()] == [128] * 4


def test_thresholds_for_a_sparsity_of_h(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = net()
    corpus = load_corpus(".")
    pruning = find_pruning(made, corpus, (0.3, 0.5), 4)
    tokens = streams(torch.from_numpy(corpus.valid), 20)
    assert made(tokens, made.zero_state(20), pruning).pruned == pytest.approx((0.3, 0.5), abs=0.03)


@pytest.mark.parametrize("thresholds", [None, (0.3, 0.5)])
def test_segments_give_what_one_pass_gives(thresholds: tuple[float, ...] | None) -> None:
    made, tokens = net(), torch.randint(0, 12, (61, 3), generator=torch.Generator().manual_seed(2))
    pruning = None if thresholds is None else Pruning(thresholds, 4)
    whole = evaluate(made, tokens, pruning, 60)
    parts = evaluate(made, tokens, pruning, 7)
    cut = np.mean([evaluate(made, tokens[n : n + 8], pruning, 7).loss for n in range(0, 53, 7)])
    assert whole.n == parts.n == 180
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6) and parts.pruned == pytest.approx(whole.pruned, abs=1e-6)
    assert abs(cut - whole.loss) > 1e-3, "without the state it is another result"


def test_golden_segments_give_the_very_same_bits() -> None:
    model = to_language_model(replace_pruning(net(), (0.3, 0.5)))
    tokens = np.random.default_rng(3).integers(0, 12, (40, 3))
    whole, parts = (golden_loss(model, tokens, (0.3, 0.5), segment) for segment in (39, 7))
    # the output layer behind h is fp32, and some machines sum its rows in another order when there are fewer of them
    assert parts[0] == pytest.approx(whole[0], rel=1e-7) and parts[1] == pytest.approx(whole[1], abs=1e-12)
    score = evaluate(net(), torch.from_numpy(tokens), Pruning((0.3, 0.5), 4))
    assert whole[0] == pytest.approx(score.loss, abs=0.02) and min(whole[1]) > 0


def replace_pruning(made: LanguageNet, thresholds: tuple[float, ...], block: int = 4) -> Model:
    return Model(made, None, Pruning(thresholds, block), {})


def test_the_pruned_cell_without_pruning_is_pytorch_s() -> None:
    made, tokens = net(), torch.randint(0, 12, (9, 3))
    state = tuple(torch.rand(2, 3, 8) for _ in range(2))
    fused, cell = made(tokens, state), made(tokens, state, Pruning((0.0, 0.0), 4))
    torch.testing.assert_close((fused.h, fused.state), (cell.h, cell.state), rtol=1e-5, atol=1e-6)
    assert made(tokens, state, Pruning((9.0, 9.0), 4)).pruned == (1.0, 1.0)


def test_a_block_of_any_size_is_kept_by_its_sum_or_by_one_unit() -> None:
    h = torch.tensor([[0.5, -0.5, 0.49, 0.49, 0.0, 0.5, 0.49, 0.0]])
    assert keep(h, 1.0, 2).flatten().tolist() == [True, False, True, False]
    assert keep(h, 1.0, 4).flatten().tolist() == [True, True]


def test_pruning_is_exact_and_spares_biases() -> None:
    made = net()
    biases = made.lstm.get_parameter("bias_ih_l0").detach().clone()
    prune_to(made, (0.3, 0.0, 0.5, 0.99))
    assert [int((w == 0).sum()) for _, w in made.weights()] == [round(s * 256) for s in (0.3, 0.0, 0.5, 0.99)]
    prune_below(made, (0.0, 0.2, 0.0, 0.0))
    u = dict(made.weights())["l1.u"]
    assert ((u == 0) | (u.abs() >= 0.2)).all() and (u == 0).any()
    assert torch.equal(made.lstm.bias_ih_l0, biases)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("stop_after", [1, 30, 33, 50])
def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path, stop_after: int, pruned: bool) -> None:
    settings = replace(SETTINGS, thresholds=(0.2, 0.2)) if pruned else SETTINGS
    generator = torch.Generator().manual_seed(1)
    training, validation = (torch.randint(0, 12, (160, 4), generator=generator) for _ in range(2))

    def trainer(path: str) -> LmTrainer:
        torch.manual_seed(1)
        made = LanguageNet(Size(12, 8, 8, 2, True), 0.2)
        prune_to(made, (0.5,) * 4)
        return LmTrainer(made, training, validation, settings, tmp_path / path, "tiny")

    whole, first = trainer("whole"), trainer("parts")
    whole.run(lambda batch, loss: None, lambda line: None)
    assert whole.batches == 32 and whole.batch == 64
    with pytest.raises(Interrupted, match=f"{stop_after} of 64 batches are in .*parts"):
        first.run(lambda batch, loss: None, lambda line: None, lambda: first.batch >= stop_after)
    torch.manual_seed(99)
    second = trainer("parts")
    assert second.batch == stop_after
    second.run(lambda batch, loss: None, lambda line: None)
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name]), name
    assert [int((w == 0).sum()) for _, w in second.net.weights()] == [128] * 4
    assert second.scores == whole.scores


def test_another_run_s_or_a_damaged_state_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "train --data . -emsize 8 -nhid 8 --epochs 1"
    run(line, capsys)
    assert "is of a run with lr 0.004; --fresh starts over" in fails(f"{line} --lr .5", capsys)
    state = Path("build/lm/trained.state")
    state.write_bytes(state.read_bytes()[:999])
    assert "damaged or no training state; --fresh starts over" in fails(line, capsys)
    run(f"{line} --fresh", capsys)


def damage(path: Path, name: str) -> None:
    model = load_model(path)
    with torch.no_grad():
        dict(model.net.weights())[name][0, 0] = float("nan")
    save_model(path, model)


def test_bad_input_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(Path("m.pt"), Model(net(), None, None, {}))
    use = "eval -model m.pt --data ."
    assert "none.pt: No such file" in fails("eval -model none.pt --data .", capsys)
    assert "m.pt has nhid 8, not 12" in fails(f"{use} --nhid 12", capsys)
    assert "-b must divide H = 8, which 3 does not" in fails(f"{use} -b 3", capsys)
    assert "-b must divide H = 8, which 3 does not" in fails("train --data . -emsize 8 -nhid 8 -b 3", capsys)
    assert "-ws takes 4 weight sparsities (W, U of layer 1, W, U of layer 2, ...), or one for all, not 2" in fails(
        f"{use} -ws .1 .2", capsys
    )
    assert "-ht takes 2 thresholds, one of each layer, or one for all, not 3" in fails(f"{use} -ht .1 .2 .3", capsys)
    assert "blocks of 4 elements of h, not 2 (-b)" in fails("export -model m.pt --data . -ht .1 .1 -b 2", capsys)
    assert "m.pt does not say what text" in fails("eval -model m.pt", capsys)
    assert "--tied needs emsize = nhid" in fails("train --data . -emsize 4 -nhid 8 --tied", capsys)
    assert "words are too few for 500 streams" in fails(f"{use} --batch_size 500", capsys)
    assert "sample is of the King James text" in fails(f"{use} --split sample", capsys)
    assert "empty/train.txt: No such file" in fails_in_empty(capsys)
    Path("m.pt").with_name("cut.pt").write_bytes(Path("m.pt").read_bytes()[:500])
    assert re.search("cut.pt: .*damaged", fails("eval -model cut.pt --data .", capsys))
    damage(Path("m.pt"), "l2.u")
    assert "m.pt: lstm.weight_hh_l1 has a value that is not finite" in fails(use, capsys)
    (folder / "train.txt").write_text("other words\n")
    (folder / "valid.txt").write_text("words\n")
    (folder / "test.txt").write_text("words\n")
    save_model(Path("m.pt"), Model(net(), None, None, {}))
    assert "vocabulary mismatch: m.pt has 12 words, the text 3" in fails(use, capsys)


def fails_in_empty(capsys: pytest.CaptureFixture[str]) -> str:
    Path("empty").mkdir()
    return fails("eval -model m.pt --data empty", capsys)


def test_other_words_of_the_same_number_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("<eos>", *sorted(WORDS))
    save_model(Path("m.pt"), Model(net(), (*words[:-1], "zebra"), None, {}))
    message = fails("eval -model m.pt --data .", capsys)
    assert "vocabulary mismatch: word 11 of m.pt is 'zebra', of the text 'w9'" in message


@pytest.mark.parametrize("tied", [True, False])
def test_an_exported_model_comes_back_the_same(tmp_path: Path, tied: bool) -> None:
    model = replace_pruning(net(tied=tied), (0.25, 0.5))
    (tmp_path / "m.npz").write_bytes(npz_of(to_language_model(model)))
    back = load_model(tmp_path / "m.npz")
    assert back.pruning == model.pruning and back.net.size == model.net.size
    for name, value in model.net.state_dict().items():
        assert torch.equal(back.net.state_dict()[name], value.half().float()), name


def test_the_wikitext_model_has_the_paper_s_size() -> None:
    with torch.device("meta"):
        made = LanguageNet(Size(33_278, 1500, 1500, 2, False))
    assert [tuple(weight.shape) for _, weight in made.weights()] == [(6000, 1500)] * 4
    assert tuple(made.decoder.weight.shape) == tuple(made.embedding.weight.shape) == (33_278, 1500)


def test_without_torch_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import software.benchmark.lm.command"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "error: torch is not installed: pip install 'torch<2.14,>=2.1'\n"
