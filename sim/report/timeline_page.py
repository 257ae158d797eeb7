"""Timelines and the story of a digit as pages that need nothing else: what the templates show, without layout."""

import base64
import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.layer import LayerResult
from golden.numbers import q24_of_fp16, threshold_q24, to_fp16
from golden.recurrence import State
from golden.sends import HELD_LIMIT, sends
from sim.report.model import has_n_fuse, parameters_of, schedule_name
from sim.report.page import environment
from sim.report.timeline import Timeline
from sim.results.result import LayerRun, RunResult

COLOURS = {
    "idle": 0, "W": 1, "U": 2, "x": 3, "setup": 4, "store": 5, "stalled": 6, "full": 7,
    "no step": 5, "stolen": 4, "starved": 6, "head": 5, "waits for W": 4, "waits for a row": 5,
    "starved of U": 7, "x sent": 1, "h sent": 2, "held": 5,
}  # fmt: skip
"""Number of each state's colour in the style sheet; that of "works" is its unit's."""
WORKING = {"W": 1, "U": 2, "gate": 3}
DROPPED = (0x9A, 0xA5, 0xA0)
"""Colour of dropped blocks in a picture of h."""


@dataclass(frozen=True)
class DigitView:
    """A digit and the network's answer. image: as a data URI; answers: for each class its logit and softmax share;
    tested_accuracy: of the network on all ``tested_inputs`` test digits, None where its checkpoint does not say."""

    image: str
    label: int
    prediction: int
    golden: int
    answers: tuple[dict[str, float], ...]
    tested_accuracy: float | None = None
    tested_inputs: int = 0


@dataclass(frozen=True)
class SendsView:
    """What a run with DELTA sent, as pictures (data URIs) with time down and elements to the right.

    of_h: what is sent after each step, for the step below; of_x: what is sent before each, None without events; unit:
    elements of h that are sent together; sent, x_sent: units that the steps took in, of ``units``, ``x_units``; last:
    those of the last row, which no step takes in; x: elements of x.
    """

    of_h: str
    of_x: str | None
    unit: int
    sent: int
    units: int
    last: int
    x: int
    x_sent: int
    x_units: int


@dataclass(frozen=True)
class LayerView:
    """One layer of a page; picture: of h, as a data URI; n_fuse: None of a schedule that has none.

    dropped: blocks of all steps' input, as SKIPPED_BLOCKS counts them. Of these ``dropped_first`` are of the state
    before step 0, which the picture does not have; ``dropped_last`` are in its last row, which no step takes in.
    """

    title: str
    shape: str
    format: str
    schedule: str
    parameters: str
    n_fuse: int | None
    threshold: float
    cycles: int
    word_model: int
    published: int
    port_busy: float
    dropped: int
    dropped_first: int
    dropped_last: int
    blocks: int
    picture: str
    timeline: dict[str, Any]
    sends: SendsView | None = None


@dataclass(frozen=True)
class View:
    """A page."""

    title: str
    exact: bool
    verdict: str
    problems: list[str]
    digit: DigitView | None
    layers: tuple[LayerView, ...]
    facts: tuple[tuple[str, str], ...]


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def timeline_view(timeline: Timeline) -> dict[str, Any]:
    """What the macro ``tracks`` shows."""
    tracks, data = [], []
    for track in timeline.tracks:
        works = WORKING.get(track.name.split()[0], 1)
        colours = [works if name == "works" else COLOURS[name] for name, _ in track.states]
        counts = np.bincount(track.codes, minlength=len(track.states)).tolist()
        states = [
            {"name": name, "meaning": meaning, "colour": colour, "cycles": count, "share": count / len(track.codes)}
            for (name, meaning), colour, count in zip(track.states, colours, counts, strict=True)
        ]
        tracks.append({"name": track.name, "states": states})
        steps = _packed(track.steps.astype("<u2")) if track.steps.any() else None
        names = [name for name, _ in track.states]
        data.append(
            {"name": track.name, "states": names, "colours": colours, "codes": _packed(track.codes), "steps": steps}
        )
    return {
        "title": timeline.title, "first": timeline.first, "length": timeline.length, "cycles": timeline.cycles,
        "tracks": tracks, "data": json.dumps(data),
    }  # fmt: skip


