"""The option spellings of the original's programs, rewritten to ours before the command line is parsed.

``-model FILE -ws 0.3 0.5 0.2 0.4 -ht 0.3 0.8 -b 4`` becomes ``--model-path FILE --ws 0.3,0.5,0.2,0.4 --ht 0.3,0.8
--block 4``: long names with one dash, names with underscores, and lists whose length depends on the number of layers.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from software.cli import UserError, call

NAMES = {
    "-model": "--model-path",
    "--model": "--model-path",
    "-m": "--mode",
    "-ws": "--ws",
    "--w-sp": "--ws",
    "-wt": "--wt",
    "--w-th": "--wt",
    "-hs": "--hs",
    "--h-sp": "--hs",
    "-ht": "--ht",
    "--h-th": "--ht",
    "-b": "--block",
    "--size-block": "--block",
    "-v": "--verbose",
    **{
        f"-{name}": f"--{name}"
        for name in (
            *("data", "model-path", "mode", "block", "verbose", "emsize", "nhid", "nlayers", "bptt", "batch-size"),
            *("epochs", "lr", "clip", "dropout", "tied", "seed", "l1", "l1-lambda", "log-interval", "save-dir"),
            *("retrain", "fresh", "split", "tokens", "limit", "arithmetic", "json", "out", "layers", "sample"),
            *("header", "images", "digits"),
        )
    },
}
"""What an option is called here; names that are not listed stay. Underscores become dashes first."""

LISTS = ("--ws", "--wt", "--hs", "--ht", "--sparsity", "--thresholds")
"""Options that take all numbers after them."""

WORDS = ("--name",)
"""Options that take all words after them, up to the next option or a word that is a file."""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _ends_numbers(_: int, word: str) -> bool:
    return not _is_number(word)


def _ends_words(place: int, word: str) -> bool:
    return word.startswith("-") or (place > 0 and Path(word).is_file())


def respell(arguments: Iterable[str]) -> list[str]:
    """The command line in our spelling; the numbers or words of a list become one argument, with commas.

    Everything after ``--`` stays as it is.
    """
    rest = list(arguments)
    out: list[str] = []
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*out, argument, *rest]
        if not argument.startswith("-") or _is_number(argument):
            out.append(argument)
            continue
        name, equals, value = argument.partition("=")
        name = name.replace("_", "-")
        name = NAMES.get(name, name)
        out.append(name + equals + value)
        if name in (*LISTS, *WORDS) and not equals:
            ends = _ends_words if name in WORDS else _ends_numbers
            count = next((n for n, word in enumerate(rest) if ends(n, word)), len(rest))
            if count:
                out.append(",".join(rest[:count]))
                del rest[:count]
    return out


def numbers(
    text: str, count: int | None, option: str, limits: tuple[float, float], what: str = "values"
) -> tuple[float, ...]:
    """The list that an option was given: ``count`` numbers, or one for all; each in limits[0] <= number < limits[1].

    A limit of infinity is a value too. ``count``: None takes any number of them. ``what`` says which is which. Raises
    UserError naming the option, the value and the limit.
    """
    takes = what if count is None else f"{count} {what}"
    try:
        found = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise UserError(f"{option} takes {takes}, not {text!r}") from None
    if len(found) == 1 and count is not None:
        found *= count
    if not found or count not in (None, len(found)):
        raise UserError(f"{option} takes {takes}, or one for all, not {len(found)}")
    low, high = limits
    for number in found:
        if not (low <= number < high or number == high == math.inf):
            limit = f"at least {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g})"
            raise UserError(f"{option} must be {limit}, not {number:g}")
    return found


def finite(values: tuple[float, ...], option: str) -> tuple[float, ...]:
    """The values, if none is infinite. Raises UserError naming the option."""
    if math.inf in values:
        raise UserError(f"{option} must be a finite number, not inf")
    return values


MATRICES = "(W, U of layer 1, W, U of layer 2, ...)"


def sparsities(text: str, layers: int | None, option: str = "-ws") -> tuple[float, ...]:
    """``-ws``: W and U of layer 1, W and U of layer 2, ..., each in [0, 1). Raises UserError."""
    return numbers(text, layers and 2 * layers, option, (0.0, 1.0), f"weight sparsities {MATRICES}")


def weight_thresholds(text: str, layers: int | None, option: str = "-wt") -> tuple[float, ...]:
    """``-wt``: of W and U of layer 1, W and U of layer 2, ..., each at least 0. Raises UserError."""
    what = f"weight thresholds {MATRICES}"
    return finite(numbers(text, layers and 2 * layers, option, (0.0, math.inf), what), option)


def thresholds(text: str, layers: int | None, option: str = "-ht") -> tuple[float, ...]:
    """``-ht``: a threshold of each layer, at least 0. Raises UserError."""
    return numbers(text, layers, option, (0.0, math.inf), "thresholds, one of each layer")


def call_spelled(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """``software.cli.call`` on the respelled command line, sys.argv[1:] unless given."""
    return call(app, respell(sys.argv[1:] if arguments is None else arguments))


def run_spelled(app: typer.Typer, arguments: Sequence[str] | None = None) -> None:
    """As ``call_spelled``, and exits with its code."""
    sys.exit(call_spelled(app, arguments))
