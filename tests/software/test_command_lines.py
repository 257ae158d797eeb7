"""All command lines of software/: help with examples that parse, errors of one line, Ctrl-C, what goes to stderr."""

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

torch = pytest.importorskip("torch", reason="torch is not installed (extra 'train')")
torch.set_num_threads(1)

from software import (  # noqa: E402
    cli,
    esell_format,
    figure9,
    group_size_tuning,
    lstm_sim_esell,
    progress,
    ptb_sentences,
)
from software.benchmark import format_cost  # noqa: E402
from software.benchmark.common.network import Network  # noqa: E402
from software.benchmark.common.spelling import call_spelled, respell  # noqa: E402
from software.benchmark.data import command as data  # noqa: E402
from software.benchmark.import_torch import command as import_torch  # noqa: E402
from software.benchmark.lm import command as lm  # noqa: E402
from software.benchmark.lm import options as lm_options  # noqa: E402
from software.benchmark.mnist import command as mnist  # noqa: E402
from software.benchmark.mnist import data as mnist_data  # noqa: E402
from software.checkpoint import KJV_MODEL, MNIST_CHECKPOINT, MNIST_DIGITS  # noqa: E402
from software.firmware import __main__ as firmware  # noqa: E402


def single(main: Callable[..., Any]) -> typer.Typer:
    """The app that ``software.cli.run`` makes."""
    app = cli.new_app()
    app.command(context_settings=cli.SETTINGS)(main)
    return app


APPS = {
    "software.esell_format": single(esell_format.main),
    "software.lstm_sim_esell": single(lstm_sim_esell.main),
    "software.group_size_tuning": single(group_size_tuning.main),
    "software.figure9": single(figure9.main),
    "software.ptb_sentences": single(ptb_sentences.main),
    "software.benchmark.format_cost": single(format_cost.main),
    "software.firmware": single(firmware.main),
    "software.benchmark.mnist": mnist.app,
    "software.benchmark.lm": lm.app,
    "software.benchmark.data": data.app,
    "software.benchmark.import_torch": import_torch.app,
}


def commands() -> Iterator[str]:
    """Every command: a module, or a module and one of its commands."""
    for module, app in APPS.items():
        names = [command.name for command in app.registered_commands]
        yield from (f"{module} {name}" for name in names) if len(names) > 1 else [module]


COMMANDS = list(commands())


def call(line: str) -> int:
    module, *arguments = shlex.split(line)
    return call_spelled(APPS[module], arguments)


