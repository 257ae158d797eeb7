"""Puts the memory model and the checker on an AXI4 port in pysim."""

from typing import Any

from sim.host.axi import AxiMemory
from sim.host.axi_rules import MASTER, PAYLOADS, AxiChecker
from sim.host.memory import Image, Violations
from sim.protocol.base import Segment
from sim.protocol.timing import AxiTiming


class AxiBench:
    """In each cycle ``drive``, then whatever else, then ``sample``, then a tick."""

    def __init__(self, ctx: Any, axi: Any, segments: tuple[Segment, ...], timing: AxiTiming) -> None:
        self.ctx, self.axi = ctx, axi
        self.violations = Violations()
        self.image = Image(segments, self.violations)
        self.memory = AxiMemory(self.image, timing)
        self.checker = AxiChecker()
        self._driven: dict[str, int] = {}
        self.wires: dict[str, int] = {}

    def drive(self) -> None:
        now = self.memory.drive()
        for name, value in now.items():
            if self._driven.get(name) != value:
                self.ctx.set(getattr(self.axi, name), value)
        self._driven = dict(now)

    def sample(self) -> dict[str, int]:
        """The wires of this cycle; payloads of the master only beside their ``valid``."""

        def get(name: str) -> int:
            return int(self.ctx.get(getattr(self.axi, name)))

        wires = {name: get(name) for name in MASTER if name.endswith(("valid", "ready"))}
        for channel in ("aw", "w", "ar"):
            if wires[f"{channel}valid"]:
                wires |= {name: get(name) for name in PAYLOADS[channel]}
        self.memory.sample(wires)
        self.wires = self._driven | wires
        self.checker.sample(self.wires)
        return self.wires

    def finish(self) -> None:
        """Raises AssertionError when the port or the memory saw something wrong."""
        self.checker.finish()
        assert not self.checker.violations
        assert not self.violations
