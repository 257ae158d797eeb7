"""The engines by name."""

from sim.engines.compiled import CxxrtlEngine, NativeEngine
from sim.engines.icarus.accelerator import IcarusEngine
from sim.engines.pysim.accelerator import PysimEngine
from sim.protocol.accelerator import Engine, EngineError

_ENGINES = {engine.name: engine for engine in (NativeEngine, CxxrtlEngine, PysimEngine, IcarusEngine)}

NAMES = tuple(_ENGINES)
DEFAULT = "native"


def get(name: str) -> Engine:
    """The engine of that name, ready to run. Raises EngineError when it is unknown or something is not installed."""
    if name not in _ENGINES:
        raise EngineError(f"no engine {name!r}; there are: {', '.join(NAMES)}")
    engine = _ENGINES[name]()
    if missing := engine.missing():
        raise EngineError(f"engine {name}: {missing}")
    return engine
