"""The arithmetic of a cell in its stages, for each unit of h that is made in a cycle."""

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, Value, signed

from hdl.accelerator.layout import GATE_BITS, SUM_BITS
from hdl.accelerator.vector.activation import ACTIVATION_LATENCY
from hdl.common.arith import FRACTION_BITS, fp16_from_q20_magnitude, round_half_up, saturate


def next_cell(m: Module, forget: Value, into: Value, candidate: Value, old: Value, suffix: str = "") -> Signal:
    """c = f c + i g, two cycles after the gates and the old c; one saturation after the sum.

    ``suffix``: of the names of signals, where there are several units.
    """
    kept = Signal(signed(SUM_BITS + GATE_BITS), name=f"kept{suffix}")
    added = Signal(signed(2 * GATE_BITS), name=f"added{suffix}")
    c = Signal(signed(SUM_BITS), name=f"c{suffix}")
    m.d.sync += [
        kept.eq(forget * old),
        added.eq(into * candidate),
        c.eq(saturate(round_half_up(kept, FRACTION_BITS) + round_half_up(added, FRACTION_BITS), SUM_BITS)),
    ]
    return c


def unit_of_h(m: Module, output: Value, tanh: Value, suffix: str = "") -> Value:
    """h = o tanh(c) in fp16, two cycles after tanh; ``output`` is o as it comes with the other gates, from which tanh
    is ACTIVATION_LATENCY + 2 cycles."""
    outputs = [output]
    for stage in range(3, 5 + ACTIVATION_LATENCY):
        outputs.append(Signal(signed(GATE_BITS), name=f"o{suffix}_{stage}"))
    product = Signal(signed(2 * GATE_BITS), name=f"product{suffix}")
    h = Signal(signed(FRACTION_BITS + 2), name=f"h{suffix}")
    negative = Signal(name=f"negative{suffix}")
    magnitude = Signal(FRACTION_BITS + 1, name=f"magnitude{suffix}")
    half = Signal(15, name=f"half{suffix}")
    m.d.comb += [
        h.eq(round_half_up(product, FRACTION_BITS)),
        half.eq(fp16_from_q20_magnitude(m, magnitude, f"h{suffix}")),
    ]
    m.d.sync += [
        *(after.eq(before) for before, after in pairwise(outputs)),
        product.eq(outputs[-1] * tanh),
        negative.eq(h < 0),
        magnitude.eq(Mux(h < 0, -h, h)),
    ]
    return Cat(half, negative)
