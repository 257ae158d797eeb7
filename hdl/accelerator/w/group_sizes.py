"""Sizes of the groups of time steps for which W passes, one after the other, under either schedule."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from golden.isa import GROUP_SIZES
from hdl.accelerator.layout import Widths, group_capacity
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


class GroupSizes(Component):
    """``size``: steps of the next group of the run of ``parameters``, 0 when there is none; ``take`` goes on.

    Cell fusion's groups are all of N_fuse steps a W PE. Of the list's sizes the last repeats; none is over
    ``capacity``, and there are no groups before that is known. The last group has the steps that are left.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        group = Widths(cfg).group
        super().__init__(
            {"parameters": In(ParametersSignature(cfg)), "capacity": In(group), "size": Out(group), "take": In(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        begun = Signal()
        left = Signal(Widths(self.cfg).t)
        wanted: Any = group_capacity(self.cfg, p)
        if self.cfg.group_list:
            place = Signal(range(GROUP_SIZES))
            following = Array(p.sizes[min(i + 1, GROUP_SIZES - 1)] for i in range(GROUP_SIZES))[place]
            listed = Array(p.sizes[i] for i in range(GROUP_SIZES))[place]
            wanted = Mux(p.list, Mux(listed < self.capacity, listed, self.capacity), wanted)
            with m.If(self.take & (place != GROUP_SIZES - 1) & (following != 0)):
                m.d.sync += place.eq(place + 1)
        m.d.sync += begun.eq(1)
        with m.If(~begun):
            m.d.sync += left.eq(p.steps)
        with m.Elif(self.take):
            m.d.sync += left.eq(left - self.size)
        m.d.comb += self.size.eq(Mux(left < wanted, left, wanted))
        return m
