"""Random synchronous designs with every operation that Amaranth has, to compare what simulates them."""

import random
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component

OPERATIONS = 60
WIDTHS = (1, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64)


class RandomDesign(Component):
    """Inputs i0..i3 and outputs o0..o7 of 64 bits around a random netlist."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        super().__init__({f"i{n}": In(64) for n in range(4)} | {f"o{n}": Out(64) for n in range(8)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rng = random.Random(self.seed)
        inputs = [getattr(self, f"i{n}") for n in range(4)]
        values = list(inputs)

        def any_value(widest=64):
            value = rng.choice(values)
            width = min(rng.choice(WIDTHS), len(value), widest)
            low = rng.randrange(len(value) - width + 1)
            part = value[low : low + width]
            return part.as_signed() if rng.random() < 0.4 else part

        def binary():
            a, b = any_value(), any_value()
            return rng.choice([
                lambda: a + b, lambda: a - b, lambda: a * b, lambda: a & b, lambda: a | b, lambda: a ^ b,
                lambda: a == b, lambda: a != b, lambda: a < b, lambda: a <= b, lambda: a > b, lambda: a >= b,
                lambda: a << any_value(5).as_unsigned(), lambda: a >> any_value(7).as_unsigned(),
                lambda: Cat(a, b), lambda: Mux(a, a, b),
            ])()  # fmt: skip

        def unary():
            a = any_value()
            return rng.choice([
                lambda: ~a, lambda: -a, a.any, a.all, a.xor, a.bool,
                lambda: abs(a), lambda: ~a.bool(), lambda: a.replicate(rng.choice([1, 2, 5])), lambda: a + 1,
                lambda: a.rotate_left(3), lambda: a[0].replicate(13), lambda: Cat(a[::-1], Const(5, 4)),
            ])()  # fmt: skip

        def chosen():
            index = any_value(4).as_unsigned()
            return rng.choice([
                lambda: Array(any_value() for _ in range(rng.choice([2, 3, 5])))[index],
                # beyond the end of a signed value Amaranth's simulator and Verilog differ
                lambda: any_value().as_unsigned().bit_select(index, 3),
                lambda: any_value().as_unsigned().word_select(index[:2], 4),
            ])()  # fmt: skip

        def name(value):
            """The value in a signal of its own, most often cut to 64 bits, with or without a clock and a condition."""
            width = min(len(value), rng.choice([64, 64, 64, 100]))
            shape = signed(width) if rng.random() < 0.3 else unsigned(width)
            signal = Signal(shape, init=rng.getrandbits(width) if not shape.signed else 0)
            domain = m.d.sync if rng.random() < 0.4 else m.d.comb
            if rng.random() < 0.5:
                domain += signal.eq(value)
            else:
                with m.If(any_value(2) == 1):
                    domain += signal.eq(value)
                with m.Elif(any_value(1).any()):
                    domain += signal[: width // 2 + 1].eq(any_value())
                with m.Else(), m.Switch(Cat(any_value(3), 0)[:3]):
                    with m.Case(0, 2):
                        domain += signal.eq(any_value())
                    with m.Case(1):
                        domain += signal.bit_select(any_value(6).as_unsigned(), 1).eq(any_value(1))
            values.append(signal)

        for n in range(2):
            shape = rng.choice([1, 8, 33, 64, 100])
            depth = rng.choice([4, 8, 12, 16])
            init = [rng.getrandbits(shape) for _ in range(rng.choice([1, depth]))]
            memory: Any = Memory(shape=shape, depth=depth, init=init)
            m.submodules[f"memory{n}"] = memory
            masked = rng.choice([None, None, 1]) if shape <= 8 else None
            write = memory.write_port(granularity=masked)
            transparent = (write,) if rng.random() < 0.5 else ()
            reads = [memory.read_port(transparent_for=transparent), memory.read_port(domain="comb")]
            for port in (write, *reads):
                m.d.comb += port.addr.eq(any_value(4))
            m.d.comb += [
                write.en.eq(any_value()),
                write.data.eq(Cat(any_value(), any_value())),
                reads[0].en.eq(any_value(1)),
            ]
            values += [port.data for port in reads]
        # one bit of many, at an index, more than a word of them
        many = Signal(70)
        index = any_value(7).as_unsigned()
        m.d.sync += many.bit_select(index, 1).eq(any_value(1))
        values.append(many)
        # parts of a value wider than any machine's arithmetic
        wide = Signal(300, init=rng.getrandbits(300))
        m.d.sync += wide.eq(Cat(any_value() for _ in range(8)))
        values += [wide, *(wide.bit_select(any_value(9).as_unsigned(), n) for n in (17, 64))]
        for _ in range(OPERATIONS):
            name(rng.choice([binary, binary, unary, chosen])())
        for n in range(8):
            parts = [any_value() for _ in range(3)] + values[-1 - 7 * n : -8 - 7 * n : -1]
            result = parts[0]
            for part in parts[1:]:
                result = (result << 1) ^ part
            m.d.comb += getattr(self, f"o{n}").eq(result)
        return m
