"""The SpMV processing element: fp16 multipliers with exact products, rounded once to Q12.20."""

from amaranth import Array, Module, Signal, signed, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hdl.accelerator.multiplier import Multiplier
from hdl.common.component import Component


class SpmvPe(Component):
    """Multiplies one value word with one block of operands; ``products`` appear two cycles later.

    Parameters:
        macs: values of a word, 4 or, for stream-8, 8.

    ``values``, ``selects``: the value word and, for each value, which operand it meets. ``operands``: four fp16.
    ``overflow``: a product does not fit 32 bits.
    """

    def __init__(self, *, macs: int = 4) -> None:
        if macs not in (4, 8):
            raise ValueError(f"macs must be 4 or 8, not {macs!r}")
        super().__init__(
            {
                "values": In(data.ArrayLayout(unsigned(16), macs)),
                "selects": In(data.ArrayLayout(unsigned(2), macs)),
                "operands": In(data.ArrayLayout(unsigned(16), 4)),
                "products": Out(signed(32)).array(macs),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        operands = Array(self.operands[i] for i in range(4))
        overflows = Signal(len(self.products))
        for i in range(len(self.products)):
            m.submodules[f"multiplier_{i}"] = multiplier = Multiplier()
            m.d.comb += [
                multiplier.a.eq(self.values[i]),
                multiplier.b.eq(operands[self.selects[i]]),
                self.products[i].eq(multiplier.product),
                overflows[i].eq(multiplier.overflow),
            ]
        m.d.comb += self.overflow.eq(overflows.any())
        return m
