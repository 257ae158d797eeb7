"""Numbers and names in the documentation that the sources decide: format, ports, buffers, generated pages."""

import fnmatch
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden import isa
from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from golden.formats.esell import fp16_bits, pack
from hdl.accelerator.size import memory_bits
from hdl.build import TOPS
from hdl.verilog import ports
from scripts import counter_docs, isa_docs, wave_lists
from sim.engines.build_cache import rtlil_text
from sim.protocol.base import Design
from tests.doc_commands import PAGES, ROOT

DOCS = ROOT / "docs"


def tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """(titles, rows) of each table of a page."""
    for block in re.findall(r"(?m)(?:^\|.*\n)+", page.read_text()):
        titles, rule, *rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        assert all(set(cell) <= set("-: ") for cell in rule), titles
        yield titles, rows


def table(page: str, *first: str) -> list[list[str]]:
    """Rows of the one table whose titles begin so."""
    (rows,) = [rows for titles, rows in tables(DOCS / page) if titles[: len(first)] == list(first)]
    return rows


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_row_of_a_table_has_as_many_cells_as_its_titles(path: Path) -> None:
    assert not [row for titles, rows in tables(path) for row in rows if len(row) != len(titles)]


@pytest.mark.parametrize(("name", "made"), [("isa.md", isa_docs.document), ("counters.md", counter_docs.document)])
def test_generated_pages_are_up_to_date(name: str, made: Callable[[], str]) -> None:
    assert (DOCS / name).read_text() == made(), "run: make docs"


def test_generated_signal_lists_are_up_to_date() -> None:
    shipped = {path.name: path.read_text() for path in (DOCS / "waves").iterdir()}
    assert shipped == wave_lists.files(), "run: make docs"


def test_instruction_words_are_what_an_assembler_makes(tmp_path: Path) -> None:
    compiler = shutil.which("riscv64-unknown-elf-gcc")
    if compiler is None:
        pytest.skip("no riscv64-unknown-elf-gcc")
    source, made = tmp_path / "a.S", tmp_path / "a.o"
    source.write_text("\n".join(isa_docs.assembly(row) for row in isa.INSTRUCTIONS) + "\n")
    subprocess.run([compiler, "-march=rv64im", "-mabi=lp64", "-c", source, "-o", made], check=True)
    objcopy = compiler.removesuffix("gcc") + "objcopy"
    subprocess.run([objcopy, "-O", "binary", "-j", ".text", made, tmp_path / "a.bin"], check=True)
    words = np.frombuffer((tmp_path / "a.bin").read_bytes(), "<u4")
    assert words.tolist() == [isa_docs.word(row) for row in isa.INSTRUCTIONS]


def test_the_example_block_is_what_golden_packs() -> None:
    matrix = np.array([[float(cell) for cell in row[1:]] for row in table("esell.md", "row", "column 0")], np.float16)
    packed = pack(matrix)
    words = table("esell.md", "word", "bits 63:48")
    assert [int(word.replace(" ", ""), 16) for word, *_ in words] == packed.words.tolist()
    assert packed.offsets.tolist() == [len(words)] == [5]
    head = int(packed.words[0])
    fields = [
        [str(k), str(i), str(head >> 32 * k + 15 + 3 * i & 7), str(head >> 32 * k + 3 + 3 * i & 7)]
        for k in range(2)
        for i in range(4)
    ]
    shown = table("esell.md", "chunk", "i", "IDXrow")
    assert [[row[0], row[1], row[2], row[5]] for row in shown] == fields
    for _, _, row, nonzeros, columns, _ in shown:
        where = np.flatnonzero(matrix[int(row)]).tolist()
        assert (int(nonzeros), columns) == (len(where), ", ".join(map(str, where)))
    for word, *values in words[1:]:
        halves = fp16_bits(np.array([float(v.replace("padding", "0")) for v in values[:4]], np.float16))
        assert word == " ".join(f"{half:04x}" for half in halves)
    halves_of_head = re.findall(r"(?m)^([01]) +([01 ]+?) +=", (DOCS / "esell.md").read_text())
    assert [int(bits.replace(" ", ""), 2) for _, bits in halves_of_head] == [head & 0xFFFF_FFFF, head >> 32]


