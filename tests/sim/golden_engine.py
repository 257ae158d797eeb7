"""An engine that is golden itself: it tests what stands around an engine, in no time, with planted faults."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from golden.config import AcceleratorConfig
from golden.isa import (
    COUNTER_SUMS,
    SCHEDULE_FIELD,
    X_FORMAT_FIELD,
    Counter,
    Error,
    Flags,
    Funct,
    InputFormat,
    Schedule,
    group_sizes,
)
from golden.layer import PackedLayer
from golden.memory import h_bytes, state_from_bytes, x_from_bytes
from sim.layers.counters import expected
from sim.layers.jobs import LayerCall
from sim.protocol.accelerator import AcceleratorJob, Command, Outcome, Response
from sim.protocol.base import Write
from sim.spike.accelerator import Accelerator
from sim.spike.accelerator import Command as TwinCommand


def single(bits: int) -> float:
    """The fp32 number of these bits."""
    return float(np.uint32(bits).view(np.float32))


def registers(job: AcceleratorJob) -> dict[Funct, tuple[int, int]]:
    commands = [step for step in job.steps if isinstance(step, Command)]
    return {Funct(c.inst >> 25): (c.rs1, c.rs2) for c in commands if c.inst >> 25 != Funct.COUNTER}


class _Words:
    """Memory of a job's segments, for the twin to read weights from."""

    def __init__(self, job: AcceleratorJob) -> None:
        self.segments = job.segments

    def load(self, address: int) -> int:
        held = next(s for s in self.segments if s.address <= address < s.address + s.size)
        at = address - held.address
        return int.from_bytes(held.data[at : at + 8], "little")

    def store(self, address: int, word: int) -> None:
        raise NotImplementedError


def packed_of(job: AcceleratorJob, config: AcceleratorConfig) -> PackedLayer:
    """The weights that the job's START points at, in whatever formats it says."""
    unit = Accelerator(config, _Words(job))
    commands = [step for step in job.steps if isinstance(step, Command)]
    for command in commands:
        if command.inst >> 25 == Funct.START:
            return unit._layer(command.rs1, command.rs2).packed
        unit.command(TwinCommand(command.inst >> 25, command.rs1, command.rs2))
    raise ValueError("no START")


@dataclass
class GoldenEngine:
    """Runs a job of sim.layers.jobs.layer_job with golden. ``wrong``: (time step, unit) of h to spoil; ``stuck``: give
    up; ``cycles_off``: what the counter says too much; ``code``: error to report."""

    name: str = "golden"
    wrong: tuple[int, int] | None = None
    wrong_run: int | None = None
    stuck: bool = False
    cycles_off: int = 0
    code: Error = Error.NONE
    runs: int = 0

    def missing(self):
        return None

    def verilog_sha256(self, design):
        return "0" * 64

    def run(self, design, job, progress=None, console=None):
        at = {s.address: s for s in job.segments}
        reg = registers(job)
        (x, _), (th, steps) = reg[Funct.SIZES], reg[Funct.STEPS]
        packed = packed_of(job, design.config)
        config, word = design.config, reg[Funct.START][1]
        flags = Flags(word) & Flags(sum(Flags))
        # a test may give a schedule of its own a number that no build has
        schedule: Any = SCHEDULE_FIELD.of(word)
        x_format = InputFormat(X_FORMAT_FIELD.of(word))
        inputs = x_from_bytes(at[reg[Funct.DATA][0]].data, x, x_format)
        call = LayerCall(
            packed,
            inputs,
            single(th),
            reg[Funct.FUSION][1],
            flags & ~Flags.STATE_IN,
            None,
            schedule,
            group_sizes(*reg[Funct.GROUPS]) if schedule == Schedule.LIST else (),
            single(reg.get(Funct.EVENTS, (0, 0))[0]),
            x_format,
        )
        assert call.steps == steps
        state_at = at.get(reg.get(Funct.EXTENSION, (0, 0))[1])
        if state_at and flags & Flags.STATE_IN:
            state = state_from_bytes(state_at.data, packed.h, packed.x, delta=call.delta, events=call.events)
            call = replace(call, state=state)
        result = call.golden()

        stored = (result.h_pruned if flags & Flags.H_PRUNED else result.h).copy()
        if self.wrong and self.wrong_run in (None, self.runs):
            stored[self.wrong] += 2.0**-10
        self.runs += 1
        rows = stored if flags & Flags.H_SEQ else stored[-1:]
        target = at[reg[Funct.DATA][1]]
        memory = {s.name: s.data.ljust(s.size, b"\xff") for s in job.segments if s.write}
        memory[target.name] = h_bytes(rows, call.h_fp16)
        if state_at and flags & Flags.STATE_OUT:
            memory[state_at.name] = result.state.to_bytes()
        status = 1 << 1 | (self.code != 0) << 2 | self.code << 8 | steps << 32
        counters = expected(call, result, config) | {
            Counter.STATUS: status,
            Counter.VERSION: 1 | config.n_pe << 16,
            Counter.FEATURES: config.features,
        }
        # more than the small layers of the tests need; what is not work has one cause
        cycles = 1000 * steps
        counters[Counter.CYCLES] = cycles + self.cycles_off
        for row in reversed(COUNTER_SUMS):
            if row.total == Counter.CYCLES:
                counters[row.parts[-1]] = counters[row.total] - sum(counters.get(c, 0) for c in row.parts[:-1])
            else:
                counters[row.total] = sum(counters[c] for c in row.parts)
        content = memory[target.name]
        log = [
            Write(10 + i, target.address + 8 * i, int.from_bytes(content[8 * i : 8 * i + 8], "little"), 0xFF)
            for i in range(len(content) // 8)
        ]
        return Outcome(
            cycles=cycles + 30,
            busy_cycles=[cycles],
            responses=[Response(c + 1, counters.get(c, 0), cycles + c) for c in Counter],
            memory=memory,
            write_log=log,
            interrupt_cycles=5 if flags & Flags.IRQ else 0,
            stopped="stuck at cycle 5: planted" if self.stuck else None,
            wall_seconds=0.001,
        )
