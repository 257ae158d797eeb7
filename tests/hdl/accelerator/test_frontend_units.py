"""Parts of the front end alone: which words are instructions, which fault is told, what is counted."""

import random
from typing import Any

import pytest
from amaranth import Module, Signal

from golden import isa
from golden.isa import Counter, Error, Funct
from hdl.accelerator.frontend.command_decoder import CommandDecoder
from hdl.accelerator.frontend.counters import COUNTED, READ_CYCLES, Counters
from hdl.accelerator.frontend.fault_encoder import FaultEncoder
from hdl.accelerator.signatures import unit_faults
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
            waits = funct in rows and funct not in (Funct.COUNTER, Funct.ABORT)
            assert ctx.get(dut.waits) == waits, "COUNTER and ABORT never wait for a run"
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
    dut = FaultEncoder(CFG)
    wires = [(dut.memory, error) for error in (Error.MEM_READ, Error.MEM_WRITE)]
    wires += [
        (getattr(dut.datapath, unit), Error[name.upper()])
        for unit, faults in unit_faults(CFG).items()
        for name in faults.members
    ]

    async def bench(ctx: Any) -> None:
        for number in range(300):
            chosen = rng.sample(wires, number % 4)
            for unit, error in wires:
                ctx.set(getattr(unit, error.name.lower()), int((unit, error) in chosen))
            errors = {error for _, error in chosen}
            await ctx.tick()
            assert ctx.get(dut.error) == bool(errors)
            if errors:
                assert ctx.get(dut.code) in (errors & {Error.MEM_READ, Error.MEM_WRITE} or errors)

    simulate(dut, bench)
    assert {error for _, error in wires} == set(Error) - {Error.NONE, Error.ABORTED, *isa.START_CHECKS}


@pytest.mark.parametrize(("seed", "between"), [(3, 0), (4, 1), (5, 40)])
def test_a_counter_grows_by_what_all_units_say(seed: int, between: int) -> None:
    """Read as fast as the port lets a program, or a while later, while everything happens that can."""
    rng = random.Random(seed)
    dut = Counters(CFG)
    units = [dut.memory, *(getattr(dut.datapath, name) for name in dut.datapath.signature.members)]
    # the START of cycle 300 is refused: it clears, and nothing is counted in its cycle
    starts = {5: True, 300: False, 420: True, 431: True}
    history = [dict.fromkeys(Counter, 0)]
    checked: list[int] = []

    def happen(ctx: Any, cycle: int) -> None:
        """Set what a cycle brings, and append what is counted after it."""
        start, begin = cycle in starts, starts.get(cycle, False)
        busy = begin or 5 < cycle < 280 or cycle > 420
        for wire, value in ((dut.start, start), (dut.begin, begin), (dut.busy, busy), (dut.n_fuse, 2)):
            ctx.set(wire, int(value))
        ctx.set(dut.status.as_value(), isa.STATUS_LAYOUT.pack(done=1, rows=cycle))
        counts = dict.fromkeys(Counter, 0) if start else dict(history[-1])
        if start:
            counts[Counter.N_FUSE] = 2 * begin
        counts[Counter.CYCLES] += busy
        for unit in units:
            for name, member in unit.signature.members.items():
                most = member.shape.stop - 1
                value = most if cycle % 400 < 240 else rng.randint(0, most)
                ctx.set(getattr(unit, name), value)
                counts[Counter[name.upper()]] += value * busy
        history.append(counts)

    def wanted(index: int, cycle: int) -> int:
        sizes = CFG.n_pe << 16 | CFG.slots << 24 | CFG.max_x << 32 | CFG.max_h << 48
        # eSELL and cell fusion, x as fp32, a unit of h a cycle
        features = 1 << 26 | 1 << 16 | 1 << 8 | 1
        known = {
            Counter.STATUS: cycle << 32 | 2,
            Counter.VERSION: isa.VERSION | sizes,
            Counter.FEATURES: features,
        }
        at = cycle - READ_CYCLES if index in COUNTED else cycle
        return known.get(Counter(index), history[at].get(Counter(index), 0)) if index <= max(Counter) else 0

    async def bench(ctx: Any) -> None:
        asked, rest, index = None, 10, 0
        for cycle in range(1800):
            happen(ctx, cycle)
            if cycle in starts:
                # a command is taken when the answer to the one before has gone
                asked, rest = None, 2
            elif asked is None and rest:
                rest -= 1
            elif asked is None:
                asked, index = cycle, rng.randrange(max(Counter) + 2)
            ctx.set(dut.read, int(asked is not None))
            ctx.set(dut.index, index)
            if asked is not None and ctx.get(dut.valid):
                assert ctx.get(dut.value) == wanted(index, cycle), f"seed {seed}, cycle {cycle}: counter {index}"
                in_time = READ_CYCLES if index in COUNTED else 0
                late = any(0 < asked - start <= len(COUNTED) + 1 for start in (*starts, 0))
                assert cycle - asked == in_time or late, f"seed {seed}, cycle {cycle}: counter {index} was late"
                checked.append(index)
                asked, rest = None, 2 + rng.randint(0, between)
            elif asked is not None:
                assert cycle - asked < len(COUNTED) + 5, f"seed {seed}, cycle {cycle}: no answer for counter {index}"
            await ctx.tick()

    simulate(dut, bench)
    assert len(set(COUNTED)) == len(Counter) - 5
    assert between > 1 or set(checked) == set(range(max(Counter) + 2))
