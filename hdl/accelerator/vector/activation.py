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

        # 1: magnitude, limited to the table: in the bits of the table's positions, and whether there are more of them
        bits = _LIMIT.bit_length() - 1
        magnitude = Signal(bits + 1)
        beyond = Signal()
        position = Signal(bits)
        negative = Signal(3)
        sigmoid = Signal(3)
        low, high = self.z[: bits + 1], self.z[bits:]
        m.d.comb += [
            magnitude.eq(Mux(self.z[-1], -low, low)),
            beyond.eq(Mux(self.z[-1], ~high.all(), high.any()) | magnitude[-1]),
        ]
        m.d.sync += [
            position.eq(Mux(beyond, _LIMIT - 1, magnitude)),
            negative.eq(Cat(self.z[-1], negative)),
            sigmoid.eq(Cat(self.sigmoid, sigmoid)),
        ]
        # 2: the table
        m.d.comb += [points.read_en.eq(1), points.read_addr.eq(position >> _POSITION_BITS)]
        fraction = Signal(_POSITION_BITS)
        m.d.sync += fraction.eq(position)
        # 3: how far it is into its segment
        segment = data.View(struct(_ROW), points.read_data)
        point = Signal(len(segment.point))
        way = Signal(len(segment.step) + _POSITION_BITS)
        m.d.sync += [point.eq(segment.point), way.eq(segment.step * fraction)]
        # 4: interpolation, rounded, with half of its last bit below the point; sign, and the shift from tanh to sigmoid
        value = Signal(20)
        result = Signal(signed(22))
        m.d.comb += [
            value.eq((Cat(Const(512, 10), Const(0, 4), point) + way) >> 10),
            result.eq(Mux(negative[2], -value, value)),
        ]
        m.d.sync += self.y.eq(Mux(sigmoid[2], (result + (1 << 20)) >> 1, result))
        return m
