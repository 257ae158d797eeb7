"""One point of a sweep, computed in whatever process and on whatever machine it comes to."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import golden
import hdl
import software
from golden.config import CHUNK_ROWS, GATES, AcceleratorConfig, LayerShape
from golden.cycles import FULL_PORT, SCHEDULES, LayerWords
from golden.cycles.words import HALVES
from golden.formats import FORMATS, Packed, StoredFormat, stored
from golden.isa import ERROR_MEANINGS, Error, Format
from golden.layer import Layer, PackedLayer
from golden.tables import TABLE_VALUES
from hdl.accelerator.size import memory_bits
from sim.engines import registry
from sim.engines.build_cache import cached
from sim.layers.jobs import RunFailed, layer_job
from sim.layers.plan import call_of
from sim.layers.record import simulate
from sim.layers.table2 import random_data, threshold_for
from sim.protocol.base import Design, EngineError
from sim.protocol.timing import MemoryTiming
from sim.results.result import LayerRun
from sim.sweep.axes import MODEL
from sim.sweep.spec import Point
from software.tuning.plan import Plan

TOLERANCE = 0.02
"""How far the share of dropped blocks may be from the one asked for, if that is not less than two blocks: which blocks
a threshold drops depends on what it dropped before, so small layers do not have every share."""
TABLE_WORDS = 2 * GATES * TABLE_VALUES // HALVES
"""Of the tables of W and U."""
_SIM = Path(__file__).parents[1]


@dataclass
class Row:
    """A finished point.

    What was asked for (``max_x`` .. ``bandwidth``: Point and its configuration; ``n_fuse_best``: that ``n_fuse`` is
    the best; None and False of a schedule that has none; ``group_sizes``: the sizes of a list that were found, with
    blanks between, None of a schedule that has none), then what came out: ``h_dropped``, the share of blocks of h
    that ``threshold`` dropped; words of the packed arrays; ``cycles``, the RTL's, or for the model those of
    ``word_model_cycles``; ``published_cycles``, where the schedule has such a formula, which knows a full port only;
    ``bound_cycles``; ``memory_bits`` of the accelerator, and its ``macs``, as many a PE as a word has values. With a
    simulator every h was compared with golden: ``exact`` is True, and ``run`` is its record; else both are None.
    """

    engine: str
    layer: str
    x: int
    h: int
    t: int
    w_sparsity: float
    u_sparsity: float
    h_sparsity: float
    seed: int
    max_x: int
    max_h: int
    max_t: int
    n_pe: int
    slots: int
    window: int
    n_fuse: int | None
    n_fuse_best: bool
    group_sizes: str | None
    schedule: str
    format: str
    latency: int | None
    bandwidth: float
    threshold: float
    h_dropped: float
    w_words: int
    u_words: int
    port_words: int
    cycles: int
    word_model_cycles: int
    published_cycles: int | None
    bound_cycles: int
    memory_bits: int
    macs: int
    exact: bool | None
    verilog_sha256: str | None
    run: LayerRun | None


@dataclass
class Failure:
    """Why a point has no row."""

    reason: str


@cache
def model_version() -> str:
    """Digest of every source and version that a row's numbers depend on, the RTL's excepted."""
    rooms = {name: Path(module.__path__[0]) for name, module in (("golden", golden), ("software", software))}
    sizes = Path(hdl.__path__[0]) / "accelerator"
    files = [
        *sorted(rooms["golden"].rglob("*.py")),
        rooms["software"] / "esell_format.py",
        *(sizes / name for name in ("layout.py", "size.py")),
        *(_SIM / "layers" / f"{name}.py" for name in ("compare", "jobs", "record", "table2", "words")),
        _SIM / "sweep" / "point.py",
    ]
    state = hashlib.sha256(np.__version__.encode())
    for path in files:
        state.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:32]


def verilog_sha256(engine: str, config: AcceleratorConfig) -> str | Failure:
    """Checksum of the accelerator's Verilog, which is emitted where the cache has none."""
    try:
        return registry.get("accelerator", engine).verilog_sha256(Design("accelerator", config))
    except EngineError as error:
        return Failure(str(error))


