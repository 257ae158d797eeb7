"""The emitted Verilog as a C++ model of the harness' interface (``harness/rtl.h``).

Verilator makes the model; a ``Top`` around it, written here, has its ports under the names of ``sim.engines.native``:
``p_NAME``, every ``_`` of a name doubled.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sim.engines.verilator.tool import Verilator, verilate
from sim.protocol.base import EngineError

OPTIONS = ("--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "-Wno-fatal")
_WAVES = ("--trace", "--trace-max-array", "0")
# what is user-defined coverage in --coverage does not exist in emitted Verilog
_COVERAGE = ("--coverage-line", "--coverage-toggle")
_PREFIX = "Vmodel"
_PORT = re.compile(r"VL_(?:IN|OUT)(8|16|64|W|)\(&(\w+),(\d+),0[,)]")
_WORDS = {"8": "CData", "16": "SData", "": "IData", "64": "QData"}
_NEVER_FAST = '#ifdef __clang__\n#pragma clang optimize off\n#else\n#pragma GCC optimize("O0")\n#endif\n'


def options(waves: bool, coverage: bool) -> tuple[str, ...]:
    """What Verilator is told, for the key of a cache and for ``model``."""
    return OPTIONS + _WAVES * waves + _COVERAGE * coverage


def ports(header: str) -> list[tuple[str, str, int, str]]:
    """(name in Verilog, member of the model, bits, C++ type) of each port in the header of a Verilated model.

    Raises EngineError for one of more than 64 bits.
    """
    found = []
    for size, member, high in _PORT.findall(header):
        # names that C++ has too begin with __SYM__; characters that it would not take are written in hexadecimal
        name = re.sub("__0([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), member.removeprefix("__SYM__"))
        if size not in _WORDS:
            raise EngineError(f"port {name} has {int(high) + 1} bits, more than 64")
        found.append((name, member, int(high) + 1, _WORDS[size]))
    return found


def _top(header: str) -> str:
    members = (
        f"    Port<{bits}, {word}> p_{name.replace('_', '__')}{{model.{member}}};"
        for name, member, bits, word in ports(header)
    )
    return "\n".join(
        [
            "#pragma once",
            f'#include "{_PREFIX}.h"',
            "template <unsigned BITS, class Word>",
            "struct Port {",
            "    Word &v;",
            "};",
            "struct Top {",
            "    VerilatedContext context;",
            f'    {_PREFIX} model{{&context, ""}};',
            *members,
            "};\n",
        ]
    )


def _classes(makefile: str, kind: str) -> list[str]:
    """The names that Verilator's list of files has under a variable."""
    # a name a line, behind a tab (5.006) or spaces (5.048)
    found = re.search(rf"^{kind} \+= \\\n((?:[ \t]+\S+ \\\n)*)", makefile, re.MULTILINE)
    return [line.strip(" \t\\") for line in found[1].splitlines()] if found else []


@dataclass(frozen=True)
class Verilated:
    """A model: the header with ``Top``, the sources to compile beside the harness, and the names of the sources of
    Verilator's run time that they need, in its folder of headers."""

    top: Path
    sources: list[Path]
    runtime: list[str]


def model(tool: Verilator, verilog: Path, module: str, folder: Path, waves: bool, coverage: bool) -> Verilated:
    """Make the model in ``folder``. Raises EngineError."""
    names = ("--top-module", module, "--prefix", _PREFIX, "--Mdir", str(folder))
    verilate(tool, *options(waves, coverage), *names, str(verilog))
    top = folder / "top.h"
    top.write_text(_top((folder / f"{_PREFIX}.h").read_text()))
    makefile = (folder / f"{_PREFIX}_classes.mk").read_text()
    if not _classes(makefile, "VM_CLASSES_FAST"):
        raise EngineError(f"{tool.version}: its list of files, {_PREFIX}_classes.mk, is not understood")
    sources = []
    # what runs once, or for a waveform, takes longer to optimize than to run
    for speed, head in (("FAST", ""), ("SLOW", _NEVER_FAST)):
        files = [file for kind in ("CLASSES", "SUPPORT") for file in _classes(makefile, f"VM_{kind}_{speed}")]
        sources.append(folder / f"{speed.lower()}.cpp")
        sources[-1].write_text(head + "".join(f'#include "{file}.cpp"\n' for file in files))
    runtime = _classes(makefile, "VM_GLOBAL_FAST") + _classes(makefile, "VM_GLOBAL_SLOW")
    return Verilated(top, sources, [f"{file}.cpp" for file in runtime])
