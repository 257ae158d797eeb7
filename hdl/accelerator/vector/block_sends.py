"""What is sent of a block of four values: the change from what is held, where it is large enough."""

from itertools import pairwise
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from golden.config import BLOCK_COLS
from hdl.accelerator.layout import GRID_BITS, HALVES, HELD, HELD_BITS
from hdl.common.arith import Fp16, fp16_from_fixed, fp16_magnitude, round_half_up
from hdl.common.component import Component

SENDS_LATENCY = 4
"""Cycles from a block to what is sent of it."""
_FRACTION_BITS = 24
_TO_GRID = _FRACTION_BITS - GRID_BITS


class BlockSends(Component):
    """Decides about a block of ``values`` (fp16, at most 1 in magnitude) in each cycle in which it is ``valid``.

    ``held``: what is held of them, in units of 2^-10. A value is sent when it is ``threshold``, in units of 2^-24, or
    more away from that (``single``), or the block when the sum of its distances is, or twice any of them; but none that
    is on the same point of the grid as before. SENDS_LATENCY cycles later ``done`` is high, ``sent`` says which,
    ``changes`` (fp16, exact) has by how much, +0 for those that are not, ``held_after`` what is held then, and
    ``values_after`` the values. With ``plain`` it is what pruning keeps: nothing is held, and where a value lies on the
    grid does not matter.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": In(1),
                "values": In(HALVES),
                "held": In(HELD),
                "threshold": In(31),
                "single": In(1),
                "plain": In(1),
                "done": Out(1),
                "sent": Out(BLOCK_COLS),
                "changes": Out(HALVES),
                "held_after": Out(HELD),
                "values_after": Out(HALVES),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        valid = Signal(SENDS_LATENCY)
        m.d.sync += valid.eq(Cat(self.valid, valid[:-1]))
        values = [
            self.values,
            *(Signal(HALVES, name=f"values_{i}") for i in range(1, SENDS_LATENCY)),
            self.values_after,
        ]
        held: list[Any] = [self.held, *(Signal(HELD, name=f"held_{i}") for i in range(1, SENDS_LATENCY))]
        for stages in (values, held):
            m.d.sync += [after.eq(before) for before, after in pairwise(stages)]

        moved: list[Value] = []
        distances: list[Value] = []
        near: list[Value] = []
        changes: list[Value] = []
        grid_points: list[Value] = []
        for i in range(BLOCK_COLS):
            # Stage 1: the value in units of 2^-24. Stage 2: how far it is from what is held, and its point on the grid.
            fixed = Signal(signed(_FRACTION_BITS + 2), name=f"fixed_{i}")
            magnitude = fp16_magnitude(self.values[i])
            m.d.sync += fixed.eq(Mux(Fp16(self.values[i]).sign, -magnitude, magnitude))
            base = Mux(self.plain, 0, Cat(Const(0, _TO_GRID), held[1][i]).as_signed())
            up, down = fixed - base, base - fixed
            distance = Signal(_FRACTION_BITS + 2, name=f"distance_{i}")
            point = Signal(signed(HELD_BITS), name=f"point_{i}")
            m.d.sync += [distance.eq(Mux(up < 0, down, up)), point.eq(round_half_up(fixed, _TO_GRID))]
            # Stage 3: the change, and what is compared on its own. Stage 4 decides.
            change = Signal(signed(HELD_BITS + 1), name=f"change_{i}")
            far = Signal(name=f"far_{i}")
            half_far = Signal(name=f"half_far_{i}")
            new = Signal(signed(HELD_BITS), name=f"new_{i}")
            m.d.sync += [
                change.eq(point - held[2][i]),
                new.eq(point),
                far.eq(distance >= self.threshold),
                half_far.eq((distance << 1) >= self.threshold),
            ]
            distances.append(distance)
            moved.append(far)
            near.append(half_far)
            changes.append(change)
            grid_points.append(new)
        pairs = [Signal(_FRACTION_BITS + 3, name=f"pair_{i}") for i in range(2)]
        m.d.sync += [pair.eq(distances[2 * i] + distances[2 * i + 1]) for i, pair in enumerate(pairs)]
        differs = Cat(change.any() | self.plain for change in changes)
        together = (pairs[0] + pairs[1] >= self.threshold) | Cat(near).any()
        sent = Signal(BLOCK_COLS)
        m.d.comb += [
            sent.eq(Mux(self.single, Cat(moved) & differs, (together & differs.any()).replicate(BLOCK_COLS))),
            self.done.eq(valid[-1]),
        ]
        m.d.sync += self.sent.eq(sent)
        for i, moves_by in enumerate(changes):
            m.d.sync += [
                self.changes[i].eq(Mux(sent[i], fp16_from_fixed(m, moves_by, GRID_BITS, f"change_{i}"), 0)),
                self.held_after[i].eq(Mux(sent[i], grid_points[i], held[3][i])),
            ]
        return m
