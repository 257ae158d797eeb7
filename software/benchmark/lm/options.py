"""The options of the language models' commands: every command takes all of them, as the original's scripts do.

Those that do not matter to a command are taken and ignored, and its help leaves them out.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from software.benchmark.common.options import (
    EVERY,
    MAX_SEED,
    SHARE,
    ClipOption,
    EveryOption,
    FreshOption,
    GradualOption,
    HsOption,
    HtOption,
    JsonOption,
    L1Option,
    LambdaOption,
    LayersOption,
    LogOption,
    ModelOption,
    ModeOption,
    NhidOption,
    OutOption,
    ShareOption,
    WsOption,
    WtOption,
    check_rates,
    hidden_asked,
    weights_asked,
)
from software.benchmark.common.spelling import finite
from software.cli import SETTINGS, UserError, check_outputs, new_app, within

DEFAULTS = {"emsize": 200, "nhid": 200, "nlayers": 2}
"""Of a new model; a trained one has its own."""
DATA = "kjv, ptb, wikitext-2, wikitext-2-valid, or a folder; else what the model was trained on."


def _number(help: str, *names: str) -> Any:
    return typer.Option(*names, metavar="N", callback=within(1), help=help)


@dataclass
class Options:
    """One command line. Lists are still text: how many numbers they need depends on the model."""

    command: str
    model_path: ModelOption = None
    data: Annotated[str | None, typer.Option(metavar="TEXT", help=DATA)] = None
    emsize: Annotated[int | None, _number("Size of the embedding; a model that is read must have it.")] = None
    nhid: NhidOption = None
    nlayers: LayersOption = None
    tied: Annotated[bool, typer.Option("--tied", help="Use the embedding as the output layer.")] = False
    bptt: Annotated[int, _number("Steps of a segment, after which gradients are cut.")] = 35
    batch_size: Annotated[int | None, _number("Parallel streams of text; 20, eval 10.")] = None
    epochs: Annotated[int | None, _number("The best on the valid text is kept; train 6, retrain 1.")] = None
    lr: Annotated[
        float | None, typer.Option(metavar="X", help="Peak of Adam's one-cycle rate; train .004, retrain .001.")
    ] = None
    clip: ClipOption = 1.0
    dropout: Annotated[float, typer.Option(metavar="X", help="Share of embedding and h dropped in training.")] = 0.2
    seed: Annotated[
        int, typer.Option(metavar="N", callback=within(0, MAX_SEED), help="Of initial weights and dropout.")
    ] = 1
    l1: L1Option = False
    l1_lambda: LambdaOption = 1e-5
    log_interval: LogOption = 0
    mode: ModeOption = None
    ws: WsOption = None
    wt: WtOption = None
    hs: HsOption = None
    ht: HtOption = None
    block: Annotated[
        int | None, _number("Units of h that are dropped together; 4, as the hardware.", "--block", "-b")
    ] = None
    retrain: Annotated[bool, typer.Option("--retrain", help="train: as the command retrain; prune: then retrain.")] = (
        False
    )
    gradual: GradualOption = False
    gradual_share: ShareOption = SHARE
    gradual_every: EveryOption = EVERY
    split: Annotated[
        str,
        typer.Option(metavar="TEXT", help="valid, test, or sample: the shipped 10,000 words of the King James text."),
    ] = "test"
    arithmetic: Annotated[
        str, typer.Option(metavar="KIND", help="float: PyTorch; golden: also the bit-exact integer layers.")
    ] = "float"
    tokens: Annotated[
        int | None, _number("Only about N words, the start of each stream; for a quick trial.", "--tokens", "--limit")
    ] = None
    json: JsonOption = None
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show sparsity and thresholds.")] = False
    fresh: FreshOption = False
    save_dir: Annotated[
        Path, typer.Option("--save-dir", metavar="FOLDER", help="Folder of the models and of what resumes a run.")
    ] = Path("build") / "lm"
    out: OutOption = None
    layers: Annotated[
        Path | None, typer.Option("--layers", metavar="FILE", help="Also the layers alone, packed, without words.")
    ] = None
    sample: Annotated[
        Path | None,
        typer.Option("--sample", metavar="FILE", help="Also the first 10,000 words of the test text, as indices."),
    ] = None
    header: Annotated[
        Path | None, typer.Option("--header", metavar="FOLDER", help="Also C headers of the layers, l1.h, l2.h, ...")
    ] = None


_MODEL = {"model_path", "data", "emsize", "nhid", "nlayers"}
_TRAINING = {
    *("bptt", "batch_size", "epochs", "lr", "clip", "dropout", "seed", "l1", "l1_lambda", "log_interval"),
    *("retrain", "tokens", "fresh", "save_dir", "out", "json"),
}
_PRUNING = {"mode", "ws", "wt", "hs", "ht", "block"}
_GRADUAL = {"gradual", "gradual_share", "gradual_every"}
SHOWN = {
    "train": _MODEL | _TRAINING | {"tied", "block"},
    "prune": _MODEL | {"mode", "ws", "wt", "retrain", "save_dir", "out", "json"},
    "retrain": _MODEL | _PRUNING | _GRADUAL | _TRAINING - {"retrain"},
    "eval": _MODEL | _PRUNING | {"split", "arithmetic", "bptt", "batch_size", "tokens", "json", "verbose"},
    "export": _MODEL | _PRUNING | {"save_dir", "out", "layers", "sample", "header"},
}
"""The options that matter to a command, which its help shows."""
COMMANDS = tuple(SHOWN)
OWN = (
    *("gradual", "gradual_share", "gradual_every", "split", "arithmetic", "tokens", "json", "fresh", "out"),
    *("layers", "sample", "header"),
)
"""Options that the original does not have: where they do not matter they are refused."""


def _parameters(shown: set[str]) -> list[inspect.Parameter]:
    """Of a function that takes all options; those not in ``shown`` are hidden."""
    hints = get_type_hints(Options, include_extras=True)
    parameters = []
    for field in fields(Options):
        if field.default is MISSING:
            continue
        kind, option = get_args(hints[field.name])
        option = copy.copy(option)
        option.hidden = field.name not in shown
        annotation = Annotated[kind, option]  # type: ignore[valid-type]
        parameters.append(
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)
        )
    return parameters


def make_app(commands: dict[str, Callable[[Options], None]], help: str) -> typer.Typer:
    """An app of these of ``COMMANDS``; each gets its checked options, its help is its docstring."""
    app = new_app(help=help)

    def add(name: str, function: Callable[[Options], None]) -> None:
        def run(**values: Any) -> None:
            options = Options(name, **values)
            check(options)
            function(options)

        parameters = _parameters(SHOWN[name])
        run.__doc__ = function.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, context_settings=SETTINGS)(run)

    for name, function in commands.items():
        add(name, function)
    return app


def _choice(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UserError(f"{option} must be {', '.join(known[:-1])} or {known[-1]}, not {value!r}")


def check(options: Options) -> None:
    """What can be checked without a model. Raises UserError."""
    _choice("--split", options.split, ("valid", "test", "sample"))
    _choice("--arithmetic", options.arithmetic, ("float", "golden"))
    check_rates(options.lr, options.clip, options.dropout, options.l1_lambda)
    # How many numbers a list needs is known with the model
    weights_asked(options.mode, options.ws, options.wt, options.nlayers)
    hidden = hidden_asked(options.hs, options.ht, options.nlayers)
    if hidden is not None:
        finite(hidden[1], hidden[0])
    if options.model_path is None and (options.command in ("prune", "retrain", "export") or retrains(options)):
        raise UserError(f"{options.command} needs --model-path")
    matters = SHOWN[options.command]
    if retrains(options) or (options.command == "prune" and options.retrain):
        matters = matters | SHOWN["retrain"] - (_GRADUAL if options.command == "prune" else set())
    for field in fields(Options):
        if field.name in OWN and field.name not in matters and getattr(options, field.name) != field.default:
            takers = ", ".join(command for command in COMMANDS if field.name in SHOWN[command])
            raise UserError(f"--{field.name.replace('_', '-')} is for {takers}, not for {options.command}")
    if options.command == "prune" and options.ws is options.wt:
        raise UserError("nothing to prune: give -ws or -wt")
    files = (options.out, options.json, options.layers, options.sample)
    check_outputs(*files, folders=(options.save_dir, options.header))


def retrains(options: Options) -> bool:
    """Whether the command line is retrain, or another spelling of it."""
    return options.command == "retrain" or (options.command == "train" and options.retrain)
