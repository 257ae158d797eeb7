"""Each rule of the AXI4 checker finds what breaks it, and nothing else."""

import pytest

from hdl.axi4 import FIXED
from sim.host.axi_rules import MASTER, SLAVE, AxiChecker

QUIET = dict.fromkeys((*MASTER, *SLAVE), 0) | FIXED
AR = {"arvalid": 1, "arready": 1, "arid": 3, "araddr": 0x8000_0F80, "arlen": 15}
AW = {"awvalid": 1, "awready": 1, "awid": 1, "awaddr": 0x8000_0100, "awlen": 1}
W = {"wvalid": 1, "wready": 1, "wstrb": 0xFF}
R = {"rvalid": 1, "rid": 3}
B = {"bvalid": 1, "bid": 1}
LAST_W, LAST_R = W | {"wlast": 1}, R | {"rlast": 1}
READ = [AR, *[R] * 15, LAST_R]
WRITE = [AW, W, LAST_W, B]


def violations(cycles: list[dict[str, int]]) -> list[str]:
    checker = AxiChecker()
    for wires in cycles:
        checker.sample(QUIET | wires)
    checker.finish()
    return checker.violations


@pytest.mark.parametrize(
    "cycles",
    [
        READ,
        WRITE,
        # address after the data, with the last of them, and an address that waits
        [W, LAST_W, AW, B],
        [W, AW | LAST_W, B],
        [AW | {"awready": 0}, AW | {"awready": 0}, AW | W, LAST_W, B],
        # the next burst while the first one is under way; interleaved beats; an id used again in the cycle after
        [AW, AW | W, LAST_W, W, LAST_W | B, B],
        [AR | {"arlen": 0}, AR | {"arid": 4, "arlen": 1}, R | {"rid": 4}, LAST_R, LAST_R | {"rid": 4}],
        [AR | {"arlen": 0}, LAST_R, AR | {"arlen": 0}, LAST_R],
    ],
)
def test_what_is_allowed(cycles: list[dict[str, int]]) -> None:
    assert violations(cycles) == []


@pytest.mark.parametrize(
    ("cycles", "text"),
    [
        ([AR | {"arready": 0}, AR | {"arready": 0, "arlen": 14}, *READ], "ar changed or went away"),
        ([W | {"wready": 0}, {}, *WRITE], "w changed or went away"),
        ([AW | {"awready": 0}, {}, *WRITE], "aw changed or went away"),
        ([AR | {"araddr": 0x8000_0F88}, *READ[1:]], "crosses a 4 KiB boundary"),
        ([AR | {"araddr": 0x8000_0F04, "arlen": 0}, LAST_R], "araddr 0x80000f04 is no multiple of 8"),
        ([AR | {"araddr": 0, "arlen": 16}, *[R] * 16, LAST_R], "ar asks for 17 beats"),
        ([AR | {"arburst": 2}, *READ[1:]], "arburst is 2, not 1"),
        ([AW | {"awsize": 2}, *WRITE[1:]], "awsize is 2, not 3"),
        ([AW | {"awcache": 3}, *WRITE[1:]], "awcache is 3, not 2"),
        ([AW | {"awprot": 2}, *WRITE[1:]], "awprot is 2, not 0"),
        ([AR, AR, *READ[1:]], "arid 3 is used again before its last beat"),
        ([AR, LAST_R], "rlast is 1 with 15 beats of id 3 to come"),
        ([AR, *[R] * 16], "rlast is 0 with 0 beats"),
        ([R], "r beat with id 3, which no burst in flight has"),
        ([AR | {"arlen": 0} | LAST_R, LAST_R], "r beat with id 3"),
        ([AW, LAST_W, B], "wlast at beat 1 of 2"),
        ([AW, W, W, LAST_W, B], "no wlast at beat 2"),
        ([W, W, LAST_W, AW, B], "wlast at beat 3 of 2"),
        ([AW, W, B, LAST_W], "b with id 1 before the end"),
        ([AW, W, LAST_W | B], "b with id 1 before the end"),
        ([AW, W, LAST_W, B | {"bid": 2}], "b with id 2 before the end"),
        ([AW, W, LAST_W], "0 reads and 1 writes are left"),
        ([AR], "1 reads and 0 writes are left"),
        ([{"rready": 0}], "rready is low"),
    ],
)
def test_what_is_not(cycles: list[dict[str, int]], text: str) -> None:
    assert text in violations(cycles)[0]
