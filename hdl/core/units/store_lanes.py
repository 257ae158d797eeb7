"""What a store drives: from registers to the lanes of a 64-bit word."""

from amaranth import Module
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component

__all__ = ["StoreLanes"]


class StoreLanes(Component):
    """Combinational: ``value``'s low ``1 << size`` bytes moved to the ``lanes`` of ``address``, and their ``mask``.

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
