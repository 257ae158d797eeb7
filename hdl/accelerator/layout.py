"""Widths and payloads inside the accelerator. Addresses inside are word addresses (64-bit words)."""

from typing import Any

from amaranth import Cat, Const, Mux, Value, signed, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, enum

from golden.config import BLOCK_COLS, AcceleratorConfig

WORD_ADDRESS_BITS = 61
BURST_WORDS = 16
SUM_BITS = 32
"""A sum, or a cell: Q12.20."""
TAG_BITS = 4
"""Number of a unit of W, modulo 16, among those under way."""
ACTIVE_BITS = 8
"""Width of the number of time steps in the banks under the list."""
GATE_BITS = 21
"""A gate after its activation function, signed, in units of 2^-20."""


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
        self.units = bits_for(cfg.max_x)
        self.h_units = bits_for(cfg.max_h)
        self.h_blocks = bits_for(cfg.h_blocks)
        # which unit of a row of its memory, and which block
        self.row_unit = bits_for(cfg.row_units - 1)
        self.row_block = (cfg.row_blocks - 1).bit_length()
        self.columns = max(self.x_blocks, self.h_blocks)
        self.blocks = bits_for(cfg.max_rows // 8)
        self.row_group = bits_for(cfg.row_groups - 1)
        self.t = bits_for(cfg.max_t)
        self.fuse = bits_for(cfg.fuse_capacity)
        self.group = max(bits_for(cfg.fuse_capacity * cfg.w_pes), bits_for(cfg.max_group) if cfg.group_list else 1)
        self.bank = bits_for(cfg.w_banks - 1)
        self.w_row = bits_for(cfg.bank_slots * cfg.row_groups - 1)
        self.x_row = bits_for(cfg.bank_slots * cfg.x_blocks - 1)
        # with events a word of a row, else bank, row and half
        self.x_index = bits_for(cfg.max_x // 2 - 1) if cfg.events else self.bank + self.x_row + 1
        self.ring_depth = max(64, 2 * cfg.window)
        self.ring = bits_for(self.ring_depth - 1)
        self.index = max(self.x_index, self.ring)
        self.w_words = bits_for(9 * cfg.x_blocks * (cfg.max_rows // 8))


GRID_BITS = 10
"""Held values and their changes are whole numbers of 2^-10."""
HELD_BITS = GRID_BITS + 2
"""A held value, or a part of one block's: a signed whole number of 2^-10, at most 1 in magnitude."""
HELD_LIMIT = 1 << GRID_BITS
"""The most that is held."""
HELD = data.ArrayLayout(signed(HELD_BITS), BLOCK_COLS)
"""Held values of a block."""
HALVES = data.ArrayLayout(unsigned(16), 4)
"""A word of four 16-bit numbers: fp16 weights, biases or h, or lengths of columns."""


def mark_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """What travels with a unit's words.

    ``first``: results are overwritten, not added to; ``half``: which half of double-buffered storage; ``tag``: which
    list of steps they are for, where there are lists; ``of_u``: with events, whether they are of U or of W.
    """
    tag = {"tag": unsigned(TAG_BITS)} if cfg.group_list else {}
    of_u = {"of_u": unsigned(1)} if cfg.events else {}
    return data.StructLayout({"first": unsigned(1), "half": unsigned(1), **tag, **of_u})


def units_rows(cfg: AcceleratorConfig, h_blocks: Value) -> Value:
    """Rows of ``row_units`` units in an h of so many blocks."""
    return h_blocks if cfg.row_blocks == 1 else (h_blocks + 1) >> 1


def item_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """One value word, decoded.

    ``values``: fp16, 0 where there is none; ``selects``: for each, its column within the block of 4 columns
    ``column``; ``lanes``: for each, its row within a group of 16; ``row_groups``: that group, one for all or, where
    streams are read, one for each; there ``used`` says where there is a value. ``mark``: its unit's; ``end``: no
    values, the pass or step is complete, and ``first`` then says that there was no unit at all.
    """
    w = Widths(cfg)
    used = {"used": unsigned(cfg.entries)} if cfg.streams else {}
    return data.StructLayout(
        {
            "values": data.ArrayLayout(unsigned(16), cfg.entries),
            **used,
            "selects": data.ArrayLayout(unsigned(bits_for(BLOCK_COLS - 1)), cfg.entries),
            "row_groups": data.ArrayLayout(unsigned(w.row_group), cfg.entries if cfg.streams else 1),
            "lanes": data.ArrayLayout(unsigned(4), cfg.entries),
            "column": unsigned(w.columns),
            "mark": mark_layout(cfg),
            "end": unsigned(1),
        }
    )


def column_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """One unit of columns for a decoder to expect; ``words`` is its length where that is known in advance."""
    w = Widths(cfg)
    return data.StructLayout(
        {
            "column": unsigned(max(w.units, w.h_units) if cfg.streams else w.columns),
            "words": unsigned(16),
            "mark": mark_layout(cfg),
            "end": unsigned(1),
        }
    )


def u_offset_words(cfg: AcceleratorConfig) -> int:
    """Words of the lengths of U's units, at most: of streams a unit may be one column."""
    return -(-(cfg.max_h if cfg.streams else cfg.h_blocks) // 4)


def half_place(cfg: AcceleratorConfig) -> tuple[int, int]:
    """Slot and bank of the first step of a group in the upper half of the slots: steps go around the banks."""
    return divmod(cfg.fuse_capacity * cfg.w_pes, cfg.w_banks)


def stream_unit_layout(cfg: AcceleratorConfig, mark: ShapeLike) -> data.StructLayout:
    """A unit of columns for a decoder of streams to expect; ``words``: its length; ``mark``: what its items carry."""
    return data.StructLayout(
        {
            "unit": unsigned(bits_for(max(cfg.max_x, cfg.max_h) - 1)),
            "words": unsigned(16),
            "mark": mark,
            "end": unsigned(1),
        }
    )


def stream_item_layout(cfg: AcceleratorConfig, streams: int, mark: ShapeLike) -> data.StructLayout:
    """One word of streams, decoded.

    ``values``: fp16, 0 where there is none; ``used``: where there is one; ``selects``: for each, its column within the
    block of 4 columns ``column``; ``row_groups``, ``lanes``: for each, its group of 16 rows, and its row within it;
    ``mark``: its unit's; ``end``: no values, the pass or step is complete.
    """
    w = Widths(cfg)
    return data.StructLayout(
        {
            "values": data.ArrayLayout(unsigned(16), streams),
            "used": unsigned(streams),
            "selects": data.ArrayLayout(unsigned(bits_for(BLOCK_COLS - 1)), streams),
            "row_groups": data.ArrayLayout(unsigned(w.row_group), streams),
            "lanes": data.ArrayLayout(unsigned(4), streams),
            "column": unsigned(w.columns),
            "mark": mark,
            "end": unsigned(1),
        }
    )


def segment_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """A run of consecutive words of any length; ``of_u``: with events, whether they are of a column of U."""
    of_u = {"of_u": unsigned(1)} if cfg.events else {}
    return data.StructLayout({"addr": unsigned(WORD_ADDRESS_BITS), "words": unsigned(24), **of_u})


def burst_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """A burst on its way to the memory port: see OfferSignature."""
    return data.StructLayout(
        {
            "addr": unsigned(WORD_ADDRESS_BITS),
            "words": unsigned(5),
            "kind": Kind,
            "index": unsigned(Widths(cfg).index),
        }
    )


def target_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """Where an answer of memory goes."""
    return data.StructLayout({"kind": Kind, "index": unsigned(Widths(cfg).index)})


def x_index_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """Where a word of x goes: two of a block's values, in the memory of one bank."""
    w = Widths(cfg)
    return data.StructLayout({"upper": unsigned(1), "row": unsigned(w.x_row), "bank": unsigned(w.bank)})


def step_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """A time step of a bank: the first rows of its sums and of its inputs."""
    w = Widths(cfg)
    return data.StructLayout({"sums": unsigned(w.w_row), "x": unsigned(w.x_row)})


def slot_after(base: Value, stride: Value, rows: int) -> Value:
    """First row of the slot that follows the one from row ``base`` on, in a memory of ``rows``."""
    end = base + (stride << 1)
    return Mux(end > rows, 0, base + stride)


def unit_layout(cfg: AcceleratorConfig) -> data.StructLayout:
    """A unit of W's columns on its way to who knows its length.

    ``needed``: a step needs it; ``mark``: its words'; ``end``: no unit, the group is complete.
    """
    return data.StructLayout(
        {
            "unit": unsigned(Widths(cfg).units),
            "needed": unsigned(1),
            "mark": mark_layout(cfg),
            "end": unsigned(1),
        }
    )


def burst_words(addr: Value, left: Value) -> tuple[Value, Value]:
    """Words of the next burst of the ``left`` ones from ``addr``, and whether it is the last: up to the 128-byte
    boundary."""
    boundary = Const(BURST_WORDS, 5) - addr[:4]
    last = ~left[5:].any() & (left[:5] <= boundary[:5])
    return Mux(last, left[:5], boundary)[:5], last


def unit_places(h_blocks: Value, narrow: Value, single: Value) -> Value:
    """Places of a unit of a stream: u R / S, of R = 16 rows a block."""
    return (h_blocks << 4) >> Cat(narrow, single)


def most_words(cfg: AcceleratorConfig, h_blocks: Value, matrix: Any) -> Value:
    """Words of a unit of a matrix that memory may be asked for: of a stream as many as it has places, of eSELL a head
    and eight values for each of its blocks. What else cannot be the decoder finds."""
    of_stream = unit_places(h_blocks, matrix.narrow, matrix.single)
    of_esell = h_blocks * 18
    if not cfg.esell:
        return of_stream
    return Mux(matrix.stream, of_stream, of_esell) if cfg.streams else of_esell


def group_capacity(cfg: AcceleratorConfig, parameters: Any) -> Value:
    """Time steps of a full group of cell fusion at the fusion factor of the run; the last group may have fewer."""
    capacity: Value = parameters.n_fuse * cfg.w_pes
    return capacity[: Widths(cfg).group]
