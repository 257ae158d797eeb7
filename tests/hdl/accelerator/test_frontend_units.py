"""Parts of the front end alone: which words are instructions, which fault is told, what is counted."""

import random
from typing import Any

import pytest
from amaranth import Module, Signal

from golden import isa
from golden.isa import Counter, Error, Funct
from hdl.accelerator.frontend.command_decoder import CommandDecoder
from hdl.accelerator.frontend.counters import COUNTED, Counters
from hdl.accelerator.frontend.fault_encoder import FaultEncoder
from hdl.accelerator.signatures import UNIT_FAULTS
from tests.hdl.accelerator.unit_bench import CFG, simulate


@pytest.mark.parametrize("seed", [1])
def test_instructions_are_told_from_what_is_none(seed: int) -> None:
    rng = random.Random(seed)
    rows = {row.funct.value: row for row in isa.INSTRUCTIONS}
    dut = CommandDecoder()

    async def bench(ctx: Any) -> None:
        for number in range(600):
            funct = rng.choice([*rows, rng.randrange(128)])
            opcode = rng.choice([isa.CUSTOM_0, isa.CUSTOM_0, isa.CUSTOM_0, rng.randrange(128)])
            xs1, xs2, accept = (rng.random() < chance for chance in (0.8, 0.8, 0.9))
            word = isa.encode(funct, xd=bool(number % 2), xs1=xs1, xs2=xs2, rd=number % 32, opcode=opcode)
            row = rows.get(funct)
            lacking = row is None or (row.rs1 and not xs1) or (row.rs2 and not xs2) or opcode != isa.CUSTOM_0
            wanted = {f.name: int(accept and not lacking and f == funct) for f in Funct} | {"bad": accept and lacking}
            ctx.set(dut.inst.as_value(), word)
            ctx.set(dut.accept, accept)
            found = {f.name: ctx.get(dut.commands[f.name.lower()]) for f in Funct} | {"bad": ctx.get(dut.bad)}
            assert found == {name: int(bool(value)) for name, value in wanted.items()}, f"seed {seed}: {word:#010x}"
            assert ctx.get(dut.waits) == (funct <= Funct.EXTENSION), "COUNTER and ABORT never wait for a run"
            await ctx.tick()

    simulate_combinational(dut, bench)


def simulate_combinational(dut: Any, bench: Any) -> None:
    """A unit without a clock, in a module that has one."""
    m = Module()
    m.submodules.dut = dut
    beat = Signal()
    m.d.sync += beat.eq(~beat)
    simulate(m, bench)


@pytest.mark.parametrize("seed", [2])
def test_any_of_the_faults_of_a_cycle_is_told_memory_first(seed: int) -> None:
    rng = random.Random(seed)
    dut = FaultEncoder()
    wires = [(dut.memory, error) for error in (Error.MEM_READ, Error.MEM_WRITE)]
    wires += [
        (getattr(dut.datapath, unit), Error[name.upper()])
        for unit, faults in UNIT_FAULTS.items()
        for name in faults.members
    ]

    async def bench(ctx: Any) -> None:
        for number in range(300):
            chosen = rng.sample(wires, number % 4)
            for unit, error in wires:
                ctx.set(getattr(unit, error.name.lower()), int((unit, error) in chosen))
            errors = {error for _, error in chosen}
            assert ctx.get(dut.error) == bool(errors)
            if errors:
                assert ctx.get(dut.code) in (errors & {Error.MEM_READ, Error.MEM_WRITE} or errors)
            await ctx.tick()

    simulate_combinational(dut, bench)
    assert {error for _, error in wires} == set(Error) - {Error.NONE, Error.ABORTED, *isa.START_CHECKS}


@pytest.mark.parametrize("seed", [3])
def test_a_counter_grows_by_what_all_units_say(seed: int) -> None:
    rng = random.Random(seed)
    dut = Counters(CFG)
    units = [dut.memory, *(getattr(dut.datapath, name) for name in dut.datapath.signature.members)]
    expected = dict.fromkeys(Counter, 0)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.n_fuse, 2)
        for cycle in range(200):
            # the second START is refused: it clears, and nothing is counted in its cycle
            start, begin = cycle in (5, 120), cycle == 5
            busy = begin or 5 < cycle < 80 or cycle > 130
            ctx.set(dut.start, int(start))
            ctx.set(dut.begin, int(begin))
            ctx.set(dut.busy, int(busy))
            grown = dict.fromkeys(Counter, 0) | {Counter.CYCLES: 1}
            for unit in units:
                for name, member in unit.signature.members.items():
                    value = rng.randrange(member.shape.stop)
                    ctx.set(getattr(unit, name), value)
                    grown[Counter[name.upper()]] += value
            if start:
                expected.update(dict.fromkeys(expected, 0))
                expected[Counter.N_FUSE] = 2 * begin
            if (busy and not start) or begin:
                for counter in (Counter.CYCLES, *COUNTED):
                    expected[counter] += grown[counter]
            await ctx.tick()
            if cycle in (60, 100, 125, 199):
                ctx.set(dut.status.as_value(), isa.STATUS_LAYOUT.pack(done=1, rows=cycle))
                for index in range(max(Counter) + 2):
                    ctx.set(dut.index, index)
                    wanted = expected.get(Counter(index), 0) if index <= max(Counter) else 0
                    if index == Counter.STATUS:
                        wanted = cycle << 32 | 2
                    if index == Counter.VERSION:
                        sizes = CFG.n_pe << 16 | CFG.slots << 24 | CFG.max_x << 32 | CFG.max_h << 48
                        wanted = isa.VERSION | sizes
                    assert ctx.get(dut.value) == wanted, f"seed {seed}, cycle {cycle}: counter {index}"

    simulate(dut, bench)
    assert len(set(COUNTED)) == len(Counter) - 4
