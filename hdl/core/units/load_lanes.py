"""What a load returns: from the lanes of a 64-bit word to registers."""

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.units.alu import sign_extend

__all__ = ["LoadLanes"]


class LoadLanes(Component):
    """Combinational: the ``value`` that a load with this ``funct3`` makes of the word's ``lanes``, from byte ``offset``
    of the word on.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "offset": In(3),
                "funct3": In(3),
                "lanes": In(64),
                "value": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        moved = Signal(64)
        m.d.comb += moved.eq(self.lanes >> (self.offset << 3))
        with m.Switch(self.funct3):
            for size in range(4):
                with m.Case(size):
                    m.d.comb += self.value.eq(sign_extend(moved[: 8 << size]))
            for size in range(3):
                with m.Case(4 + size):
                    m.d.comb += self.value.eq(moved[: 8 << size])
        return m
