"""What an integrator meets in the emitted Verilog: names, memories that can be replaced, header, waivers, sources."""

import ast
import hashlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

import hdl
from golden.config import CORE_PRESETS, SOC_PRESETS, preset
from golden.version import __version__
from hdl import verilog
from hdl.accelerator.layout import Kind
from hdl.accelerator.ring import Ring
from hdl.build import TOPS
from hdl.common.component import Component
from hdl.common.ram import Ram
from scripts import same_verilog, wave_lists
from sim.engines import build_cache, designs
from sim.protocol.base import Design
from software.cli import UserError

SMALL = {
    "accelerator": Design("accelerator", preset("tiny")),
    "core": Design("core", CORE_PRESETS["rvfi"]),
    "soc": Design("soc", SOC_PRESETS["tiny"]),
}
needs_verilator = pytest.mark.skipif(not shutil.which("verilator"), reason="needs Verilator")
needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")


@cache
def text(top: str) -> str:
    return build_cache.verilog(SMALL[top]).read_text()


@cache
def rtlil(top: str) -> str:
    return build_cache.rtlil_text(SMALL[top]).read_text()


def sources() -> list[Path]:
    return sorted(Path(hdl.__path__[0]).rglob("*.py"))


def nameless(source: str) -> list[int]:
    """Lines that assign several signals or memory ports at once, which leaves them without names of their own."""

    def makes(value: ast.expr) -> bool:
        called = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
        return bool(re.search(r"(^|\.)Signal(\.like)?$|_port$", called))

    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Tuple)
        and sum(map(makes, node.value.elts)) > 0
        and len(node.value.elts) > 1
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(Path(hdl.__path__[0]))))
def test_one_signal_a_line(path: Path) -> None:
    assert not nameless(path.read_text()), "declare one signal a line: Amaranth cannot name the others"


def test_several_signals_a_line_are_seen() -> None:
    lines = ("a, b = Signal(), Signal(3)", "x = Signal()", "c, d = 1, 2", "r, w = m.read_port(), m.write_port()")
    assert nameless("\n".join(lines)) == [1, 4]


@pytest.mark.parametrize("top", TOPS)
def test_every_signal_has_a_name(top: str) -> None:
    """What Amaranth calls $signal or $signature it could not name; the rest of the $ names are intermediate results."""
    assert not re.findall(r"\\\$sig\w+", text(top))
    assert "$sig" in verilog.emit_rtlil(Nameless(), "nameless")


class Nameless(Component):
    """Two signals in one assignment."""

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(4),
                "o": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        both = [Signal(4), Signal(4)]
        m.d.sync += both[0].eq(self.i)
        m.d.comb += [both[1].eq(both[0] + 1), self.o.eq(both[1])]
        return m


# Of Verilog 2005, SystemVerilog 2017 and VHDL, those that somebody might want as a name.
KEYWORDS = """
    alias always and assert assign begin bit buffer bus byte case cell chandle checker class clocking config const
    context cover default design disable do edge else end entity enum event export extends file final first_match for
    force foreach forever fork function generate global if import in include inout input inside instance int integer
    interface is join label large let library local logic longint loop map matches medium mod modport module nand
    negedge new nor not null of on open or others out output package parameter port posedge primitive priority process
    program property protected pull0 pull1 pure range real realtime record ref reg register reject release repeat report
    restrict return rol ror scalared select sequence severity shared shortint signal signed small soft solve string
    strong struct subtype super supply0 supply1 sync table tagged task then this time to transport tri type unique unit
    unsigned until units use var variable vectored virtual void wait wand weak while wildcard wire with within wor xnor
    xor
"""


@pytest.mark.parametrize("top", TOPS)
def test_no_port_needs_an_escape(top: str) -> None:
    names = [name for name, _, _ in verilog.ports(designs.elaborate(SMALL[top]))]
    assert "clk" in names
    assert not set(KEYWORDS.split()) & set(names)
    assert all(re.fullmatch(r"[a-z]\w*", name) for name in names)


