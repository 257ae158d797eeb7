"""Fronts of sweeps against their definition, and the picture of any sweep."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.sweep.pareto import COSTS, front, non_dominated, picture, titles, work_of
from sim.sweep.point import Row, evaluate, model_version
from sim.sweep.spec import spec_of

_GRID = {"layer": {"x": 8, "h": 8, "t": 4}, "w_sparsity": 0.5, "u_sparsity": 0.5, "h_sparsity": 0, "preset": "tiny"}


def a_row(tmp_path, monkeypatch) -> Row:
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path))
    (point,) = spec_of({"grid": _GRID}, "a", "a").points
    row = evaluate(point, model_version(), None)
    assert isinstance(row, Row)
    return row


def dominates(a, b) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=40))
def test_the_front_is_what_nothing_dominates(costs) -> None:
    wanted = [not any(dominates(other, one) for other in costs) for one in costs]
    assert non_dominated(costs).tolist() == wanted
    assert any(wanted)


def test_large_numbers_are_compared_exactly() -> None:
    assert non_dominated([[2**60, 1], [2**60 + 1, 1]]).tolist() == [True, False]


def test_only_the_same_work_is_compared(tmp_path, monkeypatch) -> None:
    row = a_row(tmp_path, monkeypatch)
    worse = replace(row, cycles=row.cycles + 1)
    assert front([row, worse, row]) == [True, False, True]
    others: dict[str, Any] = {
        "layer": "other", "engine": "native", "w_sparsity": 0.1, "u_sparsity": 0.1, "h_sparsity": 0.1, "seed": 2,
        "latency": 3, "bandwidth": 0.5,
    }  # fmt: skip
    for name, value in others.items():
        changed = {name: value}
        other = replace(worse, **changed)
        assert work_of(other) != work_of(row)
        assert front([row, other, worse]) == [True, True, False]
    for cost in COSTS:
        better = replace(worse, **{cost: getattr(row, cost) - 1})
        assert front([row, better]) == ([False, True] if cost == "cycles" else [True, True])


def test_titles_say_what_differs(tmp_path, monkeypatch) -> None:
    row = a_row(tmp_path, monkeypatch)
    rows = [row, replace(row, bandwidth=0.5), replace(row, engine="native", latency=8), replace(row, layer="b")]
    assert titles(rows) == [
        ("x8-h8-t4", "model, bandwidth 1"),
        ("x8-h8-t4", "model, bandwidth 0.5"),
        ("x8-h8-t4", "native, latency 8, bandwidth 1"),
        ("b", ""),
    ]


def test_a_picture_of_anything(tmp_path, monkeypatch) -> None:
    row = a_row(tmp_path, monkeypatch)
    rng = np.random.default_rng(3)
    many = []
    for n in range(600):
        costs: dict[str, Any] = {"cycles": int(rng.integers(1, 10**9)), "memory_bits": int(10 ** rng.uniform(5, 8))}
        many.append(replace(row, layer=f"l{n % 8}", seed=n % 112, macs=4 * int(rng.integers(2, 9)), **costs))
    # constrained layout warns, and a warning is an error, when there is no room
    for rows in ([row], many, [replace(row, layer="one", seed=n, cycles=n + 1) for n in range(30)]):
        assert picture(rows, "a title").startswith(b"\x89PNG")
