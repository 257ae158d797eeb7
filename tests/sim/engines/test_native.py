"""Models by sim.native against Amaranth's own simulator, on random designs."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from amaranth import Cat, ClockSignal, Module, Signal
from amaranth.hdl import ClockDomain
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from golden.config import ACCELERATOR_PRESETS
from hdl.build import TOPS
from hdl.common.component import Component
from hdl.verilog import emit_rtlil, run_yosys
from sim.engines import build_cache, designs, registry
from sim.engines.build_cache import executable, native_source
from sim.engines.native.codegen import generate
from sim.engines.native.netlist import NetlistError, parse
from sim.host.memory import Random
from sim.layers.jobs import layer_job
from sim.layers.random_layer import Traits, calls
from sim.layers.random_layer import generate as generate_layer
from sim.protocol.accelerator import AcceleratorJob
from sim.protocol.base import Design, WaveRequest
from tests.sim.engines import random_design, read_vcd

PROBE = str(Path(__file__).with_name("probe.cc"))
STEPS = ("proc", "flatten", "memory_collect", "write_rtlil")
CYCLES = 300


def stimuli(seed: int) -> Iterator[list[int]]:
    """Inputs of each cycle, as in probe.cc."""
    draw = Random(seed, 7)
    for _ in range(CYCLES):
        shape = draw.next()
        values = []
        for n in range(4):
            v = draw.next()
            small, kind = v & 3, shape >> 4 * n & 7
            values.append({0: small, 1: small ^ 2**64 - 1, 2: 1 << (v & 63)}.get(kind, v))
        yield values


def by_pysim(seed: int) -> list[str]:
    top = random_design.RandomDesign(seed)
    bench = Module()
    domain: Any = ClockDomain("sync")
    bench.domains.sync = domain
    bench.submodules.top = top
    lines = []

    async def run(ctx):
        ctx.set(domain.rst, 1)
        for _ in range(4):
            await ctx.tick()
        ctx.set(domain.rst, 0)
        for values in stimuli(seed):
            for n, value in enumerate(values):
                ctx.set(getattr(top, f"i{n}"), value)
            lines.append("".join(f"{ctx.get(getattr(top, f'o{n}')):x} " for n in range(8)))
            await ctx.tick()

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    return lines


def compiled(seed: int, backend: Literal["native", "verilator"]) -> list[str]:
    designs.register("random", "random_design", random_design.RandomDesign, [Path(random_design.__file__)])
    design = Design("random", seed)  # type: ignore[arg-type]  # registered here alone
    program = executable(design, PROBE, backend=backend)
    out = subprocess.run([program, str(seed), str(CYCLES)], capture_output=True, text=True, check=True).stdout
    return out.splitlines()


def agree(seed: int, backend: Literal["native", "verilator"] = "native") -> None:
    expected, found = by_pysim(seed), compiled(seed, backend)
    assert len(set(expected)) > CYCLES // 2
    for cycle, (a, b) in enumerate(zip(expected, found, strict=True)):
        assert a == b, f"seed {seed}, cycle {cycle}"


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_same_outputs(seed):
    agree(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_same_outputs_of_many(seed):
    agree(seed)


@pytest.mark.slow
def test_same_outputs_of_verilator(verilator):
    agree(0, verilator)


def layers(preset: str, **fields) -> Iterator[tuple[Design, AcceleratorJob]]:
    """Small random layers, not made for the preset: what matters here is that engines do the same."""
    for seed in range(8):
        case = generate_layer(seed, traits=Traits(max_size=16, max_steps=4))
        job = layer_job(calls(case)[0], case.timing, log_writes=True, **fields)
        yield Design("accelerator", ACCELERATOR_PRESETS[preset]), job


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", "default"])
def test_accelerator_runs_as_in_verilator(preset, verilator):
    cycles = []
    for design, job in layers(preset):
        engines = (registry.get("accelerator", name) for name in ("native", verilator))
        found, expected = (replace(engine.run(design, job), wall_seconds=0) for engine in engines)
        assert found == expected
        cycles.append(found.cycles)
    assert max(cycles) > 1000


@pytest.mark.slow
def test_accelerator_has_the_signals_of_verilator(tmp_path, verilator):
    found = {}
    for engine in ("native", verilator):
        path = tmp_path / f"{engine}.vcd"
        design, job = next(layers("tiny", wave=WaveRequest(str(path), 0, 1500)))
        registry.get("accelerator", engine).run(design, job)
        found[engine] = read_vcd.signals(path, f"{designs.module_name(design)}.")
    assert len(found["native"]) > 3000
    # each leaves out some of the names that mean the same wire
    both = set(found["native"]) & set(found[verilator])
    assert len(both) > 3000
    assert [name for name in sorted(both) if found["native"][name] != found[verilator][name]] == []


@pytest.mark.parametrize(
    "design",
    [Design(cast(Any, top), config) for top, chosen in TOPS.items() for config in chosen.presets.values()],
    ids=[f"{top}-{preset}" for top, chosen in TOPS.items() for preset in chosen.presets],
)
@pytest.mark.slow
def test_every_preset_is_understood(design):
    assert "void cycle()" in native_source(design).read_text()


def netlist(component):
    return parse(run_yosys(emit_rtlil(component, "top"), *STEPS))


class Decoder(Component):
    def __init__(self) -> None:
        super().__init__(
            {
                "index": In(7),
                "value": In(1),
                "low": Out(50),
                "high": Out(50),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += Cat(self.low, self.high).bit_select(self.index, 1).eq(self.value)
        return m


def test_indexed_writes_become_one_cell():
    source = generate(netlist(Decoder()))
    assert len(source.splitlines()) < 60


class Rotation(Component):
    """Every bit of a variable depends on the bit below it."""

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(8),
                "o": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        below = Signal(8)
        m.d.comb += [below[0].eq(self.i[0]), below[1:].eq(self.o[:-1]), self.o.eq(below ^ self.i)]
        return m


def test_bits_of_one_variable_may_depend_on_each_other():
    assert ">> 7" in generate(netlist(Rotation()))


LOOP = """
module \\top
  wire output 1 \\o
  wire input 2 \\i
  cell $xor $1
    parameter \\A_SIGNED 0
    parameter \\B_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\B_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\i
    connect \\B \\o
    connect \\Y \\o
  end
