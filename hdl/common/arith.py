"""Arithmetic on fixed-point and IEEE values as Amaranth expressions: every narrowing has a name.

Fixed point is Q12.20 unless a name says otherwise: a signed 32-bit integer in units of 2^-20.
"""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data

FRACTION_BITS = 20

FP16 = data.StructLayout({"fraction": unsigned(10), "exponent": unsigned(5), "sign": unsigned(1)})
"""The fields of an fp16 value, the exponent biased by 15."""
FP32 = data.StructLayout({"fraction": unsigned(23), "exponent": unsigned(8), "sign": unsigned(1)})
"""The fields of an fp32 value, the exponent biased by 127."""


def round_half_up(value: Value, bits: int) -> Value:
    """``(value + 2^(bits-1)) >> bits``, signed, also for negative values."""
    if bits < 1:
        raise ValueError(f"bits must be at least 1, not {bits!r}")
    signed_value = value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()
    return (signed_value + Const(1 << (bits - 1), bits + 1)) >> bits


def round_signed_half_up(magnitude: Value, negative: Value, bits: int) -> Value:
    """``round_half_up`` of the magnitude or, where ``negative``, of its negative: one addition for both."""
    if not 1 <= bits < len(magnitude):
        raise ValueError(f"bits must be from 1 to {len(magnitude) - 1}, not {bits!r}")
    whole = Cat(magnitude[bits:], Const(0, 1))
    return signed_rounded(whole, negative, magnitude[bits - 1], magnitude[: bits - 1].any())


def signed_rounded(whole: Value, negative: Value, half: Value, rest: Value) -> Value:
    """A magnitude with its sign, rounded half up, in as many bits as ``whole``.

    ``half`` is the first bit below ``whole``, ``rest`` says whether a bit below that one is set.
    """
    # -v = ~v + 1: that 1 carries into the bits that stay as far as those below, with the half of rounding, let it
    carry = Mux(negative, ~(half & rest), half)
    return ((whole ^ negative.replicate(len(whole))) + carry)[: len(whole)].as_signed()


def saturate(value: Value, bits: int) -> Value:
    """The nearest signed integer of ``bits`` bits."""
    high = value[bits - 1 :]
    fits = ~(high.any() & ~high.all())
    limit = Cat((~value[-1]).replicate(bits - 1), value[-1]).as_signed()
    return Mux(fits, value[:bits].as_signed(), limit)


def add_wrapping(a: Value, b: Value) -> tuple[Value, Value]:
    """Sum of two signed integers of the same width, wrapped, and whether it overflowed."""
    width = len(a)
    if len(b) != width:
        raise ValueError(f"both terms must have the same width, not {width} and {len(b)} bits")
    total = (a.as_signed() + b.as_signed())[:width]
    return total.as_signed(), (a[-1] == b[-1]) & (total[-1] != a[-1])


class Fp16:
    """Fields of an fp16 value: significand with the hidden bit, and the exponent with subnormals at 1.

    The magnitude is ``significand * 2^(exponent - 25)``.
    """

    def __init__(self, bits: Value) -> None:
        bits = Value.cast(bits)
        if len(bits) != 16:
            raise ValueError(f"an fp16 value has 16 bits, not {len(bits)}")
        half = data.View(FP16, bits)
        biased = half.exponent
        self.sign = half.sign
        self.biased = biased
        self.significand = Cat(half.fraction, biased.any())
        self.exponent = Cat(biased[0] | ~biased.any(), biased[1:])
        self.finite = ~biased.all()


def fp16_magnitude(bits: Value) -> Value:
    """|h| of a finite fp16 value of at most 1 as an integer in units of 2^-24 (25 bits)."""
    half = Fp16(bits)
    return (half.significand << (half.exponent - 1)[:4])[:25]


def fp16_to_q20(bits: Value) -> Value:
    """A finite fp16 value below 2048 in magnitude as Q12.20, rounded half up."""
    half = Fp16(bits)
    # significand * 2^(exponent - 25) = (significand << exponent) * 2^-25: five bits to round away
    magnitude = (half.significand << half.exponent)[:37]
    return round_signed_half_up(magnitude, half.sign, 5)[:32].as_signed()


def fp16_from_byte(byte: Value) -> Value:
    """fp16 of an unsigned number k of 8 bits that means k/256, exact."""
    bits: Value = Const(0, 15)
    for place in range(8):
        # k = 2^place + rest: the exponent is that of 2^(place - 8)
        bits = Mux(byte[place], Cat((byte << (10 - place))[:10], Const(place - 8 + 15, 5)), bits)
    return Cat(bits, Const(0, 1))


