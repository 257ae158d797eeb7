"""The shipped network on the RTL: all shipped digits bit-exact, and one digit in the same cycles on Icarus."""

import pytest

from golden.config import preset
from sim.digits.network import Network, Setup
from sim.engines import registry
from sim.protocol.timing import MemoryTiming
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, Digits, load_checkpoint, load_digits

PART = 20
"""Digits of one test: parts let two processes share them."""


def network(engine: str, first: int, count: int, name: str = "default") -> Network:
    digits = load_digits(MNIST_DIGITS)
    chosen = Digits(digits.images[first : first + count], digits.labels[first : first + count])
    setup = Setup(registry.get("accelerator", engine), preset(name), MemoryTiming())
    return Network(setup, load_checkpoint(MNIST_CHECKPOINT), chosen)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 100, PART))
def test_all_shipped_digits_are_exact(first: int) -> None:
    # one simulation at a time: the tests beside this one need the other core
    runs = network(registry.DEFAULT, first, PART).run(workers=1)
    assert len(runs) == PART
    wrong = {first + run.record.index: run.problems for run in runs if run.problems}
    assert not wrong
    assert all(layer.cycles == layer.harness_cycles for run in runs for layer in run.record.layers)
    assert [run.record.prediction for run in runs] == [run.record.golden_prediction for run in runs]
    right = sum(run.record.prediction == run.record.label for run in runs)
    print(f"accuracy on the shipped digits {first} to {first + PART - 1}: {right} of {PART}")
    assert right >= PART - 2


@pytest.mark.slow
@pytest.mark.first
def test_a_digit_takes_the_same_cycles_on_the_emitted_verilog() -> None:
    """Minutes: Icarus simulates some two thousand cycles a second of the paper's design, half as many of more.

    The regressions on the emitted Verilog have the list and the streams.
    """
    (fast,) = network(registry.DEFAULT, 0, 1, "mnist").run()
    (slow,) = network("icarus", 0, 1, "mnist").run()
    assert not slow.problems
    assert slow.record == fast.record
