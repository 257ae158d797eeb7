"""Every command line, option and link of the documentation exists; tests/test_docs_run.py runs the commands."""

import importlib.util

import pytest

from tests.doc_commands import PAGES, ROOT, Command, all_commands, anchors, broken_links, commands_of, problem

PAGE = ROOT / "docs" / "page.md"


@pytest.mark.parametrize("command", all_commands(), ids=str)
def test_every_command_line_is_understood(command: Command) -> None:
    for package in command.needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package}")
    assert problem(command) is None, command.text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path) -> None:
    assert broken_links(path, path.read_text()) == []


def test_every_page_can_be_reached_from_the_table_of_contents() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {str(path.relative_to(ROOT / "docs")) for path in PAGES if path.is_relative_to(ROOT / "docs")}
    assert not [page for page in sorted(pages - {"README.md"}) if f"]({page})" not in index]


def test_commands_are_found_in_blocks_and_in_prose() -> None:
    text = """Use `python -m sim.run elf [--json F]` or `make demo`.

    make demo    # a comment

```
M="python -m hdl.build"
$M --top core \\
   -o core.v
other --tool
```

Also `elstm {mnist,layer}` and `pip install '.[zig]'`.
"""
    assert [(c.line, c.text) for c in commands_of("p", text)] == [
        (3, "make demo"),
        (7, "python -m hdl.build --top core -o core.v"),
        (1, "python -m sim.run elf --json F"),
        (1, "make demo"),
        (12, "elstm mnist"),
        (12, "elstm layer"),
        (12, "pip install '.[zig]'"),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python -m hdl.build --tap soc", "No such option"),
        ("python -m hdl.built", "there is no module hdl.built"),
        ("python -m sim.run nothing", "No such command"),
        ("python -m sim.run mnist --digits many", "--digits"),
        ("python -m sim.run elf", "Missing argument"),
        ("python -m pytest tests/nowhere", "tests/nowhere does not exist"),
        ("elstm verilog --preset", "requires an argument"),
        ("make tea", "no target tea"),
        ("make firmware LAYERS=1", "no variable LAYERS"),
        ("pip install '.[all]'", "no extra all"),
        ("pip install 'elstm[zig]'", "no elstm on PyPI"),
        ("pip install elstm", "no elstm on PyPI"),
    ],
)
def test_a_wrong_command_is_caught(line: str, said: str) -> None:
    (command,) = commands_of("page.md", f"Run\n\n    {line}\n")
    assert said in (problem(command) or "")


def test_a_synopsis_may_leave_out_what_is_needed_but_not_invent() -> None:
    right, wrong = commands_of(
        "page.md", "`python -m sim.run elf [--max-cycles N]`, `python -m sim.run elf [--cycles N]`"
    )
    assert problem(right) is None
    assert "No such option" in (problem(wrong) or "")


def test_a_broken_link_is_caught() -> None:
    text = "# The page\n\n[a](isa.md) [b](#the-page) [c](isa.md#flags-of-start) [d](https://nowhere.invalid) `[x](y)`\n"
    assert broken_links(PAGE, text) == []
    for link in ("missing.md", "#the-pages", "isa.md#no-such-heading", "pictures/none.png"):
        assert broken_links(PAGE, f"{text}\n[e]({link})\n") == [link]


def test_anchors_are_those_of_github() -> None:
    assert anchors("# Status word (counter 0)\n## A `b`, c_d\n## A b c_d\n```\n# no\n```\n## [Link](x.md) it") == {
        "status-word-counter-0", "a-b-c_d", "a-b-c_d-1", "link-it",
    }  # fmt: skip