class Fp16FromFp32:
    """An fp32 value rounded to fp16, to nearest even.

    Attributes: ``bits`` (16), ``inexact`` (the value is not an fp16 value), ``overflow`` (not finite in fp16);
    ``large``, which is there sooner: at least 2^16. An overflow is large or has the bits of infinity, and what is large
    has any bits. Signals are created in ``m`` under ``name``.
    """

    def __init__(self, m: Module, value: Value, name: str) -> None:
        value = Value.cast(value)
        single = data.View(FP32, value)
        biased, fraction, sign = single.exponent, single.fraction, single.sign
        normal = Signal(name=f"{name}_normal")
        shift = Signal(4, name=f"{name}_shift")
        wide = Signal(36, name=f"{name}_wide")
        magnitude = Signal(17, name=f"{name}_magnitude")
        self.bits = Signal(16, name=f"{name}_bits")
        self.inexact = Signal(name=f"{name}_inexact")
        self.overflow = Signal(name=f"{name}_overflow")
        self.large = Signal(name=f"{name}_large")
        significand = Cat(fraction, Const(1, 1))
        vanishes = biased < 101
        m.d.comb += [
            normal.eq(biased >= 113),
            # a subnormal result loses one more bit for every step of the exponent below 2^-14
            shift.eq(Mux(normal, 0, 113 - biased)),
            wide.eq(Cat(Const(0, 12), significand) >> shift),
            magnitude.eq(
                Mux(normal, Cat(Const(0, 10), (biased - 113)[:7]), 0)
                + wide[25:]
                + (wide[24] & (wide[25] | wide[:24].any()))
            ),
            self.bits.eq(Mux(vanishes, Cat(Const(0, 15), sign), Cat(magnitude[:15], sign))),
            self.inexact.eq(Mux(vanishes, biased.any() | fraction.any(), wide[:25].any())),
            self.large.eq(biased >= 143),
            self.overflow.eq(self.large | (~vanishes & (magnitude >= 0x7C00))),
        ]


def fp16_from_q20_magnitude(m: Module, magnitude: Value, name: str) -> Value:
    """fp16 magnitude (15 bits) of an integer 0..2^20 in units of 2^-20, rounded to nearest even."""
    normalised = Signal(21, name=f"{name}_normalised")
    leading = Signal(range(21), name=f"{name}_leading")
    for bit in range(21):
        with m.If(magnitude[bit]):
            m.d.comb += [leading.eq(bit), normalised.eq(magnitude << (20 - bit))]
    rounded = Cat(normalised[10:20], (leading - 5)[:5]) + (normalised[9] & (normalised[10] | normalised[:9].any()))
    # below 2^-14 fp16 is fixed point with units of 2^-24
    return Mux(leading >= 6, rounded[:15], Cat(Const(0, 4), magnitude[:6], Const(0, 5)))


def fp16_from_fixed(m: Module, value: Value, fraction_bits: int, name: str) -> Value:
    """A signed whole number of 2^-fraction_bits as fp16, where it is a normal number or 0, exactly in 11 bits."""
    bits = len(value) - 1
    magnitude = Signal(bits, name=f"{name}_magnitude")
    half: Any = Signal(data.StructLayout({"fraction": unsigned(10), "exponent": unsigned(5)}), name=f"{name}_half")
    m.d.comb += magnitude.eq(Mux(value < 0, -value, value))
    for place in range(bits):
        with m.If(magnitude[place]):
            aligned = magnitude << (10 - place) if place <= 10 else magnitude >> (place - 10)
            m.d.comb += [half.fraction.eq(aligned), half.exponent.eq(place - fraction_bits + 15)]
    return Cat(half, value < 0)


def fp16_to_fp32(m: Module, bits: Value, name: str) -> Value:
    """The fp32 bits of a finite fp16 value, exact."""
    half = data.View(FP16, bits)
    fraction, biased = half.fraction, half.exponent
    shifted = Signal(10, name=f"{name}_shifted")
    leading = Signal(range(10), name=f"{name}_leading")
    for bit in range(10):
        with m.If(fraction[bit]):
            m.d.comb += [leading.eq(bit), shifted.eq(fraction << (10 - bit))]
    zero = ~(fraction.any() | biased.any())
    exponent = Mux(biased.any(), biased + 112, Mux(zero, 0, leading + 103))
    return Cat(Const(0, 13), Mux(biased.any(), fraction, shifted), exponent[:8], half.sign)


__all__ = [
    "FP16",
    "FP32",
    "FRACTION_BITS",
    "Fp16",
    "Fp16FromFp32",
    "add_wrapping",
    "fp16_from_byte",
    "fp16_from_fixed",
    "fp16_from_q20_magnitude",
    "fp16_magnitude",
    "fp16_to_fp32",
    "fp16_to_q20",
    "round_half_up",
    "round_signed_half_up",
    "saturate",
    "signed_rounded",
]
