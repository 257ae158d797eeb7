"""Bits of memory of a configuration, from the same widths and depths as the RTL's, without elaborating it."""

from golden.config import BANK_LANES, AcceleratorConfig
from golden.isa import COUNTER_BITS, Counter
from golden.tables import TANH_SEGMENTS
from hdl.accelerator.layout import (
    GATE_BITS,
    SUM_BITS,
    Widths,
    burst_layout,
    column_layout,
    item_layout,
    segment_layout,
    target_layout,
)
from hdl.accelerator.vector.activation import TANH_ROW_BITS

_WORD_BITS = 64


def memory_bits(cfg: AcceleratorConfig) -> int:
    """What ``hdl.build`` counts in the elaborated accelerator with a RoCC port; a test compares."""
    w = Widths(cfg)
    targets = target_layout(cfg).size * cfg.window
    rings = 2 * _WORD_BITS * w.ring_depth
    x = cfg.w_banks * _WORD_BITS * cfg.bank_slots * cfg.x_blocks
    # the slots, each with 4H sums, and two results of the U PE
    sums = SUM_BITS * BANK_LANES * cfg.row_groups * (cfg.w_banks * cfg.bank_slots + 2)
    bursts = 2 * burst_layout(cfg).size
    queues = 4 * item_layout(cfg).size + 8 * segment_layout().size + 16 * column_layout(cfg).size + 16 * _WORD_BITS
    offsets = _WORD_BITS * -(-cfg.h_blocks // 4)
    # of each unit four biases of 16 bits and the cell
    units = (_WORD_BITS + 32) * cfg.max_h
    gates = 5 * TANH_ROW_BITS * TANH_SEGMENTS + 16 * 8 * GATE_BITS
    # the blocks for U, two rows to store, and a keep bit beside each block
    hidden = 3 * (_WORD_BITS + 1) * cfg.h_blocks
    counts = COUNTER_BITS * len(Counter)
    return bursts + counts + targets + rings + x + sums + queues + offsets + units + gates + hidden
