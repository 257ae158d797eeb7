import pytest
from amaranth.lib import wiring

from hdl.axi4 import FIXED, Axi4Signature
from sim.host.axi_rules import MASTER, SLAVE


def test_widths_are_checked_and_compared() -> None:
    with pytest.raises(ValueError, match="addr_bits must be in 12..64, not 8"):
        Axi4Signature(8, 4)
    with pytest.raises(ValueError, match="id_bits must be in 1..32, not 0"):
        Axi4Signature(32, 0)
    assert Axi4Signature(32, 4) == Axi4Signature(32, 4)
    assert Axi4Signature(32, 4) != Axi4Signature(32, 5)
    assert Axi4Signature(32, 4).members["araddr"].shape == 32
    assert Axi4Signature(32, 4).members["rid"].shape == 4


def test_both_sides_are_all_of_it() -> None:
    members = Axi4Signature(32, 4).members
    assert {name for name, member in members.items() if member.flow == wiring.Out} == set(MASTER) > set(FIXED)
    assert {name for name, member in members.items() if member.flow == wiring.In} == set(SLAVE)