@lru_cache(maxsize=1)
def _random_data(
    shape: LayerShape, w: float, u: float, seed: int, number: Format
) -> tuple[PackedLayer, NDArray[np.float32]]:
    return random_data(shape, w, u, seed, number)


def _stored_as(point: Point) -> Format:
    """The number of the format in which golden and simulators take the point's weights."""
    form = FORMATS[point.format]
    # A format of sizes alone changes no weight, and eSELL holds every fp16 matrix as it is
    return form.number if isinstance(form, StoredFormat) else Format.ESELL


def _data(point: Point) -> tuple[PackedLayer, NDArray[np.float32]]:
    return _random_data(point.shape, point.w_sparsity, point.u_sparsity, point.seed, _stored_as(point))


@dataclass(frozen=True, eq=False)
class _Facts:
    """What a layer's data say, which takes seconds to find out and few bytes to keep."""

    words: LayerWords
    u_words: int
    threshold: float


def _kept(point: Point) -> tuple[NDArray[np.bool_], float]:
    """(T, H/4), the blocks of h that golden keeps, and the threshold that was searched for."""

    def make(path: Path) -> None:
        packed, x = _data(point)
        layer = Layer(packed)
        # Not even the zeros before step 0 are dropped when nothing is
        tolerance = max(TOLERANCE, 2 / (point.shape.t * point.shape.h_blocks))
        threshold = threshold_for(layer, x[None], point.h_sparsity, tolerance) if point.h_sparsity else 0.0
        result = layer.run(x, threshold)
        if result.error != Error.NONE:
            raise ValueError(f"the layer stops: {ERROR_MEANINGS[result.error]}")
        with path.open("wb") as file:
            np.savez(file, kept=result.kept, threshold=threshold)

    with np.load(_cached("kept", point, _stored_as(point), point.h_sparsity, make=make)) as found:
        return found["kept"], float(found["threshold"])


def _unit_words(matrix: Packed, name: str) -> NDArray[np.int64]:
    """Words of each unit of a matrix in the format of that name."""
    form = FORMATS[name]
    if form.number == matrix.format:
        return matrix.offsets.astype(np.int64)
    return form.unit_words(
        stored(matrix.format).unpack(matrix.words, matrix.rows, matrix.cols, matrix.offsets, matrix.parameters)
    )


def _units(point: Point) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words of each unit of W and of U in the point's format."""

    def make(path: Path) -> None:
        packed, _ = _data(point)
        with path.open("wb") as file:
            np.savez(file, w=_unit_words(packed.w, point.format), u=_unit_words(packed.u, point.format))

    with np.load(_cached("units", point, point.format, make=make)) as found:
        return found["w"], found["u"]


def _cached(what: str, point: Point, *more: object, make: Callable[[Path], None]) -> Path:
    """A file of facts of a layer, in the cache, so that points with the same data compute them once a machine."""
    data = what, point.shape, point.w_sparsity, point.u_sparsity, point.seed, *more, model_version()
    name = hashlib.sha256(repr(data).encode()).hexdigest()[:32]
    return cached(f"sweep/{name}.npz", make)


