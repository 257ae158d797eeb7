"""``sim.figure10`` around an engine that is golden itself; the RTL's own rows are in test_figure10_rtl.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.config import AcceleratorConfig
from golden.layer import Layer
from sim.engines import registry
from sim.figure10 import command as figure10
from sim.figure10.command import PTB_MODEL, ptb_cases
from sim.figure10.picture import picture
from sim.figure10.rows import SCHEMES, runs_of
from sim.layers.record import RunWords, predicted
from sim.layers.table2 import LAYERS, random_case, threshold_for
from sim.results.result import from_json
from software.checkpoint import PTB_SENTENCES, load_sentences
from software.cli import UserError
from software.cli import run as run_command
from tests.sim.golden_engine import GoldenEngine

SEED = 3


@pytest.fixture
def engine(monkeypatch):
    chosen = GoldenEngine()
    monkeypatch.setitem(registry._ENGINES["accelerator"], "golden", lambda: chosen)
    return chosen


@pytest.fixture
def command(engine, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELSTM_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def invoke(*arguments):
        options = ["--engine", "golden", "--layers", "mnist-l1", "--workers", "1", "--digits", "1", *arguments]
        monkeypatch.setattr("sys.argv", ["sim.figure10", *map(str, options)])
        with pytest.raises(SystemExit) as end:
            run_command(figure10.main)
        return end.value.code, *capsys.readouterr()

    return invoke


def test_table_picture_and_json(command, engine):
    code, out, _ = command()
    assert code == 0
    result = from_json(Path("build/figure10/figure10.json").read_text())
    assert result.command.startswith("python -m sim.figure10 --engine golden --layers mnist-l1")
    assert [(row.source, row.scheme) for row in result.rows] == [(s, c) for s in ("random", "trained") for c in SCHEMES]
    for row in result.rows:
        assert row.exact
        assert row.layer == "mnist-l1"
        assert (row.x, row.h, row.t, row.n_pe, row.schedule, row.format) == (28, 128, 28, 3, 0, "eSELL")
        assert (row.scheme, row.n_fuse) in {("original", 1), ("sparse", 1), ("fused", 3)}
        assert row.threshold == 0 or row.scheme != "original"
        assert row.cycles == 28_000
        assert row.speedup == 1
        assert row.word_model_cycles > row.bound_cycles > row.w_words > 0
        assert row.port_busy == row.word_model_port_words
        assert row.counters["CYCLES"] == row.cycles
    random = result.rows[0]
    assert (random.paper_cycles, random.published_model_cycles > 400_000) == (4.04e5, True)
    assert "6 of 6 runs bit-exact in every h" in out
    assert "wrote build/figure10/figure10.json\nwrote build/figure10/figure10.png" in out
    assert Path("build/figure10/figure10.png").read_bytes().startswith(b"\x89PNG")
    assert max(map(len, out.splitlines()[:7])) <= 80
    assert "…" not in out


def test_finished_rows_are_not_simulated_again(command, engine):
    assert command("--schemes", "sparse,fused", "--sources", "random")[0] == 0
    assert engine.runs == 2
    assert not Path("build/figure10/figure10.png").exists(), "there is no speed-up without original"
    assert command("--sources", "random")[0] == 0
    assert engine.runs == 3
    stored = sorted(Path("build/figure10/rows").iterdir())
    stored[0].write_text(stored[0].read_text()[:-40])
    assert command("--sources", "random")[0] == 0
    assert engine.runs == 4, "a damaged row is simulated again"
    assert command("--sources", "random", "--seed", 2)[0] == 0
    assert engine.runs == 7, "another seed is other data"
    assert command("--sources", "random", "--latency", 9)[0] == 0
    assert engine.runs == 10, "another memory is another run"


def test_wrong_h_is_said_and_not_kept(command, engine):
    engine.wrong, engine.wrong_run = (5, 17), 1
    code, out, _ = command("--sources", "random")
    assert code == 1
    assert "2 of 3 runs bit-exact" in out
    assert "MNIST-L1 random" in out
    assert "h[5, 17] must be" in out
    result = json.loads(Path("build/figure10/figure10.json").read_text())
    assert not result["exact"]
    assert len(list(Path("build/figure10/rows").glob("*.json"))) == 3
    engine.wrong = None
    assert command("--sources", "random")[0] == 0
    assert engine.runs == 4, "only the wrong row is simulated again"


def test_a_network_that_nobody_trained_is_an_error(command, engine):
    code, _, err = command("--layers", "wiki-l1", "--sources", "trained")
    assert (code, err) == (2, "error: nothing to run: no trained network of these layers was found\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--layers", "ptb-l3"], "--layers: no 'ptb-l3'; there are: all, mnist-l1, mnist-l2, ptb-l1,"),
        (["--schemes", "carousel"], "--schemes: no 'carousel'; there are: all, original, sparse, fused"),
        (["--preset", "tiny"], "mnist-l1 has H = 128, the preset allows 64"),
        (["--latency", "0"], "latency must be in 1..10000, not 0"),
        (["--digits", "101", "--sources", "trained"], "--digits must be in 1..100, not 101"),
    ],
)
def test_a_user_s_mistake_is_one_line(command, arguments, text):
    code, _, err = command(*arguments)
    assert code == 2
    assert text in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["mnist-l1", "mnist-l2"])
def test_random_layers_have_the_paper_s_sparsities(name):
    paper = LAYERS[name]
    case = random_case(paper, SEED)
    for packed, sparsity in ((case.packed.w, paper.w_sparsity), (case.packed.u, paper.u_sparsity)):
        assert packed.nonzeros == pytest.approx((1 - sparsity) * packed.rows * packed.cols, rel=1e-3)
    dropped = 1 - Layer(case.packed).run(case.x, case.threshold).kept.mean()
    assert dropped == pytest.approx(paper.h_sparsity, abs=0.005)


def test_a_share_that_no_threshold_gives_is_refused():
    case = random_case(LAYERS["mnist-l1"], SEED)
    zeros = np.zeros((1, *case.x.shape), np.float32)
    layer = Layer(case.packed)
    with pytest.raises(ValueError, match=r"no threshold drops 0\.220 of the blocks, the nearest found drops"):
        threshold_for(layer, zeros, 0.22)


def test_best_n_fuse_is_the_word_model_s():
    config = AcceleratorConfig(slots=24)
    case = random_case(LAYERS["mnist-l2"], SEED)
    fused = runs_of(case, ("fused",), config)[0]
    calls = {n: replace(fused.call, n_fuse=n) for n in range(1, 7)}
    cycles = {n: predicted(call, fused.golden, config).word.cycles for n, call in calls.items()}
    assert RunWords.of(fused.call, fused.golden).best_n_fuse(config) == min(cycles, key=lambda n: cycles[n])
    assert fused.estimate == min(cycles.values())


def test_picture_averages_the_sequences_of_a_network(command):
    assert command("--digits", "2", "--sources", "trained")[0] == 0
    rows = from_json(Path("build/figure10/figure10.json").read_text()).rows
    assert [row.index for row in rows] == [0] * 3 + [1] * 3
    assert picture(rows, "two digits").startswith(b"\x89PNG")


def test_sentences_are_embedded_by_the_checkpoint_in_the_data_folder(tmp_path):
    """Of a layer as small as the paper's names allow it: what counts is whose vectors the first layer gets."""
    rng = np.random.default_rng(3)
    arrays: dict[str, Any] = {f"l{n}.{name}": np.zeros(shape, np.float16) for n in (1, 2)
              for name, shape in (("w", (16, 4)), ("u", (16, 4)), ("b", (16,)))}  # fmt: skip
    words = int(load_sentences(PTB_SENTENCES).tokens.max()) + 1
    embedding = rng.normal(size=(words, 4)).astype(np.float16)
    path = tmp_path / PTB_MODEL
    path.parent.mkdir()
    np.savez(path, **arrays, embedding=embedding, thresholds=np.full(2, 0.5, np.float32), meta="{}")
    (case,) = ptb_cases(frozenset({"ptb-l1"}), 1, tmp_path)
    assert (case.x == embedding[load_sentences(PTB_SENTENCES).tokens[0]].astype(np.float32)).all()
    np.savez(path, **arrays, embedding=embedding[:-1], thresholds=np.full(2, 0.5, np.float32), meta="{}")
    with pytest.raises(UserError, match=f"knows {words - 1} words, the sentences have word {words - 1}"):
        ptb_cases(frozenset({"ptb-l1"}), 1, tmp_path)


def test_our_schemes_stand_beside_the_papers(command):
    code, out, _ = command("--layers", "mnist-l1", "--sources", "random", "--schemes", "original,fused,list-stream16")
    assert code == 0 and "list-stream16" in out
    rows = from_json(Path("build/figure10/figure10.json").read_text()).rows
    assert [row.scheme for row in rows] == ["original", "fused", "list-stream16"]
    assert [(row.schedule, row.format, row.x_skip) for row in rows[1:]] == [(0, "eSELL", False), (1, "stream-16", True)]
    assert rows[2].group_sizes and rows[2].word_model_cycles < rows[1].word_model_cycles
    assert rows[2].threshold == rows[1].threshold and rows[2].paper_cycles is None
    assert Path("build/figure10/figure10.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = command("--layers", "mnist-l1", "--sources", "random", "--schemes", "list-stream8")
    assert (code, err) == (2, "error: scheme list-stream8 needs stream-8 and the list, which are not built\n")
