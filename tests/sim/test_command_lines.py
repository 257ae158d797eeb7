"""All command lines of sim/ and hdl/: help with examples that parse, the same names for the same things."""

import re
import shlex
from typing import Any

import pytest
import typer

from hdl import build
from hdl.synth import budget
from sim import core_cpi, cycles_accuracy, elstm, regress, run
from sim.core_lockstep import command as core_lockstep
from sim.figure10 import command as figure10
from sim.report import command as report
from sim.sweep import command as sweep
from software.checkpoint import MNIST_CHECKPOINT
from software.cli import SETTINGS, call, new_app
from software.tuning.schedule_choice import ScheduleChoice


def _app(module: Any) -> typer.Typer:
    if module is run:
        app = new_app()
        run.add_commands(app)
        return app
    app = new_app()
    app.command(context_settings=SETTINGS)(module.main)
    return app


MODULES = {
    module.__name__: _app(module)
    for module in (run, report, figure10, cycles_accuracy, sweep, regress, core_cpi, core_lockstep, build, budget)
}
COMMANDS = [
    name if module is not MODULES["sim.run"] else f"{name} {command.name}"
    for name, module in MODULES.items()
    for command in module.registered_commands
]


def click_command(line: str) -> tuple[Any, list[str]]:
    """The parsed command of a line, and the words behind it."""
    module, *words = shlex.split(line)
    command: Any = typer.main.get_command(MODULES[module])
    if hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    return command, words


@pytest.mark.parametrize("command", COMMANDS)
def test_help_reads_like_a_manual_page(command, capsys):
    module, *words = command.split()
    assert call(MODULES[module], [*words, "--help"]) == 0
    text = capsys.readouterr().out
    lines = [line.strip() for line in text.splitlines()]
    assert "Examples:" in lines
    assert max(len(line) for line in text.splitlines()) <= 120
    shown = [line for line in lines if line.startswith(("python -m", "make"))]
    assert shown
    for line in shown:
        if line.startswith(f"python -m {module}"):
            found, rest = click_command(line.removeprefix("python -m "))
            found.make_context(module, rest)
    # a type instead of what is meant
    assert not re.search(r"^ *-.*<[a-z]+>", text, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_names_are_those_of_the_others(command):
    found, _ = click_command(command)
    options = {option for parameter in found.params for option in parameter.opts if option.startswith("-")}
    pairs = {"--output": "--out", "--stall": "--stalls", "--sim": "--engine", "--model-path": "--checkpoint"}
    for wrong, right in pairs.items():
        assert wrong not in options or right in options, (wrong, right)
    for wrong in ("--verbose-json", "--result", "--nfuse", "--fuse", "--simulator", "--jobs"):
        assert wrong not in options
    assert "--json" in options, "prints a result, and has no --json"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_option_is_one_line(command, capsys):
    module, *words = command.split()
    assert call(MODULES[module], [*words, "--no-such-thing"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("error: ")


def test_a_number_out_of_range_is_named_with_its_limit(capsys):
    assert call(MODULES["sim.run"], ["mnist", "--n-fuse", "0"]) == 2
    err = capsys.readouterr().err
    assert "--n-fuse" in err and "1" in err and "0" in err


@pytest.mark.parametrize("option", ["--latency 0", "--jitter -1", "--stalls 1000"])
@pytest.mark.parametrize("system", ["soc", "accelerator"])
def test_a_memory_that_cannot_be(system, option, capsys):
    name, value = option.split()
    assert call(MODULES["sim.run"], ["mnist", "--system", system, name, value]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"must be in {'1' if name == '--latency' else '0'}.." in err and f"not {value}" in err


def test_elstm_has_them_all():
    names = {command.name for command in elstm.app.registered_commands}
    assert {name.split()[1] for name in COMMANDS if name.startswith("sim.run")} < names
    assert {"report", "figure10", "sweep", "regress", "verilog"} < names


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["layer", str(MNIST_CHECKPOINT), "--engine", "none"], "no engine 'none'"),
        (["mnist", "--engine", "none"], "no engine 'none'"),
        (["mnist", "--system", "accelerator", "--engine", "none"], "no engine 'none'"),
        (["layer", str(MNIST_CHECKPOINT), "--json", "/dev/null/x"], "/dev/null/x"),
        (["mnist", "--json", "/dev/null/x"], "/dev/null/x"),
        (["digit", "0", "--json", "/dev/null/x"], "/dev/null/x"),
        (["timeline", "mnist-l1", "--json", "/dev/null/x"], "/dev/null/x"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_searched_for(words, said, capsys, monkeypatch):
    def search(*_):
        raise AssertionError("searched")

    monkeypatch.setattr(ScheduleChoice, "planned", search)
    assert call(MODULES["sim.run"], [*words, "--best"]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
