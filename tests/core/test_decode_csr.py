"""The decoder against the table of instructions, and interrupts in the CSR file: enable, priority, vector."""

import itertools
import random

import pytest
from amaranth.sim import Simulator

from hdl.core.csr_file import Csr, CsrFile, Interrupt
from hdl.core.decoder import Decoder
from sim.core_lockstep.isa import mnemonic, operands

CUSTOM = (0x0B, 0x2B, 0x5B, 0x7B)
WORDS = (0x00000073, 0x00100073, 0x30200073, 0x10500073, 0x10200073, 0x12000073, 0x7B200073, 0x00200073)
MASK = (1 << 64) - 1


def legal(word: int) -> bool:
    if word & 0x7F in CUSTOM:
        return word >> 12 & 7 not in (0b001, 0b101)
    return mnemonic(word) != "illegal"


@pytest.mark.parametrize("seed", [1, 2])
def test_decoder(seed: int) -> None:
    r = random.Random(seed)
    decoder = Decoder()
    words = list(WORDS)
    # every opcode and funct3 with the funct7 that matter and random ones; then anything
    for opcode, funct3 in itertools.product(range(3, 128, 4), range(8)):
        for funct7 in (0, 1, 0x20, 0x21, r.randrange(128)):
            words.append(funct7 << 25 | r.getrandbits(10) << 15 | funct3 << 12 | r.getrandbits(5) << 7 | opcode)
    words += [r.getrandbits(32) for _ in range(500)]

    async def bench(ctx):
        for word in words:
            ctx.set(decoder.insn, word)
            out = ctx.get(decoder.out)
            assert out.illegal != legal(word), f"{word:#010x}, {mnemonic(word)}"
            if not legal(word) or word & 0x7F in CUSTOM:
                continue
            rd, rs1, rs2 = operands(word)
            assert out.write_rd == (rd != 0), f"{word:#010x}"
            assert (out.use_rs1 or not rs1) and (out.use_rs2 or not rs2), f"{word:#010x}"

    simulator = Simulator(decoder)
    simulator.add_testbench(bench)
    simulator.run()


def test_interrupts() -> None:
    csr = CsrFile(hart_id=7)
    order = (Interrupt.ROCC, Interrupt.EXTERNAL, Interrupt.SOFTWARE, Interrupt.TIMER)

    async def bench(ctx):
        async def write(address: int, value: int) -> None:
            ctx.set(csr.address, address)
            ctx.set(csr.funct3, 1)
            ctx.set(csr.operand, value & MASK)
            ctx.set(csr.write, 1)
            ctx.set(csr.commit, 1)
            await ctx.tick()
            ctx.set(csr.commit, 0)

        ctx.set(csr.address, Csr.MHARTID)
        assert ctx.get(csr.rdata) == 7
        await write(Csr.MTVEC, 0x8000_0101)
        for lines in itertools.product((0, 1), repeat=4):
            for enabled in itertools.product((0, 1), repeat=4):
                ctx.set(csr.lines, sum(bit << line for bit, line in zip(lines, order, strict=True)))
                await write(Csr.MIE, sum(bit << line for bit, line in zip(enabled, order, strict=True)))
                await write(Csr.MSTATUS, 0)
                active = [line for a, b, line in zip(lines, enabled, order, strict=True) if a and b]
                assert (ctx.get(csr.wake), ctx.get(csr.interrupt)) == (bool(active), 0)
                await write(Csr.MSTATUS, 8)
                assert ctx.get(csr.interrupt) == bool(active)
                if active:
                    assert ctx.get(csr.interrupt_cause) == 1 << 63 | active[0]
        for cause, target in ((1 << 63 | 12, 0x8000_0130), (1 << 63 | 3, 0x8000_010C), (5, 0x8000_0100)):
            ctx.set(csr.cause, cause)
            assert ctx.get(csr.vector) == target
            assert ctx.get(csr.base) == 0x8000_0100
        # a trap stacks MIE, mret restores it
        ctx.set(csr.trap, 1)
        await ctx.tick()
        ctx.set(csr.trap, 0)
        assert ctx.get(csr.status) & 0x88 == 0x80
        ctx.set(csr.mret, 1)
        await ctx.tick()
        assert ctx.get(csr.status) & 0x88 == 0x88

    simulator = Simulator(csr)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
