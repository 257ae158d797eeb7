"""Formats as command lines ask for them: names, what auto picks, what is refused, how it is told."""

import re

import numpy as np
import pytest

from golden.formats import Parameters
from golden.formats.esell import Esell
from golden.formats.stream import Stream8, Stream16
from golden.isa import Format
from golden.layer import PackedLayer, pack_layer
from software.cli import UserError
from software.weight_formats import FormatChoice, formats_line, words_of


def sparse(rows: int, cols: int, density: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    m = rng.standard_normal((rows, cols)).astype(np.float16)
    m[rng.random((rows, cols)) >= density] = 0
    return m


def layer(h: int = 32, x: int = 16, density: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sparse(4 * h, x, density, 1), sparse(4 * h, h, density, 2), np.zeros(4 * h, np.float16)


def same(a: PackedLayer, b: PackedLayer) -> bool:
    return all(
        np.array_equal(m.words, n.words) and m.format == n.format and m.parameters.unit_cols == n.parameters.unit_cols
        for m, n in ((a.w, b.w), (a.u, b.u))
    )


def test_each_matrix_is_packed_in_the_format_it_is_given() -> None:
    arrays = layer()
    assert same(FormatChoice().pack(*arrays), pack_layer(*arrays))
    found = FormatChoice("stream16", "esell", 5, 1).pack(*arrays)
    assert same(found, pack_layer(*arrays, Format.STREAM16, Format.ESELL, Parameters(5, 1)))
    found = FormatChoice("stream8", "stream16").pack(*arrays)
    assert same(found, pack_layer(*arrays, Format.STREAM8, Format.STREAM16))
    assert FormatChoice("esell", "auto").automatic and not FormatChoice("stream8", "stream16").automatic


@pytest.mark.parametrize(
    ("w", "wanted", "u", "u_wanted"),
    [
        # Tables are 16 words: for few nonzeros that is more than the halved entries save
        (layer()[0], Format.STREAM8, layer(density=0.05)[1], Format.STREAM16),
        (np.zeros((128, 16), np.float16), Format.STREAM16, layer()[1], Format.STREAM8),
    ],
)
def test_auto_takes_what_has_the_fewest_words(w: np.ndarray, wanted: Format, u: np.ndarray, u_wanted: Format) -> None:
    found = FormatChoice("auto", "auto").pack(w, u, np.zeros(128, np.float16))
    assert (found.w.format, found.u.format) == (wanted, u_wanted)
    for matrix, given in ((found.w, w), (found.u, u)):
        others = [Esell().pack(given), Stream16().pack(given), Stream8().pack(given)]
        assert words_of(matrix) == min(len(other.words) + 16 * (other.format == Format.STREAM8) for other in others)


def test_auto_leaves_out_what_does_not_hold_the_values_or_the_units() -> None:
    few = np.zeros((128, 16), np.float16)
    few[3, 3] = 65504
    found = FormatChoice("auto", "auto").pack(few, few.repeat(2, axis=1), np.zeros(128, np.float16))
    # Of 65504 no upper bits are finite
    assert {found.w.format, found.u.format} <= {Format.ESELL, Format.STREAM8}
    found = FormatChoice("auto", "auto", unit=1).pack(few, few.repeat(2, axis=1), np.zeros(128, np.float16))
    assert (found.w.format, found.u.parameters.unit_cols) == (Format.STREAM8, 1)
    with pytest.raises(ValueError, match=r"^65504 in row 3, column 3 becomes infinite in 12 bits"):
        FormatChoice("stream16").pack(few, few.repeat(2, axis=1), np.zeros(128, np.float16))
    few[3, 3] = np.inf
    assert FormatChoice("auto").pack(few, few.repeat(2, axis=1), np.zeros(128, np.float16)).w.format == Format.ESELL
    with pytest.raises(ValueError, match="^eSELL has no gap bits"):
        FormatChoice("auto", unit=1).pack(few, few.repeat(2, axis=1), np.zeros(128, np.float16))


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"w": "csr"}, "--w-format must be esell, stream16, stream8 or auto, not 'csr'"),
        ({"u": "stream-16"}, "--u-format must be esell, stream16, stream8 or auto, not 'stream-16'"),
        ({"w": "auto", "unit": 2}, "--unit must be 4 or 1, not 2"),
        ({"w": "auto", "gap_bits": 7}, "--gap-bits must be in 4..6, not 7"),
        ({"gap_bits": 5}, "--gap-bits and --unit are of stream formats, and W and U are both esell"),
        (
            {"w": None, "u": None, "unit": 1},
            "--best chooses gap bits and units: --gap-bits and --unit are for a format that is given",
        ),
        ({"unit": 1}, "--gap-bits and --unit are of stream formats, and W and U are both esell"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(choice: dict, said: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
        FormatChoice(**choice)


def test_what_was_packed_is_told() -> None:
    arrays = layer()
    packed = FormatChoice("stream16", "stream8", 4, 1).pack(*arrays)
    w, u = len(packed.w.words), len(packed.u.words)
    assert formats_line(packed) == (
        f"W stream-16, gap bits 4, units of 1 column, {w} words; U stream-8, gap bits 4, units of 1 column, {u} words"
    )
    packed = FormatChoice().pack(*arrays)
    assert formats_line(packed) == f"W eSELL, {len(packed.w.words)} words; U eSELL, {len(packed.u.words):,} words"


def test_a_value_that_is_not_held_is_named_where_it_was_given() -> None:
    """H = 5 is padded to 8: row 5 of what was given, of gate i, is packed as row 8."""
    w, u, b = np.zeros((20, 3), np.float16), np.zeros((20, 5), np.float16), np.zeros(20, np.float16)
    for row in (4, 5, 19):
        large = u.copy()
        large[row, 2] = -65504
        with pytest.raises(ValueError, match=rf"^-65504 in row {row}, column 2 becomes .* \(gap bits 5\), in U$"):
            FormatChoice(u="stream16", gap_bits=5).pack(w, large, b)
        large = w.copy()
        large[row, 1] = np.nan
        said = rf"^stream-8 holds finite values only, not nan in row {row}, column 1, in W$"
        with pytest.raises(ValueError, match=said):
            FormatChoice("stream8").pack(large, u, b)
