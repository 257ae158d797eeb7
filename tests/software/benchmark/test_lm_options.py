"""The command line of the language models: the original's spellings, and what is refused before any work."""

import re
from pathlib import Path
from typing import get_type_hints

import pytest

pytest.importorskip("torch", reason="torch is not installed (extra 'train')")

from software.benchmark.common.spelling import call_spelled
from software.benchmark.lm import command as lm
from software.benchmark.lm.options import COMMANDS, SHOWN, Options, make_app

PAGE = Path(__file__).parents[3] / "docs/from-the-original.md"


def parse(line: str) -> Options:
    """What a command gets of a command line that is right."""
    got: list[Options] = []
    assert call_spelled(make_app(dict.fromkeys(COMMANDS, got.append), "help"), line.split()) == 0
    return got[0]


ORIGINAL = {
    "mnist-like": "eval -model build/lm/trained.pt -ws 0.3 0.5 0.2 0.4 -ht 0.3 0.8 -b 4",
    "ptb": "eval --model_path build/lm/ptb/retrained.pt -m sparsity -ws 0.2 0.5 0.2 0.6 -ht 0.12 0.22 -b 4",
    "wikitext": "eval --model_path build/lm/wikitext/trained.pt -m sparsity --data data/wikitext --emsize 1500 "
    "--nhid 1500 -ws 0.4 0.5 0.3 0.4 -ht 0.28 0.43 -b 4",
}


@pytest.mark.parametrize("line", ORIGINAL.values(), ids=ORIGINAL)
def test_the_original_s_eval_lines(line: str) -> None:
    options = parse(line)
    assert options.command == "eval" and options.block == 4 and options.ws and options.ht and options.model_path
    assert options.ws.count(",") == 3 and options.ht.count(",") == 1
    assert options.ws.split(",") == line.split("-ws ")[1].split()[:4]
    assert options.ht.split(",") == line.split("-ht ")[1].split()[:2]
    assert options.model_path.suffix == ".pt"
    assert (options.emsize, options.nhid) == ((1500, 1500) if "1500" in line else (None, None))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("dashes", ["-", "--"])
