"""Parts of the pipeline's stages on their own: register file, branches, exceptions."""

import random

import pytest
from amaranth.sim import Simulator

from hdl.core.csr_file import Cause
from hdl.core.decoder import Unit
from hdl.core.register_file import RegisterFile
from hdl.core.units.branch import Branch
from hdl.core.units.exceptions import Exceptions

CYCLES = 2000


@pytest.mark.parametrize("seed", range(3))
def test_register_file_with_writes_and_responses_at_any_time(seed: int) -> None:
    r = random.Random(seed)
    file = RegisterFile()
    values = {0: 0}
    awaited: set[int] = set()
    taken = dropped = refused = 0

    async def bench(ctx):
        nonlocal taken, dropped, refused
        waiting: tuple[int, int] | None = None
        for cycle in range(CYCLES):
            where = f"seed {seed}, cycle {cycle}"
            # as D does: what waits for a response is neither read, written nor expected again
            free = [n for n in range(1, 32) if n not in awaited]
            write = (r.choice(free), r.getrandbits(64)) if free and r.random() < 0.5 else None
            if waiting is None and r.random() < 0.4:
                waiting = (r.choice(sorted(awaited)) if awaited and r.random() < 0.8 else 0, r.getrandbits(64))
            expect = r.choice(free) if free and len(awaited) < 8 and r.random() < 0.3 else None
            if write and expect == write[0]:
                expect = None
            ctx.set(file.write.en, write is not None)
            ctx.set(file.write.rd, write[0] if write else r.randrange(32))
            ctx.set(file.write.value, write[1] if write else r.getrandbits(64))
            ctx.set(file.resp.valid, waiting is not None)
            ctx.set(file.resp.rd, waiting[0] if waiting else r.randrange(32))
            ctx.set(file.resp.data, waiting[1] if waiting else r.getrandbits(64))
            ctx.set(file.expect, expect is not None)
            ctx.set(file.expect_rd, r.randrange(32) if expect is None else expect)
            numbers = [r.randrange(1, 32) for _ in range(2)]
            ctx.set(file.rs1, numbers[0])
            ctx.set(file.rs2, numbers[1])
            await ctx.delay(1e-9)
            for number, value in zip(numbers, (file.value_1, file.value_2), strict=True):
                if number in values:
                    assert ctx.get(value) == values[number], f"{where}, x{number}"
            assert ctx.get(file.awaited) == sum(1 << n for n in awaited), where
            assert ctx.get(file.resp.ready) == (write is None), where
            await ctx.tick()
            if write:
                values[write[0]] = write[1]
                refused += waiting is not None
            elif waiting:
                if waiting[0]:
                    values[waiting[0]] = waiting[1]
                    awaited.discard(waiting[0])
                taken += 1
                dropped += waiting[0] == 0
                waiting = None
            if expect is not None:
                awaited.add(expect)

    simulator = Simulator(file)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(taken, dropped, refused) > 50, f"seed {seed}: {taken} taken, {dropped} dropped, {refused} had to wait"


def _settled(component, cases, check) -> None:
    """Set the inputs of a combinational component to each case, and check its outputs."""

    async def process(ctx):
        for case in cases:
            for name, value in case.items():
                ctx.set(getattr(component, name), value)
            await ctx.delay(1e-9)
            check(case, lambda name: ctx.get(getattr(component, name)))

    simulator = Simulator(component)
    simulator.add_testbench(process)
    simulator.run()


def test_every_branch_and_jump() -> None:
    r = random.Random(7)
    branch = Branch()
    # funct3: BEQ, BNE, BLT, BGE, BLTU, BGEU of two numbers as a program sees them
    holds = {
        0: lambda a, b: a == b, 1: lambda a, b: a != b, 4: lambda a, b: a < b,
        5: lambda a, b: a >= b, 6: lambda a, b: a % 2**64 < b % 2**64, 7: lambda a, b: a % 2**64 >= b % 2**64,
    }  # fmt: skip
    numbers = [0, 1, -1, 2**63 - 1, -(2**63)]
    cases = []
    expected = []
    for unit in Unit:
        for funct3, true in holds.items():
            for a in numbers:
                for b in numbers:
                    direct, indirect = r.getrandbits(64), r.getrandbits(64)
                    cases.append(
                        {
                            "unit": unit,
                            "funct3": funct3,
                            "equal": a == b,
                            "less": a < b,
                            "less_unsigned": a % 2**64 < b % 2**64,
                            "direct": direct,
                            "indirect": indirect,
                        }
                    )
                    taken = unit in (Unit.JAL, Unit.JALR) or (unit == Unit.BRANCH and true(a, b))
                    expected.append((taken, indirect & ~1 if unit == Unit.JALR else direct))
    answers = iter(expected)

    def check(case, get) -> None:
        taken, target = next(answers)
        assert get("taken") == taken, case
        assert not taken or get("target") == target, case

    _settled(branch, cases, check)


def test_exceptions_in_the_order_of_the_privileged_architecture() -> None:
    """Table "Synchronous exception priority": the first that applies gives cause and tval."""
    r = random.Random(11)
    cases = [
        {
            "unit": r.choice(list(Unit)), "insn": r.getrandbits(32), "pc": r.getrandbits(64),
            "fetch_error": r.random() < 0.2, "illegal": r.random() < 0.2, "taken": r.random() < 0.4,
            "target": r.getrandbits(64), "misaligned": r.random() < 0.5, "address": r.getrandbits(64),
        }
        for _ in range(4000)
    ]  # fmt: skip
    for case in cases:
        case["taken"] = case["taken"] and case["unit"] in (Unit.BRANCH, Unit.JAL, Unit.JALR)
    seen = set()

    def expected(case) -> tuple[Cause, int] | None:
        unit = case["unit"]
        if case["fetch_error"]:
            return Cause.FETCH_ACCESS, case["pc"]
        if case["illegal"]:
            return Cause.ILLEGAL, case["insn"]
        if unit == Unit.EBREAK:
            return Cause.BREAKPOINT, case["pc"]
        if unit == Unit.ECALL:
            return Cause.ECALL_M, 0
        if case["taken"] and case["target"] & 2:
            return Cause.FETCH_MISALIGNED, case["target"]
        if case["misaligned"] and unit in (Unit.LOAD, Unit.STORE):
            return (Cause.LOAD_MISALIGNED if unit == Unit.LOAD else Cause.STORE_MISALIGNED), case["address"]
        return None

    def check(case, get) -> None:
        want = expected(case)
        seen.add(want and want[0])
        assert get("raised") == (want is not None), case
        if want:
            assert (get("cause"), get("tval")) == (int(want[0]), want[1]), case

    _settled(Exceptions(), cases, check)
    assert len(seen) == 8, seen
