"""Places of time steps in the banks: each bank's slots are a ring of as many as fit its memory at the run's sizes."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import ACTIVE_BITS, Widths
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


class SlotCount(Component):
    """Counts the time steps that fit the banks at the sizes of the run of ``parameters``, no more than it has.

    ``steps``: of which the banks hold the sums, in ``sum_rows`` row groups each; ``rows_of_x``: of which they hold x;
    ``group``: those of a group, at most. All of it is known once ``counted``.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "steps": Out(ACTIVE_BITS),
                "rows_of_x": Out(ACTIVE_BITS),
                "group": Out(Widths(cfg).group),
                "sum_rows": Out(range(cfg.bank_slots * cfg.row_groups + 1)),
                "counted": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p = self.cfg, self.parameters
        most = (1 << ACTIVE_BITS) - 1
        input_rows = Signal(range(cfg.bank_slots * cfg.x_blocks + 1))
        growing = []
        for count, used, stride, rows in (
            (self.steps, self.sum_rows, p.h_blocks, cfg.bank_slots * cfg.row_groups),
            (self.rows_of_x, input_rows, p.x_blocks, cfg.bank_slots * cfg.x_blocks),
        ):
            grows = (used + stride <= rows) & (count + cfg.w_banks <= most) & (count < p.steps)
            with m.If(grows):
                m.d.sync += [used.eq(used + stride), count.eq(count + cfg.w_banks)]
            growing.append(grows)
        fewer = Signal.like(self.steps)
        m.d.comb += fewer.eq(Mux(self.steps < self.rows_of_x, self.steps, self.rows_of_x))
        m.d.sync += [
            # what groups are cut to is reckoned with at once: it has a register of its own
            self.group.eq(Mux(fewer < cfg.max_group, fewer, cfg.max_group)),
            self.counted.eq(~(growing[0] | growing[1])),
        ]
        return m
