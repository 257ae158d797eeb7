"""The core in pysim with a small memory, a RoCC unit that takes its time, and an interrupt line, all seeded."""

import random
from collections import deque
from dataclasses import dataclass, field

from amaranth.sim import Simulator

from golden.config import CoreConfig
from hdl.core.top import Core

BASE = 0x8000_0000
DEVICE = 0x9000_0000
"""Stores to DEVICE end the program, to DEVICE + 8 drop the interrupt line, to DEVICE + 16 check that the unit idles."""

XD = 1 << 14


def unit_result(inst: int, rs1: int, rs2: int) -> int:
    """What the unit answers: every operand and every bit of the instruction matters."""
    return (rs1 * 3 + (rs2 ^ inst * 0x1_0001) + 1) & (1 << 64) - 1


@dataclass
class Timing:
    """Probabilities in percent and limits in cycles of what the bench does at random."""

    memory_stall: int = 0
    memory_latency: int = 1
    unit_ready: int = 100
    unit_latency: int = 1
    interrupt: int = 0


@dataclass
class Bench:
    """Runs ``words`` from BASE until a store to DEVICE; everything below ``timing`` is what happened."""

    words: list[int]
    timing: Timing
    seed: int
    max_cycles: int = 4000
    memory: dict[int, int] = field(default_factory=dict)
    commands: list[tuple[int, int, int]] = field(default_factory=list)
    accepted_at: list[int] = field(default_factory=list)
    answered_at: list[int] = field(default_factory=list)
    stores: list[tuple[int, int, int]] = field(default_factory=list)
    """(cycle, address, data)"""
    withdrawn: int = 0
    exceptions: int = 0
    interrupts: int = 0
    idle_checks: int = 0
    cycles: int = 0

    def run(self) -> "Bench":
        core = Core(CoreConfig())
        simulator = Simulator(core)
        simulator.add_clock(1e-6)
        for i, word in enumerate(self.words):
            address = BASE + 4 * i
            self.memory[address & ~7] = self.memory.get(address & ~7, 0) | word << 8 * (address & 4)

        async def bench(ctx):
            r, t = random.Random(self.seed), self.timing
            fetches: deque[tuple[int, int]] = deque()
            accesses: deque[tuple[int, int]] = deque()
            answers: deque[tuple[int, int, int]] = deque()
            working_until, line, waited, over = 0, False, False, False

            def later(queue) -> int:
                """A response in order, one a cycle."""
                due = self.cycles + r.randint(1, t.memory_latency)
                return max(due, queue[-1][0] + 1) if queue else due

            def due(queue):
                return queue.popleft()[1] if queue and queue[0][0] <= self.cycles else None

            def answer(bus, value):
                # without a response the wires carry ones
                ctx.set(bus.resp_valid, value is not None)
                ctx.set(bus.resp_error, value is None or value < 0)
                ctx.set(bus.resp_data, value if value is not None and value >= 0 else -1)

            while not over:
                assert self.cycles < self.max_cycles, f"the program does not end (seed {self.seed})"
                busy = self.cycles < working_until or bool(answers)
                answer(core.ibus, due(fetches))
                answer(core.dbus, due(accesses))
                for bus in (core.ibus, core.dbus):
                    ctx.set(bus.req_ready, r.randrange(100) >= t.memory_stall)
                ctx.set(core.rocc.cmd.ready, r.randrange(100) < t.unit_ready)
                ctx.set(core.rocc.busy, busy)
                ready = bool(answers) and answers[0][0] <= self.cycles
                ctx.set(core.rocc.resp.valid, ready)
                ctx.set(core.rocc.resp.rd, answers[0][1] if ready else 31)
                ctx.set(core.rocc.resp.data, answers[0][2] if ready else -1)
                line = line or r.randrange(100) < t.interrupt
                ctx.set(core.rocc.interrupt, line)

                if ctx.get(core.ibus.req_valid) and ctx.get(core.ibus.req_ready):
                    address = ctx.get(core.ibus.req_addr)
                    word = self.memory.get(address & ~7, -1)
                    fetches.append((later(fetches), word >> 8 * (address & 4) & 0xFFFFFFFF if word >= 0 else -1))
                command = core.rocc.cmd
                valid = ctx.get(command.valid)
                self.withdrawn += waited and not valid
                waited = bool(valid) and not ctx.get(command.ready)
                if valid and ctx.get(command.ready):
                    inst, rs1, rs2 = ctx.get(command.inst), ctx.get(command.rs1), ctx.get(command.rs2)
                    assert not accesses, "a command was issued before an older access was answered"
                    assert ctx.get(command.status) >> 15 & 3 == 3
                    self.commands.append((inst, rs1, rs2))
                    self.accepted_at.append(self.cycles)
                    done = max(working_until, self.cycles + r.randint(1, t.unit_latency))
                    working_until = done
                    if inst & XD:
                        answers.append((done, inst >> 7 & 31, unit_result(inst, rs1, rs2)))
                if ready and ctx.get(core.rocc.resp.ready):
                    answers.popleft()
                    self.answered_at.append(self.cycles)
                if ctx.get(core.dbus.req_valid) and ctx.get(core.dbus.req_ready):
                    address, data = ctx.get(core.dbus.req_addr), ctx.get(core.dbus.req_data)
                    if not ctx.get(core.dbus.req_write):
                        accesses.append((later(accesses), self.memory.get(address & ~7, -1)))
                    else:
                        assert ctx.get(core.dbus.req_mask) == 0xFF, "this bench takes 64-bit stores only"
                        accesses.append((later(accesses), 0 if address < 1 << 40 else -1))
                        self.memory[address] = data
                        self.stores.append((self.cycles, address, data))
                        if address == DEVICE + 8:
                            line = False
                            self.interrupts += 1
                        if address == DEVICE + 16:
                            assert not busy, "a fence retired while the unit was busy"
                            self.idle_checks += 1
                        over = address == DEVICE
                self.exceptions += ctx.get(core.rocc.exception)
                await ctx.tick()
                self.cycles += 1

        simulator.add_testbench(bench)
        simulator.run()
        return self
