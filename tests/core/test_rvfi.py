"""The trace port's memory fields, as riscv-formal's models of loads and stores have them with
RISCV_FORMAL_ALIGNED_MEM: the address of the 8-byte word, masks and data in its lanes, a trap when misaligned."""

from pathlib import Path

import pytest
from amaranth.sim import Simulator

from golden.config import CoreConfig
from hdl.core.top import Core
from hdl.core.tracer import RVFI_FIELDS
from sim.core_lockstep import stream
from sim.core_lockstep.isa import Encoder
from sim.engines import registry
from sim.protocol import core as core_program
from sim.protocol.base import Segment
from tests.core import iss

BASE, DATA_AT = stream.BASE, 0x200
CONTENT = bytes(range(0x81, 0x91))
A, B, VALUE = 6, 7, 5
LANES = (1 << 64) - 1


def program() -> list[int]:
    """Every load and store at each offset of a word, aligned or not; traps go on behind the access."""
    words: list[int] = []
    e = Encoder(words.append)
    names = (*stream.LOADS, *stream.STORES)
    e.pc_relative(A, DATA_AT)
    # the handler comes behind two words of this, csrrw, the accesses and a jump
    e.pc_relative(B, 4 * (2 + 1 + 8 * len(names) + 1))
    e.csr("csrrw", 0, 0x305, B)
    for name in names:
        for offset in range(8):
            if name in stream.LOADS:
                e.i(name, VALUE, A, offset)
            else:
                e.s(name, A, B, offset)
    e.jal(0, 0)
    # mepc + 4
    e.csr("csrrs", VALUE, 0x341, 0)
    e.i("addi", VALUE, VALUE, 4)
    e.csr("csrrw", 0, 0x341, VALUE)
    e.word(0x30200073)
    assert 4 * len(words) <= DATA_AT
    return words


def records(words: list[int], cycles: int) -> list[dict[str, int]]:
    """The trace of a program with memory that answers in the next cycle."""
    core = Core(CoreConfig(rvfi=True))
    memory = bytearray(b"".join(word.to_bytes(4, "little") for word in words).ljust(DATA_AT, b"\0") + CONTENT)
    found = []
    simulator = Simulator(core)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        ctx.set(core.ibus.req_ready, 1)
        ctx.set(core.dbus.req_ready, 1)
        for _ in range(cycles):
            fetched, loaded = None, None
            if ctx.get(core.ibus.req_valid):
                at = ctx.get(core.ibus.req_addr) - BASE
                fetched = int.from_bytes(memory[at : at + 4], "little")
            if ctx.get(core.dbus.req_valid):
                at = (ctx.get(core.dbus.req_addr) & ~7) - BASE
                loaded = int.from_bytes(memory[at : at + 8], "little")
                if ctx.get(core.dbus.req_write):
                    data, mask = ctx.get(core.dbus.req_data).to_bytes(8, "little"), ctx.get(core.dbus.req_mask)
                    for lane in range(8):
                        if mask >> lane & 1:
                            memory[at + lane] = data[lane]
            await ctx.tick()
            for bus, value in ((core.ibus, fetched), (core.dbus, loaded)):
                ctx.set(bus.resp_valid, value is not None)
                ctx.set(bus.resp_data, value or 0)
            if ctx.get(core.rvfi_valid):
                found.append({name: ctx.get(getattr(core, f"rvfi_{name}")) for name in RVFI_FIELDS})

    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.fixture(scope="module")
def trace() -> list[dict[str, int]]:
    return records(program(), 800)


def signed(value: int, bits: int) -> int:
    return (value & (1 << bits) - 1) - (value >> bits - 1 & 1) * (1 << bits)


