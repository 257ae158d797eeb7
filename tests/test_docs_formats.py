"""docs/formats.md: one matrix in every format, as golden packs it, and what each format is called."""

import re

import numpy as np
import pytest

from golden import isa
from golden.formats import FORMATS, Packed, Parameters
from golden.formats.stream import Stream, Stream8, Stream16
from golden.numbers import fp16_bits
from software.weight_formats import NAMES
from tests.test_docs_facts import DOCS, table

PAGE = "formats.md"
H = 8
GATES = "figo"


def matrix() -> np.ndarray:
    found = np.zeros((4 * H, 4), dtype=np.float16)
    for row, col, value, gate in table(PAGE, "row", "column", "value", "gate"):
        found[int(row), int(col)] = float(value)
        assert gate == GATES[int(row) // H]
    return found


def words(first: str) -> list[int]:
    return [int(row[0].replace(" ", ""), 16) for row in table(PAGE, first)]


@pytest.mark.parametrize(
    ("first", "packed"),
    [
        ("eSELL", FORMATS["eSELL"].pack(matrix())),  # type: ignore[attr-defined]
        ("stream-16, u = 4", Stream16().pack(matrix(), Parameters(4))),
        ("stream-16, u = 1", Stream16().pack(matrix(), Parameters(4, 1))),
        ("stream-8", Stream8().pack(matrix())),
    ],
    ids=["esell", "stream16", "stream16-1", "stream8"],
)
def test_the_words_of_the_example_are_what_golden_packs(first: str, packed: Packed) -> None:
    assert words(first) == packed.words.tolist()
    if packed.parameters.unit_cols == 1:
        assert [str(n) for n in packed.offsets] == re.findall(r"offsets ([\d, ]+);", (DOCS / PAGE).read_text())[
            0
        ].split(", ")
        units = [int(row[1]) for row in table(PAGE, first)]
        assert units == np.repeat(np.arange(4), packed.offsets).tolist()


@pytest.mark.parametrize(
    ("form", "first", "unit"),
    [(Stream16(), "stream-16, u = 4", 4), (Stream16(), "stream-16, u = 1", 1), (Stream8(), "stream-8", 4)],
)
def test_what_stands_beside_the_words_is_what_they_say(form: Stream, first: str, unit: int) -> None:
    """Every place and value by hand: from entry to entry, not with golden's decoder."""
    tables = [row[1] for row in table(PAGE, "table of")]
    place, before = [-1] * form.streams, 0
    seen = []
    for row in table(PAGE, first):
        word = int(row[0].replace(" ", ""), 16)
        now = int(row[1]) if unit == 1 else 0
        if now != before:
            place, before = [-1] * form.streams, now
        for k, cell in enumerate(reversed(row[-form.streams :])):
            entry = word >> form.entry_bits * k & (1 << form.entry_bits) - 1
            if not entry:
                assert cell == "-"
                continue
            place[k] += entry % 16 + 1
            if not entry >> 4:
                assert cell == f"filler to place {place[k]}"
                continue
            r, c = place[k] // unit * form.streams + k, now * unit + place[k] % unit
            if form.entry_bits == 8:
                assert cell == f"{entry >> 4} at place {place[k]}"
                value = float(tables[r // H].split(", ")[entry >> 4])
            else:
                value = float(cell.split(" at ")[0])
                assert cell == f"{value:g} at place {place[k]}"
                exact = int(fp16_bits(np.array([value], np.float16))[0])
                assert abs(exact - (entry & 0xFFF0)) <= 8
            seen.append((r, c, value))
    m = matrix()
    assert sorted(seen) == [(r, c, pytest.approx(float(m[r, c]), rel=1e-3)) for r, c in np.argwhere(m)]


def test_the_tables_of_the_example_are_what_golden_chooses() -> None:
    tables = Stream8().pack(matrix()).parameters.tables
    assert tables is not None
    for gate, values, row in zip(GATES, tables, table(PAGE, "table of"), strict=True):
        shown = [np.float16(value) for value in row[1].split(", ")]
        assert row[0] == gate and values.tolist() == [*shown, *[0] * (16 - len(shown))]


def test_the_sizes_of_the_example_are_the_registry_s() -> None:
    m = matrix()
    assert table(PAGE, "format", "bits") == [[name, str(row.bits(m))] for name, row in FORMATS.items()]


def test_every_stored_format_is_in_the_first_table() -> None:
    shown = {int(row[0]): (row[1], row[2].strip("`")) for row in table(PAGE, "number", "name")}
    assert shown == {row.number: (row.name, name) for name, row in NAMES.items()}
    assert set(shown) == set(isa.Format)
