"""Memory bits without elaborating are those that ``hdl.build`` counts in the elaborated design."""

from dataclasses import replace

import pytest

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from hdl.accelerator.size import memory_bits
from hdl.build import TOPS
from hdl.verilog import emit_rtlil
from hdl.verilog import memory_bits as counted_bits

ODD = AcceleratorConfig(n_pe=4, slots=19, max_x=12, max_h=20, max_t=9, window=128)
"""Slots that no group uses, sizes that fill no word of offsets, a window that makes the rings deeper."""
SMALL = AcceleratorConfig(n_pe=2, slots=2, max_x=4, max_h=4, max_t=1, window=4)
LISTED = replace(ODD, group_list=True, stream16=True)
NARROW = replace(SMALL, esell=False, stream8=True)
CHANGES = replace(ODD, delta=True)
EVENTS = replace(ODD, n_pe=1, slots=0, esell=False, stream16=True, delta=True, events=True, vector_units=2)

WIDE = replace(EVENTS, vector_units=8)
"""Memories have rows of two blocks, and the last has one."""


def counted(config: AcceleratorConfig) -> int:
    top = TOPS["accelerator"]
    return counted_bits(emit_rtlil(top.elaborate(config), top.module))


@pytest.mark.parametrize(
    "config",
    [SMALL, *(pytest.param(config, marks=pytest.mark.slow) for config in (ODD, LISTED, NARROW, CHANGES, EVENTS, WIDE))],
)
def test_odd_configurations(config: AcceleratorConfig) -> None:
    assert memory_bits(config) == counted(config)


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCELERATOR_PRESETS)
def test_presets(name: str) -> None:
    assert memory_bits(ACCELERATOR_PRESETS[name]) == counted(ACCELERATOR_PRESETS[name])


def test_the_page_of_presets_says_the_same() -> None:
    assert (memory_bits(AcceleratorConfig()), AcceleratorConfig().macs) == (3_369_264, 12)
