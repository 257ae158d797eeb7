"""MNIST digits through the whole SoC: a program classifies a digit on the core, and everything it leaves in memory is
compared with golden."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.config import WORD_BYTES, AcceleratorConfig, SocConfig
from golden.isa import Counter, StatusWord
from golden.memory import h_bytes, h_from_bytes
from sim.digits.network import AFTER, BEFORE, DigitNetwork, DigitRun, WaveOf, no_wave
from sim.digits.stored import checksum, layer_parts
from sim.engines.compiled import CompiledSoc
from sim.layers.compare import judge
from sim.layers.jobs import LayerCall, LayerOutcome, cycle_limit
from sim.layers.plan import call_of
from sim.layers.record import layer_run
from sim.protocol import elf
from sim.protocol.accelerator import Outcome
from sim.protocol.base import MEMORY_FILL, Design, Engine, WaveRequest
from sim.protocol.soc import SocJob, SocOutcome
from sim.protocol.timing import AxiTiming, MemoryTiming
from sim.results.result import InputRun
from software import image
from software.checkpoint import Checkpoint, Digits
from software.firmware.build import memory_bytes
from software.firmware.packing import PackedNetwork, build_network, image_symbol
from software.places import scratch, whole
from software.tuning.schedule_choice import USUAL_SCHEDULE, ScheduleChoice
from software.weight_formats import ALL_ESELL, FormatChoice

PROGRAM = "network"
SYMBOLS = ("results", "counters", "predictions", "checksum")
CORE_CYCLES = 50_000_000
"""Far more than the program needs beside the accelerator's."""
_COUNTERS = max(Counter) + 1
_NEVER_STORED = 2**64 - 1


@dataclass(frozen=True, eq=False)
class SocSetup:
    """On what a network is run: engine, configuration of the accelerator, memory, schedule, formats of the weights."""

    engine: Engine[SocJob, SocOutcome]
    config: AcceleratorConfig
    timing: AxiTiming
    schedule: ScheduleChoice = USUAL_SCHEDULE
    formats: FormatChoice = ALL_ESELL

    @property
    def design(self) -> Design:
        return Design("soc", SocConfig(self.config))


