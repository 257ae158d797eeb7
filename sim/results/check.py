"""Does a result agree with itself? What a file says twice, or what follows from the rest of it, is compared."""

from collections.abc import Iterator

from golden.isa import COUNTER_SUMS, Counter
from golden.tables import STREAM_UNIT_COLS
from sim.results.result import InputRun, LayerRun, ResultError, RunResult

_COUNTED = {
    "cycles": Counter.CYCLES, "n_fuse": Counter.N_FUSE, "w_words_loaded": Counter.W_WORDS,
    "u_words_loaded": Counter.U_WORDS, "kept_blocks": Counter.KEPT_BLOCKS, "port_busy": Counter.PORT_BUSY,
}  # fmt: skip
"""Fields of a LayerRun that are counters."""


def _layer(run: LayerRun, where: str) -> Iterator[str]:
    if run.exact and run.mismatch is not None:
        place = f"step {run.mismatch.step}, unit {run.mismatch.unit}"
        yield f"{where}.exact is true, but {where}.mismatch is at {place}"
    if run.mismatch is not None and not (0 <= run.mismatch.step < run.t and 0 <= run.mismatch.unit < run.h):
        yield f"{where}.mismatch is at step {run.mismatch.step}, unit {run.mismatch.unit} of T {run.t}, H {run.h}"
    if run.u_unit_cols not in STREAM_UNIT_COLS:
        yield f"{where}.u_unit_cols is {run.u_unit_cols}, must be {' or '.join(map(str, STREAM_UNIT_COLS))}"
    elif not 0 <= run.kept_blocks <= run.blocks:
        yield f"{where}.kept_blocks is {run.kept_blocks}, must be 0..{run.blocks}"
    if not run.counters:
        return
    for name, counter in _COUNTED.items():
        if (counted := run.counters.get(counter.name)) != getattr(run, name):
            yield f"{where}.{name} is {getattr(run, name)}, counter {counter.name} {counted}"
    for row in COUNTER_SUMS:
        if run.exact and row.total == Counter.CYCLES:
            total = sum(run.counters.get(part.name, 0) for part in row.parts)
            if total != run.cycles:
                names = " + ".join(part.name for part in row.parts)
                yield f"{where}.cycles is {run.cycles}, {names} is {total}"


def _input(run: InputRun, where: str) -> Iterator[str]:
    for number, layer in enumerate(run.layers):
        yield from _layer(layer, f"{where}.layers[{number}]")
        if run.exact and not layer.exact:
            yield f"{where}.exact is true, but {where}.layers[{number}].exact is false"
    if run.exact and run.prediction != run.golden_prediction:
        yield f"{where}.exact is true, but prediction is {run.prediction}, golden_prediction {run.golden_prediction}"
    cycles = sum(layer.cycles for layer in run.layers)
    if run.system_cycles and run.system_cycles < cycles:
        yield f"{where}.system_cycles is {run.system_cycles}, its layers took {cycles}"


def _result(result: RunResult, where: str) -> Iterator[str]:
    for number, run in enumerate(result.inputs):
        yield from _input(run, f"{where}.inputs[{number}]")
        if result.exact and not run.exact:
            yield f"{where}.exact is true, but {where}.inputs[{number}].exact is false"
    for number, row in enumerate(result.rows):
        yield from _layer(row, f"{where}.rows[{number}]")
        if result.exact and not row.exact:
            yield f"{where}.exact is true, but {where}.rows[{number}].exact is false"
    layers = [layer for run in result.inputs for layer in run.layers] + result.rows
    if result.exact and not layers:
        yield f"{where}.exact is true, but there is no run of a layer"
    cycles = sum(layer.cycles for layer in layers)
    if result.simulated_cycles and result.simulated_cycles < cycles:
        yield f"{where}.simulated_cycles is {result.simulated_cycles}, the layers took {cycles}"


def check(result: RunResult, where: str = "result") -> None:
    """Raises ResultError with the first contradiction, naming its place and both values.

    What cannot be computed again from the file, as h itself, is believed.
    """
    for contradiction in _result(result, where):
        raise ResultError(contradiction)
