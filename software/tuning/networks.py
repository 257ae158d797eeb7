"""The networks that are shipped for the digits, each with how it is run where a command line says nothing else."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from golden.config import BLOCK_COLS
from golden.cycles import CELL_FUSION, EVENTS, LIST
from golden.isa import InputFormat
from golden.memory import INPUT_STEPS
from golden.settings import USUAL
from software.checkpoint import MNIST_CHECKPOINT, SHIPPED, Checkpoint, Digits
from software.cli import UserError
from software.tuning.balance import balanced
from software.tuning.schedule_choice import INPUT_FORMATS, USUAL_SCHEDULE, ScheduleChoice
from software.weight_formats import ALL_ESELL, ESELL, FormatChoice

WATCHED = 20
"""Digits whose runs say how often a column is loaded."""
PIXEL_MOST = 255
"""A white pixel, which networks are trained with as 1."""


@dataclass(frozen=True)
class Network:
    """A checkpoint, what it is, and the preset, the formats and the schedule that suit it."""

    path: Path
    about: str
    preset: str = USUAL
    formats: FormatChoice = ALL_ESELL
    schedule: ScheduleChoice = USUAL_SCHEDULE

    def schedule_of(
        self,
        n_fuse: int | None = None,
        schedule: str | None = None,
        groups: str | None = None,
        x_skip: bool = False,
        best: bool = False,
        delta: bool | None = None,
        x_threshold: float | None = None,
        x_format: str | None = None,
        h_fp16: bool | None = None,
    ) -> ScheduleChoice:
        """What a command line asks for: of what it leaves out (None, False), what the network is run by.

        A network that is trained for changes of h stays so by another schedule, where x are no bytes, which are for
        events. Raises UserError.
        """
        own = self.schedule
        name = schedule or (CELL_FUSION.name if best else own.schedule)
        same = name == own.schedule and not best
        events = name == EVENTS.name
        own_x = InputFormat.FP16 if own.x_format == InputFormat.UINT8 and not events else own.x_format
        usual_x = next(key for key, number in INPUT_FORMATS.items() if number == own_x)
        return ScheduleChoice.of(
            n_fuse or own.n_fuse,
            name,
            groups,
            x_skip or (same and own.x_skip),
            best,
            (own.delta or None) if delta is None else delta,
            (own.x_threshold if events else 0.0) if x_threshold is None else x_threshold,
            usual_x if x_format is None else x_format,
            own.h_fp16 if h_fp16 is None else h_fp16,
        )

    def formats_of(
        self,
        w: str | None,
        u: str | None,
        gap_bits: int | None,
        unit: int | None,
        best: bool = False,
        balance: bool = False,
    ) -> FormatChoice:
        """The same of the formats of weights. Raises UserError.

        ``best`` leaves them to the tuner, but for a network that is trained with units of one column.
        """
        own = self.formats
        if best and own.unit == BLOCK_COLS:
            return FormatChoice.of(w, u, gap_bits, BLOCK_COLS if unit is None else unit, best, balance=balance)
        names = (w or own.w, u or own.u)
        streams = names != (ESELL, ESELL)
        gaps = own.gap_bits if gap_bits is None and names == (own.w, own.u) else gap_bits
        usual = own.unit if streams else BLOCK_COLS
        return FormatChoice.of(*names, gaps, usual if unit is None else unit, balance=balance)


def _events(file: str, about: str, form: str) -> Network:
    """One trained for events: units of one column, pixels as they are, rows of h as fp16."""
    schedule = ScheduleChoice(schedule=EVENTS.name, delta=True, x_format=InputFormat.UINT8, h_fp16=True)
    return Network(SHIPPED / file, about, "event", FormatChoice(form, form, unit=1), schedule)


PAPER = "paper"
NETWORKS: dict[str, Network] = {
    PAPER: Network(MNIST_CHECKPOINT, "the paper's sparsities, in its format and by its schedule"),
    "sparse90": Network(
        SHIPPED / "mnist_2x128_90.npz",
        "nine of ten weights are zero",
        # 6 bits take a twentieth fewer words, and cost .06 points
        formats=FormatChoice("stream16", "stream16", 5),
        schedule=ScheduleChoice(schedule=LIST.name, x_skip=True),
    ),
    "delta": _events("mnist_2x128_delta.npz", "streams of even length, trained for changes of h", "stream16"),
    "tiny": _events("mnist_2x128_tiny.npz", "the same with 15 values a gate", "stream8"),
    "smallest": _events("mnist_2x128_smallest.npz", "the sparsest", "stream16"),
}

NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="A shipped network, by the schedule and in the formats that suit it: "
        + "; ".join(f"{name}, {network.about}" for name, network in NETWORKS.items()),
        show_default=PAPER,
    ),
]


def network_of(name: str | None, checkpoint: Path | None = None) -> Network:
    """The network of that name, or another checkpoint, which is run as the paper's is. Raises UserError."""
    if name is not None and checkpoint is not None:
        raise UserError("--network and --checkpoint both give the network: choose one")
    if name is not None and name not in NETWORKS:
        raise UserError(f"no network {name!r}; there are: {', '.join(NETWORKS)}")
    found = NETWORKS[name or PAPER]
    return found if checkpoint is None else replace(found, path=checkpoint)


def for_digits(
    checkpoint: Checkpoint, digits: Digits, schedule: ScheduleChoice, formats: FormatChoice
) -> tuple[Checkpoint, NDArray[np.float32]]:
    """The network as it takes images by this schedule, its units in the places that the formats ask for, and x (N, T,
    X) of the images.

    As uint8 a pixel k is k/256, where a network was trained with k/255: the lowest layer's W makes up for it. Raises
    ValueError for a weight that then is too large for fp16.
    """
    if schedule.x_format != InputFormat.UINT8:
        scaled, x = checkpoint, digits.inputs()
    else:
        first, *above = checkpoint.layers
        with np.errstate(over="ignore"):
            w = (first.w.astype(np.float64) * (INPUT_STEPS / PIXEL_MOST)).astype(np.float16)
        if not np.isfinite(w).all():
            raise ValueError(f"W of layer 1 times {INPUT_STEPS}/{PIXEL_MOST}, for x as uint8, is too large for fp16")
        scaled = replace(checkpoint, layers=(replace(first, w=w), *above))
        x = digits.inputs(INPUT_STEPS)
    if formats.balance:
        scaled = even(scaled, x[:WATCHED], schedule, formats)
    return scaled, x


def even(checkpoint: Checkpoint, x: NDArray[np.float32], schedule: ScheduleChoice, formats: FormatChoice) -> Checkpoint:
    """The network with even streams, those of columns that are loaded most first."""
    formats, loaded = schedule.formats(formats), []
    for weights in checkpoint.layers:
        result = schedule.layer(formats.pack(weights.w, weights.u, weights.b)).run(
            x, weights.threshold, x_threshold=schedule.x_threshold
        )
        # of another schedule than events every column of W is loaded alike
        of_x = result.x_sent.sum(axis=(0, 1)) if schedule.by_events else np.ones(weights.inputs)
        loaded.append((of_x[: weights.inputs], result.kept.sum(axis=(0, 1))[: weights.hidden]))
        x = result.h_pruned
    found = balanced(checkpoint, formats, loaded)
    print(f"units in other places: {found.after:,} words of W and U instead of {found.before:,}", file=sys.stderr)
    return found.checkpoint
