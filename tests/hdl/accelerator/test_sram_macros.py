"""The emitted Verilog with macros in place of its RAMs: a row read while it is written is X, and nobody minds."""

from dataclasses import replace
from pathlib import Path

import pytest

from golden.config import AcceleratorConfig, preset
from hdl import verilog
from sim.engines import build_cache, registry
from sim.engines.icarus import accelerator as icarus
from sim.layers import random_layer
from sim.protocol.base import Design

TRAITS = (
    (31, random_layer.Traits(max_size=24, max_steps=5, density=0.5)),
    (32, random_layer.Traits(max_size=16, max_steps=8, density=1.0, threshold=0.0)),
    (33, random_layer.Traits(max_size=32, max_steps=4, split=True)),
)


EVERYTHING = replace(preset("tiny"), group_list=True, stream16=True, stream8=True)
ANY_WRITE, SAME_ROW = "|write_en", "|write_en && read_addr == write_addr"


def sram(kind: verilog.RamKind, unknown: str) -> str:
    """A macro of that size, whose read gives X in a cycle of this condition."""
    address, lanes = max(1, (max(kind.depth, 2) - 1).bit_length()), kind.width // kind.lane_bits
    lane = f"[i * {kind.lane_bits} +: {kind.lane_bits}]"
    return f"""
module {kind.module}(read_en, read_addr, write_en, write_addr, write_data, read_data, clk);
  input clk, read_en;
  input [{address - 1}:0] read_addr, write_addr;
  input [{lanes - 1}:0] write_en;
  input [{kind.width - 1}:0] write_data;
  output reg [{kind.width - 1}:0] read_data;
  reg [{kind.width - 1}:0] rows [0:{kind.depth - 1}];
  integer i;
  always @(posedge clk) begin
    if (read_en)
      read_data <= ({unknown}) ? {{{kind.width}{{1'bx}}}} : rows[read_addr];
    for (i = 0; i < {lanes}; i = i + 1)
      if (write_en[i])
        rows[write_addr]{lane} <= write_data{lane};
  end
endmodule
"""


def with_macros(design: Design, folder: Path, unknown: str) -> Path:
    kinds = verilog.ram_kinds(build_cache.rtlil_text(design).read_text())
    rest, _ = verilog.blackboxes(build_cache.verilog(design).read_text(), kinds)
    path = folder / "macros.v"
    path.write_text(rest + "".join(sram(kind, unknown) for kind in kinds))
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "traits", "unknown", "config"),
    [
        *((*case, SAME_ROW, None) for case in TRAITS),
        (*TRAITS[0], ANY_WRITE, None),
        *((seed, random_layer.Traits(max_size=16, max_steps=6), SAME_ROW, EVERYTHING) for seed in (34, 35)),
    ],
)
def test_layers_are_exact_whatever_a_collision_gives(
    seed: int,
    traits: random_layer.Traits,
    unknown: str,
    config: AcceleratorConfig | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also the control: a macro that cannot read while it writes elsewhere is noticed."""
    engine = registry.get("accelerator", "icarus")
    if missing := engine.missing():
        pytest.skip(missing)
    case = random_layer.generate(seed, "macros", traits, config)
    path = with_macros(case.design, tmp_path, unknown)
    monkeypatch.setattr(icarus, "verilog", lambda _: path)
    monkeypatch.setattr(icarus, "verilog_sha256", lambda _: f"macros-{seed}")
    monkeypatch.setenv("ELSTM_CACHE", str(tmp_path / "cache"))
    assert (random_layer.check(case, engine)[0] == []) == (unknown == SAME_ROW)
