"""The core against Spike, instruction by instruction: ``python -m sim.core_lockstep [--retired N] [--seed S]``.

Random programs (`sim.core_lockstep.stream`) run on both; of every retired instruction pc, word, rd and its value,
address and data of the memory access, and of every trap and interrupt its place, cause and mtval must agree. Prints
what ran.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sim.core_lockstep import stream as core_stream
from sim.core_lockstep.isa import BRANCHES, MNEMONICS, TRAPPING, mnemonic, operands
from sim.engines import registry
from sim.engines.build_cache import scratch
from sim.options import JsonOption
from sim.protocol import core as core_program
from sim.protocol.base import Segment
from sim.protocol.timing import MemoryTiming
from sim.spike import simulator
from software.cli import check_outputs, write_all
from software.progress import bars

RAM_BYTES = 1 << 20
TIMINGS: tuple[tuple[MemoryTiming, MemoryTiming], ...] = (
    (MemoryTiming(latency=1), MemoryTiming(latency=1)),
    (MemoryTiming(latency=1, stall_permille=300), MemoryTiming(latency=1, stall_permille=300)),
    (MemoryTiming(latency=1, jitter=3), MemoryTiming(latency=1, jitter=5)),
    (MemoryTiming(latency=4, stall_permille=200), MemoryTiming(latency=2, jitter=3, stall_permille=500)),
)
"""How memory behaves on the instruction and on the data port: the programs take turns."""

_TRAPS = {
    "trap_instruction_address_misaligned": 0,
    "trap_instruction_access_fault": 1,
    "trap_illegal_instruction": 2,
    "trap_breakpoint": 3,
    "trap_load_address_misaligned": 4,
    "trap_load_access_fault": 5,
    "trap_store_address_misaligned": 6,
    "trap_store_access_fault": 7,
    "trap_machine_ecall": 11,
}
_CSR_WRITES = re.compile(r" c\d+_\w+ 0x[0-9a-f]+")
_EXCEPTION = re.compile(r"exception (?:interrupt #\d+|(\w+)), epc (0x[0-9a-f]+)")
_LINE = re.compile(r"core   0: (?:3 (0x\w+) \((0x\w+)\)|trap (\d+) epc (0x\w+)|interrupt epc (0x\w+))")


class Mismatch(Exception):
    """The core and the reference disagree; the message shows where."""


@dataclass
class Coverage:
    """What ran, counted on the core's trace.

    ``taken``, ``untaken``: branches by mnemonic. ``pairs``: instructions that read what the one before wrote, by the
    kind of that one.
    """

    retired: int = 0
    mnemonics: Counter[str] = field(default_factory=Counter)
    causes: Counter[int] = field(default_factory=Counter)
    interrupts: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    untaken: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)

    def watch(self, lines: Iterable[str]) -> Iterator[str]:
        """Count the lines of a trace as they pass."""
        pc, word = -1, 0
        for line in lines:
            found = _LINE.match(line)
            if not found:
                raise Mismatch(f"the trace has a line of no known form: {line!r}")
            at, insn, cause, trap_pc, interrupt_pc = found.groups()
            here = int(at or trap_pc or interrupt_pc, 16)
            if (name := mnemonic(word)) in BRANCHES and pc >= 0:
                (self.untaken if here == pc + 4 else self.taken)[name] += 1
            if at:
                before, pc, word = (word if pc >= 0 else 0), here, int(insn, 16)
                self.retired += 1
                self.mnemonics[mnemonic(word)] += 1
                rd, sources = operands(before)[0], operands(word)[1:]
                if rd and rd in sources:
                    kind = mnemonic(before)
                    self.pairs["load" if kind[0] == "l" and kind != "lui" else kind] += 1
            else:
                pc, word = -1, 0
                if cause:
                    self.causes[int(cause)] += 1
                else:
                    self.interrupts += 1
            yield line

    def lacking(self, each: int, traps: int) -> list[str]:
        """Mnemonics below ``each``, causes below ``traps``: "name count"."""
        short = [f"{name} {self.mnemonics[name]}" for name in MNEMONICS if name not in TRAPPING]
        short = [entry for entry in short if int(entry.split()[1]) < each]
        # ecall and ebreak trap and never retire
        short += [f"cause {n} {self.causes[n]}" for n in sorted(_TRAPS.values()) if self.causes[n] < traps]
        short += [f"interrupt {self.interrupts}"] if self.interrupts < traps else []
        return short + [
            f"{name} {way}" for name in BRANCHES for way in ("taken", "untaken") if not getattr(self, way)[name]
        ]

    def table(self) -> Table:
        table = Table(title=f"{self.retired:,} retired instructions, {self.interrupts:,} interrupts")
        for column in ("instruction", "retired", "used by the next", "taken", "untaken"):
            table.add_column(column, justify="left" if column == "instruction" else "right")
        for name in MNEMONICS:
            row = (self.mnemonics[name], self.pairs[name], self.taken[name], self.untaken[name])
            table.add_row(name, *(f"{count:,}" if count else "" for count in row))
        table.add_row("any load", "", f"{self.pairs['load']:,}")
        for cause, count in sorted(self.causes.items()):
            table.add_row(f"trap: {core_program.CAUSES.get(cause, cause)}", f"{count:,}")
        return table


def normalized(log: Iterable[str]) -> Iterator[str]:
    """Spike's log as the core traces: commits without CSR writes, traps in one line, from the reset address on."""
    trap: str | None = None
    started = False
    for line in log:
        if trap is not None:
            # the line after a trap has mtval, if it is not zero by definition
            _, tval, value = line.partition("tval ")
            yield f"{trap} tval {value if tval else '0x' + 16 * '0'}".rstrip("\n") + "\n"
            trap = None
            if tval:
                continue
        if line.startswith("core   0: 3 "):
            started = started or line.startswith(f"core   0: 3 0x{core_stream.BASE:016x}")
            if started:
                yield _CSR_WRITES.sub("", line)
        elif found := _EXCEPTION.search(line):
            name, epc = found.groups()
            if name is None:
                yield f"core   0: interrupt epc {epc}\n"
            else:
                trap = f"core   0: trap {_TRAPS.get(name, name)} epc {epc}"


