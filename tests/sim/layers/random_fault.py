"""Random layers with something wrong in them: damaged words, lengths, tables, values, a load or store that fails.

A *fault* is put into a case of ``sim.layers.random_layer``; what must come of it is golden's answer for the damaged
layer, and, for what memory answers, whether the run needs the word. Every run is followed by a right one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from golden.config import GATES
from golden.formats import Packed, stored
from golden.formats.words import Words
from golden.isa import Counter, Error, Flags, Funct, InputFormat
from golden.layer import LayerResult
from golden.numbers import to_fp16
from golden.recurrence import State
from golden.tables import TABLE_VALUES
from sim.engines import registry
from sim.layers.compare import judge
from sim.layers.jobs import LayerCall, cycle_limit, decode, layer_segments, read_counters, start_steps
from sim.layers.random_layer import RandomLayer, calls
from sim.protocol.accelerator import AcceleratorJob, Command, Outcome, Step, WaitIdle, WaitReads
from sim.protocol.base import Design, Segment

GOOD_BASE = 0xA000_0000
STUCK = 20_000


@dataclass(frozen=True, eq=False)
class Fault:
    """A call with a fault in it.

    what: in words; call: with the damage that golden knows of; segments: all of memory's; memory: the error that
    memory answers with, None when it answers none that the run comes to see; reads: loads after which ABORT comes;
    instead: a command that takes the place of the one of its kind, for which START answers ``refused``.
    """

    what: str
    call: LayerCall
    segments: tuple[Segment, ...]
    memory: Error | None = None
    reads: int | None = None
    instead: Command | None = None
    refused: Error = Error.NONE


def _places(matrix: Packed) -> int:
    """Words that a unit of the matrix has at most."""
    if stored(matrix.format).needs_offsets:
        return matrix.rows * matrix.parameters.unit_cols // stored(matrix.format).word_values
    return matrix.rows // 8 * 9


def _with_matrix(call: LayerCall, name: str, **changes: object) -> LayerCall:
    matrix = replace(getattr(call.packed, name), **changes)
    return replace(call, packed=replace(call.packed, **{name: matrix}))


def _plain(what: str, call: LayerCall) -> Fault:
    return Fault(what, call, layer_segments(call))


def _random_word(rng: np.random.Generator, old: int) -> int:
    """Any bits, some bits of a word turned, or entries few of which are values."""
    kind = rng.integers(4)
    anything = int(rng.integers(2**64, dtype=np.uint64))
    if kind == 0:
        return anything
    if kind == 1:
        return old ^ 1 << int(rng.integers(64))
    if kind == 2:
        return anything & int(rng.integers(2**64, dtype=np.uint64)) & 0xFFF0_00FF_F00F_0F0F
    return old | 0x7C00 << 16 * int(rng.integers(4))


def damaged_words(rng: np.random.Generator, call: LayerCall, name: str) -> Fault | None:
    """Some words of a matrix are others."""
    old = getattr(call.packed, name).words
    if not len(old):
        return None
    changed = old.copy()
    places = rng.choice(len(old), min(len(old), int(rng.choice([1, 1, 3, 20]))), replace=False)
    for place in places:
        changed[place] = _random_word(rng, int(old[place]))
    return _plain(f"words {sorted(places.tolist())} of {name}", _read_by_heads(rng, call, name, changed))


def _read_by_heads(rng: np.random.Generator, call: LayerCall, name: str, changed: Words) -> LayerCall:
    """The call with these words, and where heads alone say how far a matrix goes, with those that they lead to."""
    matrix: Packed = getattr(call.packed, name)
    if name == "u" or call.flags & Flags.X_SKIP or stored(matrix.format).needs_offsets:
        return _with_matrix(call, name, words=changed)
    behind = rng.integers(2**64, size=len(matrix.offsets) * _places(matrix), dtype=np.uint64)
    longer = np.concatenate([changed, behind])
    read = stored(matrix.format).decode(longer, matrix.rows, matrix.cols)
    return _with_matrix(call, name, words=longer if read.faults else longer[: read.words_read])


def offsets(rng: np.random.Generator, call: LayerCall, name: str) -> Fault | None:
    """A length is wrong; the words behind the array exist, as far as a run may ask for them."""
    matrix: Packed = getattr(call.packed, name)
    if name == "w" and not (call.flags & Flags.X_SKIP or stored(matrix.format).needs_offsets):
        return None
    lengths = matrix.offsets.copy()
    unit, most = int(rng.integers(len(lengths))), _places(matrix)
    old = int(lengths[unit])
    choices = [0, old - 3, old - 1, old + 1, old + 3, most, most + 1, 2 * most, 0xFFFF, int(rng.integers(2**16))]
    lengths[unit] = min(max(0, int(rng.choice(choices))), 0xFFFF)
    if lengths[unit] == old:
        return None
    total = int(lengths.sum(dtype=np.int64))
    behind = rng.integers(2**64, size=max(0, total - len(matrix.words)), dtype=np.uint64)
    if rng.random() < 0.5:
        behind[:] = 0
    words = np.concatenate([matrix.words, behind])[:total]
    what = f"unit {unit} of {name} has {lengths[unit]} words, not {old}"
    return _plain(what, _with_matrix(call, name, offsets=lengths, words=words))


def tables(rng: np.random.Generator, call: LayerCall, name: str) -> Fault | None:
    """Values of a table are any bits, finite or not; those of a matrix in another format are ignored."""
    matrix: Packed = getattr(call.packed, name)
    table = matrix.parameters.tables
    if table is None:
        return None
    changed = table.copy()
    gate, entry = int(rng.integers(GATES)), int(rng.integers(TABLE_VALUES))
    bits = int(rng.choice([0x7C00, 0xFC00, 0x7E01, 0x7BFF, int(rng.integers(2**16))]))
    changed[gate, entry] = np.uint16(bits).view(np.float16)
    parameters = replace(matrix.parameters, tables=changed)
    return _plain(
        f"table {gate} of {name}: entry {entry} is {bits:#x}", _with_matrix(call, name, parameters=parameters)
    )


def inputs(rng: np.random.Generator, call: LayerCall, _: str) -> Fault | None:
    """An x that fp16 does not hold, or that is above 1 by events; as a byte there is none."""
    if call.x_format == InputFormat.UINT8:
        return None
    x = np.array(call.x)
    step, column = int(rng.integers(len(x))), int(rng.integers(x.shape[1]))
    x[step, column] = rng.choice([np.nan, np.inf, -65520.0, *[1.001, -1.5] * call.events])
    return _plain(f"x[{step}, {column}] is {x[step, column]}", replace(call, x=x))


def biases(rng: np.random.Generator, call: LayerCall, _: str) -> Fault | None:
    """A bias that the sums do not take."""
    bias = call.packed.bias.copy()
    row = int(rng.integers(len(bias)))
    bias[row] = rng.choice([np.nan, np.inf, 2048.0, -4096.0])
    return _plain(f"bias {row} is {bias[row]}", replace(call, packed=replace(call.packed, bias=bias)))


def states(rng: np.random.Generator, call: LayerCall, _: str) -> Fault | None:
    """An h of the state that is none, or with DELTA more held than there can be."""
    if call.state is None:
        return None
    h, held = call.state.h.copy(), call.state.held
    unit = int(rng.integers(len(h)))
    if held is not None and rng.random() < 0.6:
        name = "x" if held.x is not None and rng.random() < 0.5 else "h"
        values = getattr(held, name).copy()
        unit = int(rng.integers(len(values)))
        values[unit] = rng.choice([1025, -1025, 1 << 16, -(1 << 31)])
        state = State(h, call.state.c, replace(held, **{name: values}))
        return _plain(f"held of {name}: {values[unit]} in unit {unit}", replace(call, state=state))
    h[unit] = rng.choice([np.nan, 1.5, 0.1])
    return _plain(f"h of the state: {h[unit]} in unit {unit}", replace(call, state=State(h, call.state.c, held)))


def _loaded(call: LayerCall, golden: LayerResult, name: str) -> np.ndarray:
    """Which words of a matrix a run loads that nothing ends."""
    matrix: Packed = getattr(call.packed, name)
    if name == "u":
        units = golden.kept.any(axis=0)
    elif call.events:
        units = golden.x_sent.any(axis=0)
    elif call.flags & Flags.X_SKIP:
        units = (to_fp16(call.x) != 0).reshape(call.steps, len(matrix.offsets), -1).any(axis=(0, 2))
    else:
        return np.ones(len(matrix.words), bool)
    return np.repeat(units, matrix.offsets)


def loads(rng: np.random.Generator, call: LayerCall, name: str) -> Fault | None:
    """Memory answers the load of a word with an error: of the array of that name, or of any."""
    golden = call.golden()
    segments = layer_segments(call)
    read = [s for s in segments if s.size and s.name not in ("h", *["state"] * (call.state is None))]
    if not (of_name := [s for s in read if s.name.startswith(name)]) or golden.errors or golden.overflow != "none":
        return None
    failing = of_name[int(rng.integers(len(of_name)))]
    word = int(rng.integers(failing.size // 8))
    seen = failing.name not in ("w", "u") or bool(_loaded(call, golden, failing.name)[word])
    altered = tuple(replace(s, read_error=8 * word) if s is failing else s for s in segments)
    return Fault(f"word {word} of {failing.name} fails", call, altered, Error.MEM_READ if seen else None)


def stores(rng: np.random.Generator, call: LayerCall, _: str) -> Fault | None:
    """Memory answers a store with an error."""
    golden = call.golden()
    if golden.errors or golden.overflow != "none":
        return None
    segments = layer_segments(call)
    written = [s for s in segments if s.name == "h" or (s.name == "state" and call.flags & Flags.STATE_OUT)]
    failing = written[int(rng.integers(len(written)))]
    word = int(rng.integers(failing.size // 8))
    altered = tuple(replace(s, write_error=8 * word) if s is failing else s for s in segments)
    return Fault(f"the store of word {word} of {failing.name} fails", call, altered, Error.MEM_WRITE)


def aborts(rng: np.random.Generator, call: LayerCall, _: str) -> Fault | None:
    """ABORT once so many words were asked for: not more than any run of the call asks for."""
    packed = call.packed
    least = packed.h + call.steps * packed.x // (2 if call.x_format == InputFormat.FP32 else 8)
    return Fault("aborted", call, layer_segments(call), reads=int(rng.integers(least)))


FAULTS: dict[str, tuple[Callable[[np.random.Generator, LayerCall, str], Fault | None], str]] = {
    "words of W": (damaged_words, "w"),
    "words of U": (damaged_words, "u"),
    "lengths of W": (offsets, "w"),
    "lengths of U": (offsets, "u"),
    "tables of W": (tables, "w"),
    "tables of U": (tables, "u"),
    "x": (inputs, ""),
    "bias": (biases, ""),
    "state": (states, ""),
    "loads": (loads, ""),
    "loads of W's lengths": (loads, "w_offsets"),
    "loads of U's lengths": (loads, "u_offsets"),
    "loads of tables": (loads, "tables"),
    "stores": (stores, ""),
    "abort": (aborts, ""),
}
"""Each class: what draws it, and of which array."""


def _answers(outcome: Outcome, run: int, per_run: int) -> Outcome:
    """What one of the runs of a job left."""
    return replace(
        outcome,
        responses=outcome.responses[run * per_run : (run + 1) * per_run],
        # a START that is refused has none
        busy_cycles=outcome.busy_cycles[-1:] if run else outcome.busy_cycles[:-1],
    )


def problems_of(case: RandomLayer, fault: Fault) -> tuple[list[str], Error]:
    """What is wrong with the run of a fault and with the right run of the case after it, and how the first ended."""
    good, bad = calls(case)[0], fault.call
    right_segments = tuple(replace(s, name=f"good_{s.name}") for s in layer_segments(good, GOOD_BASE))
    steps: list[Step] = start_steps(bad, fault.segments)
    if fault.instead is not None:
        steps = [fault.instead if isinstance(s, Command) and s.inst == fault.instead.inst else s for s in steps]
        assert fault.instead in steps
    if fault.reads is not None:
        steps += [WaitReads(fault.reads), Command.of(Funct.ABORT)]
    steps += [WaitIdle(), *read_counters(), *start_steps(good, layer_segments(good, GOOD_BASE)), WaitIdle()]
    # a damaged array may be longer than a right one
    limit = 4 * (cycle_limit(bad, case.timing) + cycle_limit(good, case.timing))
    job = AcceleratorJob((*fault.segments, *right_segments), (*steps, *read_counters()), case.timing, limit, STUCK)
    outcome = registry.get("accelerator").run(Design("accelerator", case.config), job)
    if outcome.stopped:
        return [outcome.stopped, *outcome.violations[:3]], Error.NONE
    broken = _answers(outcome, 0, len(Counter))
    found = decode(bad, broken)
    golden = bad.golden()
    expected = golden
    if fault.memory is not None:
        expected = replace(golden, errors=frozenset({fault.memory}))
    if fault.reads is not None:
        expected = replace(golden, errors=golden.errors | {Error.ABORTED})
    if fault.refused:
        problems = [] if len(outcome.busy_cycles) == 1 else ["a START that is refused began a run"]
        problems += [] if found.counters[Counter.PORT_BUSY] == 0 else ["memory was touched"]
        problems += (
            [] if found.status.code == fault.refused else [f"{found.status.code.name}, not {fault.refused.name}"]
        )
    else:
        problems = judge("bad", bad, expected, found, case.config).problems
    memory = {name.removeprefix("good_"): data for name, data in outcome.memory.items() if name.startswith("good_")}
    after = decode(good, replace(_answers(outcome, 1, len(Counter)), memory=memory))
    return problems + judge("good", good, good.golden(), after, case.config).problems, found.status.code
