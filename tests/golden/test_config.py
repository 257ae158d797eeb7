from typing import Any

import pytest

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig, LayerShape, preset


@pytest.mark.parametrize("name", ACCELERATOR_PRESETS)
def test_presets_have_consistent_derived_values(name: str) -> None:
    cfg = preset(name)
    # by events no steps are fused, and there are no slots
    assert cfg.fuse_capacity >= 1 or (cfg.events and cfg.slots == cfg.bank_slots == 0)
    assert cfg.bank_slots * cfg.w_pes <= cfg.slots
    assert 2**cfg.tag_bits == cfg.window
    assert cfg.row_groups * 16 == cfg.max_rows
    kept: dict[str, Any] = cfg.as_dict()
    assert AcceleratorConfig(**kept) == cfg


def test_paper_point() -> None:
    cfg = preset("default")
    assert (cfg.n_pe, cfg.slots, cfg.fuse_capacity) == (3, 12, 3)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("n_pe", 1, "n_pe must be in 2..8, not 1"),
        ("slots", 3, "slots must be in 4..255, not 3"),
        ("max_x", 6, "max_x must be a multiple of 4, not 6"),
        ("max_h", 0, "max_h must be in 4..8192, not 0"),
        ("window", 48, "window must be a power of two, not 48"),
    ],
)
def test_bad_values_are_named(field: str, value: int, text: str) -> None:
    wanted: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=text):
        AcceleratorConfig(**wanted)


def test_the_first_size_that_is_too_large() -> None:
    tiny = preset("tiny")
    assert tiny.exceeded(64, 64, 255) is None
    assert tiny.exceeded(68, 68, 256) == ("X", 68, 64)
    assert tiny.exceeded(4, 68, 256) == ("H", 68, 64)
    assert tiny.exceeded(4, 4, 256) == ("T", 256, 255)


def test_wrong_type_is_named() -> None:
    with pytest.raises(TypeError, match="slots must be an integer, not 1.5"):
        AcceleratorConfig(slots=1.5)  # type: ignore[arg-type]


def test_unknown_preset_lists_the_others() -> None:
    with pytest.raises(ValueError, match="no preset 'huge'; there are: default, stream8, mnist"):
        preset("huge")


def test_layer_shape() -> None:
    shape = LayerShape.padded(27, 10, 3)
    assert shape == LayerShape(28, 12, 3)
    assert (shape.rows, shape.blocks_per_column, shape.x_blocks, shape.h_blocks) == (48, 6, 7, 3)
    with pytest.raises(ValueError, match="X must be a multiple of 4, not 27"):
        LayerShape(27, 12, 1)
