"""The comparison of formats over sparsity."""

import json
from typing import Any

import numpy as np
import pytest

from software import figure9
from software.cli import run
from software.esell_format import random_matrix


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figure9, "SIDE", 64)
    monkeypatch.setattr(figure9, "SPARSITIES", (0.2, 0.5, 0.9))

    def invoke(*arguments):
        monkeypatch.setattr("sys.argv", ["figure9", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            run(figure9.main)
        return end.value.code, *capsys.readouterr()

    return invoke


def test_the_paper_s_bars_are_met():
    for sparsity in (0.2, 0.5):
        bits = figure9.measure(random_matrix(768, 768, 1 - sparsity, 1))
        for name, bars in figure9.PAPER.items():
            assert bits[name] / 1e6 == pytest.approx(bars[sparsity], rel=0.005), name


def test_table_json_and_picture(command, tmp_path):
    code, out, _ = command()
    assert code == 0
    assert "wrote build/figure9/figure9.json\nwrote build/figure9/figure9.png" in out
    result = json.loads((tmp_path / "build/figure9/figure9.json").read_text())
    assert [row["sparsity"] for row in result["random"]] == [0.2, 0.5, 0.9]
    assert [row["matrix"] for row in result["trained"]] == ["l1.w", "l1.u", "l2.w", "l2.u"]
    assert result["trained"][1]["sparsity"] == pytest.approx(0.5, abs=0.001)
    assert (tmp_path / "build/figure9/figure9.png").read_bytes().startswith(b"\x89PNG")


def test_a_language_model_will_do(command, tmp_path):
    rng = np.random.default_rng(1)
    shapes = {"l1.w": (32, 4), "l1.u": (32, 8), "l1.b": (32,), "embedding": (5, 4)}
    arrays: dict[str, Any] = {n: rng.normal(size=shape).astype(np.float16) for n, shape in shapes.items()}
    np.savez(tmp_path / "m.npz", **arrays)
    assert command("--checkpoint", "m.npz")[0] == 0


def test_a_missing_checkpoint_is_one_line(command):
    code, _, err = command("--checkpoint", "missing.npz")
    assert (code, err) == (2, "error: missing.npz: No such file or directory\n")
