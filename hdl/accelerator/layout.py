"""Payloads that cross the boundaries inside the accelerator. Addresses inside are word addresses (64-bit words)."""

from typing import Any

from amaranth import Const, Mux, Value, unsigned
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import In, Out, Signature

from golden.config import AcceleratorConfig
from golden.isa import Counter

WORD_ADDRESS_BITS = 61
BURST_WORDS = 16


class Kind(enum.Enum, shape=2):
    """Where the words of a burst go, or come from."""

    W = 0
    U = 1
    X = 2
    STORE = 3


def bits_for(largest: int) -> int:
    """Bits of an unsigned number that can be ``largest``."""
    return max(1, largest.bit_length())


class Widths:
    """Bit widths derived from a configuration, in one place."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        self.x_blocks = bits_for(cfg.x_blocks)
        self.h_blocks = bits_for(cfg.h_blocks)
        self.columns = max(self.x_blocks, self.h_blocks)
        self.blocks = bits_for(cfg.max_rows // 8)
        self.row_group = bits_for(cfg.row_groups - 1)
        self.t = bits_for(cfg.max_t)
        self.fuse = bits_for(cfg.fuse_capacity)
        self.group = bits_for(cfg.fuse_capacity * cfg.w_pes)
        self.bank = bits_for(cfg.w_pes - 1)
        self.slot = bits_for(cfg.bank_slots - 1)
        self.x_half_word = bits_for(cfg.max_x // 2 - 1)
        self.x_index = self.bank + self.slot + self.x_half_word
        self.ring_depth = max(64, 2 * cfg.window)
        self.ring = bits_for(self.ring_depth - 1)
        self.index = max(self.x_index, self.ring)
        self.w_words = bits_for(9 * cfg.x_blocks * (cfg.max_rows // 8))


def item_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """One value word, decoded.

    ``values``: four fp16; ``selects``: for each, its column within the block column; ``lanes``: for each, its row
    within the group of 16 rows ``row_group``; ``first``: results are overwritten, not added to; ``column``: block
    column; ``half``: which half of double-buffered storage; ``end``: no values, the pass or step is complete, and
    ``first`` then says that there was no column at all.
    """
    w = Widths(cfg)
    return data.StructLayout(
        {
            "values": data.ArrayLayout(unsigned(16), 4),
            "selects": data.ArrayLayout(unsigned(2), 4),
            "lanes": data.ArrayLayout(unsigned(4), 4),
            "row_group": unsigned(w.row_group),
            "column": unsigned(w.columns),
            "first": unsigned(1),
            "half": unsigned(1),
            "end": unsigned(1),
        }
    )


def column_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """One block column for a decoder to expect; ``words`` is its length where that is known in advance."""
    w = Widths(cfg)
    return data.StructLayout(
        {
            "column": unsigned(w.columns),
            "words": unsigned(16),
            "first": unsigned(1),
            "half": unsigned(1),
            "end": unsigned(1),
        }
    )


def event_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """What each counter of the same name grows by in this cycle."""
    names = [
        c.name.lower() for c in Counter if c not in (Counter.STATUS, Counter.VERSION, Counter.CYCLES, Counter.N_FUSE)
    ]
    return data.StructLayout({name: unsigned(bits_for(cfg.n_pe) if name == "pe_busy" else 1) for name in names})


class OfferSignature(Signature):
    """A burst that a requester offers: up to 16 consecutive words that do not cross a 128-byte boundary.

    Unlike a stream, an offer is made anew every cycle: it may grow, change or go until the cycle in which ``taken``
    is high. ``index`` belongs to the first word and counts up with the words.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "addr": Out(WORD_ADDRESS_BITS),
                "words": Out(5),
                "kind": Out(Kind),
                "index": Out(Widths(cfg).index),
                "taken": In(1),
            }
        )


def burst_words(addr: Value, *limits: Value) -> Value:
    """Words of the next burst from ``addr``: up to the 128-byte boundary and to every limit."""
    words = Const(BURST_WORDS, 5) - addr[:4]
    for limit in limits:
        words = Mux(limit < words, limit, words)
    return words[:5]


def segment_layout() -> data.StructLayout:
    """A run of consecutive words of any length."""
    return data.StructLayout({"addr": unsigned(WORD_ADDRESS_BITS), "words": unsigned(24)})


class FillSignature(Signature):
    """A loaded word on its way to the buffer that asked for it; it cannot be refused."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "kind": Out(Kind),
                "index": Out(Widths(cfg).index),
                "data": Out(64),
            }
        )


def adapter_members(cfg: AcceleratorConfig) -> dict[str, Any]:
    """What every memory adapter shows the datapath, beside its port to memory; each says what its pulses mean."""
    return {
        "burst": In(OfferSignature(cfg)),
        "store_data": In(stream.Signature(unsigned(64))),
        "fill": Out(FillSignature(cfg)),
        "stored": Out(1),
        "load_error": Out(1),
        "store_error": Out(1),
        "stop": In(1),
        "idle": Out(1),
        "busy": Out(1),
        "stalled": Out(1),
        "full": Out(1),
    }


class ParametersSignature(Signature):
    """What a run needs to know; stable while it lasts. Sizes in blocks of 4 elements, addresses in words."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        w = Widths(cfg)
        super().__init__(
            {
                "x_blocks": Out(w.x_blocks),
                "h_blocks": Out(w.h_blocks),
                "steps": Out(w.t),
                "n_fuse": Out(w.fuse),
                "threshold": Out(31),
                "w": Out(WORD_ADDRESS_BITS),
                "u": Out(WORD_ADDRESS_BITS),
                "u_offsets": Out(WORD_ADDRESS_BITS),
                "bias": Out(WORD_ADDRESS_BITS),
                "x": Out(WORD_ADDRESS_BITS),
                "h": Out(WORD_ADDRESS_BITS),
                "state": Out(WORD_ADDRESS_BITS),
                "h_seq": Out(1),
                "h_pruned": Out(1),
                "state_in": Out(1),
                "state_out": Out(1),
            }
        )


def group_capacity(cfg: AcceleratorConfig, parameters: Any) -> Value:
    """Time steps of a full group at the fusion factor of the run; the last group may have fewer."""
    return (parameters.n_fuse * cfg.w_pes)[: Widths(cfg).group]