end
"""


class TwoClocks(Component):
    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(1),
                "o": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.other = ClockDomain("other", reset_less=True)
        m.d.comb += ClockSignal("other").eq(self.i)
        m.d.other += self.o.eq(~self.o)
        return m


def test_another_clock_is_refused():
    with pytest.raises(NetlistError, match="has another clock than the rising edge of clk"):
        generate(netlist(TwoClocks()))


def test_a_loop_is_refused():
    with pytest.raises(NetlistError, match="combinational loop through \\$1"):
        generate(parse(LOOP))


def test_hierarchy_and_processes_are_refused():
    with pytest.raises(NetlistError, match="process left"):
        parse(emit_rtlil(Decoder(), "top"))


def test_source_follows_the_generator(fake, monkeypatch, tmp_path):
    first = native_source(fake)
    changed = tmp_path / "words.py"
    changed.write_text("")
    monkeypatch.setattr("sim.engines.build_cache._GENERATOR", [changed])
    assert native_source(fake) != first


def test_key_of_the_program_has_machine_compiler_flags_and_harness(fake, monkeypatch, tmp_path):
    """Programs are not built here, only named."""
    harness = tmp_path / "outside.cc"
    harness.write_text("int main() {}")
    cached = build_cache.cached
    monkeypatch.setattr(
        build_cache, "cached", lambda name, make: Path(name) if name.startswith("bin/") else cached(name, make)
    )
    names = [executable(fake, str(harness)), executable(fake, "accelerator.cc")]
    assert names == [executable(fake, str(harness)), executable(fake, "accelerator.cc")]
    harness.write_text("int main() { return 1; }")
    names.append(executable(fake, str(harness)))
    for what in ("_machine", "compiler_version"):
        monkeypatch.setattr(build_cache, what, lambda: "another")
        names.append(executable(fake, str(harness)))
    for flags in ("-O0", "-O1 '-DNAME=two words'"):
        monkeypatch.setenv("ELSTM_CXXFLAGS", flags)
        names.append(executable(fake, str(harness)))
    assert len(set(names)) == 7


def cell(kind, parameters, ports, width=8):
    """A module of one cell with inputs a, b and clk, and output o."""
    lines = [f"    parameter \\{name} {value}" for name, value in parameters.items()]
    lines += [f"    connect \\{name} {value}" for name, value in ports.items()]
    wires = [f"  wire width {width} input 1 \\a", f"  wire width {width} input 2 \\b", "  wire input 3 \\clk"]
    wires.append("  wire width 122 \\rest")
    return "\n".join([
        "module \\top", *wires, f"  wire width {width} output 4 \\o", f"  cell {kind} \\it", *lines, "  end", "end",
    ])  # fmt: skip


BINARY = {"A_SIGNED": 0, "B_SIGNED": 0, "A_WIDTH": 8, "B_WIDTH": 8, "Y_WIDTH": 8}
ABY = {"A": "\\a", "B": "\\b", "Y": "\\o"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (cell("$div", BINARY, ABY), r"cell \\it is of type \$div, which is not supported"),
        (cell("$eqx", BINARY, ABY), r"cell \\it is of type \$eqx, which is not supported"),
        (cell("$dffe", {}, {"D": "\\a", "CLK": "\\clk", "EN": "\\b [0]", "Q": "\\o"}), r"type \$dffe"),
        (cell("$add", {"A_SIGNED": 1}, ABY), r"\$add \\it: parameter B_SIGNED is missing"),
        (cell("$add", BINARY | {"A_SIGNED": '"yes"'}, ABY), r'\$add \\it: parameter A_SIGNED is "yes"'),
        (cell("$add", BINARY, ABY | {"Y": "{ \\rest \\o }"}), r"\$add \\it: 130 bits of output, more than 128"),
        (cell("$shift", BINARY | {"A_SIGNED": 1}, ABY), r"\$shift \\it: a signed A"),
        (cell("$shl", BINARY | {"B_SIGNED": 1}, ABY), r"\$shl \\it: a signed amount"),
        (cell("$add", BINARY, ABY | {"B": "\\c"}), r"unknown wire \\c"),
        (cell("$add", BINARY, ABY | {"B": "?"}), r"cannot read '\?'"),
        (cell("$add", BINARY, ABY | {"Y": "\\a"}), r"two drivers: \\a"),
        (cell("$not", BINARY, {"A": "\\a", "Y": "\\o"}, 65), "port a has 65 bits, more than 64"),
        (cell("$add", BINARY, ABY | {"B": "\\clk"}), r"clk is used as a value by \\it B"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(text, message):
    with pytest.raises(NetlistError, match=message):
        generate(parse(text))


class Twice(Component):
    """``o`` is ``i``, inverted twice: of the signal between nothing is left that anybody reads."""

    def __init__(self, config: object = None) -> None:
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        inner = Module()
        between = Signal()
        inner.d.comb += between.eq(~self.i)
        m.submodules.inner = inner
        m.d.comb += self.o.eq(~between)
        return m


def test_a_waveform_has_what_nothing_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    designs.register("twice", "twice", Twice, [Path(__file__)])
    design = Design("twice", None)  # type: ignore[arg-type]  # registered here alone
    constant = re.compile(r"s\[\d+\] = 0x0u;")
    assert not constant.search(native_source(design, waves=True).read_text())
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path))
    monkeypatch.setattr(build_cache, "_PUBLIC_WIRE", re.compile("(?!)"))
    assert constant.search(native_source(design, waves=True).read_text()), "what the test is for"
