"""The engines by top and name: one lookup for accelerator, core and SoC."""

from collections.abc import Callable
from typing import Any, Literal, overload

from sim.engines.compiled import CompiledAccelerator, CompiledCore, CompiledSoc
from sim.engines.icarus.accelerator import IcarusEngine
from sim.engines.icarus.soc import IcarusSoc
from sim.engines.pysim.accelerator import PysimEngine
from sim.engines.pysim.soc import PysimSoc
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Engine, EngineError
from sim.protocol.core import ProgramJob, ProgramOutcome
from sim.protocol.soc import SocJob, SocOutcome

_ENGINES: dict[str, dict[str, Callable[[], Engine[Any, Any]]]] = {
    "accelerator": {
        "native": CompiledAccelerator,
        "verilator": lambda: CompiledAccelerator("verilator"),
        "pysim": PysimEngine,
        "icarus": IcarusEngine,
    },
    "core": {"native": CompiledCore, "verilator": lambda: CompiledCore("verilator")},
    "soc": {
        "native": CompiledSoc,
        "verilator": lambda: CompiledSoc("verilator"),
        "pysim": PysimSoc,
        "icarus": IcarusSoc,
    },
}
DEFAULT = "native"


def names(top: str) -> tuple[str, ...]:
    """The engines that simulate a top, the default first."""
    return tuple(_ENGINES[top])


@overload
def get(top: Literal["accelerator"], name: str = ...) -> Engine[AcceleratorJob, Outcome]: ...
@overload
def get(top: Literal["core"], name: str = ...) -> Engine[ProgramJob, ProgramOutcome]: ...
@overload
def get(top: Literal["soc"], name: str = ...) -> Engine[SocJob, SocOutcome]: ...
def get(top: str, name: str = DEFAULT) -> Engine[Any, Any]:
    """The engine of that name for a top, ready to run. Raises EngineError when it is unknown or lacks something."""
    if name not in _ENGINES[top]:
        raise EngineError(f"no engine {name!r}; there are: {', '.join(names(top))}")
    engine = _ENGINES[top][name]()
    if missing := engine.missing():
        raise EngineError(f"engine {name}: {missing}")
    return engine