def png(pixels: NDArray[np.uint8]) -> str:
    """An image (rows, columns, 3) as a data URI."""
    # Only those who ask for a page wait for this import
    from matplotlib.image import imsave  # noqa: PLC0415

    stream = io.BytesIO()
    imsave(stream, pixels, format="png")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def picture_of_h(h: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """h (T, H), kept (T, H / u), of the units after each step: pixels (T, H, 3), blue below 0, red above, dropped
    grey, and black what was never stored (NaN). Or changes of h or x, and what is sent of them: held grey.
    """
    low, zero, high = (np.array(colour, np.float64) for colour in ((33, 102, 172), (247, 247, 247), (178, 24, 43)))
    size = np.clip(np.abs(np.nan_to_num(h)), 0, 1)[..., None] ** 0.5
    pixels = zero + size * (np.where(h[..., None] < 0, low, high) - zero)
    pixels[np.repeat(~kept, h.shape[1] // kept.shape[1], axis=1)] = DROPPED
    pixels[np.isnan(h)] = 0
    return pixels.round().astype(np.uint8)


def sends_view(run: LayerRun, golden: LayerResult, x: NDArray[np.float32], state: State | None) -> SendsView:
    """Of a run with DELTA over x (T, X), from golden's result of it; state: what it begins with, None for zeros."""
    units, x_units = golden.kept.shape[1], golden.x_sent.shape[1]
    first, held = np.zeros(run.h), state.held if state else None
    if state and held:
        # what step 0 takes in is sent of the state
        limit = threshold_q24(run.threshold)
        first = sends(q24_of_fp16(to_fp16(state.h[None])), held.h[None], limit, run.h // units).held[0] / HELD_LIMIT
    # what is held changes when and only when the unit is sent
    of_h = np.diff(np.concatenate((first[None], golden.h_pruned)), axis=0).astype(np.float32)
    of_x = None
    if x_units:
        old = np.zeros(run.x) if held is None or held.x is None else held.x / HELD_LIMIT
        padded = np.pad(x, ((0, 0), (0, run.x - x.shape[1])))
        changes = _changes(old, padded, np.repeat(golden.x_sent, run.x // x_units, axis=1))
        of_x = png(picture_of_h(changes, golden.x_sent))
    after = np.asarray(of_h.reshape(run.t, units, -1).any(axis=2))
    return SendsView(
        of_h=png(picture_of_h(of_h, after)),
        of_x=of_x,
        unit=run.h // units,
        sent=run.kept_blocks,
        units=golden.kept.size,
        last=int(after[-1].sum()),
        x=run.x,
        x_sent=run.counters["X_SENT"] if x_units else 0,
        x_units=golden.x_sent.size,
    )


def _changes(old: NDArray[np.float64], x: NDArray[np.float32], sent: NDArray[np.bool_]) -> NDArray[np.float32]:
    """What is sent of x (T, X) in each step, but for its rounding to the grid; sent: (T, X)."""
    found = np.zeros(x.shape, np.float32)
    for t, row in enumerate(x):
        found[t] = np.where(sent[t], row - old, 0)
        old = np.where(sent[t], row, old)
    return found


def digit_view(
    image: NDArray[np.uint8], label: int, logits: NDArray[np.float32], golden: int, tested: Mapping[str, Any]
) -> DigitView:
    """image (rows, columns) uint8; logits (classes,) of the RTL's last h; golden: its answer; tested: of the network,
    by ``whole_test_set``."""
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    answers = tuple(
        {"digit": n, "logit": float(logit), "share": float(share)}
        for n, (logit, share) in enumerate(zip(logits, shares, strict=True))
    )
    picture = png(np.repeat(image[..., None], 3, axis=2))
    return DigitView(picture, label, int(logits.argmax()), golden, answers, **tested)


def layer_view(
    run: LayerRun,
    timeline: Timeline,
    h: NDArray[np.float32],
    kept: NDArray[np.bool_] | None,
    sends: SendsView | None = None,
) -> LayerView:
    """h (T, H) as stored; kept (T, H / u): which units of it the next step may use, None with DELTA, which drops none
    and has ``sends``."""
    if kept is None:
        kept = np.ones((run.t, run.h // run.u_unit_cols), bool)
    return LayerView(
        title=timeline.title,
        shape=f"X {run.x}, H {run.h}, T {run.t}",
        format=run.format,
        schedule=schedule_name(run),
        parameters=parameters_of(run),
        n_fuse=run.n_fuse if has_n_fuse(run) else None,
        threshold=run.threshold,
        cycles=run.cycles,
        word_model=run.word_model_cycles,
        published=run.published_model_cycles,
        port_busy=run.port_busy / run.cycles,
        dropped=(dropped := kept.size - run.kept_blocks),
        dropped_first=dropped - int((~kept[:-1]).sum()),
        dropped_last=int((~kept[-1]).sum()),
        blocks=kept.size,
        picture=png(picture_of_h(h, kept)),
        timeline=timeline_view(timeline),
        sends=sends,
    )


def facts_of(result: RunResult) -> tuple[tuple[str, str], ...]:
    """Where a page comes from."""
    config = ", ".join(f"{name} {value}" for name, value in result.config.items())
    versions = ", ".join(f"{name} {value}" for name, value in result.versions.items())
    return (
        ("command", result.command),
        ("engine", f"{result.engine}, {result.simulated_cycles:,} cycles"),
        ("configuration", config),
        ("seed", str(result.seed)),
        ("commit", result.commit),
        ("Verilog", f"sha256 {result.verilog_sha256}"),
        ("versions", versions),
    )


def page(view: View) -> str:
    """The whole page."""
    return environment().get_template("timeline.html").render(view=view)
