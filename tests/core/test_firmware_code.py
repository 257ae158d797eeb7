"""What the firmware's build makes of assembly files and of the header's instructions, with each compiler."""

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from sim.engines import registry
from sim.protocol import core as core_program
from sim.protocol import elf
from software.firmware import build

each_toolchain = pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)

PLAIN = """
    .section .text.start, "ax"
    .globl _start
_start:
    {gp}
    la sp, stk
    la t0, place
    ld t0, 0(t0)
    li t1, 3
    bne sp, t0, 1f
    li t1, 1
1:  fence.i
    csrr t2, mhartid
    la t2, tohost
    sd t1, 0(t2)
    j .
    .data
place: .dword stk
    .bss
    .space 256
stk:
    .section .tohost, "aw"
    .align 6
    .globl tohost
tohost: .dword 0
"""
"""Exits with 0 when ``la`` gave the address that the linker gave the label."""


def outcome_of(path: Path) -> core_program.ProgramOutcome:
    program = elf.load(path)
    job = core_program.ProgramJob((program.ram,), program.tohost, program.fromhost, max_cycles=50_000)
    return registry.get("core").run(core_program.DESIGN, job)


def symbols(path: Path) -> set[str]:
    with path.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return {symbol.name for symbol in table.iter_symbols()}


@each_toolchain
@pytest.mark.parametrize("gp", ["", "li gp, 0x1234"], ids=["gp is 0", "gp is a register like others"])
def test_addresses_of_a_plain_assembly_file_do_not_need_gp(gp: str, tools: build.Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "plain.S"
    source.write_text(PLAIN.format(gp=gp))
    path = build.build(build.sources(str(source)), tmp_path / "plain.elf", tools)
    assert outcome_of(path).exit_code == 0
    assert "__global_pointer$" not in symbols(path)


@each_toolchain
def test_an_assembly_file_may_load_gp(tools: build.Toolchain, tmp_path: Path) -> None:
    load = ".option push\n.option norelax\nla gp, __global_pointer$\n.option pop"
    source = tmp_path / "plain.S"
    source.write_text(PLAIN.format(gp=load))
    path = build.build(build.sources(str(source)), tmp_path / "plain.elf", tools)
    assert outcome_of(path).exit_code == 0
    assert "__global_pointer$" in symbols(path)


@each_toolchain
def test_c_loads_gp(tools: build.Toolchain, tmp_path: Path) -> None:
    assert "__global_pointer$" in symbols(build.build(build.sources("hello"), tmp_path / "hello.elf", tools))


WRITES_CODE = """#include "firmware.h"
static uint32_t code[2] __attribute__((aligned(64)));
int main(void) {
    int sum = 0;
    for (uint32_t i = 1; i <= 5; i++) {
        code[0] = i << 20 | 0x513; /* addi a0, zero, i */
        code[1] = 0x8067;          /* ret */
        fence_i();
        sum += ((int (*)(void))code)();
    }
    return sum;
}
"""


@each_toolchain
def test_code_that_was_just_written_runs_after_fence_i(tools: build.Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "writes.c"
    source.write_text(WRITES_CODE)
    path = build.build(build.sources(str(source)), tmp_path / "writes.elf", tools, ["-Wextra", "-Werror"])
    content = path.read_bytes()
    assert (0x0000100F).to_bytes(4, "little") in content, "no fence.i was assembled"
    assert outcome_of(path).exit_code == 1 + 2 + 3 + 4 + 5