def expected(name: str, r: dict[str, int]) -> dict[str, int]:
    """What riscv-formal's model says of the fields it looks at; data only in the lanes of the mask."""
    insn = r["insn"]
    loads = name in stream.LOADS
    size = (stream.LOADS | stream.STORES)[name]
    immediate = insn >> 20 if loads else insn >> 25 << 5 | insn >> 7 & 31
    address = r["rs1_rdata"] + signed(immediate, 12) & LANES
    word, offset = address & ~7, address & 7
    if address % size:
        return {"trap": 1, "mem_rmask": 0, "mem_wmask": 0, "rd_addr": 0}
    mask = (1 << size) - 1 << offset
    if not loads:
        lanes = ((1 << 8 * size) - 1 << 8 * offset) & LANES
        assert (r["mem_wdata"] ^ r["rs2_rdata"] << 8 * offset) & lanes == 0, name
        return {"trap": 0, "mem_addr": word, "mem_rmask": 0, "mem_wmask": mask, "rd_addr": 0}
    value = r["mem_rdata"] >> 8 * offset
    value = value & (1 << 8 * size) - 1 if name.endswith("u") else signed(value, 8 * size) & LANES
    return {"trap": 0, "mem_addr": word, "mem_rmask": mask, "mem_wmask": 0, "rd_addr": VALUE, "rd_wdata": value}


@pytest.mark.parametrize("name", (*stream.LOADS, *stream.STORES))
def test_loads_and_stores_are_riscv_formals(name: str, trace: list[dict[str, int]]) -> None:
    opcode, funct3 = (0x03 if name in stream.LOADS else 0x23), funct3_of(name)
    mine = [r for r in trace if (r["insn"] & 0x7F, r["insn"] >> 12 & 7) == (opcode, funct3)]
    assert len(mine) == 8
    for r in mine:
        wanted = expected(name, r)
        assert {field: r[field] for field in wanted} == wanted, f"{name} at offset {r['insn']:#x}"


def funct3_of(name: str) -> int:
    words: list[int] = []
    e = Encoder(words.append)
    e.i(name, 0, 0, 0) if name in stream.LOADS else e.s(name, 0, 0, 0)
    return words[0] >> 12 & 7


def test_nothing_else_accesses_memory(trace: list[dict[str, int]]) -> None:
    others = [r for r in trace if r["insn"] & 0x7F not in (0x03, 0x23)]
    assert len(others) > 50
    assert not any(r["mem_rmask"] or r["mem_wmask"] or r["mem_addr"] for r in others)


def test_the_commit_trace_counts_from_the_first_byte(tmp_path: Path) -> None:
    """As Spike's log has it, whatever the port says."""
    words: list[int] = []
    e = Encoder(words.append)
    e.pc_relative(A, DATA_AT)
    e.i("addi", B, 0, 0x123)
    e.s("sb", A, B, 3)
    e.s("sh", A, B, 6)
    e.i("lw", VALUE, A, 4)
    e.i("addi", B, 0, 1)
    e.s("sd", A, B, 8)
    content = b"".join(word.to_bytes(4, "little") for word in words).ljust(DATA_AT, b"\0") + CONTENT
    ram = Segment("ram", BASE, 4096, content, write=True)
    job = core_program.ProgramJob((ram,), BASE + DATA_AT + 8, max_cycles=1000, trace=str(tmp_path / "trace"))
    assert registry.get("core").run(core_program.DESIGN, job).exit_code == 0
    lines = (tmp_path / "trace").read_text().splitlines()
    at = BASE + DATA_AT
    accesses = [line.partition(" mem ")[2] for line in lines if " mem " in line]
    assert accesses == [
        f"0x{at + 3:016x} 0x23", f"0x{at + 6:016x} 0x0123", f"0x{at + 4:016x}", f"0x{at + 8:016x} 0x{1:016x}",
    ]  # fmt: skip
    loaded = iss.load("lw", bytearray(CONTENT[:6] + (0x123).to_bytes(2, "little")), 4)
    assert f"x5  0x{loaded:016x} mem" in "\n".join(lines)