@pytest.mark.parametrize("top", TOPS)
def test_the_file_says_what_it_is(top: str) -> None:
    lines = text(top).split("\n")
    at = next(i for i, line in enumerate(lines) if line.startswith("// sha256"))
    assert lines[0] == f"// {TOPS[top].module} of elstm {__version__}, a sparse LSTM accelerator"
    assert lines[1] == "// SPDX-License-Identifier: BSD-2-Clause"
    assert lines[at].split(": ")[1] == hashlib.sha256("\n".join(lines[at + 1 :]).encode()).hexdigest()
    parameters = "\n".join(lines[2:at])
    if top == "soc":
        assert "// accelerator.max_x = 64\n" in parameters and "// core.rvfi = False\n" in parameters
        assert f"// ram_bytes = {2**31}\n" in parameters
    else:
        assert ("// max_x = 64\n" if top == "accelerator" else "// rvfi = True") in parameters


@needs_verilator
@pytest.mark.parametrize("top", TOPS)
def test_verilator_takes_it_as_it_is(top: str, tmp_path: Path) -> None:
    (tmp_path / "top.v").write_text(text(top))
    done = subprocess.run(
        ["verilator", "--lint-only", "top.v"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def module_ports(verilog_text: str, module: str) -> dict[str, tuple[str, int]]:
    found = re.search(rf"(?m)^module {re.escape(module)}\((?:.*\n)*?endmodule", verilog_text)
    assert found, f"no module {module}"
    lines = re.findall(r"(?m)^  (input|output) (?:\[(\d+):0\] )?(\S+) ?;", found[0])
    return {name: (direction, int(high or 0) + 1) for direction, high, name in lines}


@pytest.mark.parametrize("top", ["accelerator", "soc"])
def test_memories_of_a_kind_share_a_module_with_the_documented_ports(top: str) -> None:
    kinds = verilog.ram_kinds(rtlil(top))
    assert len(kinds) >= 8
    for kind in kinds:
        address = max(1, (max(kind.depth, 2) - 1).bit_length())
        assert module_ports(text(top), kind.module) == {
            "clk": ("input", 1),
            "read_en": ("input", 1),
            "read_addr": ("input", address),
            "read_data": ("output", kind.width),
            "write_en": ("input", kind.width // kind.lane_bits),
            "write_addr": ("input", address),
            "write_data": ("input", kind.width),
        }
        assert text(top).count(f"\n  {kind.module} ") == kind.instances > 0
        body = re.search(rf"(?m)^module {kind.module}\((?:.*\n)*?endmodule", text(top))
        assert body and "(* no_rw_check = 32'd1 *)\n  reg " in body[0]
    assert sum(kind.instances for kind in kinds) > 60


def test_tables_of_one_size_must_agree() -> None:
    class Two(Component):
        def __init__(self) -> None:
            super().__init__({"o": Out(8)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.submodules.a = a = Ram(8, 2, init=[1, 2])
            m.submodules.b = b = Ram(8, 2, init=[1, 3])
            m.d.comb += self.o.eq(a.read_data | b.read_data)
            return m

    with pytest.raises(ValueError, match="two tables of kind elstm_rom_8x2 have different contents"):
        verilog.emit_rtlil(Two(), "two")


def test_memories_that_share_a_module_are_all_counted() -> None:
    class Two(Component):
        def __init__(self) -> None:
            super().__init__({"o": Out(8)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.submodules.a = a = Ram(8, 4)
            m.submodules.b = b = Ram(8, 4)
            m.d.comb += [a.read_en.eq(1), b.read_en.eq(1), self.o.eq(a.read_data | b.read_data)]
            return m

    assert verilog.memory_bits(verilog.emit_rtlil(Two(), "two")) == 2 * 8 * 4


@needs_icarus
def test_black_boxes_are_what_is_missing(tmp_path: Path) -> None:
    kinds = verilog.ram_kinds(rtlil("accelerator"))
    rest, declared = verilog.blackboxes(text("accelerator"), kinds)
    assert "module elstm_ram_" not in rest and "module elstm_rom_" in rest
    for kind in kinds:
        assert f"instances: {kind.instances}\n(* blackbox *)\nmodule {kind.module}(" in declared
        assert module_ports(declared, kind.module) == module_ports(text("accelerator"), kind.module)
    lanes = next(kind for kind in kinds if kind.lane_bits != kind.width)
    assert f"// {lanes.depth} rows of {lanes.width} bits, write_en[i] is for bits [{lanes.lane_bits}*i +: " in declared
    (tmp_path / "rest.v").write_text(rest)
    (tmp_path / "rams.v").write_text(declared)
    icarus = ["iverilog", "-g2005", "-t", "null", "-s", "elstm_accelerator"]
    subprocess.run([*icarus, "rest.v", "rams.v"], cwd=tmp_path, check=True)
    alone = subprocess.run([*icarus, "rest.v"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Unknown module type: elstm_ram_" in alone.stderr


def test_sources_are_named_below_the_project_if_wanted() -> None:
    made = verilog.emit_verilog(verilog.emit_rtlil(Ring(preset("tiny"), Kind.U), "ring", src=True))
    found = set(re.findall(r'src = "([^"]*)"', made))
    assert any(re.match(r"hdl/common/ram\.py:\d+", source) for source in found)
    assert any(source.startswith("amaranth/") for source in found)
    # of an environment inside the project, too, nothing but the package's own path
    assert {source.partition("/")[0] for source in found} <= {"hdl", "amaranth", "tests"}
    assert "src =" not in text("accelerator")


def imported(path: Path) -> set[str]:
    """Modules of golden that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "golden":
            found |= {f"golden.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("golden."):
            found.add(node.module)
    return found


def test_the_cache_knows_every_source_of_the_text() -> None:
    known = {path.resolve() for path in designs.rtl_files()}
    root = Path(hdl.__path__[0]).parent.resolve()
    todo = set().union(*(imported(path) for path in sources()))
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        folder = root / name.replace(".", "/")
        path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        assert path in known, f"hdl depends on {name}, of which the fingerprint of the build cache knows nothing"
        todo |= imported(path) - seen
    assert {"golden.config", "golden.version"} <= seen
    assert {path.resolve() for path in sources()} <= known


def verilog_names(verilog_text: str) -> dict[str, int]:
    """Width of every signal by its full name."""
    found: dict[str, int] = {}
    module = ""
    for line in verilog_text.splitlines():
        if start := re.match(r"module (\S+?) ?\(", line):
            module = start[1].removeprefix("\\")
        elif wire := re.match(r"  (?:input|output|wire|reg) (?:\[(\d+):0\] )?(\S+?) ?(?:=.*)?;", line):
            found[f"{module}.{wire[2].removeprefix(chr(92))}"] = int(wire[1] or 0) + 1
    return found


@pytest.mark.parametrize(
    ("name", "design"), [("accelerator", SMALL["accelerator"]), ("soc", Design("soc", SOC_PRESETS["default"]))]
)
def test_wave_lists_name_what_the_default_build_has(name: str, design: Design) -> None:
    there = verilog_names(build_cache.verilog(design).read_text())
    wanted = {signal: width for group in wave_lists.lists()[name].values() for signal, width in group}
    assert {signal: there.get(signal) for signal in wanted} == wanted


def test_another_python_with_other_bytes_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(same_verilog, "interpreters", lambda: {"3.99": "python3.99", "3.98": "python3.98"})
    monkeypatch.setattr(same_verilog, "environment", lambda version, _: Path("x") if version == "3.99" else None)
    monkeypatch.setattr(same_verilog, "checksum", lambda version, _, top, __: f"{top} {version == '3.99'}")
    with pytest.raises(UserError, match="the Verilog depends on the Python: accelerator, core, soc"):
        same_verilog.main()
    assert "left out: Python 3.98, as its packages cannot be installed" in capsys.readouterr().out
    monkeypatch.setattr(same_verilog, "checksum", lambda *_: "same")
    same_verilog.main()
    assert "the same bytes on Python 3." in capsys.readouterr().out
