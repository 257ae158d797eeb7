"""Components of the RTL: each port is named in its component's docstring, each file after its class."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring

import hdl
from golden.config import CORE_PRESETS, SOC_PRESETS, preset
from hdl.build import TOPS
from hdl.common.component import Component
from hdl.core.tracer import RVFI_FIELDS

RVFI_PORTS = [f"rvfi_{name}" for name in RVFI_FIELDS]


def parts(elaboratable: Any) -> Iterator[wiring.Component]:
    """The components that an elaboratable contains, itself among them."""
    inner = getattr(elaboratable, "_elaboratable_", None)
    if inner is not None:
        yield from parts(inner)
        return
    if isinstance(elaboratable, wiring.Component):
        yield elaboratable
        component: Any = elaboratable
        elaboratable = component.elaborate(None)
    if isinstance(elaboratable, Module):
        for part in (*elaboratable._named_submodules.values(), *elaboratable._anon_submodules):
            yield from parts(part[0] if isinstance(part, tuple) else part)


@cache
def found() -> dict[type, wiring.Component]:
    """A component of each class that the tops, and what stands beside them, are made of."""
    tops = [
        TOPS["accelerator"].elaborate(preset("tiny")),
        TOPS["core"].elaborate(CORE_PRESETS["rvfi"]),
        TOPS["soc"].elaborate(SOC_PRESETS["rvfi"]),
        # all that no preset has
        TOPS["accelerator"].elaborate(replace(preset("tiny"), group_list=True, stream16=True, stream8=True)),
        TOPS["accelerator"].elaborate(preset("event")),
    ]
    return {type(part): part for top in tops for part in parts(top) if type(part).__module__.startswith("hdl.")}


@cache
def classes() -> list[type[wiring.Component]]:
    """Every component class of hdl."""
    modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(hdl.__path__, "hdl.")]
    members = [cls for module in modules for _, cls in inspect.getmembers(module, inspect.isclass)]
    own = {c for c in members if issubclass(c, wiring.Component) and c.__module__.startswith("hdl.")} - {Component}
    return sorted(own, key=lambda c: (c.__module__, c.__name__))


def unnamed(cls: type, ports: list[str]) -> list[str]:
    """Ports that a class's docstring does not name between double backquotes, the RVFI's as ``rvfi_*``."""
    code = " ".join(re.findall(r"``([^`]*)``", inspect.getdoc(cls) or "")).replace("rvfi_*", " ".join(RVFI_PORTS))
    return [port for port in ports if not re.search(rf"(?<!\w){port}(?!\w)", code)]


def test_the_tops_are_made_of_every_component() -> None:
    assert len(found()) > 30
    assert set(classes()) == set(found())


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_every_port_is_named_in_the_docstring(cls: type) -> None:
    missing = unnamed(cls, list(found()[cls].signature.members))
    assert not missing, f"the docstring of {cls.__name__} does not say what these ports are: {', '.join(missing)}"


def test_a_port_without_a_name_is_seen() -> None:
    class Example:
        """``ready`` and ``sums[i]``; a bare valid or ``unready`` does not count."""

    assert unnamed(Example, ["ready", "sums", "valid", "i"]) == ["valid"]


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_a_file_is_named_after_its_class(cls: type) -> None:
    alone = [c for c in classes() if c.__module__ == cls.__module__]
    assert alone == [cls], f"{cls.__module__} has several components: {alone}"
    stem = cls.__module__.rpartition(".")[2]
    if stem == "top":
        assert f"{cls.__module__}:{cls.__name__}" in {top.component for top in TOPS.values()}
    else:
        assert stem == snake(cls.__name__)
