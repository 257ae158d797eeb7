"""The axes of a sweep: for each key of a grid or point, what checks one value of it.

Every schedule and format of golden's registries is accepted; ``sim.sweep.spec`` gives simulators those that are built.
"""

from collections.abc import Callable, Iterable
from typing import Any

from golden.config import ACCELERATOR_PRESETS, LayerShape
from golden.cycles import CELL_FUSION, FULL_PORT, SCHEDULES
from golden.formats import FORMATS, stored
from golden.isa import Format
from sim.engines import registry
from sim.layers.table2 import LAYERS
from software.esell_format import MAX_ELEMENTS

MODEL = "model"
"""The engine that is the word-level cycle model; the others are simulators."""
BEST = "best"
FIT = "fit"


class WrongValue(Exception):
    """A value that is not allowed; the message says what is."""


def _integer(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise WrongValue(f"must be a whole number in {low}..{high}")
        return value

    return check


def _share(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise WrongValue("must be a number in 0..1")
    return float(value)


def in_list(name: str) -> str:
    """A name as it stands among others: one with a comma of its own is quoted."""
    return f'"{name}"' if "," in name else name


def _name(known: Iterable[str]) -> Callable[[Any], str]:
    names = list(known)

    def check(value: Any) -> str:
        if value not in names:
            raise WrongValue(f"there is: {', '.join(map(in_list, names))}")
        return value

    return check


def _n_fuse(value: Any) -> int:
    try:
        return 0 if value == BEST else _integer(1, 127)(value)
    except WrongValue as wrong:
        raise WrongValue(f'{wrong}, or "{BEST}"') from None


def _window(value: Any) -> int:
    if _integer(4, 1024)(value) & (value - 1):
        raise WrongValue("must be a power of two in 4..1024")
    return value


def _bandwidth(value: Any) -> int:
    permille = round(_share(value) * FULL_PORT)
    if permille < 1 or abs(permille - value * FULL_PORT) > 1e-6:
        raise WrongValue("must be requests a cycle in 0.001..1, in steps of 0.001")
    return permille


def _layer(value: Any) -> tuple[str, LayerShape]:
    if isinstance(value, str) and value in LAYERS:
        return value, LAYERS[value].shape
    if not isinstance(value, dict) or set(value) != {"x", "h", "t"}:
        raise WrongValue(f"must be {{ x = X, h = H, t = T }} or one of: {', '.join(LAYERS)}")
    for name, low, high in (("x", 4, 8192), ("h", 4, 8192), ("t", 1, 65535)):
        try:
            _integer(low, high)(value[name])
        except WrongValue as wrong:
            raise WrongValue(f"{name} {wrong}") from None
    try:
        shape = LayerShape(value["x"], value["h"], value["t"])
    except ValueError as error:
        raise WrongValue(str(error)) from None
    if (elements := shape.rows * max(shape.x, shape.h)) > MAX_ELEMENTS:
        raise WrongValue(f"4 x h x the larger of x and h must be at most {MAX_ELEMENTS}, it is {elements}")
    return f"x{shape.x}-h{shape.h}-t{shape.t}", shape


AXES: dict[str, Callable[[Any], Any]] = {
    "engine": _name((MODEL, *registry.names("accelerator"))),
    "layer": _layer,
    "w_sparsity": _share,
    "u_sparsity": _share,
    "h_sparsity": _share,
    "seed": _integer(0, 2**31),
    "preset": _name((*ACCELERATOR_PRESETS, FIT)),
    "n_pe": _integer(2, 8),
    "slots": _integer(2, 255),
    "window": _window,
    "n_fuse": _n_fuse,
    "schedule": _name(SCHEDULES),
    "format": _name(FORMATS),
    "latency": _integer(1, 10_000),
    "bandwidth": _bandwidth,
}
"""Every key of a grid or point, with what checks one value of it and brings it into the form of a Point."""
DEFAULTS: dict[str, Any] = {
    "engine": MODEL,
    "seed": 1,
    "preset": "default",
    "n_fuse": BEST,
    "schedule": CELL_FUSION.name,
    "format": stored(Format.ESELL).name,
    "bandwidth": 1,
}
