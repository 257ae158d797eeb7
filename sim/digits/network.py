"""MNIST digits through the RTL, everything compared: here both layers on the bare accelerator and the output layer in
NumPy, in ``sim.digits.soc`` all of it by a program on the SoC."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from golden.config import AcceleratorConfig
from golden.isa import Format
from golden.layer import LayerResult
from sim.engines.compiled import CompiledAccelerator
from sim.layers.compare import expected_h, judge
from sim.layers.float_check import float_checks
from sim.layers.jobs import LayerCall, RunFailed, decode, first_wrong_write, layer_job
from sim.layers.plan import call_of
from sim.layers.record import layer_run
from sim.protocol.base import Design, Engine, WaveRequest
from sim.protocol.timing import MemoryTiming
from sim.results.result import FloatCheck, InputRun
from sim.threads import simulations
from software.checkpoint import Checkpoint, CheckpointError, Digits
from software.places import whole
from software.tuning.networks import for_digits
from software.tuning.schedule_choice import USUAL_SCHEDULE, PlannedLayer, ScheduleChoice, plan_layers, run_of
from software.weight_formats import ALL_ESELL, FormatChoice

BEFORE, AFTER = 400, 40
"""Cycles of a waveform before and after the first wrong write."""


@dataclass(frozen=True, eq=False)
class Setup:
    """On what a network is run: engine, configuration, memory, schedule, formats of the weights."""

    engine: Engine
    config: AcceleratorConfig
    timing: MemoryTiming
    schedule: ScheduleChoice = USUAL_SCHEDULE
    formats: FormatChoice = ALL_ESELL

    @property
    def design(self) -> Design:
        return Design("accelerator", self.config)


@dataclass
class DigitRun:
    """One digit: the record, the calls as the RTL ran them, what was wrong, and all cycles that were simulated."""

    record: InputRun
    calls: list[LayerCall] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cycles: int = 0
    seconds: float = 0.0


WaveOf = Callable[[int], WaveRequest | None]
"""Waveform wanted of each layer (from 0) of a digit."""


def no_wave(layer: int) -> None:
    """No waveform of any layer."""


class DigitNetwork(ABC):
    """A packed checkpoint with the digits it is to classify, planned by the first, and golden's results for all.

    Raises CheckpointError when the network does not fit the digits or the configuration, else as ``plan_layers``.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        checkpoint: Checkpoint,
        digits: Digits,
        formats: FormatChoice,
        schedule: ScheduleChoice,
    ) -> None:
        self.config, self.digits = config, digits
        self.checkpoint, self.x = for_digits(checkpoint, digits, schedule, formats)
        self._check()
        self.planned = plan_layers(self.checkpoint.layers, self.x[0], formats, schedule, config)
        self.layers = [(layer.packed, layer.threshold) for layer in self.planned]
        self.golden: list[LayerResult] = []
        self.checks: list[list[FloatCheck]] = []
        """For each layer golden against float64, digit by digit, with golden's inputs."""
        x = self.x
        for layer in self.planned:
            result = layer.golden(x)
            self.golden.append(result)
            self.checks.append(float_checks(layer.packed, x, layer.threshold, result, layer.plan.delta))
            x = result.h_pruned

    def _check(self) -> None:
        rows, columns = self.digits.images.shape[1:]
        if self.checkpoint.layers[0].inputs != columns:
            raise CheckpointError(
                f"layer 1 takes {self.checkpoint.layers[0].inputs} inputs, an image row has {columns}"
            )
        for number, layer in enumerate(self.checkpoint.layers, 1):
            shape = layer.shape(rows)
            if over := self.config.exceeded(shape.x, shape.h, shape.t):
                name, value, limit = over
                raise CheckpointError(f"layer {number} has {name} = {value}, the preset allows {limit}")

    def golden_of(self, layer: int, n: int) -> LayerResult:
        """Golden's result of one digit."""
        return self.golden[layer].sequence(n)

    @abstractmethod
    def run_digit(self, n: int, wave: WaveOf = no_wave) -> DigitRun:
        """Digit n through every layer. Raises EngineError."""

    def run(
        self, workers: int = 2, done: Callable[[DigitRun], None] = lambda run: None, wave: WaveOf = no_wave
    ) -> list[DigitRun]:
        """All digits in order, ``workers`` simulations at a time; ``wave`` is for the first digit.

        Raises EngineError. An interrupt starts no further digit and ends those that run.
        """
        runs = []
        jobs = [partial(self.run_digit, n, no_wave if n else wave) for n in range(len(self.x))]
        with simulations(jobs, workers) as futures:
            for future in futures:
                runs.append(future.result())
                done(runs[-1])
        return runs


