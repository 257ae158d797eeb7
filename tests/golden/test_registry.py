"""Registries: what they refuse, and that numbers in the instructions and rows go together."""

import re
from dataclasses import dataclass

import pytest

from golden import isa
from golden.cycles import SCHEDULES
from golden.formats import FORMATS, StoredFormat, stored
from golden.registry import Registry


@dataclass(frozen=True)
class Fruit:
    name: str
    number: int | None = None


APPLE, PEAR, FIG = Fruit("apple", 2), Fruit("pear"), Fruit("fig", 0)


def test_rows_stand_by_name_in_their_order() -> None:
    found = Registry("fruit", APPLE, PEAR)
    found.add(FIG)
    assert list(found) == ["apple", "pear", "fig"] and list(found.values()) == [APPLE, PEAR, FIG]
    assert found["fig"] is FIG and len(found) == 3 and "plum" not in found
    assert (found.numbered(0), found.numbered(2)) == (FIG, APPLE)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Fruit("pear", 7), "there is a fruit 'pear' already"),
        (Fruit("apple"), "there is a fruit 'apple' already"),
        (Fruit("plum", 2), "fruit 'apple' has the number 2 already"),
        (Fruit("plum", 0), "fruit 'fig' has the number 0 already"),
    ],
)
def test_a_name_or_a_number_that_is_taken_is_refused(row: Fruit, said: str) -> None:
    found = Registry("fruit", APPLE, PEAR, FIG)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        found.add(row)
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Registry("fruit", APPLE, PEAR, FIG, row)
    assert list(found.values()) == [APPLE, PEAR, FIG]


def test_many_rows_may_have_no_number() -> None:
    found = Registry("fruit", PEAR, APPLE, Fruit("plum"))
    assert list(found) == ["pear", "apple", "plum"]


@pytest.mark.parametrize("number", [1, 3, -1])
def test_an_unknown_number_names_those_there_are(number: int) -> None:
    with pytest.raises(ValueError, match=f"^no fruit has the number {number}; there are: 2 apple, 0 fig$"):
        Registry("fruit", APPLE, PEAR, FIG).numbered(number)


def test_every_number_of_the_instructions_has_a_row() -> None:
    assert {row.number for row in FORMATS.values()} - {None} == set(isa.Format) == set(isa.FORMAT_MEANINGS)
    assert {row.number for row in SCHEDULES.values()} - {None} == set(isa.Schedule) == set(isa.SCHEDULE_MEANINGS)
    assert set(isa.BUILT_FORMATS) <= set(isa.Format) and set(isa.BUILT_SCHEDULES) <= set(isa.Schedule)


def test_what_has_a_number_packs() -> None:
    for row in FORMATS.values():
        assert isinstance(row, StoredFormat) == (row.number is not None), row.name
    for number in isa.Format:
        assert stored(number).number == number
    with pytest.raises(ValueError, match="^no format has the number 3; there are: 0 eSELL, 1 stream-16, 2 stream-8$"):
        stored(3)


def test_names_are_those_of_the_numbers_in_their_order() -> None:
    assert SCHEDULES.names(reversed(isa.Schedule)) == "events, list, cell-fusion"
    assert FORMATS.names([isa.Format.STREAM16]) == "stream-16"
    with pytest.raises(ValueError, match="no schedule has the number 3; there are: 0 cell-fusion, 1 list"):
        SCHEDULES.names([0, 3])
