"""Options that commands of several rooms share, under the same names, and what they ask for."""

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig, LayerShape
from golden.layer import PackedLayer
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
OtherCheckpointOption = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        "--model-path",
        metavar="FILE",
        help="Another trained network than a shipped one, .npz.",
        show_default="--network",
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


def accelerator(
    preset: str | None, file: Path | None = None, settings: Sequence[str] | None = None, usual: str = USUAL
) -> Configuration[AcceleratorConfig]:
    """The accelerator that --preset, --config and --set ask for; usual: where no preset is named. Raises UserError."""
    return configured(ACCELERATOR_PRESETS, preset, file, settings, usual=usual)


def accelerator_if_asked(
    preset: str | None, file: Path | None, settings: Sequence[str] | None, usual: str = USUAL
) -> Configuration[AcceleratorConfig] | None:
    """The same, or None where the command line says nothing of it. Raises UserError."""
    return accelerator(preset, file, settings, usual) if preset or file or settings else None


def check_fits(layers: Sequence[PackedLayer | LayerShape], steps: int, asked: Configuration[AcceleratorConfig]) -> None:
    """Raise UserError naming the layer, the size and the limit when one does not fit."""
    for number, packed in enumerate(layers, 1):
        if over := asked.config.exceeded(packed.x, packed.h, steps):
            name, value, limit = over
            raise UserError(f"layer {number} has {name} = {value}, preset {asked.name} allows {limit}")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file that an option names. Raises UserError."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not TOML: {error}") from None
