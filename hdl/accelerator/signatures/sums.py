"""Banks of sums: words for them, and reads of what they hold."""

from amaranth import signed, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.layout import (
    HALVES,
    SUM_BITS,
    Widths,
    item_layout,
)


class BankSignature(Signature):
    """Words for one bank of sums, seen from who issues them.

    Parameters:
        depth: row groups in each memory of the bank.
        memories: memories of the bank.
        mark: shape of what travels beside the words.
        sums: of a read, those of a row group or of two.

    With ``issue`` a PE takes ``item``; its sums are in row group ``addr`` of memory ``memory``, or each value's in one
    of its own. ``operands`` is the block that it meets, one cycle later. ``mark`` comes back as ``marked`` when the
    words that were issued before it are in the sums: LANE_LATENCY cycles later.

    ``read`` reads ``read_addr`` of ``read_memory``: a row group of sums follows one cycle later and holds until the
    memory is used again. It must not come two cycles after an issue for the same memory, which is when that fetches.
    ``read_clears``: which quarters of it then become zero.

    ``clear`` makes the first ``clear_rows`` row groups of ``clear_memory`` zero; until then, as long as ``clearing`` is
    high, they must not be used.

    ``overflow`` pulses a cycle after a product or a sum left the 32-bit range.
    """

    def __init__(
        self, cfg: AcceleratorConfig, depth: int, *, memories: int = 1, mark: ShapeLike = 1, sums: int = BANK_LANES
    ) -> None:
        memory = range(max(2, memories))
        addr = range(max(2, depth))
        super().__init__(
            {
                "item": Out(item_layout(cfg)),
                "issue": Out(1),
                "memory": Out(memory),
                "addr": Out(addr).array(cfg.entries if cfg.streams else 1),
                "operands": Out(HALVES),
                "mark": Out(mark),
                "marked": In(mark),
                "read": Out(1),
                "read_memory": Out(memory),
                "read_addr": Out(addr),
                "read_clears": Out(4),
                "sums": In(signed(SUM_BITS)).array(sums),
                "clear": Out(1),
                "clear_memory": Out(memory),
                "clear_rows": Out(range(depth + 1)),
                "clearing": In(1),
                "overflow": In(1),
            }
        )


def w_bank_signature(cfg: AcceleratorConfig) -> BankSignature:
    """A bank of W x; ``mark``: that a group of steps ended."""
    return BankSignature(cfg, cfg.bank_slots * cfg.row_groups)


def u_bank_signature(cfg: AcceleratorConfig) -> BankSignature:
    """The bank of U h; ``mark``: that a step ended, and whether it had no column."""
    mark = data.StructLayout({"end": unsigned(1), "empty": unsigned(1)})
    return BankSignature(cfg, cfg.row_groups, memories=2, mark=mark, sums=cfg.sums_at_once)


class WeightSumsSignature(Signature):
    """A read of row group ``addr`` of a bank of W x, seen from the reader; ``sums`` follow three cycles later, for one
    cycle. ``clears``: the quarters of it that are not read again."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        w = Widths(cfg)
        super().__init__(
            {
                "read": Out(1),
                "bank": Out(w.bank),
                "addr": Out(w.w_row),
                "clears": Out(4),
                "sums": In(signed(SUM_BITS)).array(BANK_LANES),
            }
        )


class RecurrentSumsSignature(Signature):
    """A read of 16 sums U s(h), seen from the reader, or of 32 that lie in an even row group and the next; ``sums``
    follow one cycle later and hold. ``clears``: the quarters of a row group that are not read again."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "read": Out(1),
                "half": Out(1),
                "row_group": Out(Widths(cfg).row_group),
                "clears": Out(4),
                "sums": In(signed(SUM_BITS)).array(cfg.sums_at_once),
            }
        )


class StepSignature(Signature):
    """``done`` pulses when a step's sums U s(h) are complete; with ``empty`` they are zero and in no memory."""

    def __init__(self) -> None:
        super().__init__({"done": Out(1), "empty": Out(1)})
