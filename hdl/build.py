"""Emit Verilog: ``python -m hdl.build [--top accelerator|core|soc] [--preset NAME] [--set NAME=VALUE] [-o FILE]``."""

import hashlib
import importlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.lib import wiring
from rich.console import Console

from golden.config import ACCELERATOR_PRESETS, CORE_PRESETS, SOC_PRESETS
from golden.settings import USUAL
from hdl.synth.command import report, target_of
from hdl.synth.flow import Design
from hdl.synth.targets import TARGETS
from hdl.verilog import (
    BuildError,
    blackboxes,
    emit_rtlil,
    emit_verilog,
    memory_bits,
    memory_bits_by_unit,
    ports,
    ram_kinds,
    register_bits,
    verilog_file,
)
from software.cli import SETTINGS, UserError, call, check_outputs, new_app, write_all
from software.options import ConfigOption, SetOption, configured


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


def emitted(component: wiring.Component, module: str, config: Any) -> Design:
    """A component as it is synthesized."""
    text = emit_rtlil(component, module)
    verilog = verilog_file(emit_verilog(text), module, config)
    return Design(module, verilog, tuple(ports(component)), memory_bits_by_unit(text, module))


def main(
    top: Annotated[str, typer.Option(metavar="NAME", help=f"What to build: {', '.join(TOPS)}.")] = "soc",
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Configuration: {', '.join(SOC_PRESETS)}; core: {', '.join(CORE_PRESETS)}.",
            show_default=USUAL,
        ),
    ] = None,
    config_file: ConfigOption = None,
    settings: SetOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", "--output", metavar="FILE", help="Verilog to write; else build/MODULE_PRESET.v."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write ports, sizes and checksum as JSON.")
    ] = None,
    blackbox_ram: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Leave the RAMs' modules out, and write their declarations here, for macros of yours."
        ),
    ] = None,
    src: Annotated[
        bool, typer.Option("--src", help="Keep (* src *) attributes: the line of the sources that made each thing.")
    ] = False,
    synth: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help=f"Also synthesize: {', '.join(TARGETS)}; prints what each unit takes."),
    ] = None,
    liberty: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Cells for --synth generic: a library in Liberty's format.")
    ] = None,
    place: Annotated[bool, typer.Option("--place", help="Also place and route, which says how fast it is.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the placer.")] = 1,
    timing: Annotated[
        bool, typer.Option("--timing", help="Print the slowest paths, estimated without placement.")
    ] = False,
) -> None:
    """Emit the Verilog of a top level; print its ports, register bits, memory bits and checksum.

    The same sources and configuration give the same bytes.

    \b
    Examples:
      python -m hdl.build
      python -m hdl.build --top accelerator --preset mnist -o accelerator.v
      python -m hdl.build --preset mnist -o soc.v --blackbox-ram rams.v
      python -m hdl.build --preset tiny --set n_pe=4 --set slots=18
      python -m hdl.build --top core --timing
      python -m hdl.build --top accelerator --preset tiny --synth ecp5 --place
    """
    if top not in TOPS:
        raise UserError(f"no top {top!r}; there are: {', '.join(TOPS)}")
    chosen = TOPS[top]
    asked = configured(chosen.presets, preset, config_file, settings, top)
    target = target_of(synth, liberty) if synth is not None else None
    if liberty and target is None:
        raise UserError("--liberty needs --synth generic")
    if place and target is None:
        raise UserError("--place needs --synth")
    if (target or timing) and blackbox_ram:
        raise UserError("--synth and --timing need the RAMs that --blackbox-ram leaves out")
    path = output or Path("build") / f"{chosen.module}_{asked.name}.v"
    check_outputs(path, json_path, blackbox_ram)
    # Only a terminal is told: it takes some ten seconds
    config, files = asked.config, {}
    with Console(stderr=True).status(f"elaborating {chosen.module}") as status:
        component = chosen.elaborate(config)
        text = emit_rtlil(component, chosen.module, src=src)
        status.update(f"writing {path}")
        try:
            verilog, kinds = emit_verilog(text), ram_kinds(text)
        except BuildError as error:
            raise UserError(str(error)) from None
        if blackbox_ram and not kinds:
            raise UserError(f"{chosen.module} has no RAM to leave out: run it without --blackbox-ram")
        if blackbox_ram:
            verilog, declared = blackboxes(verilog, kinds)
            files[blackbox_ram] = declared.encode()
        files[path] = verilog_file(verilog, chosen.module, config).encode()
    table = ports(component)
    registers, memories, sha256 = register_bits(text), memory_bits(text), hashlib.sha256(files[path]).hexdigest()
    if json_path:
        content = {
            "schema": "elstm.build/1", "top": top, "module": chosen.module, "preset": asked.name, "verilog": str(path),
            "config": None if config is None else asdict(config),
            "ports": [{"name": name, "direction": direction, "bits": bits} for name, direction, bits in table],
            "register_bits": registers, "memory_bits": memories, "sha256": sha256,
            "rams": [asdict(kind) for kind in kinds],
        }  # fmt: skip
        files[json_path] = json.dumps(content, indent=1).encode() + b"\n"
    width = max(len(name) for name, _, _ in table)
    for name, direction, bits in table:
        print(f"  {direction:6}  {name:{width}}  {bits:3}")
    print(f"registers {registers} bits, memories {memories} bits")
    print(f"sha256 {sha256}")
    if target or timing:
        design = Design(chosen.module, files[path].decode(), tuple(table), memory_bits_by_unit(text, chosen.module))
        synthesis = report(design, asked.name, target, timing, seed if place else None)
        if json_path:
            content["synthesis"] = synthesis
            files[json_path] = json.dumps(content, indent=1).encode() + b"\n"
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
