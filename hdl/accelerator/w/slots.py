"""Places of time steps in the banks: each bank's slots are a ring of as many as fit its memory at the run's sizes."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Widths
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


def slot_after(base: Value, stride: Value, rows: int) -> Value:
    """First row of the slot that follows the one from row ``base`` on, in a memory of ``rows``."""
    end = base + (stride << 1)
    return Mux(end > rows, 0, base + stride)


class SlotCount(Component):
    """Counts the steps that fit the banks' sums and their inputs at the sizes of the run of ``parameters``.

    ``steps``: time steps in all banks, MAX_GROUP at most; ``inputs``: rows of x. Both are 0 until ``valid``.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        group = Widths(cfg).group
        super().__init__(
            {"parameters": In(ParametersSignature(cfg)), "steps": Out(group), "inputs": Out(group), "valid": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p = self.cfg, self.parameters
        most = (1 << Widths(cfg).group) - 1
        grown = []
        for name, stride, rows in (
            ("steps", p.h_blocks, cfg.bank_slots * cfg.row_groups),
            ("inputs", p.x_blocks, cfg.bank_slots * cfg.x_blocks),
        ):
            used = Signal(range(2 * rows + 1), name=f"{name}_rows")
            count = Signal(range(most + 1), name=f"{name}_count")
            more = Signal(name=f"{name}_more")
            m.d.comb += more.eq((used + stride <= rows) & (count + cfg.w_banks <= most))
            with m.If(more):
                m.d.sync += [used.eq(used + stride), count.eq(count + cfg.w_banks)]
            with m.If(self.valid):
                m.d.comb += getattr(self, name).eq(count)
            grown.append(more)
        m.d.sync += self.valid.eq(~(grown[0] | grown[1]))
        return m
