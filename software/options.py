"""Options that commands of several rooms share, under the same names."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from golden.settings import PRESET, USUAL, Configuration, SettingError, configure
from software.cli import UserError

Config = TypeVar("Config")

CheckpointOption = Annotated[
    Path,
    typer.Option(
        "--checkpoint",
        "--model-path",
        metavar="FILE",
        help="Trained network, .npz.",
        show_default="the shipped network",
    ),
]
ImagesOption = Annotated[
    Path, typer.Option(metavar="FILE", help="Digits, .npz.", show_default="the 100 shipped digits")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help=f"Fields of the configuration over the preset's, TOML; may name the {PRESET}."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Another value of a field; once each, the last of one field counts."
    ),
]


def configured(
    presets: Mapping[str, Config],
    preset: str | None,
    file: Path | None,
    settings: Sequence[str] | None,
    of: str = "",
    usual: str = USUAL,
) -> Configuration[Config]:
    """What --preset, --config and --set ask for (`golden.settings.configure`). Raises UserError.

    What they do in vain is said on stderr.
    """
    try:
        found = configure(presets, preset, file, settings or (), of, usual)
    except SettingError as error:
        raise UserError(str(error)) from None
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    return found
