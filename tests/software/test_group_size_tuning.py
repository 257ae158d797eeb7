import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from golden.config import AcceleratorConfig
from golden.cycles import LIST, SCHEDULES, published_cycles
from software.cli import run
from software.group_size_tuning import main, random_layer, random_mask
from software.tuning.fusion import balanced, equation_6

ROOT = Path(__file__).parents[2]
SMALL = ("--xsize", "32", "--hsize", "24", "--ts", "9")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["group_size_tuning", *arguments])
    with pytest.raises(SystemExit) as stop:
        run(main)
    return stop.value.code or 0  # type: ignore[return-value]


def test_equation_6_by_hand() -> None:
    # Groups of 4, 4 and 2 steps. W 10: prolog 20; a group 20 + what of 4 u is over 10; epilog 2 u
    assert equation_6(10, 2, 10, 2, 3) == 20 + 2 * 20 + 2 * 2
    assert equation_6(10, 4, 10, 2, 3) == 20 + 2 * 26 + 2 * 4
    # N_fuse 1 leaves the port no free cycle: everything is added up
    assert equation_6(10, 4, 10, 1, 3) == 5 * 10 + 10 * 4
    assert equation_6(10, 4, 3, 2, 3) == 20 + 3 * 4


@pytest.mark.parametrize("n_fuse", [1, 2, 3, 4])
def test_equation_6_is_the_published_formula_without_x_and_set_up(n_fuse: int) -> None:
    packed = random_layer(16, 16, 0, 0, 1)
    shape = packed.shape(11)
    w, u = len(packed.w.words), len(packed.u.words)
    groups = -(-shape.t // (2 * n_fuse))
    others = shape.h + shape.h // 16 + 1 + groups * n_fuse * shape.x
    published = published_cycles(shape, w, np.full(shape.t, u), n_fuse)
    assert equation_6(w, u, shape.t, n_fuse, 3) == published - others


@pytest.mark.parametrize(("w", "u", "n_pe"), [(10, 4, 3), (10, 3, 3), (100, 33, 4), (7, 6, 2), (5, 0, 3)])
def test_balance_is_the_first_n_fuse_that_holds_u(w: int, u: int, n_pe: int) -> None:
    n = balanced(w, u, n_pe)
    holds = [n for n in range(1, 1000) if (n - 1) * w >= n * (n_pe - 1) * u]
    assert n == (holds[0] if holds else None)


def test_no_n_fuse_balances_too_much_u() -> None:
    assert balanced(10, 5, 3) is None and balanced(0, 0, 3) is None


def test_random_mask_keeps_the_same_number_of_blocks_in_every_step() -> None:
    mask = random_mask(50, 20, 0.41, np.random.default_rng(3))
    assert (mask.sum(axis=1) == 12).all() and mask.any(axis=0).all()


# Table 2 of the paper with every step's S_ph constant; published formula at N_fuse 3, and the bound
@pytest.mark.parametrize(
    ("layer", "published", "bound"),
    [
        ((28, 128, 28, 0.3, 0.5, 0.22), 3.02e5, 2.80e5),
        ((128, 128, 28, 0.2, 0.4, 0.29), 4.02e5, 3.00e5),
        ((800, 800, 35, 0.2, 0.5, 0.56), 1.29e7, 8.80e6),
        ((800, 800, 35, 0.2, 0.6, 0.41), 1.41e7, 9.56e6),
    ],
)
@pytest.mark.parametrize("seed", [1])
def test_the_papers_layers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, layer: tuple[float, ...], published: float, bound: float, seed: int
) -> None:
    path = tmp_path / "tuning.json"
    names = ("--xsize", "--hsize", "--ts", "--spw", "--spu", "--sph")
    options = [text for name, value in zip(names, layer, strict=True) for text in (name, str(value))]
    assert call(monkeypatch, *options, "--schedule", "cell-fusion", "--seed", str(seed), "--json", str(path)) == 0
    result = json.loads(path.read_text())
    assert result["capacity"] == result["best_n_fuse"] == 3
    assert result["best"] == {"equation_6": 3, "published": 3, "word_model": 3}
    row = result["rows"][2]
    # Small layers keep a whole number of blocks, up to 1.5 % off the share asked for
    assert row["published"] == pytest.approx(published, rel=0.015)
    assert result["bound_cycles"] == pytest.approx(bound, rel=0.015)
    assert result["bound_cycles"] < row["word_model"] < 1.01 * row["published"]
    assert row["speedup"] == pytest.approx(result["original_cycles"] / row["word_model"])


def test_json_table_and_picture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, plot = tmp_path / "new" / "t.json", tmp_path / "new" / "t.png"
    options = ("--npe", "4", "--slots", "13", "--seed", "5", "--sph", "0.5", "--json", str(data), "--plot", str(plot))
    assert call(monkeypatch, *SMALL, *options) == 0
    result = json.loads(data.read_text())
    assert result["schema"] == "elstm.group-size/1"
    assert result["capacity"] == AcceleratorConfig(n_pe=4, slots=13).fuse_capacity == 2
    assert [(row["n_fuse"], row["fits"]) for row in result["rows"]] == [(1, True), (2, True), (3, False)]
    assert result["kept_blocks"] == 9 * 3 and result["w_heads"] == 12 * 8
    fitting = min(result["rows"][:2], key=lambda row: row["word_model"])
    assert result["best_n_fuse"] == fitting["n_fuse"]
    found = {"parameters": {"n_fuse": fitting["n_fuse"]}, "cycles": fitting["word_model"]}
    assert result["schedules"]["cell-fusion"] == found
    out = capsys.readouterr().out
    for row in result["rows"]:
        assert f"{row['word_model']:,}" in out and f"{row['published']:,}" in out
    assert out.count("does not fit") == 1 and f"best N_fuse: {fitting['n_fuse']} " in out
    assert plot.read_bytes().startswith(b"\x89PNG\r\n") and plot.stat().st_size > 10_000


