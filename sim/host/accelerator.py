"""The host of one AcceleratorJob in Python, for the simulators that run in it; ``harness/accelerator.cc`` is the same
host in C++.

A simulator loops: ``drive()`` gives the inputs of a cycle, ``sample()`` takes the outputs that settled in it, then
the clock rises (docs/simulation.md).
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from sim.host.memory import Answer, Image, Random, Responder, Stream, Violation, Violations
from sim.protocol.accelerator import AcceleratorJob, Command, Outcome, Response, WaitCycles, WaitIdle, WaitReads
from sim.protocol.base import Progress, Write

RESET_CYCLES = 4
TAIL = 4
"""Cycles after the last step, in which stray responses show."""

ONES = 2**64 - 1
_XD = 1 << 14
_STORE = 1  # hdl.rocc.MemoryCommand
_NO_ANSWER = Answer(ONES, True)


@dataclass(frozen=True)
class Drive:
    """Inputs of one cycle, as the ports of the accelerator are named."""

    cmd__valid: int = 0
    cmd__inst: int = ONES & 0xFFFF_FFFF
    cmd__rs1: int = ONES
    cmd__rs2: int = ONES
    resp__ready: int = 0
    mem__req_ready: int = 0
    mem__resp_valid: int = 0
    mem__resp_tag: int = 0
    mem__resp_data: int = ONES
    mem__resp_error: int = 1


@dataclass
class Sample:
    """Outputs of one cycle. The payload of resp and mem.req is looked at only if their valid is high."""

    cmd__ready: int
    resp__valid: int
    mem__req_valid: int
    busy: int
    interrupt: int
    resp__rd: int = 0
    resp__data: int = 0
    mem__req_addr: int = 0
    mem__req_tag: int = 0
    mem__req_cmd: int = 0
    mem__req_size: int = 0
    mem__req_data: int = 0
    mem__req_mask: int = 0
    unknown: list[int] = field(default_factory=list)
    """Indices into sim.host.memory.UNKNOWN_NAMES of the outputs that were X (and count as 0)."""


def stop_text(kind: int, step: int, job: AcceleratorJob, cycle: int) -> str | None:
    """``Outcome.stopped``: kind 0 is a run that ended, 1 max_cycles reached, 2 nothing moved for stuck_cycles."""
    if not kind:
        return None
    waiting = f"step {step} ({job.steps[step]})" if step < len(job.steps) else "RoCC responses"
    if kind == 1:
        return f"stopped after {job.max_cycles} cycles waiting for {waiting}"
    return f"stuck at cycle {cycle}: nothing moved on any port for {job.stuck_cycles} cycles, waiting for {waiting}"


class Host:
    """Runs the steps of a job, keeps the memory and writes down what happened."""

    def __init__(self, job: AcceleratorJob, tag_bits: int, progress: Progress | None = None) -> None:
        self._job = job
        self._progress = progress
        self._ones_tag = (1 << tag_bits) - 1
        self._violations = Violations()
        self._image = Image(job.segments, self._violations)
        self._responder = Responder(job.timing)
        self._response_stalls = Random(job.timing.seed, Stream.RESPONSE)
        self._start = self._shown = time.monotonic()
        self._outcome = Outcome()
        self._step = self._spent = self._active = self._tail = self._stop = 0
        self._valid = False
        self._expected: list[int] = []
        self._tags: Counter[int] = Counter()
        self._answered: int | None = None
        self._busy_since: int | None = None
        self._accepts = self._takes = False
        self.cycle = 0

    @property
    def idle(self) -> Drive:
        """Inputs during reset."""
        return Drive(mem__resp_tag=self._ones_tag)

    def drive(self) -> Drive:
        """Inputs of this cycle."""
        answer = self._responder.respond(self.cycle)
        self._answered = answer[0] if answer else None
        tag, (data, error) = answer or (self._ones_tag, _NO_ANSWER)
        self._accepts = self._responder.accepts()
        stall = self._job.response_stall_permille
        self._takes = not stall or self._response_stalls.below(1000) >= stall
        command = self._command()
        self._valid = command is not None
        return Drive(
            cmd__valid=self._valid,
            cmd__inst=command.inst if command else ONES & 0xFFFF_FFFF,
            cmd__rs1=command.rs1 if command else ONES,
            cmd__rs2=command.rs2 if command else ONES,
            resp__ready=self._takes,
            mem__req_ready=self._accepts,
            mem__resp_valid=answer is not None,
            mem__resp_tag=tag,
            mem__resp_data=data,
            mem__resp_error=error,
        )

    def sample(self, s: Sample) -> bool:
        """The outputs of this cycle; True when the run is over."""
        cycle = self.cycle
        for index in s.unknown:
            self._violations.note(Violation.UNKNOWN_VALUE, cycle, index)
        if self._answered is not None:
            self._tags[self._answered] -= 1
            self._active = cycle
        if self._takes and s.resp__valid:
            self._response(s.resp__rd, s.resp__data)
        if self._accepts and s.mem__req_valid:
            self._request(s)
        self._watch_busy(bool(s.busy))
        self._outcome.interrupt_cycles += s.interrupt
        self._advance(bool(s.busy), bool(s.cmd__ready))

        self.cycle += 1
        self._tell()
        if self._step == len(self._job.steps) and len(self._outcome.responses) >= len(self._expected):
            self._tail += 1
            if self._tail > TAIL:
                return True
        if self.cycle >= self._job.max_cycles:
            self._stop = 1
        elif self.cycle - self._active > self._job.stuck_cycles:
            self._stop = 2
        return self._stop != 0

    def outcome(self) -> Outcome:
        """What came back; to be called once, when the run is over."""
        outcome = self._outcome
        if self._busy_since is not None:
            outcome.busy_cycles.append(self.cycle - self._busy_since)
        outcome.cycles = self.cycle
        outcome.memory = self._image.contents()
        outcome.violations = list(self._violations)
        outcome.stopped = stop_text(self._stop, self._step, self._job, self.cycle)
        outcome.wall_seconds = time.monotonic() - self._start
        return outcome

    def _command(self) -> Command | None:
        if self._step == len(self._job.steps):
            return None
        step = self._job.steps[self._step]
        if not isinstance(step, Command) or self._spent < step.gap:
            return None
        if step.withdraw and (self._spent - step.gap) % (step.withdraw + 1) == step.withdraw:
            return None
        return step

    def _response(self, rd: int, data: int) -> None:
        self._active = self.cycle
        taken = self._outcome.responses
        if len(taken) >= len(self._expected):
            self._violations.note(Violation.UNASKED_RESPONSE, self.cycle, rd, data)
        elif self._expected[len(taken)] != rd:
            self._violations.note(Violation.WRONG_RD, self.cycle, rd, self._expected[len(taken)])
        taken.append(Response(rd, data, self.cycle))

    def _request(self, s: Sample) -> None:
        cycle = self._active = self.cycle
        if not s.busy:
            self._violations.note(Violation.NOT_BUSY, cycle, s.mem__req_addr)
        if self._tags[s.mem__req_tag]:
            self._violations.note(Violation.TAG_REUSED, cycle, s.mem__req_tag)
        self._tags[s.mem__req_tag] += 1
        if s.mem__req_cmd == _STORE:
            self._outcome.writes += 1
            if self._job.log_writes:
                self._outcome.write_log.append(Write(cycle, s.mem__req_addr, s.mem__req_data, s.mem__req_mask))
            answer = self._image.store(s.mem__req_addr, s.mem__req_size, s.mem__req_data, s.mem__req_mask, cycle)
        else:
            self._outcome.reads += 1
            answer = self._image.load(s.mem__req_addr, s.mem__req_size, cycle)
        self._responder.accept(s.mem__req_tag, answer, cycle)

    def _watch_busy(self, busy: bool) -> None:
        if busy == (self._busy_since is not None):
            return
        if self._busy_since is None:
            self._busy_since = self.cycle
            return
        self._outcome.busy_cycles.append(self.cycle - self._busy_since)
        self._busy_since = None
        if outstanding := self._responder.outstanding:
            self._violations.note(Violation.LEFT_OUTSTANDING, self.cycle, outstanding)

    def _advance(self, busy: bool, cmd_ready: bool) -> None:
        if self._step == len(self._job.steps):
            return
        step = self._job.steps[self._step]
        over = False
        match step:
            case Command():
                if self._spent < step.gap:
                    self._active = self.cycle
                elif self._valid and cmd_ready:
                    over = True
                    self._active = self.cycle
                    if step.inst & _XD:
                        self._expected.append(step.inst >> 7 & 31)
            case WaitIdle():
                over = not busy
            case WaitCycles():
                over = self._spent + 1 >= step.cycles
                self._active = self.cycle
            case WaitReads():
                over = self._outcome.reads >= step.reads
        self._spent = 0 if over else self._spent + 1
        self._step += over

    def _tell(self) -> None:
        if self._progress and not self.cycle & 0xFF and time.monotonic() - self._shown > 0.5:
            self._shown = time.monotonic()
            self._progress(self.cycle)
