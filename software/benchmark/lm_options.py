"""The command line of the language models: every option in the original's spelling, with one dash and with two."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from software.cli import UserError

COMMANDS = {
    "train": "train a dense model",
    "prune": "set the smallest weights to zero (-ws, -wt); --retrain goes on with retrain",
    "retrain": "train on; zeros stay zero; -ht or -hs prunes h in the loop",
    "eval": "perplexity, loss and hidden sparsity; by default of the shipped King James model",
    "export": "write the fp16 .npz that the simulators take",
}
DEFAULTS = {"emsize": 200, "nhid": 200, "nlayers": 2}
"""Of a new model; a trained one has its own."""


class Parser(argparse.ArgumentParser):
    """Its errors are UserErrors."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


_positive.__name__ = "whole number"


def _common() -> Parser:
    """Options of all commands; those that do not matter to one are taken and ignored, as the original's scripts do."""
    parser = Parser(add_help=False)

    def add(*names: str, **keywords: Any) -> None:
        spellings = [spelling for name in names for spelling in dict.fromkeys((name, name.replace("_", "-")))]
        dashes = [dash + name for name in spellings for dash in (("-",) if len(name) == 1 else ("--", "-"))]
        parser.add_argument(*dashes, dest=names[0].replace("-", "_"), **keywords)

    add(
        "model_path",
        "model",
        type=Path,
        metavar="FILE",
        help="model to start from (train: else a new one), evaluate or export",
    )
    add("data", help="kjv, ptb, wikitext-2, wikitext-2-valid, or a folder; else what the model was trained on")
    add("emsize", type=_positive, help="size of the embedding (train: 200)")
    add("nhid", type=_positive, help="units of a layer, a multiple of the block (train: 200)")
    add("nlayers", type=_positive, help="layers (train: 2)")
    add("bptt", type=_positive, default=35, help="steps of a training segment")
    add("batch_size", type=_positive, help="parallel streams of text (20; eval 10)")
    add("epochs", type=_positive, help="(train 6, retrain 1)")
    add("lr", type=float, help="peak of the one-cycle rate of Adam (train .004, retrain .001)")
    add("clip", type=float, default=1.0, help="largest norm of the gradient")
    add("dropout", type=float, default=0.2, help="share of embedding and h dropped in training")
    add("tied", action="store_true", help="use the embedding as the output layer")
    add("seed", type=int, default=1, help="of initial weights and dropout")
    add("l1", action="store_true", help="add --l1_lambda times the sum of |W| and |U| to the loss")
    add("l1_lambda", type=float, default=1e-5)
    add("log_interval", type=int, default=0, metavar="N", help="a line every N batches; 0: only the bar")
    add("save_dir", type=Path, default=Path("build") / "lm", metavar="FOLDER", help="for models and what resumes a run")
    add("m", choices=("sparsity", "threshold"), help="prune weights to -ws, or below -wt")
    add("ws", type=float, nargs="+", metavar="S", help="weight sparsities: W and U of layer 1, of layer 2, ...")
    add("wt", type=float, nargs="+", metavar="TH", help="weight thresholds, in the same order")
    add("hs", type=float, nargs="+", metavar="S", help="sparsity of h by layer; thresholds are found on the valid text")
    add("ht", type=float, nargs="+", metavar="TH", help="thresholds of h by layer")
    add("b", type=_positive, metavar="N", help="elements of h in a block (4, the hardware's)")
    add("v", action="store_true", help="say more")
    add("retrain", action="store_true", help="prune: go on with retrain")
    add("fresh", action="store_true", help="start over instead of resuming")
    add(
        "split",
        choices=("valid", "test", "sample"),
        default="test",
        help="eval: text; sample: the shipped 10,000 words",
    )
    add("tokens", type=_positive, metavar="N", help="only about N words, the beginning of each stream")
    add("arithmetic", choices=("float", "golden"), default="float", help="eval: golden adds the bit-exact layers")
    add("json", type=Path, metavar="FILE", help="eval: write the result")
    add("out", type=Path, metavar="FILE", help="file to write; default in --save_dir")
    add("layers", type=Path, metavar="FILE", help="export: also the layers alone, packed, without words")
    add("sample", type=Path, metavar="FILE", help="export: also the first 10,000 words of the test text, as indices")
    add("header", type=Path, metavar="FOLDER", help="export: also C headers of the layers")
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options, ``command`` among them, checked as far as they can be without a model. Raises UserError."""
    description = "Language models: train, prune, retrain, evaluate, export. Ctrl-C is safe: the same command goes on."
    parser = Parser(prog="python -m software.benchmark.lm", description=description)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    common = _common()
    for name, text in COMMANDS.items():
        commands.add_parser(name, parents=[common], help=text, description=text, allow_abbrev=False)
    options = parser.parse_args(arguments)
    check(options)
    return options


def check(options: argparse.Namespace) -> None:
    """Ranges, and what excludes what. Raises UserError."""
    for name in ("ws", "hs"):
        for value in getattr(options, name) or ():
            if not 0 <= value < 1:
                raise UserError(f"-{name}: a sparsity must be in [0, 1), not {value}")
    for name in ("wt", "ht"):
        for value in getattr(options, name) or ():
            if not 0 <= value < float("inf"):
                raise UserError(f"-{name}: a threshold must be a finite number of at least 0, not {value}")
    for one, other in (("ws", "wt"), ("hs", "ht")):
        if getattr(options, one) and getattr(options, other):
            raise UserError(f"-{one} and -{other} exclude each other")
    if options.m == "threshold" and options.ws:
        raise UserError("-m threshold takes -wt, not -ws")
    if options.m == "sparsity" and options.wt:
        raise UserError("-m sparsity takes -ws, not -wt")
    if not 0 <= options.dropout < 1:
        raise UserError(f"--dropout must be in [0, 1), not {options.dropout}")
    for name in ("lr", "clip"):
        value = getattr(options, name)
        if value is not None and not 0 < value < float("inf"):
            raise UserError(f"--{name} must be a positive number, not {value}")
    if not 0 <= options.l1_lambda < float("inf"):
        raise UserError(f"--l1_lambda must be a number of at least 0, not {options.l1_lambda}")
    if options.command in ("prune", "retrain", "export") and options.model_path is None:
        raise UserError(f"{options.command} needs --model_path")
    if options.command == "prune" and not (options.ws or options.wt):
        raise UserError("prune needs -ws or -wt")
