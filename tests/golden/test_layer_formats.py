"""Layers in any mix of formats: the bits of the same weights in eSELL, and faults where the hardware comes to them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from golden.formats import OPEN, Packed, Parameters, stored
from golden.isa import Error, Format
from golden.layer import Layer, PackedLayer, pack_layer, run
from golden.reference import deviation, reference
from tests.golden.test_layer import assert_same, inputs, weights

PARAMETERS = {Format.ESELL: [OPEN], Format.STREAM16: [Parameters(4), Parameters(6, 1)], Format.STREAM8: [OPEN]}
KINDS = [(form, parameters) for form, choices in PARAMETERS.items() for parameters in choices]


def matrix(packed: Packed) -> np.ndarray:
    return stored(packed.format).unpack(packed.words, packed.rows, packed.cols, packed.offsets, packed.parameters)


def layer_of(w: tuple[Format, Parameters], u: tuple[Format, Parameters], x: int, h: int, seed: int) -> PackedLayer:
    return pack_layer(*weights(x, h, seed, scale=0.5), w[0], u[0], w[1], u[1])


@pytest.mark.parametrize(("w", "u"), list(itertools.product(KINDS, KINDS)))
def test_a_layer_has_the_bits_of_its_decoded_weights(
    w: tuple[Format, Parameters], u: tuple[Format, Parameters]
) -> None:
    packed = layer_of(w, u, 6, 10, 1)
    assert (packed.x, packed.h, packed.inputs, packed.hidden) == (8, 12, 6, 10)
    assert packed.w.parameters.unit_cols == w[1].unit_cols and packed.u.parameters.unit_cols == u[1].unit_cols
    x = inputs((2, 5, 6), 1)
    result = run(packed, x, 0.25)
    assert (result.error, result.rows) == (Error.NONE, 5)
    plain = replace(pack_layer(matrix(packed.w), matrix(packed.u), packed.bias), inputs=6, hidden=10)
    assert np.array_equal(run(packed, x, 0.0).h, run(plain, x, 0.0).h)
    if u[1].unit_cols == 4:
        assert_same(result, run(plain, x, 0.25))
    else:
        before = np.concatenate([np.zeros((2, 1, 12), np.float32), result.h[:, :-1]], axis=1)
        assert np.array_equal(result.kept, np.abs(before) >= 0.25) and 0 < result.kept.sum() < result.kept.size
        assert np.array_equal(result.h_pruned != 0, np.abs(result.h) >= 0.25)
    assert np.array_equal(result.u_words_loaded, (result.kept.sum(axis=1) * packed.u.offsets).sum(axis=1))
    assert np.array_equal(result.kept_blocks, result.kept.sum(axis=(1, 2)))
    found = deviation(result.h, result.kept, reference(packed, x, 0.25, result.kept))
    assert found.max_abs < 2.0**-8 and found.flips == 0
    free = deviation(result.h, result.kept, reference(packed, x, 0.25))
    assert free.flips == 0 and free.max_abs == found.max_abs


def damaged(packed: Packed, unit: int) -> Packed:
    """With a value after the end in that unit."""
    longer = np.concatenate([[63], [63], [0x8000]]).astype(np.uint64)
    at = int(packed.offsets[: unit + 1].sum())
    offsets = packed.offsets.copy()
    offsets[unit] += len(longer)
    return replace(packed, words=np.insert(packed.words, at, longer), offsets=offsets)


def test_a_fault_counts_where_its_unit_is_loaded() -> None:
    kind = (Format.STREAM16, Parameters(6))
    packed = layer_of(kind, kind, 8, 8, 2)
    x = inputs((4, 8), 2)
    assert run(packed, x, 0.3).error == Error.NONE
    in_w, in_u = replace(packed, w=damaged(packed.w, 1)), replace(packed, u=damaged(packed.u, 1))
    assert run(in_w, x, float("inf")).errors == {Error.BAD_FORMAT}
    assert run(in_u, x, float("inf")).error == Error.NONE
    ended = run(in_u, x, -1.0)
    assert (ended.errors, ended.rows) == ({Error.BAD_FORMAT}, 0)
    whole = run(packed, x, 0.3)
    first = int(np.flatnonzero(whole.kept[:, 1])[0])
    ended = run(in_u, x, 0.3)
    assert (ended.errors, ended.rows) == ({Error.BAD_FORMAT}, first) and np.array_equal(
        ended.h[:first], whole.h[:first]
    )


def test_a_value_that_is_not_finite_counts_where_its_unit_is_loaded() -> None:
    kind = (Format.STREAM16, Parameters(4, 1))
    packed = layer_of(kind, kind, 8, 8, 3)
    x = inputs((4, 8), 3)
    for name in ("w", "u"):
        words = getattr(packed, name).words.copy()
        words[-1] |= np.uint64(0x7C00)
        bad = replace(packed, **{name: replace(getattr(packed, name), words=words)})
        assert run(bad, x, float("inf")).errors == ({Error.BAD_WEIGHT} if name == "w" else set())
        assert run(bad, x, -1.0).errors == {Error.BAD_WEIGHT}


@pytest.mark.parametrize("name", ["w", "u"])
def test_a_table_that_is_not_finite_counts_always(name: str) -> None:
    kind = (Format.STREAM8, OPEN)
    packed = layer_of(kind, kind, 8, 8, 4)
    x = inputs((4, 8), 4)
    part = getattr(packed, name)
    for entry, errors in ((0, set()), (15, {Error.BAD_WEIGHT})):
        tables = part.parameters.tables.copy()
        tables[3, entry] = np.nan
        changed = replace(part, parameters=replace(part.parameters, tables=tables), words=part.words)
        assert run(replace(packed, **{name: changed}), x, float("inf")).errors == errors


@pytest.mark.parametrize("kind", KINDS)
def test_skipping_zero_x_reads_the_units_of_w_that_are_needed(kind: tuple[Format, Parameters]) -> None:
    packed = layer_of(kind, kind, 8, 8, 5)
    x = inputs((2, 6, 8), 5)
    x[:, :, 4:] = 0
    x[1, 3, 5] = 1
    plain, skipping = Layer(packed), Layer(packed, x_skip=True)
    assert_same(skipping.run(x, 0.3), plain.run(x, 0.3))
    # The unit of element 5 is damaged: without the skip an error at once, with it where that element is not 0
    unit = 5 // packed.w.parameters.unit_cols
    words = packed.w.words.copy()
    starts = np.cumsum(packed.w.offsets) - packed.w.offsets
    if kind[0] == Format.ESELL:
        words[starts[unit]] = np.uint64(7)
        error = Error.BAD_FORMAT
    elif kind[0] == Format.STREAM16:
        words[starts[unit]] |= np.uint64(0x7C00)
        error = Error.BAD_WEIGHT
    else:
        words[starts[unit] : starts[unit] + packed.w.offsets[unit]] = np.uint64(0x1F)
        error = Error.BAD_FORMAT
    bad = replace(packed, w=replace(packed.w, words=words))
    assert (Layer(bad).run(x, 0.3).rows, Layer(bad).run(x, 0.3).error) == (0, error)
    ended = Layer(bad, x_skip=True).run(x, 0.3)
    assert (ended.rows, ended.error) == (3, error)
    assert np.array_equal(ended.h[:, :3], plain.run(x, 0.3).h[:, :3])
    quiet = x.copy()
    quiet[1, 3, 5] = -0.0
    assert Layer(bad, x_skip=True).run(quiet, 0.3).error == Error.NONE
    # What ends the run before it may be reported, or the fault that is read ahead
    x[0, 1, 0] = np.inf
    assert Layer(bad, x_skip=True).run(x, 0.3).errors == {Error.BAD_X, error}
