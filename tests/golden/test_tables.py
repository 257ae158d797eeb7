from itertools import pairwise

from golden.tables import COLUMN_SETS, COLUMN_TABLE, TANH
from tests.golden.scalar import COLUMNS, tanh_table


def test_tanh_points_are_the_exact_ones() -> None:
    assert list(TANH) == tanh_table()
    assert (TANH[0], TANH[64], TANH[512]) == (0, 49912, 65535)


def test_tanh_points_do_not_fall() -> None:
    assert all(a <= b for a, b in pairwise(TANH))


def test_column_table_decodes_every_set() -> None:
    expected = {columns: code for by_code in COLUMNS.values() for code, columns in by_code.items()}
    assert expected == COLUMN_SETS
    for columns, code in expected.items():
        assert tuple(COLUMN_TABLE[j][code] for j in range(len(columns))) == columns


def test_column_table_is_the_written_one() -> None:
    ones = {(j, e): c for j in range(4) for e in range(8) if (c := COLUMN_TABLE[j][e])}
    assert ones == {
        (0, 4): 1, (0, 5): 1, (0, 6): 2, (0, 7): 3,
        (1, 0): 1, (1, 1): 1, (1, 2): 2, (1, 4): 2, (1, 3): 3, (1, 5): 3, (1, 6): 3,
        (2, 0): 2, (2, 1): 3, (2, 2): 3, (2, 4): 3,
        (3, 0): 3,
    }  # fmt: skip
