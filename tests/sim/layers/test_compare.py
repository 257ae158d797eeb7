"""The judge of a run: what a counter must be is never taken from the run itself."""

from dataclasses import replace

import pytest

from golden.config import preset
from golden.isa import Counter
from golden.layer import Layer
from sim.layers.compare import judge
from sim.layers.jobs import LayerCall, LayerOutcome, decode, layer_job
from sim.protocol.base import Design
from tests.hdl.accelerator.test_axi4_accelerator import call_of
from tests.sim.golden_engine import GoldenEngine

TINY = preset("tiny")


def problems_of(call: LayerCall, rtl: LayerOutcome) -> list[str]:
    return judge("L1", call, Layer(call.packed).run(call.x, call.threshold), rtl, TINY).problems


@pytest.fixture
def call() -> LayerCall:
    return call_of(3)


@pytest.fixture
def rtl(call: LayerCall) -> LayerOutcome:
    return decode(call, GoldenEngine().run(Design("accelerator", TINY), layer_job(call)))


def test_a_right_run_has_no_problems(call: LayerCall, rtl: LayerOutcome) -> None:
    assert problems_of(call, rtl) == []


@pytest.mark.parametrize(
    ("counter", "change", "message"),
    [
        (Counter.CYCLES, 1, "counter CYCLES is {}, must be {}"),
        (Counter.N_FUSE, 1, "counter N_FUSE is {}, must be {}"),
        (Counter.VERSION, 1 << 16, "N_pe of counter VERSION is 4, must be 3"),
        (Counter.KEPT_BLOCKS, 1, "counter KEPT_BLOCKS is {}, must be {}"),
    ],
)
def test_a_counter_that_lies_is_named(
    counter: Counter, change: int, message: str, call: LayerCall, rtl: LayerOutcome
) -> None:
    right = rtl.counters[counter]
    lying = replace(rtl, counters=rtl.counters | {counter: right + change})
    assert f"L1: {message.format(right + change, right)}" in problems_of(call, lying)
    # and nothing that was right before is called wrong for it
    assert not any("W_WORDS" in text or "PE_BUSY" in text for text in problems_of(call, lying))