class SocNetwork(DigitNetwork):
    """On the SoC, one run a digit. The program is built with the first digit; the others take its place in memory.

    Raises FirmwareError when there is no compiler for the core. ``mem_trace``: see SocJob, of the first digit.
    """

    def __init__(self, setup: SocSetup, checkpoint: Checkpoint, digits: Digits, mem_trace: Path | None = None) -> None:
        super().__init__(setup.config, checkpoint, digits, setup.formats, setup.schedule)
        self.setup, self.mem_trace = setup, mem_trace
        plans = [layer.plan for layer in self.planned]
        network = PackedNetwork(self.layers, self.x[:1], checkpoint.out_w, checkpoint.out_b, plans)
        with scratch() as folder:
            path = build_network(network, PROGRAM, folder / f"{PROGRAM}.elf")
            self.program = elf.load(path, max(elf.DEFAULT_RAM, -(-memory_bytes(path) >> 20) << 20))
        # what the program never stores shall not look like a result
        self.program = self.program.holding(
            {name: bytes([MEMORY_FILL]) * self.program.place(name)[1] for name in SYMBOLS}
        )

    def job(self, n: int, **fields: object) -> SocJob:
        """The run of digit n; ``fields`` are further fields of the job."""
        first = self.planned[0]
        content = image.build(first.packed, self.x[n : n + 1], first.threshold, first.plan)
        program = self.program.holding({image_symbol(1): content})
        timing = self.setup.timing
        each = MemoryTiming(timing.latency, timing.jitter)
        limit = sum(cycle_limit(LayerCall(packed, self.x[n], 0.0), each) for packed, _ in self.layers)
        given: dict[str, object] = {"timing": timing, "max_cycles": CORE_CYCLES + limit}
        return SocJob.of(program, SYMBOLS, **(given | fields))

    def run_digit(self, n: int, wave: WaveOf = no_wave) -> DigitRun:
        run = DigitRun(InputRun(n, True, [], int(self.digits.labels[n])))
        mem_trace = str(self.mem_trace.absolute()) if self.mem_trace and n == 0 else None
        outcome = self.setup.engine.run(self.setup.design, self.job(n, wave=wave(0), mem_trace=mem_trace))
        run.cycles, run.seconds = outcome.cycles, outcome.wall_seconds
        run.record.system_cycles = outcome.cycles
        run.record.console = outcome.console.decode(errors="replace")
        run.problems += outcome.violations
        if (reason := outcome.reason()) is not None:
            run.problems.append(reason)
        elif outcome.exit_code:
            last = (run.record.console.splitlines() or ["(nothing)"])[-1]
            run.problems.append(f"the program ended with {outcome.exit_code}: {last}")
        self._compare(n, run, outcome)
        run.record.exact = not run.problems
        return run

    def _compare(self, n: int, run: DigitRun, outcome: SocOutcome) -> None:
        counters = np.frombuffer(outcome.memory["counters"], "<u8").reshape(len(self.layers), _COUNTERS)
        x: NDArray[np.float32] = self.x[n]
        parts = layer_parts(self.planned, outcome.memory["results"], (1, len(x)))
        rows = [
            h_from_bytes(part, layer.packed.h, layer.plan.h_fp16)
            for part, layer in zip(parts, self.planned, strict=True)
        ]
        busy = outcome.busy_cycles
        for layer, (planned, h) in enumerate(zip(self.planned, rows, strict=True)):
            call = call_of(planned.plan, planned.packed, x, planned.threshold)
            run.calls.append(call)
            values = {counter: int(counters[layer, counter]) for counter in Counter}
            if values[Counter.STATUS] == _NEVER_STORED:
                run.problems.append(f"L{layer + 1}: the program stored no counters")
                return
            if len(busy) != len(self.layers):
                wanted_times = f"once for each of {len(self.layers)} layers"
                run.problems.append(f"busy was high {len(busy)} times, must be {wanted_times}")
                return
            try:
                rtl = _outcome(values, h, busy[layer])
            except ValueError as error:
                run.problems.append(f"L{layer + 1}: status word {values[Counter.STATUS]:#x}: {error}")
                return
            golden = self.golden_of(layer, n)
            verdict = judge(f"L{layer + 1}", call, golden, rtl, self.config)
            run.problems += verdict.problems
            record = layer_run(f"L{layer + 1}", call, golden, rtl, verdict, self.config, self.checks[layer][n])
            run.record.layers.append(record)
            x = h
        wanted = int(self.checkpoint.logits(self.golden[-1].h_pruned[n, -1]).argmax())
        run.record.golden_prediction = wanted
        run.record.prediction = int.from_bytes(outcome.memory["predictions"], "little")
        if run.record.prediction != wanted:
            run.problems.append(f"prediction {run.record.prediction}, golden's is {wanted}")
        told, found = int.from_bytes(outcome.memory["checksum"], "little"), checksum(parts)
        if told != found:
            run.problems.append(f"the program's checksum is {told:#018x}, that of the h in memory {found:#018x}")


def _outcome(counters: dict[Counter, int], h: NDArray[np.float32], busy_cycles: int) -> LayerOutcome:
    """As the bare accelerator's: counters and h as the program stored them, ``busy`` as the host saw it."""
    return LayerOutcome(
        h=h,
        state=None,
        status=StatusWord.decode(counters[Counter.STATUS]),
        counters=counters,
        harness_cycles=busy_cycles,
        raw=Outcome(busy_cycles=[busy_cycles]),
    )


def mismatch_wave(network: SocNetwork, run: DigitRun, path: Path) -> str:
    """Run a digit again with a waveform around the first wrong store of h; returns what was done, in words.

    The fast engine makes it whatever engine found it: all take the same cycles.
    """
    n, engine = run.record.index, CompiledSoc()
    outcome = engine.run(network.setup.design, network.job(n, log_writes=True))
    cycle = first_wrong_store(network, n, outcome)
    what = "the end of the run" if cycle is None else f"the first wrong store of h, cycle {cycle}"
    center = outcome.cycles if cycle is None else cycle
    wave = WaveRequest(str(path.absolute()), max(0, center - BEFORE), center + AFTER)
    with whole(path) as (part,):
        engine.run(network.setup.design, network.job(n, wave=replace(wave, path=str(part))))
    return f"{path}: digit {n}, cycles {wave.first} to {wave.last}, around {what}"


def first_wrong_store(network: SocNetwork, n: int, outcome: SocOutcome) -> int | None:
    """Cycle of the accelerator's first store of h that golden does not have; needs ``log_writes``."""
    address, size = network.program.place("results")
    pairs = zip(network.golden, network.planned, strict=True)
    golden = b"".join(h_bytes(result.h_pruned[n], layer.plan.h_fp16) for result, layer in pairs)
    for write in outcome.write_log:
        offset = write.address - address
        if not 0 <= offset < size:
            continue
        lanes = [lane for lane in range(WORD_BYTES) if write.mask >> lane & 1]
        if any(write.data >> 8 * lane & 0xFF != golden[offset + lane] for lane in lanes):
            return write.cycle
    return None
