"""Layouts of words: positions follow from widths, and what does not fit is named."""

import pytest

from golden.fields import Layout, Place, Repeated
from golden.tables import HEAD_LAYOUT

INNER = Layout({"low": 3, "high": 5})
OUTER = Layout({"flag": 1, "pairs": Repeated(INNER, 3), "digits": Repeated(4, 2), "one": INNER})


def test_positions_follow_from_the_widths() -> None:
    assert OUTER.bits == 1 + 3 * 8 + 2 * 4 + 8
    assert OUTER.place("pairs") == Place(1, 24)
    assert OUTER.place("pairs", 2, "high") == Place(1 + 16 + 3, 5)
    assert OUTER.place("digits", 1) == Place(29, 4)
    assert OUTER.place("one", "high").text == "40:36" and OUTER.place("flag").text == "0"


def test_a_head_of_esell_is_that_of_the_published_code() -> None:
    for chunk in range(2):
        assert HEAD_LAYOUT.place("chunks", chunk, "width") == Place(32 * chunk, 3)
        assert HEAD_LAYOUT.place("chunks", chunk, "spare") == Place(32 * chunk + 27, 5)
        for i in range(4):
            assert HEAD_LAYOUT.place("chunks", chunk, "codes", i) == Place(32 * chunk + 3 + 3 * i, 3)
            assert HEAD_LAYOUT.place("chunks", chunk, "rows", i) == Place(32 * chunk + 15 + 3 * i, 3)


def test_pack_and_unpack() -> None:
    word = INNER.pack(low=5, high=17)
    assert word == 17 << 3 | 5
    assert INNER.unpack(word) == {"low": 5, "high": 17}
    assert INNER.place("high").mask == 0xF8 and INNER.place("high").of(word | 1 << 8) == 17


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="low must be in 0..7, not 8"):
        INNER.pack(low=8)
    with pytest.raises(KeyError, match="no field 'middle'; there are: low, high"):
        INNER.place("middle")
    with pytest.raises(IndexError, match="there are 3 fields, none has the number 3"):
        OUTER.place("pairs", 3)
    with pytest.raises(KeyError, match="nothing called 'x' inside"):
        OUTER.place("flag", "x")