def parse(line: str) -> None:
    """Parse without running. Raises what typer raises."""
    module, *arguments = shlex.split(line)
    command: Any = typer.main.get_command(APPS[module])
    arguments = respell(arguments)
    if hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(module, arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_reads_like_a_manual_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(f"{command} --help") == 0
    out, err = capsys.readouterr()
    assert not err and "│" not in out and str(Path.cwd()) not in out
    assert str(MNIST_CHECKPOINT.parent) not in out, "no path of a machine"
    assert max(map(len, out.splitlines())) <= 120
    description, rest = out.split("  Examples:\n")
    assert len(description.split("\n\n")[1].strip()) > 30
    examples = [line.strip() for line in rest.split("\n\n")[0].splitlines()]
    for example in examples:
        assert example.startswith(f"python -m {command}"), example
        parse(example.removeprefix("python -m "))
    options = [line for line in rest.splitlines() if line.startswith("  -")]
    assert len(options) > 1 and all(len(line.split()) > 1 for line in options)


def test_the_same_things_have_the_same_names() -> None:
    named: dict[str, set[str]] = {}
    for command in COMMANDS:
        module, *name = command.split()
        found: Any = typer.main.get_command(APPS[module])
        for parameter in (found.commands[name[0]] if name else found).params:
            for option in parameter.opts:
                named.setdefault(option, set()).add(command)
    benchmarks = {f"software.benchmark.{program} {name}" for program in ("mnist", "lm") for name in lm_options.COMMANDS}
    for option in ("--model-path", "--nhid", "--nlayers", "--ht", "--block", "-b"):
        assert benchmarks <= named[option], option
    for option in ("--ws", "-m", "--wt", "--hs"):
        assert benchmarks - {"software.benchmark.mnist export"} <= named[option], option
    for option, other in (("--out", "--output"), ("--json", "--result")):
        assert named.get(other, set()) <= named[option]
    assert all("--out" in named and command in named["-o"] for command in named["--out"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with files that are wrong in many ways."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELSTM_DATA", raising=False)
    monkeypatch.setattr(mnist_data, "sources", lambda: {})
    for known in data.DATASETS.values():
        monkeypatch.setitem(known.__dict__, "sources", lambda: {})
    for name in ("dir", "texts"):
        Path(name).mkdir()
    for split in ("train", "valid", "test"):
        Path(f"texts/{split}.txt").write_text("a b c a\n" * 30)
    for name in ("empty.npz", "empty.pt"):
        Path(name).write_bytes(b"")
    for name in ("text.npz", "text.pt", "text.c"):
        Path(name).write_text("hello\n" * 50)
    content = MNIST_CHECKPOINT.read_bytes()
    Path("cut.npz").write_bytes(content[: len(content) // 2])
    Path("flipped.npz").write_bytes(content[:50_000] + bytes(200) + content[50_200:])
    with np.load(MNIST_CHECKPOINT) as file:
        arrays = dict(file)
    nan = arrays["l1.w"].copy()
    nan[3, 2] = np.nan
    for name, change in {
        "nan": {"l1.w": nan},
        "shape": {"l2.u": arrays["l2.u"][:100]},
        "one": {"l1.w": np.zeros(5, np.float16)},
        "object": {"l1.w": np.array([None, 1], dtype=object)},
        "threshold": {"thresholds": np.array([np.nan, 1], np.float32)},
    }.items():
        np.savez(f"{name}.npz", **(arrays | change))
    np.savez("other.npz", a=np.zeros(3))
    network = Network(28, 8, 2, 10).state_dict()
    saved = {"weights": network, "thresholds": [0.0, 0.0], "history": "[]"}
    torch.save([1, 2], "list.pt")
    torch.save(torch.zeros(3), "tensor.pt")
    torch.save(saved | {"history": "{"}, "history.pt")
    torch.save(saved | {"thresholds": [0.1]}, "thresholds.pt")
    torch.save({"weights": {"lstm.weight_ih_l0": torch.zeros(3)}}, "part.pt")
    return tmp_path


def fails(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that fails, and writes nothing."""
    before = sorted(Path.cwd().rglob("*"))
    capsys.readouterr()
    code = call(line)
    out, err = capsys.readouterr()
    assert code == 2 and not out, (line, out, err)
    assert err.startswith("error: ") and err.count("\n") == 1, (line, err)
    assert sorted(Path.cwd().rglob("*")) == before, line
    return err


WRONG_FILES = (
    *("nowhere.npz", "dir", "empty.npz", "empty.pt", "text.npz", "text.pt", "cut.npz", "flipped.npz", "nan.npz"),
    *("shape.npz", "one.npz", "object.npz", "threshold.npz", "other.npz", "list.pt", "tensor.pt", "history.pt"),
    *("thresholds.pt", "part.pt", "/dev/null"),
)


@pytest.mark.parametrize(
    ("line", "takes"),
    [
        ("software.benchmark.mnist prune -ws .5 -model {}", ()),
        ("software.benchmark.mnist eval -model {}", ()),
        ("software.benchmark.lm prune -ws .5 -model {}", ()),
        ("software.benchmark.lm eval --split sample -model {}", ()),
        ("software.benchmark.import_torch {} -o out.npz", ("history.pt", "thresholds.pt")),
        ("software.lstm_sim_esell {} --out out.npz", ()),
        ("software.figure9 --json out.json --plot out.png --checkpoint {}", ()),
        ("software.firmware network -o out.elf --checkpoint {}", ()),
    ],
)
def test_a_file_that_is_none(
    folder: Path, line: str, takes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in WRONG_FILES:
        if name not in takes:
            assert name in fails(line.format(name), capsys) or "nn.LSTM" in line or "import_torch" in line, name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("software.benchmark.mnist eval --data nowhere", "nowhere/train-images-idx3-ubyte.gz: No such file"),
        ("software.benchmark.mnist eval", "no source of MNIST answered; put the four idx.gz files into"),
        ("software.benchmark.mnist eval --limit -1", "'--limit': must be at least 0, not -1"),
        ("software.benchmark.mnist train --epochs 0", "'--epochs': must be at least 1, not 0"),
        ("software.benchmark.mnist train --seed 99999999999", "'--seed': must be in 0..4294967295, not 99999999999"),
        ("software.benchmark.mnist train --clip inf", "--clip must be a positive number, not inf"),
        ("software.benchmark.mnist train --save-dir text.c", "train-state.pt: text.c is not a directory"),
        ("software.benchmark.mnist train -o dir", "cannot write dir: is a directory"),
        ("software.benchmark.mnist train --json /proc/none/r.json", "cannot write /proc/none/r.json: "),
        ("software.benchmark.mnist eval --json dir", "cannot write dir: is a directory"),
        ("software.benchmark.mnist export --header text.c -model {m}", "cannot write into text.c"),
        ("software.benchmark.mnist reproduce --out text.c", "text.c is not a directory"),
        ("software.benchmark.mnist retrain", "build/mnist/prune.pt: No such file or directory"),
        ("software.benchmark.mnist eval -model {kjv}", "kjv_2x200.npz: array out.w is missing"),
        ("software.benchmark.lm eval -model {m} --split sample", "mnist_2x128.npz: array embedding is missing"),
        ("software.benchmark.lm eval --data texts", "vocabulary mismatch: {kjv} has 6000 words, the text 4"),
        ("software.benchmark.lm eval --data dir", "dir/train.txt: No such file"),
        ("software.benchmark.lm eval --data text.c", "--data must be a folder or one of ptb, "),
        ("software.benchmark.lm eval -b 3", "-b must divide H = 200, which 3 does not"),
        ("software.benchmark.lm eval -ws .1 .2", "-ws takes 4 weight sparsities"),
        ("software.benchmark.lm eval --tokens 0", "'--limit': must be at least 1, not 0"),
        ("software.benchmark.lm eval --json dir", "cannot write dir: is a directory"),
        (
            "software.benchmark.lm train --data texts --batch_size 500",
            "words are too few for 500 streams (--batch-size)",
        ),
        ("software.benchmark.lm train --tied -emsize 8", "--tied needs emsize = nhid, not 8 and 200"),
        ("software.benchmark.lm train --data ptb", "no source of ptb answered; put ptb.train.txt, "),
        ("software.benchmark.lm prune -model {kjv} -ws .5 --save_dir text.c", "cannot write into text.c"),
        ("software.benchmark.lm train --data texts --epochs 1 -o m.state", "--out must not end in .state"),
        ("software.benchmark.lm prune -model {kjv} -ws .5 -o m.pt --json m.pt", "m.pt is named for two outputs"),
        ("software.benchmark.mnist train -o a/train-state.pt --save_dir a", "train-state.pt is named for two outputs"),
        ("software.benchmark.import_torch other.npz", "other.npz is the file to read: give another one with --out"),
        ("software.benchmark.data", "Missing argument 'NAME'"),
        ("software.benchmark.data mnist --data dir", "dir/train-images-idx3-ubyte.gz: No such file"),
        ("software.benchmark.data kjv --json dir", "cannot write dir: is a directory"),
        ("software.benchmark.import_torch list.pt", "list.pt: must hold a state_dict, not list"),
        ("software.esell_format 8 4 nan", "DENSITY must be in 0..1, not nan"),
        ("software.esell_format -- 8 -4 .5", "COLS must be in 1..65536, not -4"),
        ("software.esell_format 8 4 .5 --json dir", "cannot write dir: is a directory"),
        ("software.figure9 --plot x.pdf", "--plot must name a .png file, not x.pdf"),
        ("software.figure9 --plot a.png --json a.png", "--json and --plot must not be the same file, a.png"),
        ("software.figure9 --json /proc/none/f.json", "cannot write /proc/none/f.json: "),
        ("software.figure9 --seed -1", "'--seed': must be at least 0, not -1"),
        ("software.group_size_tuning --json dir", "cannot write dir: is a directory"),
        ("software.lstm_sim_esell {m} --out dir", "cannot write dir: is a directory"),
        ("software.lstm_sim_esell {m} --out r.npz --json r.npz", "input and outputs must be different files"),
        ("software.lstm_sim_esell {m} --out r.npz --images empty.npz", "empty.npz: not an .npz file"),
        ("software.firmware hello -o dir", "cannot write dir: is a directory"),
        ("software.firmware hello --n-fuse 0", "'--n-fuse': must be in 1..2147483647, not 0"),
        ("software.firmware network --images text.npz", "text.npz: not an .npz file"),
        ("software.firmware nothing", "no program 'nothing'; there are: "),
        ("software.ptb_sentences --text text.c --vocabulary nowhere --model {kjv}", "cannot read nowhere: "),
    ],
)
def test_a_mistake_is_one_line(folder: Path, line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"m": MNIST_CHECKPOINT, "kjv": KJV_MODEL}
    assert message.format(**names) in fails(line.format(**names), capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_one_line(folder: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such option: --nothing" in fails(f"{command} --nothing", capsys)


def test_a_wrong_checksum_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in data.DATASETS:
        for split in ("train", "valid", "test"):
            Path("dir", data.DATASETS[name].file.format(split)).write_bytes(b"a b\n")
        assert f"dir/{data.DATASETS[name].file.format('train')}: " in fails(
            f"software.benchmark.data {name} --data dir", capsys
        )
    for name in mnist_data.SHA256:
        Path("dir", name).write_bytes(b"\0\0\x08\1\0\0\0\0")
    assert "SHA-256 of the unpacked train-images" in fails("software.benchmark.mnist eval --data dir", capsys)


def test_ctrl_c_is_130_and_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def pressed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist_data, "load", pressed)
    monkeypatch.setattr("software.benchmark.lm.model.load_corpus", pressed)
    monkeypatch.setattr(esell_format, "random_matrix", pressed)
    for line in ("software.benchmark.mnist eval", "software.benchmark.lm eval", "software.esell_format 8 4 .5"):
        assert call(line) == 130
        out, err = capsys.readouterr()
        assert not out and err.strip() == "interrupted", line


def test_results_on_stdout_and_nothing_on_stderr_that_is_no_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(MNIST_DIGITS) as file:
        digits = mnist_data.Mnist(*([file["images"], file["labels"]] * 2))
    monkeypatch.setattr(mnist_data, "load", lambda data=None: digits)
    monkeypatch.setattr(group_size_tuning, "SHOWN", 2)
    for line, result in {
        "software.benchmark.mnist eval --json r.json": {"accuracy", "loss", "hidden_sparsity", "n"},
        "software.benchmark.lm eval --split sample --tokens 500 --json r.json": {
            "perplexity", "loss", "hidden_sparsity", "n",
        },
        "software.esell_format 64 64 .5 --json r.json": {"formats"},
        "software.group_size_tuning --xsize 16 --hsize 16 --json r.json": {"best_n_fuse"},
        f"software.lstm_sim_esell {MNIST_CHECKPOINT} --out r.npz --digits 1 --json r.json": {"layers"},
    }.items():  # fmt: skip
        assert call(line) == 0
        out, err = capsys.readouterr()
        assert out.rstrip().endswith("r.json") and "wrote r." in out and not err, line
        assert result <= json.loads(Path("r.json").read_text()).keys(), line
        Path("r.json").unlink()


def test_progress_shows_rate_and_remaining_time_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.bars(transient=False) as bars:
        task = bars.add_task("work", total=100)
        for _ in range(100):
            bars.advance(task)
    out, err = capsys.readouterr()
    assert not out and "work" in err and "100/100" in err and "/s" in err and "0:00:00" in err


@pytest.mark.parametrize("path", ["f", "a/b/c/f", "dir/f"])
def test_what_can_be_written_is_let_through(folder: Path, path: str) -> None:
    before = sorted(folder.rglob("*"))
    cli.check_outputs(Path(path), None, folders=(Path(path), Path("."), None))
    assert sorted(folder.rglob("*")) == before
