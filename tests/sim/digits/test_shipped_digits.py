"""The shipped network on the RTL: all shipped digits bit-exact, and on Icarus in the same cycles."""

import pytest

from golden.config import preset
from sim.digits.network import Network, Setup
from sim.engines import registry
from sim.protocol.timing import MemoryTiming
from software.checkpoint import MNIST_DIGITS, Digits, load_checkpoint, load_digits
from software.tuning.networks import NETWORKS, PAPER

PART = 20
"""Digits of one test: parts let two processes share them."""


def network(engine: str, first: int, count: int, preset_name: str, name: str = PAPER, rows: int = 28) -> Network:
    chosen, digits = NETWORKS[name], load_digits(MNIST_DIGITS)
    some = Digits(digits.images[first : first + count, :rows], digits.labels[first : first + count])
    setup = Setup(
        registry.get("accelerator", engine), preset(preset_name), MemoryTiming(), chosen.schedule, chosen.formats
    )
    return Network(setup, load_checkpoint(chosen.path), some)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 100, PART))
def test_all_shipped_digits_are_exact(first: int) -> None:
    # one simulation at a time: the tests beside this one need the other core
    runs = network(registry.DEFAULT, first, PART, "default").run(workers=1)
    assert len(runs) == PART
    wrong = {first + run.record.index: run.problems for run in runs if run.problems}
    assert not wrong
    assert all(layer.cycles == layer.harness_cycles for run in runs for layer in run.record.layers)
    assert [run.record.prediction for run in runs] == [run.record.golden_prediction for run in runs]
    right = sum(run.record.prediction == run.record.label for run in runs)
    print(f"accuracy on the shipped digits {first} to {first + PART - 1}: {right} of {PART}")
    assert right >= PART - 2


PART_OF_A_DIGIT = 8
"""Rows of the image: a whole group of cell fusion and part of one."""


@pytest.mark.slow
@pytest.mark.first
def test_a_digit_takes_the_same_cycles_on_the_emitted_verilog() -> None:
    """A minute: Icarus simulates some two thousand cycles a second of the paper's design, half as many of more.

    The regressions on the emitted Verilog have the list and the streams.
    """
    (fast,) = network(registry.DEFAULT, 0, 1, "mnist", rows=PART_OF_A_DIGIT).run()
    (slow,) = network("icarus", 0, 1, "mnist", rows=PART_OF_A_DIGIT).run()
    assert not slow.problems
    assert all(layer.n_fuse < layer.t == PART_OF_A_DIGIT for layer in slow.record.layers)
    assert slow.record == fast.record


@pytest.mark.slow
@pytest.mark.first
def test_a_whole_digit_by_events_takes_the_same_cycles_on_the_emitted_verilog() -> None:
    (fast,) = network(registry.DEFAULT, 0, 1, "event", "tiny").run()
    (slow,) = network("icarus", 0, 1, "event", "tiny").run()
    assert not slow.problems and slow.record.prediction == slow.record.label
    assert slow.record == fast.record
