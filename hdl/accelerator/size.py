"""Bits of memory of a configuration, from the same widths and depths as the RTL's, without elaborating it."""

from golden.config import BANK_LANES, BLOCK_COLS, LISTED_STEPS, AcceleratorConfig
from golden.isa import COUNTER_BITS, Counter
from golden.tables import TANH_SEGMENTS
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.layout import (
    GATE_BITS,
    HELD,
    SUM_BITS,
    Widths,
    burst_layout,
    column_layout,
    item_layout,
    segment_layout,
    step_layout,
    target_layout,
    u_offset_words,
    unit_layout,
)
from hdl.accelerator.vector.activation import TANH_ROW_BITS
from hdl.accelerator.w.bank_feed import FEED_DEPTH
from hdl.accelerator.w.issue_unit import FUSED_ITEMS
from hdl.accelerator.w.list_sequencer import LISTS
from hdl.accelerator.w.weight_path import UNITS
from hdl.accelerator.w.weight_source import COLUMNS, SEGMENTS

_WORD_BITS = 64


def memory_bits(cfg: AcceleratorConfig) -> int:
    """What ``hdl.build`` counts in the elaborated accelerator with a RoCC port; a test compares."""
    if cfg.events:
        return _by_events(cfg)
    w = Widths(cfg)
    targets = target_layout(cfg).size * cfg.window
    rings = 2 * _WORD_BITS * w.ring_depth
    x = cfg.w_banks * _WORD_BITS * cfg.bank_slots * cfg.x_blocks
    # the slots, each with 4H sums, and two results of the U PE
    sums = SUM_BITS * BANK_LANES * cfg.row_groups * (cfg.w_banks * cfg.bank_slots + 2)
    bursts = 2 * burst_layout(cfg).size
    queues = 8 * segment_layout(cfg).size + 16 * column_layout(cfg).size + 16 * _WORD_BITS
    offsets = _WORD_BITS * u_offset_words(cfg)
    # of each unit four biases of 16 bits and the cell
    units = (_WORD_BITS + 32) * cfg.max_h
    gates = 5 * TANH_ROW_BITS * TANH_SEGMENTS + 16 * 8 * GATE_BITS
    # the blocks for U, two rows to store, and keep bits beside each block
    hidden = 3 * (_WORD_BITS + cfg.keep_bits) * cfg.h_blocks
    counts = COUNTER_BITS * len(Counter)
    common = bursts + counts + targets + rings + x + sums + queues + offsets + units + gates + hidden
    # M, and what is held of each block
    changes = (SUM_BITS * cfg.max_rows + HELD.size * cfg.h_blocks) if cfg.delta else 0
    return common + changes + _feeds(cfg) + _known_lengths(cfg) + _tables(cfg)


def _by_events(cfg: AcceleratorConfig) -> int:
    """Those of a build with events, without its tables of tanh."""
    w = Widths(cfg)
    port = target_layout(cfg).size * cfg.window + 2 * burst_layout(cfg).size + _WORD_BITS * w.ring_depth
    queues = 8 * segment_layout(cfg).size + 16 * column_layout(cfg).size + 16 * _WORD_BITS
    offsets = _WORD_BITS * (cfg.x_blocks + cfg.h_blocks)
    units = cfg.row_units * cfg.unit_rows
    # two results, the sums of all steps, biases and cells
    sums = SUM_BITS * (2 * BANK_LANES * cfg.row_groups + 5 * units) + _WORD_BITS * units
    # a row that is loaded, what is held, and of two steps what is sent
    of_x = 128 * -(-cfg.x_blocks // 2) + cfg.x_blocks * (HELD.size + 2 * (_WORD_BITS + cfg.keep_bits))
    hidden = (3 * (_WORD_BITS + cfg.keep_bits) + HELD.size) * units // BLOCK_COLS
    tables = cfg.entries * _WORD_BITS * 2 * TABLE_WORDS if cfg.stream8 else 0
    tanh = 5 * cfg.vector_units * TANH_ROW_BITS * TANH_SEGMENTS
    return port + queues + offsets + sums + of_x + hidden + tables + tanh + COUNTER_BITS * len(Counter)


def _feeds(cfg: AcceleratorConfig) -> int:
    """Decoded words of W that wait; under the list each bank has its own, with its steps, and flags beside its x, and
    units wait, too.
    """
    item = item_layout(cfg).size
    if not cfg.group_list:
        return FUSED_ITEMS * item
    lists = LISTS * LISTED_STEPS * step_layout(cfg).size
    flags = BLOCK_COLS * cfg.bank_slots * cfg.x_blocks
    return cfg.w_banks * (FEED_DEPTH * item + lists + flags) + UNITS * unit_layout(cfg).size


def _known_lengths(cfg: AcceleratorConfig) -> int:
    """The lengths of W's units, and the units that are loaded by them."""
    if not cfg.clears:
        return 0
    return _WORD_BITS * cfg.x_blocks + SEGMENTS * segment_layout(cfg).size + COLUMNS * column_layout(cfg).size


def _tables(cfg: AcceleratorConfig) -> int:
    """Values of stream-8: in the decoders of W and U a copy for each entry of a word."""
    return 2 * cfg.entries * _WORD_BITS * TABLE_WORDS if cfg.stream8 else 0
