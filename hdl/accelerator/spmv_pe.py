"""The SpMV processing element: four fp16 multipliers with exact products, rounded once to Q12.20."""

from amaranth import Array, Module, Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hdl.accelerator.multiplier import Multiplier
from hdl.common.component import Component


class SpmvPe(Component):
    """Multiplies one value word with one block of four operands; ``products`` appear two cycles later.

    ``values``, ``selects``: the value word and, for each value, which operand it meets. ``operands``: four fp16.
    ``overflow``: a product does not fit 32 bits.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "values": In(data.ArrayLayout(unsigned(16), 4)),
                "selects": In(data.ArrayLayout(unsigned(2), 4)),
                "operands": In(data.ArrayLayout(unsigned(16), 4)),
                "products": Out(signed(32)).array(4),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands = Array(self.operands[i] for i in range(4))
        overflows = Signal(4)
        for i in range(4):
            m.submodules[f"multiplier_{i}"] = multiplier = Multiplier()
            m.d.comb += [
                multiplier.a.eq(self.values[i]),
                multiplier.b.eq(operands[self.selects[i]]),
                self.products[i].eq(multiplier.product),
                overflows[i].eq(multiplier.overflow),
            ]
        m.d.comb += self.overflow.eq(overflows.any())
        return m