@pytest.mark.parametrize("extremes", [("1", "1", "1"), ("0", "0", "0"), ("1", "0", "0")])
def test_extreme_sparsities_and_odd_sizes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extremes: tuple[str, str, str]
) -> None:
    spw, spu, sph = extremes
    path = tmp_path / "t.json"
    arguments = ("--xsize", "5", "--hsize", "3", "--ts", "1", "--spw", spw, "--spu", spu, "--sph", sph)
    assert call(monkeypatch, *arguments, "--json", str(path)) == 0
    result = json.loads(path.read_text())
    assert [row["n_fuse"] for row in result["rows"]] == [1] and result["rows"][0]["word_model"] > 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--xsize", "0"), "--xsize must be in 1..8192, not 0"),
        (("--hsize", "8193"), "--hsize must be in 1..8192, not 8193"),
        (("--hsize", "8192"), "must be at most 67108864, not 268435456"),
        (("--ts", "65536"), "--ts must be in 1..65535, not 65536"),
        (("--ts", "65535", "--xsize", "4", "--hsize", "4000"), "TS x HSIZE / 4 must be at most 33554432, not 65535000"),
        (("--npe", "1"), "--npe must be in 2..8, not 1"),
        (("--npe", "5", "--slots", "7"), "--slots must be in 8..255, not 7"),
        (("--spw", "-0.1"), "--spw must be in 0..1, not -0.1"),
        (("--spu", "1.01"), "--spu must be in 0..1, not 1.01"),
        (("--sph", "nan"), "--sph must be in 0..1, not nan"),
        (("--seed", "-1"), "--seed must be 0 or more, not -1"),
        (("--spx", "2"), "--spx must be in 0..1, not 2.0"),
        (("--schedule", "lists"), f"--schedule must be {', '.join(SCHEDULES)} or all, not 'lists'"),
        (("--preset", "small"), "no preset 'small'; there are: default, stream8, mnist, ptb, tiny, event, wide"),
        (("--preset", "mnist"), "the layer has X = 800, the accelerator asked for allows 128"),
        (("--set", "max_h=400"), "the layer has H = 800, the accelerator asked for allows 400"),
        (("--multipliers", "6"), "--multipliers must be 4 or 8, not 6"),
        (("--u-format", "stream8"), "--u-format stream8 needs PEs of 8 multipliers (--multipliers), not 4"),
        (("--best", "--w-format", "stream16"), "--best chooses the format: --w-format, --u-format, --gap-bits and"),
        (("--ts", "x"), "Invalid value for '--ts'"),
        (("--plot", "t.pdf"), "--plot must name a .png file, not t.pdf"),
        (("--plot", "t.png", "--json", "t.png"), "--json and --plot must not be the same file, t.png"),
        ((*SMALL, "--json", "/proc/none/f.json"), "cannot write /proc/none/f.json: "),
    ],
)
def test_errors_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str
) -> None:
    assert call(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.startswith("error: ") and text in captured.err and captured.err.count("\n") == 1


def test_a_list_beats_n_fuse_and_its_zero_x_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    options = (*SMALL, "--schedule", "list", "--w-format", "stream16", "--u-format", "stream16", "--json", str(path))
    cycles = []
    for more in ((), ("--spx", "0.6")):
        assert call(monkeypatch, *options, *more) == 0
        result = json.loads(path.read_text())
        found = result["schedules"]["list"]
        sizes = " ".join(map(str, found["parameters"]["sizes"]))
        said = capsys.readouterr().out
        assert f"schedule list: {found['cycles']:,} cycles by its model, sizes {sizes}\n" in said
        assert "N_fuse" not in said and list(result["schedules"]) == ["list"]
        assert result["bound_cycles"] < found["cycles"] < result["rows"][2]["word_model"]
        cycles.append(found["cycles"])
    assert cycles[1] < cycles[0]


def test_the_best_of_formats_and_schedules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    formats = {"4": ["esell", "stream16"], "8": ["esell", "stream16", "stream8"]}
    for multipliers, names in formats.items():
        assert call(monkeypatch, *SMALL, "--best", "--multipliers", multipliers, "--json", str(path)) == 0
        result = json.loads(path.read_text())
        found = result["choices"]
        assert [(one["format"], one["schedule"]) for one in found] == [
            (name, schedule) for name in names for schedule in SCHEDULES
        ]
        best = min(found, key=lambda one: one["cycles"])
        assert result["best_choice"] == best and best["schedule"] == "list"
        out = capsys.readouterr().out
        assert f"best: {names[-1]}, list: {best['cycles']:,} cycles by its model, sizes " in out
        assert f"{best['cycles']:,}*" in out


def test_ctrl_c_keeps_what_was_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def pressed(*_: object, **__: object) -> tuple[int, ...]:
        raise KeyboardInterrupt

    path = tmp_path / "t.json"
    monkeypatch.setattr(LIST, "search", pressed)
    assert call(monkeypatch, *SMALL, "--json", str(path)) == 130
    assert [one["schedule"] for one in json.loads(path.read_text())["choices"]] == ["cell-fusion"]
    assert f"1 of {len(SCHEDULES)} searches are in the result" in capsys.readouterr().err


def test_it_runs_by_path_from_anywhere(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "software" / "group_size_tuning.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--xsize" in done.stdout and "--sph" in done.stdout
