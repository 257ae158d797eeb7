"""--preset, --config and --set of every command that has one of them: found, refused alike, and what they build."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from golden.config import ACCELERATOR_PRESETS
from sim import elstm
from sim.results.result import from_json
from software.checkpoint import MNIST_CHECKPOINT
from software.cli import call
from software.places import cache_root

ROOT = Path(__file__).parents[2]
ASKED = {"verilog", "mnist", "layer", "elf", "twin", "digit", "timeline", "figure10", "sweep", "regress", "firmware",
         "coverage", "tune"}  # fmt: skip
"""Commands that take a configuration, as the documentation promises."""
GIVEN = {"layer": ["m.npz"], "elf": ["a.elf"], "timeline": ["mnist-l1"], "sweep": ["s.toml"], "firmware": ["hello"]}
OPTIONS = {"--preset", "--config", "--set"}


@pytest.fixture(autouse=True)
def one_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulators are built once, wherever a test works."""
    monkeypatch.setenv("ELSTM_CACHE", str(cache_root()))


def commands() -> dict[str, set[str]]:
    """The options of every command of ``elstm``, which are those of the modules."""
    group: Any = typer.main.get_command(elstm.app)
    return {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in group.commands.items()
    }


def functions_with_a_preset() -> dict[str, set[str]]:
    """Names of the annotations of every function whose argument ``preset`` is an option."""
    found = {}
    for path in (path for room in ("hdl", "sim", "software", "scripts") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                texts = {a.arg: ast.unparse(a.annotation) for a in node.args.args if a.annotation}
                if "Option" in texts.get("preset", ""):
                    found[f"{path.relative_to(ROOT)}:{node.name}"] = set(texts.values())
    return found


def test_a_command_with_a_preset_takes_a_file_and_settings() -> None:
    found = {name: options for name, options in commands().items() if options & OPTIONS}
    assert found.keys() == ASKED
    assert not [name for name, options in found.items() if not options >= OPTIONS]
    sources = functions_with_a_preset()
    assert len(sources) == len(ASKED), "a command outside of elstm has a preset"
    assert not [name for name, annotations in sources.items() if not {"ConfigOption", "SetOption"} <= annotations]


@pytest.mark.parametrize("name", sorted(ASKED))
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "n_pes=4"], "--set: no field 'n_pes'; near it: n_pe; there are: n_pe, slots, max_x, max_h, max_t, "),
        (["--set", "n_pe=4.0"], "--set: n_pe must be a whole number, not '4.0'"),
        (["--preset", "tiny", "--set", "n_pe=1"], "tiny with n_pe 1: n_pe must be in 2..8, not 1"),
        (["--config", "none.toml"], "cannot read none.toml: No such file or directory"),
        (["--config", "."], "cannot read .: Is a directory"),
        (["--config", "hw.toml", "--preset", "tiny"], "hw.toml says preset 'wide', --preset 'tiny': one must go"),
    ],
)
def test_what_cannot_be_is_one_line(
    name: str, options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hw.toml").write_text('preset = "wide"\n')
    assert call(elstm.app, [name, *GIVEN.get(name, []), *options]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {message}")
    assert [path.name for path in Path().iterdir()] == ["hw.toml"], "and nothing was begun"


def test_the_core_alone_has_no_accelerator(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["elf", "a.elf", "--system", "core"], ["coverage", "a.elf", "--top", "core"]):
        assert call(elstm.app, [*arguments, "--set", "n_pe=4"]) == 2
        assert "--config and --set are of the accelerator" in capsys.readouterr().err
    assert call(elstm.app, ["coverage", "--n-pe", "3", "--set", "slots=8"]) == 2
    assert "--n-pe 3 is a whole configuration: without --config and --set, or --set n_pe=3" in capsys.readouterr().err


def test_the_verilog_says_what_it_is_and_lies_beside_the_presets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hw.toml").write_text('preset = "tiny"\nslots = 18\nmax_h = 32\n')
    words = ["verilog", "--top", "accelerator", "--config", "hw.toml", "--json", "r.json"]
    assert call(elstm.app, [*words, "--set", "n_pe=4", "--set", "max_h=16"]) == 0
    path = Path("build/elstm_accelerator_tiny+n_pe-4+slots-18+max_h-16.v")
    head = [line.removeprefix("// ") for line in path.read_text().splitlines()[:9]]
    for line in ("n_pe = 4", "slots = 18", "max_x = 64", "max_h = 16", "max_t = 255", "window = 64"):
        assert line in head
    found = json.loads(Path("r.json").read_text())
    assert found["preset"] == "tiny+n_pe-4+slots-18+max_h-16"
    assert found["config"] == ACCELERATOR_PRESETS["tiny"].as_dict() | {"n_pe": 4, "slots": 18, "max_h": 16}
    assert capsys.readouterr().err == ""


def test_fields_of_core_and_soc_change_what_is_emitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(elstm.app, ["verilog", "--top", "core", "--set", "rvfi=true", "--set", "hart_id=7"]) == 0
    text = Path("build/elstm_core_default+hart_id-7+rvfi-true.v").read_text()
    assert "rvfi__valid" in text and "// hart_id = 7\n" in text
    words = ["verilog", "--preset", "tiny", "--set", "n_pe=2", "--set", "cache_lines=64", "--set", "ram_bytes=0x100000"]
    assert call(elstm.app, words) == 0
    text = Path("build/elstm_soc_tiny+n_pe-2+ram_bytes-1048576+cache_lines-64.v").read_text()
    assert "// accelerator.n_pe = 2\n" in text and "// cache_lines = 64\n" in text
    capsys.readouterr()
    assert call(elstm.app, ["verilog", "--preset", "tiny", "--set", "ram_bytes=5000"]) == 2
    message = "error: tiny with ram_bytes 5000: ram_bytes must be a multiple of 4096, not 5000\n"
    assert capsys.readouterr().err == message
    assert call(elstm.app, ["verilog", "--top", "core", "--set", "n_pe=4"]) == 2
    assert "no field 'n_pe'; there are: reset_address, hart_id, rvfi" in capsys.readouterr().err


def test_slots_that_buy_nothing_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(
        "[grid]\nlayer = { x = 8, h = 8, t = 4 }\nw_sparsity = 0.5\nu_sparsity = 0.5\nh_sparsity = 0\n"
    )
    assert call(elstm.app, ["sweep", "s.toml", "--workers", "1", "--set", "n_pe=4", "--set", "slots=16"]) == 0
    note = "note: 4 of 16 slots buy nothing: at n_pe 4 they hold N_fuse 2, as 12 do\n"
    assert capsys.readouterr().err.count(note) == 1


def test_a_sweep_starts_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = "[grid]\nlayer = { x = 8, h = 8, t = 4 }\nw_sparsity = 0.5\nu_sparsity = 0.5\nh_sparsity = 0\n"
    Path("s.toml").write_text(f"{grid}slots = [12, 24]\n")
    words = ["sweep", "s.toml", "--workers", "1", "--json", "r.json", "--preset", "tiny"]
    assert call(elstm.app, [*words, "--set", "n_pe=4", "--set", "max_t=9"]) == 0
    rows = json.loads(Path("r.json").read_text())["rows"]
    assert [(row["n_pe"], row["slots"], row["max_x"], row["max_t"]) for row in rows] == [(4, 12, 64, 9), (4, 24, 64, 9)]
    capsys.readouterr()
    assert call(elstm.app, [*words, "--set", "slots=16"]) == 2
    message = "error: s.toml: grid: slots = [12, 24]: the command line says tiny+slots-16: one must go\n"
    assert capsys.readouterr().err == message
    Path("s.toml").write_text(f'{grid}preset = "wide"\n')
    assert call(elstm.app, words) == 2
    assert "preset = 'wide': the command line says tiny: one must go" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        # the one that the result below names: a simulator is built once
        ["n_pe=4", "slots=16", "max_x=128", "max_h=128", "max_t=1023", "window=16"],
        pytest.param(["n_pe=2", "slots=5", "max_x=16", "max_h=12", "max_t=7", "window=4"], marks=pytest.mark.slow),
    ],
)
def test_rtl_of_any_configuration_is_exact(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [word for setting in settings for word in ("--set", setting)]
    words = ["regress", "--engine", "native", "--seed", "5", "--json", "r.json", *options]
    code = call(elstm.app, words)
    out, _ = capsys.readouterr()
    assert code == 0, out
    found = json.loads(Path("r.json").read_text())
    wanted = {key: int(value) for key, value in (setting.split("=") for setting in settings)}
    assert len(found["tests"]) >= 10
    assert all(test["config"] == ACCELERATOR_PRESETS["tiny"].as_dict() | wanted for test in found["tests"])
    assert f"{len(found['tests'])} of {len(found['tests'])} passed on native" in out
    assert "left out, of another number of PEs: five-pes" in out


def test_a_failure_says_how_to_see_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.regress.check", lambda case, engine: (["wrong"], 1))
    options = ["--preset", "tiny", "--set", "n_pe=4"]
    with pytest.raises(SystemExit, match="1"):
        call(elstm.app, ["regress", "--engine", "native", "--test", "plain", *options])
    line = "python -m sim.regress --sim native --test plain --seed 1 --preset tiny --set n_pe=4"
    assert line in capsys.readouterr().out


def test_a_result_names_and_has_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["layer", str(MNIST_CHECKPOINT), "--random", "3", "--preset", "mnist", "--json", "r.json"]
    assert call(elstm.app, [*words, "--set", "n_pe=4", "--set", "slots=16", "--set", "window=16"]) == 0
    result = from_json(Path("r.json").read_text())
    assert result.exact and result.preset == "mnist+n_pe-4+slots-16+window-16"
    assert result.config == ACCELERATOR_PRESETS["mnist"].as_dict() | {"n_pe": 4, "slots": 16, "window": 16}
    assert {run.n_pe for run in result.inputs[0].layers} == {4}
    assert call(elstm.app, ["report", "r.json", "--out", "r.html"]) == 0
    assert "preset mnist+n_pe-4" in capsys.readouterr().out and "n_pe 4, slots 16" in Path("r.html").read_text()
    assert call(elstm.app, [*words, "--set", "max_h=64"]) == 2
    assert capsys.readouterr().err == "error: layer 1 has H = 128, preset mnist+max_h-64 allows 64\n"


@pytest.mark.slow
def test_the_soc_of_any_configuration_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["mnist", "--digits", "1", "--preset", "mnist", "--set", "n_pe=4", "--set", "slots=12", "--json", "r.json"]
    assert call(elstm.app, words) == 0, capsys.readouterr().out
    result = from_json(Path("r.json").read_text())
    assert (result.exact, result.system, result.preset) == (True, "soc", "mnist+n_pe-4")
