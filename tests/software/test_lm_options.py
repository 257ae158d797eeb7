"""The command line of the language models: the original's spellings, and what is refused before any work."""

import pytest

from software.benchmark.lm_options import COMMANDS, parse
from software.cli import UserError

ORIGINAL = {
    "mnist-like": "eval -model build/lm/trained.pt -ws 0.3 0.5 0.2 0.4 -ht 0.3 0.8 -b 4",
    "ptb": "eval --model_path build/lm/ptb/retrained.pt -m sparsity -ws 0.2 0.5 0.2 0.6 -ht 0.12 0.22 -b 4",
    "wikitext": "eval --model_path build/lm/wikitext/trained.pt -m sparsity --data data/wikitext --emsize 1500 "
    "--nhid 1500 -ws 0.4 0.5 0.3 0.4 -ht 0.28 0.43 -b 4",
}


@pytest.mark.parametrize("line", ORIGINAL.values(), ids=ORIGINAL)
def test_the_original_s_eval_lines(line: str) -> None:
    options = parse(line.split())
    assert options.command == "eval" and options.b == 4 and len(options.ws) == 4 and len(options.ht) == 2
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
    options = parse([*line, f"{dashes}tied", f"{dashes}l1", f"{dashes}retrain", "-v", "-ws", ".5", "-m", "sparsity"])
    values |= {"model_path": values.pop("model"), "log_interval": values.pop("log-interval")}
    found = {name: getattr(options, name) for name in values}
    assert {name: str(value) for name, value in found.items()} == {name: str(v) for name, v in values.items()}
    assert options.tied and options.l1 and options.retrain and options.v and options.ws == [0.5]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "required: command"),
        ("eval -ws 1.0 0 0 0", r"-ws: a sparsity must be in \[0, 1\), not 1.0"),
        ("eval -ws nan 0 0 0", r"-ws: a sparsity must be in \[0, 1\), not nan"),
        ("eval -hs -0.1 0", r"-hs: a sparsity must be in \[0, 1\), not -0.1"),
        ("eval -ht -1 0", "-ht: a threshold must be a finite number of at least 0, not -1.0"),
        ("eval -ht inf 0", "-ht: a threshold must be a finite number of at least 0, not inf"),
        ("eval -ws .1 -wt .1", "-ws and -wt exclude each other"),
        ("eval -hs .1 -ht .1", "-hs and -ht exclude each other"),
        ("eval -m threshold -ws .1", "-m threshold takes -wt, not -ws"),
        ("eval -m sparsity -wt .1", "-m sparsity takes -ws, not -wt"),
        ("eval -b 0", "-b: must be at least 1, not 0"),
        ("eval -b four", "-b: invalid whole number value: 'four'"),
        ("train --dropout 1", r"--dropout must be in \[0, 1\), not 1.0"),
        ("train --lr 0", "--lr must be a positive number, not 0.0"),
        ("train --l1 --l1_lambda -1", "--l1_lambda must be a number of at least 0"),
        ("train --no-such", "unrecognized arguments: --no-such"),
        ("prune --model x.pt", "prune needs -ws or -wt"),
        ("retrain", "retrain needs --model_path"),
        ("export", "export needs --model_path"),
    ],
)
def test_what_is_refused(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(line.split())
