"""The versioned run-result schema: what every command that simulates writes as JSON, and what reports read.

Fields are only ever added. Every field must be there, and a missing one is an error that names it; in a file of 0.1,
which has the schema before this one, those that were added since take their defaults.
"""

import json
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from cattrs import AttributeValidationNote, BaseValidationError, Converter, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from software.cli import write_all

SCHEMA = "elstm.run/2"
SCHEMA_OF_0_1 = "elstm.run/1"
"""Of elstm 0.1 and of what was written until 0.2."""
Record = TypeVar("Record")


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
    ``port_busy``: cycles in which the port moved a word. ``schedule`` is its number in golden.isa,
    ``group_sizes`` those of the list schedule as asked for, ``x_skip`` whether units of W were skipped where x is zero,
    ``delta`` whether changes of h were sent, ``x_threshold`` that of x by events, ``x_format`` fp32, fp16 or uint8,
    ``h_fp16`` whether rows were; ``format`` the name of that of W and U, "A and B" where they differ; ``*_gap_bits``,
    ``*_unit_cols``: what a stream format left open, 0 gap bits where the format has none; ``kept_blocks`` counts U's
    units of h, with ``delta`` those that were sent; 0 ``published_model_cycles``: the schedule has no such formula. In
    a comparison of schemes ``scheme`` names this one, ``source`` and ``index`` the data, ``speedup`` is of ``original``
    over this on the same data, and ``paper_cycles`` is the paper's bar.
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
    group_sizes: list[int] = field(default_factory=list)
    x_skip: bool = False
    delta: bool = False
    x_threshold: float = 0.0
    x_format: str = "fp32"
    h_fp16: bool = False
    format: str = "eSELL"
    w_gap_bits: int = 0
    w_unit_cols: int = 4
    u_gap_bits: int = 0
    u_unit_cols: int = 4
    scheme: str | None = None
    source: str | None = None
    index: int = 0
    speedup: float | None = None
    paper_cycles: float | None = None

    @property
    def blocks(self) -> int:
        """Units of h, kept or not, over all steps."""
        return self.t * (self.h // self.u_unit_cols)


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
    tested_accuracy: float | None = None
    """Of the same network on all ``tested_inputs`` test inputs, by golden, as its checkpoint says."""
    tested_inputs: int = 0
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


class _WrongError(ValueError):
    """A value that is not what its field holds; ``place``: which field, below the object that is looked at."""

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(text)
        self.place = place


def _primitive(kind: type) -> Callable[[Any, Any], Any]:
    # cattrs itself would convert "3" to 3, and True is an int
    wanted = (int, float) if kind is float else kind

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise _WrongError(f"expected {kind.__name__}, not {value!r}")
        return value

    return structure


def _record(kind: Any, converter: Converter, complete: bool) -> Callable[[Any, Any], Any]:
    inner, hints = make_dict_structure_fn(kind, converter), get_type_hints(kind)
    containers = {"list": list, "object": dict}

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _WrongError(f"expected an object, not {value!r}")
        for f in fields(kind):
            optional = f.default is not MISSING or f.default_factory is not MISSING
            if f.name not in value and (complete or not optional):
                raise _WrongError(f"field {f.name!r} is missing")
            for name, container in containers.items():
                # cattrs takes anything that can be iterated
                wanted = get_origin(hints[f.name]) is container
                if wanted and not isinstance(value.get(f.name, container()), container):
                    article = "an" if name == "object" else "a"
                    raise _WrongError(f"expected {article} {name}, not {value[f.name]!r}", f".{f.name}")
        return inner(value, kind)

    return structure


def _converter(complete: bool) -> Converter:
    """``complete``: fields with defaults may not be missing either."""
    converter = Converter()
    for kind in (bool, int, float, str):
        converter.register_structure_hook(kind, _primitive(kind))
    converter.register_structure_hook_factory(is_dataclass, lambda kind: _record(kind, converter, complete))
    return converter


_COMPLETE, _OF_0_1 = _converter(complete=True), _converter(complete=False)


def _first(error: BaseException, where: str) -> str:
    """The first thing that cattrs found wrong, with its place, in one line."""
    if not isinstance(error, BaseValidationError):
        return f"{where}{getattr(error, 'place', '')}: {error}"
    first = error.exceptions[0]
    for note in getattr(first, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            where += f".{note.name}"
        elif isinstance(note, IterableValidationNote):
            where += f"[{note.index}]" if isinstance(note.index, int) else f".{note.index}"
    return _first(first, where)


def _structured(converter: Converter, kind: type[Record], value: Any, where: str) -> Record:
    try:
        return converter.structure(value, kind)
    except (_WrongError, BaseValidationError) as error:
        raise ResultError(_first(error, where)) from None


def from_json(text: str, where: str = "result") -> RunResult:
    """Parse and check a result; one of 0.1 is converted. Raises ResultError naming the field."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultError(f"{where}: not JSON: {error}") from None
    found = value.get("schema") if isinstance(value, dict) else value
    if found == SCHEMA_OF_0_1:
        return _structured(_OF_0_1, RunResult, value | {"schema": SCHEMA}, where)
    if found == SCHEMA:
        return _structured(_COMPLETE, RunResult, value, where)
    raise ResultError(f"{where}: schema must be {SCHEMA!r} or {SCHEMA_OF_0_1!r}, not {found!r}{_author(value)}")


def _author(value: Any) -> str:
    """Who can read a file of another schema, as far as it says."""
    versions = value.get("versions") if isinstance(value, dict) else None
    version = versions.get("elstm") if isinstance(versions, dict) else None
    return f"; elstm {version} wrote it, and can read it" if isinstance(version, str) else ""


def layer_run_from(value: Any, where: str) -> LayerRun:
    """Check a parsed LayerRun. Raises ResultError naming the field."""
    return record_from(LayerRun, value, where)


def record_from(kind: type[Record], value: Any, where: str) -> Record:
    """Check a parsed dataclass of numbers, texts and such. Raises ResultError naming the field."""
    return _structured(_COMPLETE, kind, value, where)
