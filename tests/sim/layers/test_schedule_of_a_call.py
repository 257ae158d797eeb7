"""The schedule of a call: its number in START, its models in the record."""

from dataclasses import replace

import pytest

from golden.config import preset
from golden.cycles import CELL_FUSION, Cycles, Schedule
from golden.isa import Counter, Funct
from golden.layer import Layer
from golden.registry import Registry
from sim.layers import words
from sim.layers.compare import judge
from sim.layers.jobs import LayerCall, decode, layer_job
from sim.layers.record import layer_run
from sim.protocol.accelerator import Command
from sim.protocol.base import Design
from sim.results.result import LayerRun
from tests.hdl.accelerator.test_axi4_accelerator import call_of
from tests.sim.golden_engine import GoldenEngine


class Other(Schedule):
    """A schedule that no hardware runs yet: its number is free, its model says the same of everything."""

    name, number = "other", 3  # type: ignore[assignment]

    def model(self, *_: object) -> Cycles:
        return Cycles(1234, 567)


def start_of(call: LayerCall) -> int:
    """rs2 of the call's START."""
    steps = [step for step in layer_job(call).steps if isinstance(step, Command)]
    (start,) = (step for step in steps if step.inst >> 25 == Funct.START)
    return start.rs2


def record_of(call: LayerCall) -> LayerRun:
    config = preset("tiny")
    golden = Layer(call.packed).run(call.x, call.threshold)
    rtl = decode(call, GoldenEngine().run(Design("accelerator", config), layer_job(call)))
    return layer_run("L1", call, golden, rtl, judge("L1", call, golden, rtl, config), config)


def test_its_number_goes_into_start_and_its_models_into_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    call = call_of(4)
    other = replace(call, schedule=3)  # type: ignore[arg-type]
    assert start_of(call) >> 8 & 3 == 0
    assert start_of(other) == start_of(call) | 3 << 8
    ours = record_of(call)
    assert (ours.schedule, ours.format, ours.n_fuse) == (0, "eSELL", 2)
    with pytest.raises(ValueError, match="no schedule has the number 3; there are: 0 cell-fusion"):
        record_of(other)
    monkeypatch.setattr(words, "SCHEDULES", Registry("schedule", CELL_FUSION, Other()))
    theirs = record_of(other)
    assert (theirs.schedule, theirs.word_model_cycles, theirs.word_model_port_words) == (3, 1234, 567)
    assert (theirs.published_model_cycles, theirs.bound_cycles) == (0, ours.bound_cycles)
    assert ours.word_model_cycles not in (0, 1234) and ours.published_model_cycles > 0
    assert theirs.counters[Counter.CYCLES.name] == ours.cycles
