"""Emit Verilog: ``python -m hdl.build [--top accelerator|core|soc] [--preset NAME] [-o FILE]``."""

import hashlib
import importlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.lib import wiring
from rich.console import Console

from golden.config import ACCELERATOR_PRESETS, CORE_PRESETS, SOC_PRESETS
from hdl.verilog import (
    blackboxes,
    emit_rtlil,
    emit_verilog,
    memory_bits,
    ports,
    ram_kinds,
    register_bits,
    verilog_file,
)


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

def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _fail(message: str) -> typer.Exit:
    print(f"error: {message}", file=sys.stderr)
    return typer.Exit(2)


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
    blackbox_ram: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Leave the RAMs' modules out, and write their declarations here, for macros of yours."
        ),
    ] = None,
    src: Annotated[
        bool, typer.Option("--src", help="Keep (* src *) attributes: the line of the sources that made each thing.")
    ] = False,
) -> None:
    """Emit the Verilog of a top level; print its ports, register bits, memory bits and checksum.

    The same sources and preset give the same bytes.

    \b
    Examples:
      python -m hdl.build
      python -m hdl.build --top accelerator --preset mnist -o accelerator.v
      python -m hdl.build --preset mnist -o soc.v --blackbox-ram rams.v
    """
    if top not in TOPS:
        raise _fail(f"no top {top!r}; there are: {', '.join(TOPS)}")
    chosen = TOPS[top]
    if preset not in chosen.presets:
        raise _fail(f"no preset {preset!r} of {top}; there are: {', '.join(chosen.presets)}")
    path = output or Path("build") / f"{chosen.module}_{preset}.v"
    for file in (path, json_path, blackbox_ram):
        if file and file.is_dir():
            raise _fail(f"cannot write {file}: it is a directory")
    # Only a terminal is told: it takes some ten seconds
    with Console(stderr=True).status(f"elaborating {chosen.module}") as status:
        config = chosen.presets[preset]
        component = chosen.elaborate(config)
        text = emit_rtlil(component, chosen.module, src=src)
        status.update(f"writing {path}")
        verilog, kinds, files = emit_verilog(text), ram_kinds(text), {}
        if blackbox_ram:
            verilog, declared = blackboxes(verilog, kinds)
            files[blackbox_ram] = declared.encode()
        files[path] = verilog_file(verilog, chosen.module, config).encode()
    table = ports(component)
    registers, memories, sha256 = register_bits(text), memory_bits(text), hashlib.sha256(files[path]).hexdigest()
    if json_path:
        content = {
            "schema": "elstm.build/1", "top": top, "module": chosen.module, "preset": preset, "verilog": str(path),
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
    for file, written in files.items():
        try:
            _write_whole(file, written)
        except OSError as error:
            raise _fail(f"cannot write {file}: {error.strerror}") from None
        print(f"wrote {file}")


def run() -> int:
    """Exit code of the command; a wrong command line is one line on stderr."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(context_settings={"max_content_width": 100})(main)
    try:
        return app(standalone_mode=False) or 0
    except Exception as error:
        # Typer's own errors, wherever their classes live in this version
        if type(error).__name__ == "Abort":
            return 130
        if not hasattr(error, "format_message"):
            raise
        print(f"error: {' '.join(error.format_message().split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(run())
