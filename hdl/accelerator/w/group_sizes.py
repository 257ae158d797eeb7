"""Sizes of the groups of time steps for which W passes, one after the other, under either schedule."""

from typing import Any

from amaranth import Array, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from golden.config import AcceleratorConfig
from golden.isa import GROUP_SIZES
from hdl.accelerator.layout import Widths, group_capacity
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component


class GroupSizes(Component):
    """``size``: steps of the next group of the run of ``parameters``, 0 when it isn't known; ``take`` goes on.

    Cell fusion's groups are all of N_fuse steps a W PE. Of the list's sizes the last repeats; none is over
    ``capacity``, and there are no groups before that is known. The last group has the steps that are left, and
    ``exhausted`` rises after it.

    The size that follows is known two cycles after a take under cell fusion, three under the list; what is taken
    sooner is followed by a 0 until then.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        group = Widths(cfg).group
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "capacity": In(group),
                "size": Out(group),
                "exhausted": Out(1),
                "take": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        p = self.parameters
        left = Signal(Widths(self.cfg).t)
        begun = Signal()
        # The group after is reckoned while this one is worked on: it depends on what this one leaves.
        following = Signal.like(self.size)
        left_after = Signal.like(left)
        found = Signal()
        go_on = Signal()
        begins = Signal()
        full: Any = group_capacity(self.cfg, p)
        settled: Any = 1
        if self.cfg.group_list:
            listed, found_out = self._listed(m, begins | go_on)
            full, settled = Mux(p.list, listed, full), ~p.list | found_out

        steps = Mux(begun, left, p.steps)
        difference = steps - full
        size = Mux(difference < 0, steps, full)
        remainder = Mux(difference < 0, 0, difference)
        none = self.size == 0
        m.d.comb += [
            begins.eq(~begun & (full != 0)),
            go_on.eq(found & (self.take | (none & (following != 0)))),
            self.exhausted.eq(found & none & (following == 0)),
        ]
        with m.If(~begun):
            m.d.sync += [self.size.eq(size), left.eq(remainder), begun.eq(begins)]
        with m.Elif(go_on):
            m.d.sync += [self.size.eq(following), left.eq(left_after), found.eq(0)]
        with m.Else():
            m.d.sync += [following.eq(size), left_after.eq(remainder), found.eq(settled)]
            with m.If(self.take):
                m.d.sync += self.size.eq(0)
        return m

    def _listed(self, m: Module, go_on: Value) -> tuple[Value, Value]:
        """The next size in the list, 0 while the capacity is, and whether it is known since ``go_on`` asked for it."""
        sizes = [*self.parameters.sizes]
        place = Signal(range(GROUP_SIZES))
        listed = Signal.like(self.size)
        last = Signal()
        stood = Signal()
        size = Array(sizes)[place]
        m.d.sync += [
            listed.eq(Mux(size < self.capacity, size, self.capacity)),
            last.eq(Array([*(later == 0 for later in sizes[1:]), 1])[place]),
            stood.eq(~go_on),
        ]
        with m.If(go_on & ~last):
            m.d.sync += place.eq(place + 1)
        return listed, stood