def test_every_long_option_with_one_dash_and_with_two(command: str, dashes: str) -> None:
    values = {
        "model": "m.pt", "data": "ptb", "emsize": 8, "nhid": 12, "nlayers": 3, "bptt": 5, "batch_size": 6, "epochs": 7,
        "lr": 0.5, "clip": 2.0, "dropout": 0.1, "seed": 9, "l1_lambda": 0.25, "log-interval": 10, "save_dir": "d",
    }  # fmt: skip
    line = [command, *(word for name, value in values.items() for word in (dashes + name, str(value)))]
    line += [f"{dashes}tied", f"{dashes}l1", f"{dashes}retrain", "-v", "-ws", ".5", "-m", "sparsity"]
    options = parse(" ".join(line))
    values |= {"model_path": values.pop("model"), "log_interval": values.pop("log-interval")}
    found = {name: getattr(options, name) for name in values}
    assert {name: str(value) for name, value in found.items()} == {name: str(v) for name, v in values.items()}
    assert options.tied and options.l1 and options.retrain and options.verbose and options.ws == ".5"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "Missing command."),
        ("eval -ws 1.0 0 0 0", "-ws must be in [0, 1), not 1"),
        ("eval -ws nan 0 0 0", "-ws must be in [0, 1), not nan"),
        ("eval -hs -0.1 0", "-hs must be in [0, 1), not -0.1"),
        ("eval -ht -1 0", "-ht must be at least 0, not -1"),
        ("eval -ht inf 0", "-ht must be a finite number, not inf"),
        ("eval -wt inf", "-wt must be a finite number, not inf"),
        ("eval -ws half", "-ws takes weight sparsities (W, U of layer 1, W, U of layer 2, ...), not 'half'"),
        ("eval --nlayers 2 -ws .1 .2 .3", "-ws takes 4 weight sparsities"),
        ("eval --ws=", "-ws takes weight sparsities"),
        ("eval -ws .1 -wt .1", "-ws and -wt both prune the weights: give one"),
        ("eval -hs .1 -ht .1", "-hs and -ht both set the thresholds: give one"),
        ("eval -m threshold -ws .1", "-ws is for -m sparsity, not for -m threshold"),
        ("eval -m sparsity -wt .1", "-wt is for -m threshold, not for -m sparsity"),
        ("eval -m magic", "-m must be sparsity or threshold, not 'magic'"),
        ("eval -b 0", "Invalid value for '--block' / '-b'"),
        ("eval -b four", "Invalid value for '--block' / '-b'"),
        ("eval --split train", "--split must be valid, test or sample, not 'train'"),
        ("eval --arithmetic exact", "--arithmetic must be float or golden, not 'exact'"),
        ("train --dropout 1", "--dropout must be in [0, 1), not 1"),
        ("train --lr 0", "--lr must be above 0 and below 1 (Adam's, not SGD's), not 0"),
        ("train --lr 20", "--lr must be above 0 and below 1 (Adam's, not SGD's), not 20"),
        ("train --clip nan", "--clip must be a positive number, not nan"),
        ("train --l1 --l1_lambda -1", "--l1-lambda must be at least 0, not -1"),
        ("train --l1 --l1_lambda inf", "--l1-lambda must be a finite number, not inf"),
        ("train --seed -1", "Invalid value for '--seed'"),
        ("train --no-such", "No such option: --no-such"),
        ("train --retrain", "train needs --model-path"),
        ("train --gradual -ws .5", "--gradual is for retrain, not for train"),
        ("prune -model m.pt -ws .5 --retrain --gradual", "--gradual is for retrain, not for prune"),
        ("eval --fresh", "--fresh is for train, retrain, not for eval"),
        ("export -model m.pt --json x", "--json is for train, prune, retrain, eval, not for export"),
        ("train --header h", "--header is for export, not for train"),
        ("prune --model x.pt", "nothing to prune: give -ws or -wt"),
        ("retrain", "retrain needs --model-path"),
        ("export", "export needs --model-path"),
    ],
)
def test_what_is_refused(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    got: list[Options] = []
    assert call_spelled(make_app(dict.fromkeys(COMMANDS, got.append), "help"), line.split()) == 2
    out, err = capsys.readouterr()
    assert not got and not out and err.startswith("error: ") and err.count("\n") == 1
    assert message in err


def test_the_original_s_lines_run_as_the_page_prints_them() -> None:
    program = "    python -m software.benchmark.lm "
    lines = [line.removeprefix(program) for line in PAGE.read_text().splitlines() if line.startswith(program)]
    assert [line.split(" -ws ")[1] for line in lines] == [
        "0.2 0.5 0.2 0.6 -ht 0.12 0.22 -b 4", "0.4 0.5 0.3 0.4 -ht 0.28 0.43 -b 4",
    ]  # fmt: skip
    ptb, wiki = map(parse, lines)
    assert (ptb.mode, ptb.ws, ptb.ht, ptb.data) == ("sparsity", "0.2,0.5,0.2,0.6", "0.12,0.22", None)
    assert (wiki.mode, wiki.ws, wiki.ht, wiki.data) == ("sparsity", "0.4,0.5,0.3,0.4", "0.28,0.43", "wikitext-2")
    assert (wiki.emsize, wiki.nhid) == (1500, 1500)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_what_matters_to_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert lm.main([command, "--help"]) == 0
    out = capsys.readouterr().out
    hints = get_type_hints(Options, include_extras=True)
    for name in hints.keys() - {"command"}:
        option = {"model_path": "--model-path"}.get(name, f"--{name.replace('_', '-')}")
        assert bool(re.search(rf"{option}[ ,]", out.split("Options:")[1])) == (name in SHOWN[command]), name
    assert f"Examples:\n    python -m software.benchmark.lm {command} " in out