def _facts(point: Point) -> _Facts:
    """Of the point's layer in its format."""
    (kept, threshold), (w, u) = _kept(point), _units(point)
    form = FORMATS[point.format]
    heads = form.unit_heads(point.shape.rows)
    w_heads = len(w) * heads
    before = 0
    if isinstance(form, StoredFormat):
        before = (-(-len(w) // HALVES) if form.needs_offsets else 0) + (TABLE_WORDS if form.has_tables else 0)
    words = LayerWords(point.shape, int(w.sum()) - w_heads, w_heads, kept, u, u_heads=heads, w_units=w, w_setup=before)
    return _Facts(words, int(u.sum()), threshold)


def _word_values(name: str) -> int:
    """Values that a word of a format has, and a PE multipliers for; of a format of sizes those of every PE."""
    form = FORMATS[name]
    return form.word_values if isinstance(form, StoredFormat) else CHUNK_ROWS


def _simulated(point: Point, facts: _Facts, named: Mapping[str, Any], sha256: str) -> LayerRun:
    """The RTL's run. Raises RunFailed when an h or a counter differs from golden's, or the Verilog from ``sha256``."""
    packed, x = _data(point)
    number = SCHEDULES[point.schedule].number
    assert number is not None
    plan = Plan(named.get("n_fuse") or 1, number, tuple(named.get("sizes") or ()))
    call = call_of(plan, packed, x, facts.threshold)
    engine, design = registry.get("accelerator", point.engine), Design("accelerator", point.config)
    if (found := engine.verilog_sha256(design)) != sha256:
        raise RunFailed(f"the Verilog here is {found[:16]}, the sweep is of {sha256[:16]}")
    timing = MemoryTiming(point.latency or 1, stall_permille=FULL_PORT - point.port_permille, seed=point.seed)
    result = Layer(packed).run(x, facts.threshold)
    done = simulate(engine, design, layer_job(call, timing), point.layer, point.layer, call, result)
    if done.problems:
        raise RunFailed("; ".join(done.problems[:3]))
    return done.row


def _row(point: Point, sha256: str | None) -> Row:
    facts, config = _facts(point), point.config
    schedule, permille = SCHEDULES[point.schedule], point.port_permille
    values = schedule.search(facts.words, config, permille, **({"n_fuse": point.n_fuse} if point.n_fuse else {}))
    named = schedule.named(values)
    n_fuse, sizes = named.get("n_fuse"), named.get("sizes")
    model = schedule.model(facts.words, config, values, permille)
    run = None if sha256 is None else _simulated(point, facts, named, sha256)
    return Row(
        engine=point.engine,
        layer=point.layer,
        x=point.shape.x,
        h=point.shape.h,
        t=point.shape.t,
        w_sparsity=point.w_sparsity,
        u_sparsity=point.u_sparsity,
        h_sparsity=point.h_sparsity,
        seed=point.seed,
        **{name: getattr(config, name) for name in ("max_x", "max_h", "max_t", "n_pe", "slots", "window")},
        n_fuse=n_fuse,
        n_fuse_best=n_fuse is not None and not point.n_fuse,
        group_sizes=" ".join(map(str, sizes)) if sizes else None,
        schedule=point.schedule,
        format=point.format,
        latency=point.latency,
        bandwidth=point.port_permille / FULL_PORT,
        threshold=facts.threshold,
        h_dropped=1 - float(facts.words.kept.mean()),
        w_words=facts.words.w_values + facts.words.w_heads,
        u_words=facts.u_words,
        port_words=model.port_words,
        cycles=run.cycles if run else model.cycles,
        word_model_cycles=model.cycles,
        published_cycles=schedule.published(facts.words, config, values) if permille == FULL_PORT else None,
        bound_cycles=facts.words.bound(config.n_pe, permille),
        memory_bits=memory_bits(config),
        macs=config.n_pe * _word_values(point.format),
        exact=run.exact if run else None,
        verilog_sha256=sha256,
        run=run,
    )


def evaluate(point: Point, version: str, sha256: str | None) -> Row | Failure:
    """The point's row, or why there is none.

    ``version``: ``model_version()`` of the process that asks; another one here is a failure, as rows of two versions
    must not meet. ``sha256``: of the Verilog to simulate, None for the model.
    """
    if version != model_version():
        return Failure("this worker has other sources of elstm, or another NumPy, than the sweep")
    try:
        return _row(point, sha256)
    except (ValueError, EngineError, RunFailed) as error:
        return Failure(str(error))
    except Exception as error:
        # A defect, here or in what is beneath; the other points must not suffer from it
        return Failure(f"{type(error).__name__}: {error}")


def identity(point: Point, sha256: str | None) -> str:
    """What a point's result depends on beside the point, for ``Point.key``."""
    return model_version() if point.engine == MODEL else f"{model_version()} {sha256}"
