"""The engines of the SoC by the names they have for the accelerator."""

from collections.abc import Callable

from sim.engines.icarus.soc import IcarusSoc
from sim.engines.pysim.soc import PysimSoc
from sim.protocol.accelerator import EngineError
from sim.protocol.soc import NativeSoc, SocEngine

_ENGINES: dict[str, Callable[[], SocEngine]] = {
    "native": NativeSoc,
    "cxxrtl": lambda: NativeSoc("cxxrtl"),
    "pysim": PysimSoc,
    "icarus": IcarusSoc,
}

NAMES = tuple(_ENGINES)
DEFAULT = "native"


def get(name: str) -> SocEngine:
    """The engine of that name, ready to run. Raises EngineError when it is unknown or something is not installed."""
    if name not in _ENGINES:
        raise EngineError(f"no engine {name!r}; there are: {', '.join(NAMES)}")
    engine: SocEngine = _ENGINES[name]()
    if missing := engine.missing():
        raise EngineError(f"engine {name}: {missing}")
    return engine
