"""From gates to h: blocks of units, the hidden state and the cell."""

from amaranth import signed
from amaranth.hdl import ShapeLike
from amaranth.lib.wiring import In, Out, Signature

from golden.config import GATES, AcceleratorConfig
from hdl.accelerator.layout import (
    GATE_BITS,
    HALVES,
    SUM_BITS,
    Widths,
)


class WriteSignature(Signature):
    """A write to one row of a memory, seen from the writer."""

    def __init__(self, rows: int, shape: ShapeLike) -> None:
        super().__init__({"en": Out(1), "addr": Out(range(max(2, rows))), "data": Out(shape)})


class QuadSignature(Signature):
    """Blocks of gates, seen from the gate unit.

    ``done`` pulses a cycle before all four gates of the next block of units can be read, in order, at ``addr`` of the
    block number modulo 8; ``gates[gate][unit]``, in units of 2^-20, follows one cycle later.
    """

    def __init__(self) -> None:
        super().__init__({"done": Out(1), "addr": In(3), "gates": Out(signed(GATE_BITS)).array(4, 4)})


class UnitGatesSignature(Signature):
    """All gates of the units that are made in a cycle, seen from who makes them.

    ``coming`` says two cycles ahead of ``gates[gate][unit]``, in units of 2^-20, which units those are: part ``part``
    of block ``block``; of eight units a cycle ``block`` counts pairs of blocks, and the last may be one block alone.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "coming": Out(1),
                "block": Out(Widths(cfg).h_blocks),
                "part": Out(range(max(2, cfg.row_units // cfg.vector_units))),
                "gates": Out(signed(GATE_BITS)).array(GATES, cfg.vector_units),
            }
        )


class UnitSignature(Signature):
    """Elements of h in ascending order: with ``valid`` one of them, ``h`` in fp16, or ``units`` of them at once.

    Of eight the last four mean nothing where they are beyond the end of h.
    """

    def __init__(self, units: int = 1) -> None:
        super().__init__({"valid": Out(1), "h": Out(16) if units == 1 else Out(16).array(units)})


class StateReadSignature(Signature):
    """A read of element ``addr`` of what a run keeps, seen from the reader: 32 bits, ``value``, one cycle later; only
    while no step is in work."""

    def __init__(self, elements: int) -> None:
        super().__init__({"read": Out(1), "addr": Out(range(max(2, elements))), "value": In(signed(32))})


class KeepSignature(Signature):
    """Keep bits of h, seen from who holds it: ``published`` pulses, in order, a cycle before a block can be read, or
    says how many blocks; in builds with DELTA bits that were asked for stay until ``en``.

    Parameters:
        addr: shape of a block's number, if it is not one of h.
    """

    def __init__(self, cfg: AcceleratorConfig, addr: ShapeLike | None = None) -> None:
        blocks = Widths(cfg).h_blocks if addr is None else addr
        enable = {"en": In(1)} if cfg.delta else {}
        at_once = 1 if addr is not None else cfg.row_blocks
        published = Out(range(at_once + 1))
        super().__init__({"published": published, "addr": In(blocks), **enable, "keep": Out(cfg.keep_bits)})


class BlockSignature(Signature):
    """A read of a block of s(h), seen from the reader; ``h`` holds until the next.

    Parameters:
        addr: shape of a block's number, if it is not one of h.
    """

    def __init__(self, cfg: AcceleratorConfig, addr: ShapeLike | None = None) -> None:
        blocks = Widths(cfg).h_blocks if addr is None else addr
        super().__init__({"en": Out(1), "addr": Out(blocks), "h": In(HALVES)})


class RowSignature(Signature):
    """The last two rows of h, seen from who holds them: ``done`` pulses when a row is complete.

    ``half`` and ``addr`` ask for a block of the one or the other, with its keep bits. In builds with DELTA ``raw`` asks
    for what h of the last step is, whatever its row is to be.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                **({"raw": In(1)} if cfg.delta else {}),
                "done": Out(1),
                "half": In(1),
                "addr": In(Widths(cfg).h_blocks),
                "keep": Out(cfg.keep_bits),
                "h": Out(HALVES),
            }
        )


class CellReadSignature(Signature):
    """A read of c of unit ``addr``, seen from the reader; only while no step is in work."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"read": Out(1), "addr": Out(range(cfg.max_h)), "c": In(signed(SUM_BITS))})
