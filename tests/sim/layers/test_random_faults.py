"""Anything wrong with a layer, under every schedule and format: the end that golden says, then a right run."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count, islice

import numpy as np
import pytest

from golden.config import preset
from golden.isa import Error, Flags, Format, Funct, Schedule, streams_word
from sim.layers.jobs import layer_segments
from sim.layers.random_layer import DELTA_CONFIGS, EVENT_CONFIGS, FULL_CONFIGS, RandomLayer, Traits, calls, generate
from sim.protocol.accelerator import Command
from tests.sim.layers.random_fault import FAULTS, Fault, problems_of

SMALL = Traits(full=True, max_size=24, max_steps=8)
ENDS = {
    "words of W": {Error.BAD_FORMAT, Error.BAD_WEIGHT, Error.NONE},
    "words of U": {Error.BAD_FORMAT, Error.BAD_WEIGHT, Error.NONE},
    "lengths of W": {Error.BAD_FORMAT, Error.NONE},
    "lengths of U": {Error.BAD_FORMAT, Error.NONE},
    "tables of W": {Error.BAD_WEIGHT, Error.NONE},
    "tables of U": {Error.BAD_WEIGHT, Error.NONE},
    "x": {Error.BAD_X},
    "bias": {Error.BAD_BIAS},
    "state": {Error.BAD_STATE},
    "loads": {Error.MEM_READ, Error.NONE},
    "loads of W's lengths": {Error.MEM_READ},
    "loads of U's lengths": {Error.MEM_READ},
    "loads of tables": {Error.MEM_READ},
    "stores": {Error.MEM_WRITE},
    "abort": {Error.ABORTED},
}
"""What each class comes to, among others, of enough layers: NONE where nothing reads what is wrong, or it is right."""


def drawn(name: str, cases: Iterable[RandomLayer]) -> Iterable[tuple[RandomLayer, Fault]]:
    """The faults of a class, of those layers that have what it could be in."""
    draw, array = FAULTS[name]
    for case in cases:
        if (fault := draw(np.random.default_rng(case.seed), calls(case)[0], array)) is not None:
            yield case, fault


def end(case: RandomLayer, fault: Fault) -> Error:
    problems, code = problems_of(case, fault)
    assert not problems, "\n".join([case.text, fault.what, *problems])
    return code


def test_every_class_has_its_ends() -> None:
    assert ENDS.keys() == FAULTS.keys()


@pytest.mark.parametrize("name", [name for name in FAULTS if "tables" not in name])
def test_faults_on_the_default_accelerator(name: str) -> None:
    """Of the list and cell fusion, eSELL and stream-16."""
    cases = (generate(seed, name, SMALL, preset("default")) for seed in count(1))
    for found in islice(drawn(name, cases), 2):
        end(*found)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_faults_with_everything_built(name: str) -> None:
    ends = set()
    for config in FULL_CONFIGS:
        cases = (generate(seed, name, replace(SMALL, n_pe=config.n_pe)) for seed in count(1000 * config.n_pe))
        ends |= {end(*found) for found in islice(drawn(name, cases), 12)}
    assert ENDS[name] <= ends


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_faults_where_changes_are_sent(name: str) -> None:
    ends = set()
    for config in (DELTA_CONFIGS[0], EVENT_CONFIGS[3]):
        cases = (generate(seed, name, replace(SMALL, full=False), config) for seed in count(30_000))
        ends |= {end(*found) for found in islice(drawn(name, cases), 12)}
    assert ends & ENDS[name] - {Error.NONE}


@dataclass(frozen=True)
class Start:
    """A START that is refused: the command that says what is wrong, sent before START or in its place."""

    code: Error
    command: Command


def flags(schedule: int = 1, w: int = 1, u: int = 1, flags: Flags = Flags.H_SEQ) -> Command:
    return Command.of(Funct.START, 0x8000_0000, flags | schedule << 8 | w << 12 | u << 14)


ESELL, STREAM8 = Format.ESELL, Format.STREAM8
REFUSED = {
    "no first size": Start(Error.BAD_N_FUSE, Command.of(Funct.GROUPS, 5 << 6, 0)),
    "N_fuse 0": Start(Error.BAD_N_FUSE, Command.of(Funct.FUSION, 0x8000_0000, 0)),
    "no lengths of W": Start(Error.BAD_FLAGS, Command.of(Funct.EXTENSION, 0, 0)),
    "lengths of W at 4": Start(Error.MISALIGNED, Command.of(Funct.EXTENSION, 0x8000_0004, 0)),
    "gap bits 3 of W": Start(Error.BAD_FLAGS, Command.of(Funct.STREAMS, streams_word(3, 4, 4, 4), 0)),
    "gap bits 7 of U": Start(Error.BAD_FLAGS, Command.of(Funct.STREAMS, streams_word(4, 4, 7, 4), 0)),
    "units of 2 columns of W": Start(Error.BAD_FLAGS, Command.of(Funct.STREAMS, streams_word(4, 2, 4, 4), 0)),
    "units of 3 columns of U": Start(Error.BAD_FLAGS, Command.of(Funct.STREAMS, streams_word(4, 4, 4, 3), 0)),
    "schedule 2": Start(Error.BAD_FLAGS, flags(schedule=2)),
    "schedule 3": Start(Error.BAD_FLAGS, flags(schedule=3)),
    "format 3 of W": Start(Error.BAD_FLAGS, flags(w=3)),
    "format 3 of U": Start(Error.BAD_FLAGS, flags(u=3)),
    "stream-8 of W, which is not built": Start(Error.BAD_FLAGS, flags(w=STREAM8)),
    "stream-8 of U, which is not built": Start(Error.BAD_FLAGS, flags(u=STREAM8)),
    "X_SKIP of cell fusion": Start(Error.BAD_FLAGS, flags(schedule=0, flags=Flags.X_SKIP)),
    "X_SKIP of cell fusion in eSELL": Start(Error.BAD_FLAGS, flags(0, ESELL, ESELL, Flags.X_SKIP)),
    "DELTA": Start(Error.BAD_FLAGS, flags(flags=Flags(1 << 7))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_start_of_what_is_not_built_or_missing_is_refused(name: str) -> None:
    """Of a list of streams with nothing else wrong; memory is not touched, and a right run follows."""
    asked = REFUSED[name]
    traits = replace(SMALL, schedule=Schedule.LIST, formats=[Format.STREAM16], x_skip=False, state=False, split=False)
    case = generate(3, name, traits, preset("default"))
    call = calls(case)[0]
    fault = Fault(name, call, layer_segments(call), instead=asked.command, refused=asked.code)
    assert end(case, fault) == asked.code