def without_xs(lines: Iterable[str]) -> Iterator[str]:
    """A trace in which mstatus reads without its XS and SD fields, which Spike without a RoCC unit has as 0."""
    for line in lines:
        if "(0x300" in line and len(line) > 40:
            head, x, value = line.rpartition("0x")
            if x and " x" in head:
                yield f"{head}0x{int(value, 16) & ~(1 << 63 | 3 << 15):016x}\n"
                continue
        yield line


def until_exit(lines: Iterable[str], tohost: int) -> Iterator[str]:
    """The lines up to the store to tohost."""
    wanted = f"mem 0x{tohost:016x} 0x"
    for line in lines:
        yield line
        if wanted in line:
            return
    raise Mismatch("a trace ended without a store to tohost")


def compare(reference: Iterable[str], core: Iterable[str]) -> None:
    """Raises Mismatch at the first difference, with the lines before it."""
    before: list[str] = []
    for number, (expected, got) in enumerate(zip_longest(reference, core, fillvalue="(end)\n")):
        if expected != got:
            context = "".join(f"  both  {line}" for line in before)
            raise Mismatch(f"line {number}:\n{context}  Spike {expected}  core  {got}")
        before = [*before[-7:], got]


def run(seed: int, coverage: Coverage, units: int = 3000, rounds: int = 20) -> core_program.ProgramOutcome:
    """One random program on both. Raises Mismatch and EngineError."""
    stream = core_stream.generate(seed, units, rounds)
    fetch, data = TIMINGS[seed % len(TIMINGS)]
    elf = simulator.write_elf(stream.content, core_stream.BASE, stream.tohost, stream.fromhost)
    with scratch() as directory:
        trace = directory / "trace"
        job = core_program.ProgramJob(
            (Segment("ram", core_stream.BASE, RAM_BYTES, stream.content, write=True),),
            tohost=stream.tohost,
            fromhost=stream.fromhost,
            fetch=fetch,
            data=data,
            max_cycles=50 * units * rounds,
            stuck_cycles=10_000,
            trace=str(trace),
        )
        outcome = registry.get("core").run(core_program.DESIGN, job)
        reference = until_exit(normalized(simulator.commit_log(elf, core_stream.BASE, RAM_BYTES)), stream.tohost)
        with open(trace) as lines:
            try:
                compare(reference, coverage.watch(until_exit(without_xs(lines), stream.tohost)))
            except Mismatch as error:
                raise Mismatch(f"seed {seed}: {error}") from None
    if reason := outcome.reason():
        raise Mismatch(f"seed {seed}: the core did not exit: {reason}")
    return outcome


def main(
    retired: Annotated[int, typer.Option(metavar="N", min=1, help="Instructions to retire at least.")] = 1_000_000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the first program; the next ones follow.")] = 0,
    json_path: JsonOption = None,
) -> None:
    """Run random programs on the core and on Spike and compare every instruction; exits with 1 on a difference.

    \b
    Examples:
      python -m sim.core_lockstep
      python -m sim.core_lockstep --retired 100000 --seed 7
    """
    check_outputs(json_path)
    coverage = Coverage()
    cycles, first = 0, seed
    try:
        with bars() as bar:
            task = bar.add_task("instructions", total=retired)
            while coverage.retired < retired:
                cycles += run(seed, coverage).cycles
                print(f"seed {seed}: {coverage.retired:,} instructions agree", file=sys.stderr)
                bar.update(task, completed=min(coverage.retired, retired))
                seed += 1
    except Mismatch as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    Console().print(coverage.table())
    print(f"{cycles:,} cycles")
    short = coverage.lacking(1000, 100)
    if short:
        print(f"below 1,000 instructions or 100 traps: {', '.join(short)}")
    if json_path:
        content = {
            "schema": "elstm.lockstep/1", "seeds": [first, seed - 1], "retired": coverage.retired, "cycles": cycles,
            "lacking": list(short),
        }  # fmt: skip
        write_all({json_path: json.dumps(content, indent=1).encode() + b"\n"})
        print(f"wrote {json_path}")
