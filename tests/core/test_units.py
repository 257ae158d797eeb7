"""ALU, multiplier, divider and load/store lanes, each alone, against plain Python."""

import random

import pytest
from amaranth.sim import Simulator

from hdl.core.units.alu import Alu, AluOp
from hdl.core.units.divider import Divider
from hdl.core.units.load_lanes import LoadLanes
from hdl.core.units.multiplier import Multiplier
from hdl.core.units.store_lanes import StoreLanes
from tests.core import iss

SPECIAL = (0, 1, 2, (1 << 64) - 1, 1 << 63, (1 << 63) - 1, 1 << 31, (1 << 32) - 1, 0xFFFF_FFFF_8000_0000, 1 << 32)
OPS = {
    "add": AluOp.ADD,
    "sub": AluOp.SUB,
    "sll": AluOp.SLL,
    "slt": AluOp.SLT,
    "sltu": AluOp.SLTU,
    "xor": AluOp.XOR,
    "srl": AluOp.SRL,
    "sra": AluOp.SRA,
    "or": AluOp.OR,
    "and": AluOp.AND,
}
WORD_OPS = ("add", "sub", "sll", "srl", "sra")


def operands(seed: int, count: int) -> list[tuple[int, int]]:
    """Every pair of special numbers, then random ones."""
    r = random.Random(seed)
    pairs = [(a, b) for a in SPECIAL for b in SPECIAL]
    return pairs + [(r.getrandbits(64), r.getrandbits(r.choice((6, 32, 64)))) for _ in range(count)]


def simulate(component, bench, clocked: bool = True) -> None:
    simulator = Simulator(component)
    if clocked:
        simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("word", [False, True])
def test_alu(word: bool) -> None:
    alu = Alu()

    async def bench(ctx):
        ctx.set(alu.word, word)
        for a, b in operands(1, 100):
            ctx.set(alu.a, a)
            ctx.set(alu.b, b)
            for name in WORD_OPS if word else OPS:
                ctx.set(alu.op, OPS[name])
                ctx.set(alu.left, name == "sll")
                got, expected = ctx.get(alu.result), iss.execute(name + "w" * word, a, b)
                assert got == expected, f"{name} word={word} {a:#x} {b:#x}: {got:#x}, not {expected:#x}"
            assert ctx.get(alu.equal) == (a == b)
            assert ctx.get(alu.less) == iss.taken("blt", a, b)
            assert ctx.get(alu.less_unsigned) == (a < b)

    simulate(alu, bench, clocked=False)


def test_multiplier() -> None:
    multiplier = Multiplier()
    names = [("mul", 0, 0), ("mulh", 1, 0), ("mulhsu", 2, 0), ("mulhu", 3, 0), ("mulw", 0, 1)]

    async def bench(ctx):
        # one a cycle: the result of the last one is there while the next one goes in
        expected = None
        r = random.Random(2)
        for a, b in operands(2, 150):
            name, funct3, word = r.choice(names)
            ctx.set(multiplier.enable, 1)
            ctx.set(multiplier.funct3, funct3)
            ctx.set(multiplier.word, word)
            ctx.set(multiplier.a, a)
            ctx.set(multiplier.b, b)
            if expected is not None:
                assert ctx.get(multiplier.result) == expected
            expected = iss.execute(name, a, b)
            await ctx.tick()
            assert ctx.get(multiplier.result) == expected, f"{name} {a:#x} {b:#x}"

    simulate(multiplier, bench)


def test_divider() -> None:
    divider = Divider()
    names = [("div", 4), ("divu", 5), ("rem", 6), ("remu", 7)]

    async def bench(ctx):
        r = random.Random(3)
        for a, b in [*r.sample(operands(3, 0), 40), *operands(4, 20)[-20:], (1 << 63, (1 << 64) - 1), (7, 0)]:
            name, funct3 = r.choice(names)
            word = r.randrange(2)
            for register, value in ((divider.funct3, funct3), (divider.word, word), (divider.a, a), (divider.b, b)):
                ctx.set(register, value)
            ctx.set(divider.enable, 1)
            if r.random() < 0.2:
                # given up in the middle, then started again
                await ctx.tick().repeat(r.randrange(1, 10))
                ctx.set(divider.enable, 0)
                await ctx.tick()
                ctx.set(divider.enable, 1)
            cycles = 0
            while not ctx.get(divider.done):
                await ctx.tick()
                cycles += 1
                assert cycles <= 33, "more than 32 steps"
            expected = iss.execute(name + "w" * word, a, b)
            assert ctx.get(divider.result) == expected, f"{name} word={word} {a:#x} {b:#x}"
            assert cycles == (17 if word else 33)
            ctx.set(divider.enable, 0)
            await ctx.tick()

    simulate(divider, bench)


def test_lanes() -> None:
    store, load = StoreLanes(), LoadLanes()
    r = random.Random(5)

    async def store_bench(ctx):
        for size in range(4):
            for offset in range(8):
                value = r.getrandbits(64)
                ctx.set(store.address, 0x8000_0000 + offset)
                ctx.set(store.size, size)
                ctx.set(store.value, value)
                assert ctx.get(store.misaligned) == bool(offset % (1 << size))
                if offset % (1 << size) == 0:
                    lanes, mask = ctx.get(store.lanes), ctx.get(store.mask)
                    assert mask == ((1 << (1 << size)) - 1) << offset
                    assert (lanes >> 8 * offset) % (1 << (8 << size)) == value % (1 << (8 << size))

    async def load_bench(ctx):
        for funct3, name in enumerate(("lb", "lh", "lw", "ld", "lbu", "lhu", "lwu")):
            for offset in range(0, 8, 1 << (funct3 & 3)):
                for word in (0x8081_8283_8485_8687, 0x7071_7273_7475_7677, r.getrandbits(64)):
                    ctx.set(load.offset, offset)
                    ctx.set(load.funct3, funct3)
                    ctx.set(load.lanes, word)
                    assert ctx.get(load.value) == iss.load(name, word.to_bytes(8, "little"), offset)

    simulate(store, store_bench, clocked=False)
    simulate(load, load_bench, clocked=False)
