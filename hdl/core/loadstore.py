"""Between registers and the lanes of a 64-bit word: what a store drives and what a load returns."""

from amaranth import Module, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.alu import sign_extend

__all__ = ["LoadLanes", "StoreLanes"]


class StoreLanes(Component):
    """Combinational: ``value``'s low ``1 << size`` bytes moved to the lanes of ``address``, and these lanes' mask.

    The mask is also that of a load of this size. ``misaligned``: the address is no multiple of the size, and lanes and
    mask mean nothing.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "address": In(64),
                "size": In(2),
                "value": In(64),
                "lanes": Out(64),
                "mask": Out(8),
                "misaligned": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.Switch(self.size):
            for size in range(4):
                with m.Case(size):
                    # a narrow value is repeated in all its possible places; the mask picks one
                    bits = 8 << size
                    m.d.comb += [
                        self.lanes.eq(self.value[:bits].replicate(64 // bits)),
                        self.mask.eq((1 << (1 << size)) - 1 << self.address[:3]),
                        self.misaligned.eq(self.address[:size] != 0 if size else 0),
                    ]
        return m


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
