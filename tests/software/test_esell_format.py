import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.formats import FORMATS, ec, esell
from golden.formats.stream import Stream8, Stream16
from golden.isa import Format
from software import esell_format as formats
from software.cli import run
from software.esell_format import main, random_matrix, verify, verify_rounded

ROOT = Path(__file__).parents[2]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["esell_format", *arguments])
    with pytest.raises(SystemExit) as stop:
        run(main)
    return stop.value.code or 0  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("sparsity", "expected"),
    [
        (0.2, {"dense": 9.44, "CSC, 16-bit index": 15.1, "CSC, log2 index": 12.3, "EC": 9.44, "eSELL": 9.59}),
        (0.5, {"dense": 9.44, "CSC, 16-bit index": 9.46, "CSC, log2 index": 7.69, "EC": 5.90, "eSELL": 7.32}),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_sizes_are_those_of_the_papers_figure_9(sparsity: float, expected: dict[str, float], seed: int) -> None:
    matrix = random_matrix(768, 768, 1 - sparsity, seed)
    found = formats.sizes(matrix, esell.pack(matrix))
    for name, mbit in expected.items():
        assert found[name].bits / 1e6 == pytest.approx(mbit, rel=2e-3), name


def test_sizes_of_a_small_matrix_by_hand() -> None:
    matrix = np.zeros((8, 16), dtype=np.float16)
    matrix[0, 0] = matrix[7, 15] = 1
    found = formats.sizes(matrix, esell.pack(matrix))
    assert {name: size.bits for name, size in found.items()} == {
        "dense": 8 * 16 * 16,
        "CSR, 16-bit index": 2 * 32 + 9 * 32,
        "CSR, log2 index": 2 * 20 + 9 * 32,
        "CSC, 16-bit index": 2 * 32 + 17 * 32,
        "CSC, log2 index": 2 * 19 + 17 * 32,
        "COO, 16-bit indices": 2 * 48,
        "COO, log2 indices": 2 * 23,
        "EC": (1 + 7 + 1) * 20,  # 126 zeros between the two: 7 fillers and 14 zeros
        "eSELL": (4 + 2) * 64,
        "stream-16": 2 * 64,
        "stream-8": 2 * 64 + 4 * 16 * 16,
    }
    assert found["EC"].words == 3 and found["EC"].words_per_nonzero == 1.5
    assert formats.Size(64, 0).words_per_nonzero is None


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(1, 20),
    cols=st.integers(1, 20),
    density=st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_ec_round_trip(rows: int, cols: int, density: float, seed: int) -> None:
    matrix = random_matrix(rows, cols, density, seed)
    values, runs = ec.encode(matrix)
    assert np.array_equal(ec.decode(values, runs, rows, cols), matrix)
    assert runs.max(initial=0) <= 15
    zeros = runs[values == 0]
    assert (zeros == 15).all(), "a filler stands for 16 zeros"


def test_random_matrix_has_exactly_the_nonzeros_asked_for() -> None:
    for density in (0, 0.137, 1):
        assert np.count_nonzero(random_matrix(30, 40, density, 3)) == round(1200 * density)


@pytest.mark.parametrize("size", [(5, 3), (40, 30), (64, 64)])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_verify_accepts_what_is_right(size: tuple[int, int], density: float) -> None:
    matrix = random_matrix(*size, density, 4)
    verify(matrix, esell.pack(matrix), 4)


def test_verify_finds_one_wrong_value() -> None:
    matrix = random_matrix(40, 30, 0.5, 4)
    packed = esell.pack(matrix)
    packed.words[1] ^= np.uint64(1)
    with pytest.raises(AssertionError, match=r"matrix differs from scipy's at \[\d+, \d+\]"):
        verify(matrix, packed, 4)


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_what_streams_hold_is_verified(density: float) -> None:
    matrix = random_matrix(70, 30, density, 4)
    for form in (Stream16(), Stream8()):
        packed = form.pack(matrix)
        off = verify_rounded(matrix, packed, 4)
        assert (off > 0) == (density > 0) and off < (0.01 if form.number == Format.STREAM16 else 0.12)
        if density:
            # A value in a padded row: the lane of stream 3 whose rows 70 to 79 the matrix lacks
            whole = form.unpack(packed.words, packed.rows, packed.cols, packed.offsets, packed.parameters)
            whole[75, 0] = whole[packed.rows // 4 * 3 : 70][whole[packed.rows // 4 * 3 : 70] != 0][0]
            wrong = form.pack(whole, packed.parameters)
            with pytest.raises(AssertionError, match=f"^{form.name} holds a value where the matrix has none$"):
                verify_rounded(matrix, wrong, 4)


def test_json_and_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "new" / "sizes.json"
    assert call(monkeypatch, "100", "50", "0.4", "--seed", "7", "--json", str(path)) == 0
    result = json.loads(path.read_text())
    assert result["schema"] == "elstm.formats/1" and result["verified"] is True
    assert (result["rows"], result["cols"], result["density"], result["seed"]) == (100, 50, 0.4, 7)
    assert result["nonzeros"] == 2000
    assert next(iter(result["formats"])) == "dense" and list(result["formats"]) == list(FORMATS)
    words = result["formats"]["eSELL"]["words"]
    assert words == len(esell.pack(random_matrix(100, 50, 0.4, 7)).words)
    assert set(result["streams"]) == {"stream-16", "stream-8"} and result["streams"]["stream-8"]["gap_bits"] == 4
    out = capsys.readouterr().out
    assert f"{words:,}" in out and "verified against scipy" in out
    for name, stream in result["streams"].items():
        assert f"{name}, gap bits {stream['gap_bits']}: values rounded by {stream['rms_rounding']:.2%} rms" in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("0", "4", "0.5"), "ROWS must be in 1..65536, not 0"),
        (("8", "65537", "0.5"), "COLS must be in 1..65536, not 65537"),
        (("65536", "65536", "0.5"), "ROWS x COLS must be at most 67108864, not 4294967296"),
        (("8", "4", "1.5"), "DENSITY must be in 0..1, not 1.5"),
        (("8", "4", "nan"), "DENSITY must be in 0..1, not nan"),
        (("60000", "4", "1"), "a block column has 67500 words, a 16-bit offset holds 65535"),
        (("8", "4", "0.5", "--seed", "-1"), "--seed must be 0 or more, not -1"),
        (("8", "x", "0.5"), "Invalid value for 'COLS'"),
        (("8", "4"), "Missing argument"),
        (("8", "4", "0.5", "--json", "/proc/none/f.json"), "cannot write /proc/none/f.json: "),
        (("8", "4", "0.5", "--json", "/"), "cannot write /: is a directory"),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str
) -> None:
    assert call(monkeypatch, *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and text in err and err.count("\n") == 1


@pytest.mark.parametrize("script", ["esell_format", "lstm_sim_esell"])
def test_scripts_run_by_path_from_anywhere(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "software" / f"{script}.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_module_prints_the_comparison() -> None:
    command = [sys.executable, "-m", "software.esell_format", "768", "768", "0.4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("dense", "CSR", "CSC", "COO", "EC", "eSELL", "words per nonzero"):
        assert name in done.stdout
