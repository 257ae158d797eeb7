"""Golden against RTL for one run of one layer: the first difference, and everything else that must agree."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.config import AcceleratorConfig
from golden.isa import VERSION_LAYOUT, Counter, Error, Flags
from golden.layer import LayerResult
from golden.recurrence import State
from sim.layers.counters import broken_sums, expected
from sim.layers.jobs import LayerCall, LayerOutcome
from sim.results.result import Mismatch

LSB = 2.0**-24
"""Unit of differences of h: every fp16 of magnitude at most 1 is a multiple of it."""


@dataclass
class Verdict:
    """``mismatch``: the first wrong value of h, in the order of storing; ``problems``: all differences, in words."""

    mismatch: Mismatch | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        return not self.problems


def expected_h(call: LayerCall, golden: LayerResult) -> NDArray[np.float32]:
    """The rows (rows, H) that the run must store, as its flags say."""
    h = golden.h_pruned if call.flags & Flags.H_PRUNED else golden.h
    return h if call.flags & Flags.H_SEQ else h[-1:]


def first_mismatch(layer: str, golden: NDArray[np.float32], rtl: NDArray[np.float32], step: int = 0) -> Mismatch | None:
    """The first difference in bits between two (rows, H) arrays, whose first row is time step ``step``."""
    wrong = np.argwhere(golden.view(np.uint32) != rtl.view(np.uint32))
    if not wrong.size:
        return None
    row, unit = (int(i) for i in wrong[0])
    a, b = float(golden[row, unit]), float(rtl[row, unit])
    lsb = round((b - a) / LSB) if np.isfinite(b - a) else 0
    return Mismatch(layer, step + row, unit, a, b, lsb)


def describe(m: Mismatch) -> str:
    """A mismatch in words."""
    what = "was never stored" if np.isnan(m.rtl) else f"is {m.rtl!r}, off by {m.lsb} * 2^-24"
    return f"{m.layer} h[{m.step}, {m.unit}] must be {m.golden!r} and {what}"


def _state_problems(golden: State, rtl: State) -> list[str]:
    """The first difference in bits of each array of a state, in words."""
    pairs = [("h", golden.h, rtl.h), ("c", golden.c, rtl.c)]
    if golden.held and rtl.held:
        pairs += [("held h", golden.held.h, rtl.held.h), ("sums", golden.held.sums, rtl.held.sums)]
        if golden.held.x is not None and rtl.held.x is not None:
            pairs.append(("held x", golden.held.x, rtl.held.x))
    problems = []
    for name, a, b in pairs:
        wrong = np.flatnonzero(a.view(np.uint32) != b.view(np.uint32))
        if wrong.size:
            unit = wrong[0]
            problems.append(f"state {name}[{unit}] is {b[unit]!r}, must be {a[unit]!r}")
    return problems


def judge(layer: str, call: LayerCall, golden: LayerResult, rtl: LayerOutcome, config: AcceleratorConfig) -> Verdict:
    """Compare a run on a design of this configuration with golden's result of the same call.

    What must be follows from call, golden and configuration alone, never from another counter of the run.
    """
    verdict = Verdict()
    problems = verdict.problems
    problems += [f"{layer}: {text}" for text in rtl.raw.violations]
    code, counters = rtl.status.code, rtl.counters

    def equal(what: str, got: int, wanted: int) -> None:
        if got != wanted:
            problems.append(f"{layer}: {what} is {got}, must be {wanted}")

    if len(rtl.raw.busy_cycles) != 1:
        problems.append(f"{layer}: busy was high {len(rtl.raw.busy_cycles)} times, must be once")
    equal("counter CYCLES", counters[Counter.CYCLES], rtl.harness_cycles)
    problems += [f"{layer}: {text}" for text in broken_sums(counters, succeeded=code == Error.NONE)]
    n_fuse = min(call.n_fuse, config.fuse_capacity)
    equal("counter N_FUSE", counters[Counter.N_FUSE], n_fuse)
    equal("N_pe of counter VERSION", VERSION_LAYOUT.place("n_pe").of(counters[Counter.VERSION]), config.n_pe)
    equal("counter FEATURES", counters[Counter.FEATURES], config.features)

    allowed = set(golden.errors) | ({Error.ACC_OVERFLOW} if golden.overflow == "may" else set())
    if not golden.errors:
        allowed.add(Error.NONE)
    if code not in allowed:
        names = " or ".join(sorted(error.name for error in allowed))
        problems.append(f"{layer}: the run ended with {code.name}, must be {names}")
    equal("status bit done", rtl.status.done, True)
    equal("status bit busy", rtl.status.busy, False)
    equal("status bit error", rtl.status.error, code != Error.NONE)

    wanted = expected_h(call, golden)
    if code == Error.NONE and not golden.errors:
        equal("rows complete", rtl.status.rows, call.steps)
        for counter, wanted_count in expected(call, golden, config).items():
            equal(f"counter {counter.name}", counters[counter], wanted_count)
        first_step = 0 if call.flags & Flags.H_SEQ else call.steps - 1
        verdict.mismatch = first_mismatch(layer, wanted, rtl.h, first_step)
        if call.flags & Flags.STATE_OUT and rtl.state is not None:
            problems += [f"{layer}: {text}" for text in _state_problems(golden.state, rtl.state)]
    elif call.flags & Flags.H_SEQ:
        rows = rtl.status.rows
        if rows > golden.rows:
            problems.append(f"{layer}: {rows} rows complete, golden has no more than {golden.rows}")
        verdict.mismatch = first_mismatch(layer, wanted[: min(rows, golden.rows)], rtl.h[: min(rows, golden.rows)])
    elif code not in (Error.NONE, Error.MEM_WRITE) and not np.isnan(rtl.h).all():
        problems.append(f"{layer}: h was stored although the run failed")
    if verdict.mismatch:
        problems.append(describe(verdict.mismatch))
    return verdict
