"""tanh and sigmoid of a Q12.20 value by linear interpolation in one table of 512 segments."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden.fields import Layout
from golden.tables import TANH, TANH_SEGMENTS
from hdl.common.component import Component
from hdl.common.ram import Ram
from hdl.common.struct import struct

ACTIVATION_LATENCY = 4
_ROW = Layout({"point": 16, "step": 11})
TANH_ROW_BITS = _ROW.bits
"""A segment in the table: its first point, and how far it is from there to the next."""
_POSITION_BITS = 14
_LIMIT = TANH_SEGMENTS << _POSITION_BITS


class Activation(Component):
    """``y`` is tanh(``z``), or sigmoid(2 z) where ``sigmoid`` came with it, ACTIVATION_LATENCY cycles later.

    One a cycle. Both in units of 2^-20. Symmetric tables cost one bit: sigmoid(2 z) = (1 + tanh(z)) / 2.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "z": In(signed(32)),
                "sigmoid": In(1),
                "y": Out(signed(21)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows = [_ROW.pack(point=TANH[i], step=TANH[i + 1] - TANH[i]) for i in range(TANH_SEGMENTS)]
        m.submodules.points = points = Ram(TANH_ROW_BITS, TANH_SEGMENTS, init=rows)

        # 1: magnitude, limited to the table
        magnitude = Signal(33)
        position = Signal(23)
        negative = Signal(3)
        sigmoid = Signal(3)
        m.d.comb += magnitude.eq(Mux(self.z < 0, -self.z, self.z))
        m.d.sync += [
            position.eq(Mux(magnitude >= _LIMIT, _LIMIT - 1, magnitude)),
            negative.eq(Cat(self.z < 0, negative)),
            sigmoid.eq(Cat(self.sigmoid, sigmoid)),
        ]
        # 2: the table
        m.d.comb += [points.read_en.eq(1), points.read_addr.eq(position >> _POSITION_BITS)]
        fraction = Signal(_POSITION_BITS)
        m.d.sync += fraction.eq(position)
        # 3: interpolation
        segment = data.View(struct(_ROW), points.read_data)
        value = Signal(20)
        m.d.sync += value.eq(Cat(Const(0, 4), segment.point) + ((segment.step * fraction + 512) >> 10))
        # 4: sign, and the shift from tanh to sigmoid
        result = Signal(signed(22))
        m.d.comb += result.eq(Mux(negative[2], -value, value))
        m.d.sync += self.y.eq(Mux(sigmoid[2], (result + (1 << 20)) >> 1, result))
        return m