class Network(DigitNetwork):
    """On the bare accelerator, one run a layer."""

    def __init__(self, setup: Setup, checkpoint: Checkpoint, digits: Digits) -> None:
        super().__init__(setup.config, checkpoint, digits, setup.formats, setup.schedule)
        self.setup = setup

    def run_digit(self, n: int, wave: WaveOf = no_wave) -> DigitRun:
        """Digit n through every layer; the input of a layer is what the RTL stored in the one below.

        A layer that fails ends the digit; its reason is among the problems.
        """
        run = DigitRun(InputRun(n, True, [], int(self.digits.labels[n])))
        x = self.x[n]
        for layer, planned in enumerate(self.planned):
            name = f"L{layer + 1}"
            call = call_of(planned.plan, planned.packed, x, planned.threshold)
            run.calls.append(call)
            outcome = self.setup.engine.run(self.setup.design, layer_job(call, self.setup.timing, wave=wave(layer)))
            run.cycles += outcome.cycles
            run.seconds += outcome.wall_seconds
            try:
                rtl = decode(call, outcome)
            except RunFailed as failure:
                run.problems.append(f"{name}: {failure}")
                break
            golden = self.golden_of(layer, n)
            verdict = judge(name, call, golden, rtl, self.setup.config)
            run.problems += verdict.problems
            check = self.checks[layer][n]
            run.record.layers.append(layer_run(name, call, golden, rtl, verdict, self.setup.config, check))
            x = rtl.h
        else:
            run.record.prediction = int(self.checkpoint.logits(x[-1]).argmax())
            run.record.golden_prediction = int(self.checkpoint.logits(self.golden[-1].h_pruned[n, -1]).argmax())
            if run.record.prediction != run.record.golden_prediction:
                run.problems.append(f"prediction {run.record.prediction}, golden's is {run.record.golden_prediction}")
        run.record.exact = not run.problems
        return run


def whole_test_set(checkpoint: Checkpoint, layers: Sequence[PlannedLayer] = ()) -> dict[str, Any]:
    """What a checkpoint says of the network on all test inputs, if it does, as fields of a RunResult.

    It says it of its own weights, or of the run that it names: nothing is known of ``layers`` in a format that rounds
    them, or of others.
    """
    said = checkpoint.meta.get("golden")
    if not isinstance(said, dict):
        return {}
    plain = all(matrix.format == Format.ESELL for layer in layers for matrix in (layer.packed.w, layer.packed.u))
    plain &= not any(layer.plan.delta for layer in layers)
    if run_of(layers) != said["run"] if "run" in said else not plain:
        return {}
    accuracy, inputs = said.get("accuracy"), said.get("digits")
    if not isinstance(accuracy, float) or not isinstance(inputs, int):
        return {}
    return {"tested_accuracy": accuracy, "tested_inputs": inputs}


def mismatch_wave(setup: Setup, run: DigitRun, path: Path) -> str:
    """Run the first wrong layer of a digit again with a waveform around its first wrong write.

    The fast engine makes it whatever engine found it: all take the same cycles. Returns what was done, in words.
    """
    wrong = next((n for n, record in enumerate(run.record.layers) if not record.exact), len(run.calls) - 1)
    call = run.calls[wrong]
    golden = call.golden()
    engine = CompiledAccelerator()
    job = layer_job(call, setup.timing)
    outcome = engine.run(setup.design, replace(job, log_writes=True))
    cycle = first_wrong_write(call, expected_h(call, golden), outcome)
    what = "the end of the run" if cycle is None else f"the first wrong write, cycle {cycle}"
    center = outcome.cycles if cycle is None else cycle
    wave = WaveRequest(str(path), max(0, center - BEFORE), center + AFTER)
    with whole(path) as (part,):
        engine.run(setup.design, replace(job, wave=replace(wave, path=str(part))))
    return f"{path}: digit {run.record.index}, L{wrong + 1}, cycles {wave.first} to {wave.last}, around {what}"
