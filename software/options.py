"""Options that commands of several rooms share, under the same names."""

from pathlib import Path
from typing import Annotated

import typer

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
