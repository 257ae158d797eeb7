"""--x of ``sim.run layer``: what is taken, in which layout, and what is refused in one line."""

import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim import run
from sim.engines import registry
from sim.layers.inputs import load_x
from sim.protocol.base import EngineError
from software.cli import UserError

Line = Callable[[str], tuple[int, str, str]]
INPUTS = 3


def npy(x: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, x)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["i1", "u1", "<i4", ">i8", "f2", "f4", "<f8", ">f8"])
def test_integers_and_floats_of_any_size_are_taken(kind: str, tmp_path: Path) -> None:
    x = np.arange(12).reshape(4, INPUTS)
    np.save(tmp_path / "x.npy", x.astype(kind))
    found = load_x(tmp_path / "x.npy", INPUTS)
    assert found.dtype == np.float32 and found.shape == (1, 4, INPUTS)
    np.testing.assert_array_equal(found[0], x)


def test_an_ambiguous_layout_says_what_was_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.arange(2 * 5 * INPUTS, dtype=np.float32).reshape(2, 5, INPUTS)
    path = tmp_path / "x.npy"
    np.save(path, x)
    np.testing.assert_array_equal(load_x(path, INPUTS), x)
    out, err = capsys.readouterr()
    assert not out and err == (
        f"{path}: (2, 5, 3) is taken as (N, T, X): 2 sequences of 5 steps; --time-major takes it as (T, N, X), "
        "--batch-first says that it is not\n"
    )
    np.testing.assert_array_equal(load_x(path, INPUTS, time_major=False), x)
    np.testing.assert_array_equal(load_x(path, INPUTS, time_major=True), x.swapaxes(0, 1))
    np.save(path, x[0])
    np.testing.assert_array_equal(load_x(path, INPUTS), x[:1])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(npy(np.ones((4, INPUTS)))),
        npz(x=np.ones((4, INPUTS)), w=np.zeros(3)),
        npz(any=np.ones((4, INPUTS))),
        npy(np.asfortranarray(np.ones((4, INPUTS)))),
    ],
    ids=["gzip", "x of a layer's file", "only array", "Fortran order"],
)
def test_a_file_is_read_by_its_content(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "inputs").write_bytes(content)
    np.testing.assert_array_equal(load_x(tmp_path / "inputs", INPUTS), np.ones((1, 4, INPUTS), np.float32))


BAD = {
    "bool": (npy(np.ones((4, INPUTS), bool)), "x must hold real numbers, not bool"),
    "complex": (npy(np.ones((4, INPUTS), complex)), "x must hold real numbers, not complex128"),
    "text": (b"1 2 3\n4 5 6\n", "not an .npy file of numbers: a text: numpy.save"),
    "html": (b"<html></html>", "not an .npy file of numbers: a web page"),
    "empty": (b"", "not an .npy file of numbers: empty"),
    "cut": (npy(np.ones((4, INPUTS)))[:-3], "not an .npy file of numbers, or damaged"),
    "huge": (npy(np.ones((4, INPUTS))).replace(b"(4, 3)", b"(4000000000000, 3)"), "not an .npy file of numbers"),
    "objects": (npz(x=np.zeros(2)).replace(b"<f8", b"|O "), "not an .npy file of numbers, or damaged"),
    "several": (npz(a=np.ones(2), b=np.ones(2)), "must be one array of numbers (.npy), or have one called x"),
    "state": (npz(x=np.ones((4, INPUTS)), h0=np.ones(2)), "h0 is not used: --x takes x alone"),
    "large": (npy(np.array([[0, 70000, 0]])), "x[0, 1] is 70000: fp16 holds magnitudes below 65520"),
    "nan": (npy(np.array([[0, 0, np.nan]])), "x[0, 2] is nan: fp16 holds"),
    "one": (npy(np.ones(INPUTS)), "x must have shape (T, 3) or (N, T, 3), not (3,)"),
    "none": (npy(np.ones((0, INPUTS))), "x must have shape (T, 3) or (N, T, 3), not (0, 3)"),
    "turned": (npy(np.ones((INPUTS, 4))), "x must have shape (T, 3) or (N, T, 3), not (3, 4)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_input_is_one_line(name: str, tmp_path: Path) -> None:
    content, message = BAD[name]
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_x(tmp_path / "x.npy", INPUTS)
    assert message in str(caught.value) and str(caught.value).startswith(f"{tmp_path / 'x.npy'}: ")
    assert "\n" not in str(caught.value)


def test_a_shape_is_told_in_the_layout_that_was_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 5, 4)))
    with pytest.raises(UserError, match=r"x must have shape \(T, 3\) or \(T, N, 3\), not \(2, 5, 4\)"):
        load_x(tmp_path / "x.npy", INPUTS, time_major=True)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Line:
    """Runs sim.run on a layer of 3 inputs, m.npz; gives exit code, stdout and stderr."""
    # simulators that are compiled already, wherever the test runs
    monkeypatch.setenv("ELSTM_CACHE", os.environ.get("ELSTM_CACHE") or str(Path("build/cache").absolute()))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    shapes = {"l1.w": (16, INPUTS), "l1.u": (16, 4), "l1.b": (16,)}
    weights: dict[str, Any] = {name: rng.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}
    np.savez("m.npz", **weights)
    np.save("x.npy", rng.integers(-3, 4, (2, 5, INPUTS)))

    def run_it(text: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sim.run", *text.split()])
        capsys.readouterr()
        try:
            code = run.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return (code, *capsys.readouterr())

    return run_it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("layer m.npz --x x.npy --time-major --batch-first", "--time-major and --batch-first exclude each other"),
        ("layer m.npz --time-major", "--time-major is for --x, which is not given"),
        ("layer m.npz --random 3 --batch-first", "--batch-first is for --x, which is not given"),
        ("layer m.npz --x x.npy --sequences 3", "--sequences is of random inputs, not of --x, and must be left out"),
        ("timeline m.npz --x x.npy", "x.npy: a timeline is of one sequence, (T, 3), not of 2"),
    ],
)
def test_options_that_do_not_fit_are_one_line(arguments: str, message: str, line: Line) -> None:
    code, out, err = line(arguments)
    assert code == 2 and not out and err.startswith("error: ") and err.count("\n") == 1 and message in err


def test_the_layout_reaches_the_rtl(line: Line) -> None:
    try:
        registry.get("accelerator", "native")
    except EngineError as missing:
        pytest.skip(str(missing))
    shapes = {}
    for option in ("", "--batch-first", "--time-major"):
        code, _, err = line(f"layer m.npz --x x.npy --preset tiny --json r.json {option}")
        assert code == 0, err
        assert ("is taken as (N, T, X): 2 sequences of 5 steps" in err) == (not option)
        inputs = json.loads(Path("r.json").read_text())["inputs"]
        shapes[option] = [one["layers"][0]["t"] for one in inputs]
    assert shapes == {"": [5, 5], "--batch-first": [5, 5], "--time-major": [2] * 5}
