"""What a sweep is asked for: a TOML file of grids and points, checked value by value before anything runs.

docs/sweep.md describes the file. Every error is a UserError of one line that names the file, the key, the value and
what is allowed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig, LayerShape
from golden.cycles import FULL_PORT, SCHEDULES
from golden.formats import FORMATS
from golden.isa import BUILT_FORMATS, BUILT_SCHEDULES, Format, Schedule
from golden.settings import PRESET, Configuration
from sim.engines import registry
from sim.layers.table2 import LAYERS
from sim.sweep.axes import AXES, BEST, DEFAULTS, FIT, MODEL, WrongValue, in_list
from software.cli import UserError
from software.options import read_toml

LATENCY = 8
"""Of memory, where a simulator's point says none; cycles."""
MAX_POINTS = 100_000
"""Of one file; a sweep keeps every point in memory."""


@dataclass(frozen=True)
class Point:
    """One design on one layer.

    Attributes:
        engine: MODEL or a simulator's name.
        layer: a name of Table 2, or one made of the shape.
        w_sparsity, u_sparsity, h_sparsity: of W, of U, and the share of blocks of h that is dropped, 0..1.
        seed: of weights, inputs and the memory's stalls.
        n_fuse: fusion factor, 0 for the best by the schedule's model that the slots allow, and where it has none.
        schedule, format: names in golden's registries.
        latency: of the memory, cycles; None for MODEL, which has none.
        port_permille: of 1000 cycles, those in which the memory takes a request.
    """

    engine: str
    layer: str
    shape: LayerShape
    w_sparsity: float
    u_sparsity: float
    h_sparsity: float
    seed: int
    config: AcceleratorConfig
    n_fuse: int
    schedule: str
    format: str
    latency: int | None
    port_permille: int

    def key(self, identity: str) -> str:
        """Digest under which the point's result is kept; ``identity``: of what computes it."""
        text = json.dumps([asdict(self), identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def text(self) -> str:
        """The point in one line."""
        c = self.config
        design = [
            f", {key} {in_list(name)}"
            for key, name in (("schedule", self.schedule), ("format", self.format))
            if name != DEFAULTS[key]
        ]
        memory = "" if self.latency is None else f", latency {self.latency}"
        return (
            f"{self.layer} {self.engine}: n_pe {c.n_pe}, slots {c.slots}, n_fuse {self.n_fuse or BEST}, "
            f"w {self.w_sparsity:g}, u {self.u_sparsity:g}, h {self.h_sparsity:g}, seed {self.seed}, "
            f"bandwidth {self.port_permille / FULL_PORT:g}{memory}{''.join(design)}"
        )


@dataclass(frozen=True)
class Spec:
    """A checked file. points: each once, grids first; left_out: combinations of a grid that no hardware runs,
    counted by reason."""

    name: str
    points: tuple[Point, ...]
    left_out: dict[str, int]


class _LeftOut(Exception):
    """A combination of allowed values that no hardware runs; ``reason`` says why, ``keys`` whose values do not go
    together."""

    def __init__(self, keys: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.keys, self.reason = keys, reason


Base = Configuration[AcceleratorConfig] | None
"""What the command line says of the accelerator: points start from it in place of a preset."""


def load_spec(path: Path, base: Base = None) -> Spec:
    """Read and check a file. Raises UserError."""
    return spec_of(read_toml(path), path.stem, str(path), base)


def spec_of(content: Mapping[str, Any], name: str, where: str, base: Base = None) -> Spec:
    """Check parsed TOML; ``name``: of the sweep, unless it says one; ``where`` begins each error."""
    for key in content:
        if key not in ("name", "grid", "points"):
            raise UserError(f"{where}: no key {key!r}; there are: name, grid, points")
    name = content.get("name", name)
    if not isinstance(name, str) or not name.replace("-", "").replace("_", "").isalnum():
        raise UserError(f"{where}: name = {name!r}: must be letters, digits, - and _ only, as it names a folder")
    found: dict[Point, None] = {}
    left_out: Counter[str] = Counter()
    for table, label in _tables(content, where):
        if base and (twice := next((key for key in table if key == PRESET or key in dict(base.changed)), None)):
            raise UserError(f"{label}: {twice} = {table[twice]!r}: the command line says {base.name}: one must go")
        points, missing = _expand(table, label, base)
        found |= dict.fromkeys(points)
        left_out += missing
        if len(found) > MAX_POINTS:
            raise UserError(f"{where}: more than {MAX_POINTS:,} points")
    if not found:
        raise UserError(f"{where}: no points: give a [grid] or [[points]]")
    return Spec(name, tuple(found), dict(left_out))


def _tables(content: Mapping[str, Any], where: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every grid and point as a table, with what begins its errors."""
    grids = content.get("grid", [])
    for kind, tables in (
        ("grid", [grids] if isinstance(grids, dict) else grids),
        ("points", content.get("points", [])),
    ):
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise UserError(f"{where}: {kind} must be a table, [{kind}], or several, [[{kind}]]")
        for number, table in enumerate(tables, 1):
            label = f"{where}: {kind}" + (f" {number}" if len(tables) > 1 else "")
            if kind == "points" and (key := next((k for k, v in table.items() if isinstance(v, list)), None)):
                raise UserError(f"{label}: {key} = {table[key]!r}: a point has one value; lists belong in [grid]")
            yield table, label


def _values(table: dict[str, Any], label: str) -> dict[str, list[Any]]:
    """The checked values of each axis that has any."""
    for key in table:
        if key not in AXES:
            raise UserError(f"{label}: no key {key!r}; there are: {', '.join(AXES)}")
    if "layer" not in table:
        raise UserError(f"{label}: layer is missing")
    values: dict[str, list[Any]] = {}
    for key, given in ((key, (DEFAULTS | table)[key]) for key in AXES if key in table or key in DEFAULTS):
        choices = given if isinstance(given, list) else [given]
        if not choices:
            raise UserError(f"{label}: {key} = []: must have at least one value")
        values[key] = []
        for choice in choices:
            try:
                values[key].append(AXES[key](choice))
            except WrongValue as wrong:
                raise UserError(f"{label}: {key} = {choice!r}: {wrong}") from None
    if MODEL in values["engine"] and "latency" in table:
        raise UserError(
            f'{label}: latency = {table["latency"]!r}: the word-level model, engine "{MODEL}", has no latency; '
            f"give it to a simulator: {', '.join(registry.names('accelerator'))}"
        )
    if (size := prod(map(len, values.values()))) > MAX_POINTS:
        raise UserError(f"{label}: {size:,} combinations, at most {MAX_POINTS:,} are allowed")
    for layer, _ in values["layer"]:
        for key in ("w_sparsity", "u_sparsity", "h_sparsity"):
            if layer not in LAYERS and key not in values:
                raise UserError(f"{label}: {key} is missing: layer {layer} is not of Table 2, which would say it")
    return values


def _expand(table: dict[str, Any], label: str, start: Base) -> tuple[list[Point], Counter[str]]:
    """The points of a table, and why combinations are none. Raises UserError when a value is in no point."""
    values = _values(table, label)
    points: list[Point] = []
    left_out: Counter[str] = Counter()
    used: set[tuple[str, Any]] = set()
    reasons: dict[tuple[str, Any], str] = {}
    blamed: Counter[tuple[str, Any]] = Counter()
    for combination in product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        try:
            points.append(_point(chosen, label, start))
        except _LeftOut as why:
            left_out[why.reason.partition(":")[0]] += 1
            given = [(key, chosen[key]) for key in why.keys if key in table]
            reasons |= dict.fromkeys(given, why.reason)
            blamed.update(given)
        else:
            used |= {(key, chosen[key]) for key in chosen if key != "layer"}
    for (key, value), _ in blamed.most_common():
        if (key, value) not in used:
            shown = (value or BEST) if key == "n_fuse" else value
            reason = reasons[key, value]
            raise UserError(f"{label}: {key} = {shown!r}: no hardware runs it with the other values: {reason}")
    return points, left_out


def _check_built(chosen: Mapping[str, Any]) -> None:
    """Raises _LeftOut for a simulator of what is not in the RTL, and for N_fuse of a schedule that has none."""
    schedule, form = SCHEDULES[chosen["schedule"]], FORMATS[chosen["format"]]
    for key, row, built in (("schedule", schedule, BUILT_SCHEDULES), ("format", form, BUILT_FORMATS)):
        if chosen["engine"] != MODEL and row.number not in built:
            raise _LeftOut((key, "engine"), f'not built: {key} {in_list(row.name)} is for the engine "{MODEL}" alone')
    if schedule.number == Schedule.EVENTS:
        raise _LeftOut(("schedule",), "without changes: x and h of random layers do not stay what they are")
    if chosen["n_fuse"] and "n_fuse" not in schedule.parameters:
        raise _LeftOut(("n_fuse", "schedule"), f"n_fuse without meaning: schedule {schedule.name} has none")


def _with_what_runs(config: AcceleratorConfig, chosen: Mapping[str, Any]) -> AcceleratorConfig:
    """For a simulator the configuration with the schedule and the format of the point."""
    if chosen["engine"] == MODEL:
        return config
    listed = SCHEDULES[chosen["schedule"]].number == Schedule.LIST
    switches = {Format.STREAM16: "stream16", Format.STREAM8: "stream8", Format.ESELL: "esell"}
    more = {name: True for form, name in switches.items() if form == FORMATS[chosen["format"]].number}
    return replace(config, group_list=config.group_list or listed, **more)


def _point(chosen: Mapping[str, Any], label: str, start: Base) -> Point:
    layer, shape = chosen["layer"]
    sizes = {key: chosen[key] for key in ("n_pe", "slots", "window") if key in chosen}
    if chosen["preset"] == FIT:
        base = AcceleratorConfig(max_x=shape.x, max_h=shape.h, max_t=shape.t)
    else:
        preset = start.name if start else chosen["preset"]
        base = start.config if start else ACCELERATOR_PRESETS[preset]
        if over := base.exceeded(shape.x, shape.h, shape.t):
            name, value, limit = over
            raise UserError(f"{label}: layer {layer} has {name} = {value}, preset {preset} allows {limit}")
    n_pe, slots = sizes.get("n_pe", base.n_pe), sizes.get("slots", base.slots)
    if slots < (least := 2 * (n_pe - 1)):
        raise _LeftOut(
            ("n_pe", "slots"), f"fewer slots than 2 (n_pe - 1): n_pe {n_pe} needs {least}, there are {slots}"
        )
    _check_built(chosen)
    config = _with_what_runs(replace(base, **sizes), chosen)
    if chosen["n_fuse"] > config.fuse_capacity:
        raise _LeftOut(
            ("n_pe", "slots", "n_fuse"),
            f"n_fuse over the capacity: {slots} slots hold n_fuse {config.fuse_capacity} at n_pe {n_pe}, "
            f"not {chosen['n_fuse']}",
        )
    paper = LAYERS.get(layer)
    sparsities = {
        key: chosen[key] if key in chosen else getattr(paper, key) for key in ("w_sparsity", "u_sparsity", "h_sparsity")
    }
    latency = None if chosen["engine"] == MODEL else chosen.get("latency", LATENCY)
    same = {key: chosen[key] for key in ("engine", "seed", "n_fuse", "schedule", "format")}
    return Point(
        layer=layer,
        shape=shape,
        config=config,
        latency=latency,
        port_permille=chosen["bandwidth"],
        **same,
        **sparsities,
    )
