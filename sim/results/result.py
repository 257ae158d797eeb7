"""The versioned run-result schema: what every command that simulates writes as JSON, and what reports read.

Fields are only ever added; a change of meaning is a new ``schema`` string. A missing field is an error that names it.
"""

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from software.cli import write_all

SCHEMA = "elstm.run/1"
Record = TypeVar("Record")
ADDED = {"added": True}
"""Metadata of a field that older files lack: reading them gives its default."""


class ResultError(ValueError):
    """A result file that does not follow the schema; the message names file and field."""


@dataclass
class Mismatch:
    """The first difference between golden and RTL, in the order of storing."""

    layer: str
    step: int
    unit: int
    golden: float
    rtl: float
    lsb: int
    """Difference RTL - golden in units of 2^-24."""


ERROR_EDGES = tuple(2.0**-k for k in range(18, 5, -1))
"""Where the bins of FloatCheck.histogram meet: the first counts errors below the first edge, the last the rest."""


@dataclass
class FloatCheck:
    """Golden's h of one layer against float64: |h - h64| at most, on average and by size (ERROR_EDGES), and of the
    ``blocks`` of all steps those that float64 would have kept or dropped otherwise."""

    max_abs_error: float
    mean_abs_error: float
    histogram: list[int]
    flips: int
    blocks: int


@dataclass
class LayerRun:
    """One layer of one input on the RTL.

    Cycles are clock cycles of the run by the accelerator's counter, ``harness_cycles`` those in which the simulator's
    host saw ``busy`` high (0, for not counted, of the SoC in files of before it had that port).
    ``w_words``, ``u_words``: size of the packed arrays; ``*_loaded``: what the run loaded, over all passes.
    ``word_model_cycles``, ``published_model_cycles``, ``bound_cycles``: golden.cycles on the blocks that were kept,
    ``word_model_port_words`` what the first of them moves; ``counters``: all of the accelerator's, by name;
    ``port_busy``: cycles in which the port moved a word. ``schedule`` is its number in golden.isa, ``format`` the name
    of that of W and U, "A and B" where they differ; 0 ``published_model_cycles``: the schedule has no such formula. In
    a comparison of schemes ``scheme`` names this one, ``source`` and ``index`` the data, ``speedup`` is of
    ``original`` over this on the same data, and ``paper_cycles`` is the paper's bar.
    """

    layer: str
    x: int
    h: int
    t: int
    n_pe: int
    n_fuse: int
    threshold: float
    cycles: int
    harness_cycles: int
    w_words: int
    u_words: int
    w_words_loaded: int
    u_words_loaded: int
    kept_blocks: int
    exact: bool
    mismatch: Mismatch | None = None
    max_abs_error: float | None = None
    """Largest |h - float64 h| with golden's keep mask."""
    float_check: FloatCheck | None = None
    word_model_cycles: int = 0
    word_model_port_words: int = 0
    published_model_cycles: int = 0
    bound_cycles: int = 0
    port_busy: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    schedule: int = 0
    format: str = "eSELL"
    scheme: str | None = None
    source: str | None = None
    index: int = 0
    speedup: float | None = None
    paper_cycles: float | None = None


@dataclass
class InputRun:
    """One input (a digit, a sentence) through every layer.

    On the SoC, ``system_cycles`` are those of the whole program, ``console`` is what it printed.
    """

    index: int
    exact: bool
    layers: list[LayerRun]
    label: int | None = None
    prediction: int | None = None
    golden_prediction: int | None = None
    system_cycles: int = 0
    console: str = ""


@dataclass
class RunResult:
    """One command's result.

    ``versions``: of what made it, by name; "riscv_compiler" is what compiled the program that ran on the core, if one
    did, since the SoC's cycles depend on it.
    """

    kind: str
    exact: bool
    engine: str
    system: str
    preset: str
    config: dict[str, int]
    verilog_sha256: str
    seed: int
    commit: str
    command: str
    versions: dict[str, str]
    inputs: list[InputRun]
    accuracy: float | None = None
    tested_accuracy: float | None = field(default=None, metadata=ADDED)
    """Of the same network on all ``tested_inputs`` test inputs, by golden, as its checkpoint says."""
    tested_inputs: int = field(default=0, metadata=ADDED)
    simulated_cycles: int = 0
    wall_seconds: float = 0.0
    cycles_per_second: float = 0.0
    notes: list[str] = field(default_factory=list)
    rows: list[LayerRun] = field(default_factory=list)
    """Layers that are no part of a network's run, as in a comparison of schemes."""
    schema: str = SCHEMA

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    def save(self, path: str | Path) -> Path:
        """Write the JSON whole or not at all."""
        return write_whole(Path(path), self.to_json().encode() + b"\n")


def write_whole(path: Path, content: bytes) -> Path:
    """Write it whole or not at all. Raises UserError."""
    write_all({path: content})
    return path


def _build(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        return _build(next(a for a in get_args(kind) if a is not type(None)), value, where)
    if origin is list:
        if not isinstance(value, list):
            raise ResultError(f"{where}: expected a list, not {value!r}")
        return [_build(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise ResultError(f"{where}: expected an object, not {value!r}")
        return {key: _build(get_args(kind)[1], item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        if not isinstance(value, dict):
            raise ResultError(f"{where}: expected an object, not {value!r}")
        hints = get_type_hints(kind)
        names = [f.name for f in fields(kind) if f.name in value or f.metadata != ADDED]
        for name in names:
            if name not in value:
                raise ResultError(f"{where}: field {name!r} is missing")
        return kind(**{name: _build(hints[name], value[name], f"{where}.{name}") for name in names})
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ResultError(f"{where}: expected {kind.__name__}, not {value!r}")
    return value


def from_json(text: str, where: str = "result") -> RunResult:
    """Parse and check a result. Raises ResultError naming the field."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(f"{where}: not JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        found = value.get("schema") if isinstance(value, dict) else value
        raise ResultError(f"{where}: schema must be {SCHEMA!r}, not {found!r}")
    return _build(RunResult, value, where)


def layer_run_from(value: Any, where: str) -> LayerRun:
    """Check a parsed LayerRun. Raises ResultError naming the field."""
    return record_from(LayerRun, value, where)


def record_from(kind: type[Record], value: Any, where: str) -> Record:
    """Check a parsed dataclass of numbers, texts and such. Raises ResultError naming the field."""
    return _build(kind, value, where)