@pytest.mark.parametrize("top", ["accelerator", "soc", "core"])
def test_the_page_has_every_port_with_direction_and_width(top: str) -> None:
    shown = {}
    for names, direction, width, _ in table("integrating.md", f"port of {top}"):
        for name in names.replace("`", "").split(", "):
            shown[name] = (direction, width)
    preset = TOPS[top].presets["default"]
    accelerator = getattr(preset, "accelerator", preset)
    for name, direction, bits in ports(TOPS[top].elaborate(preset)):
        assert name in shown, f"{name} is missing"
        shown_direction, width = shown.pop(name)
        assert (shown_direction, evaluate(width, accelerator) if not width.isdigit() else int(width)) == (
            direction.removesuffix("put"), bits,
        ), name  # fmt: skip
    assert not shown


def evaluate(formula: str, cfg: AcceleratorConfig) -> int:
    """A formula of a page, over the fields of the configuration, some of what follows from them, log2 and bits."""
    derived = {
        name: getattr(cfg, name)
        for name in ("w_pes", "w_banks", "bank_slots", "row_groups", "entries", "streams", "clears", "keep_bits")
    }
    names = cfg.as_dict() | derived | {"max": max}
    functions = {"log2": lambda n: n.bit_length() - 1, "bits": lambda n: max(1, n.bit_length())}
    return int(eval(formula.replace("`", ""), {"__builtins__": {}}, names | functions))


BUILDS = ACCELERATOR_PRESETS | {
    "tiny with everything": replace(ACCELERATOR_PRESETS["tiny"], group_list=True, stream16=True, stream8=True),
    "tiny with DELTA": replace(ACCELERATOR_PRESETS["tiny"], delta=True),
}


@pytest.mark.parametrize(
    "name", [name if name == "tiny" else pytest.param(name, marks=pytest.mark.slow) for name in BUILDS]
)
def test_the_formulas_of_the_buffers_give_the_bits_of_the_netlist(name: str) -> None:
    cfg = BUILDS[name]
    found = memories(rtlil_text(Design("accelerator", cfg)).read_text())
    for where, formula in buffers(by_events=cfg.events):
        patterns = [pattern.strip("`") for pattern in where.split(", ")]
        mine = [name for name in found if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]
        assert sum(found.pop(name) for name in mine) == evaluate(formula, cfg), where
    assert not found, "memories without a row"


def buffers(*, by_events: bool) -> list[tuple[str, str]]:
    """Where in the netlist each buffer is, and the formula of its bits."""
    if by_events:
        rows = table("architecture.md", "buffer by events", "in the netlist")
        return [(where, formula) for _, where, formula, *_ in rows]
    return [(row[2], row[3]) for row in table("architecture.md", "buffer", "figure 6", "in the netlist")]


def test_the_bits_of_preset_event_are_those_of_its_formulas() -> None:
    rows = table("architecture.md", "buffer by events", "in the netlist")
    cfg = ACCELERATOR_PRESETS["event"]
    shown = [int(row[3].replace(",", "")) for row in rows]
    assert shown == [evaluate(row[2], cfg) for row in rows]
    assert sum(shown) == memory_bits(cfg)


def memories(rtlil: str) -> dict[str, int]:
    """Bits of the memories of a netlist, by where they are below the top."""
    bits: dict[str, int] = {}
    module = ""
    for line in rtlil.splitlines():
        if line.startswith("module "):
            module = line.removeprefix("module \\").removeprefix("elstm_accelerator.").split("$")[0]
        # the small queues have memories of their own, a buffer is an instance of the module of its size
        elif found := re.match(r"  memory width (\d+) size (\d+)|  cell \\elstm_r[ao]m_(\d+)x(\d+)\S* \\(\S+)", line):
            width, depth, ram_width, ram_depth, name = found.groups()
            if module.startswith("elstm_r"):
                continue
            where = f"{module}.{name.split('$')[0]}" if name else module
            bits[where] = bits.get(where, 0) + int(width or ram_width) * int(depth or ram_depth)
    return bits


def test_the_map_of_the_rooms_names_what_is_there() -> None:
    page = (DOCS / "rooms.md").read_text()
    places = re.findall(r"`((?:golden|hdl|sim|software|scripts|tests)/[\w/.]*)`", page)
    assert len(places) > 45
    assert not [place for place in places if not (DOCS.parent / place).exists()]
    answers = page[page.index("## Twenty answers") : page.index("## Words")]
    assert answers.count("\n| ") == 2 + 20 - 1
