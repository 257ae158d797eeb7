"""Everything that works during a run of a build with events, and how it is joined."""

from amaranth import Module
from amaranth.lib.wiring import connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.datapath_ends import datapath_ports, offer_in_order, report_units
from hdl.accelerator.events.column_path import ColumnPath
from hdl.accelerator.events.event_cell import EventCell
from hdl.accelerator.events.event_gates import EventGates
from hdl.accelerator.events.input_changes import InputChanges
from hdl.accelerator.vector.hidden_state import HiddenState
from hdl.accelerator.vector.store_unit import StoreUnit
from hdl.common.component import Component


class EventDatapath(Component):
    """Works on the run of ``parameters`` from the end of its reset on; it is reset between runs.

    ``burst``, ``store`` and ``fill`` go to the memory adapter, ``report`` to the front end.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(datapath_ports(cfg))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        m.submodules.inputs = inputs = InputChanges(cfg)
        m.submodules.path = path = ColumnPath(cfg)
        m.submodules.gates = gates = EventGates(cfg)
        m.submodules.cell = cell = EventCell(cfg)
        m.submodules.hidden = hidden = HiddenState(cfg)
        m.submodules.store = store = StoreUnit(cfg)
        for part in (inputs, path, gates, cell, hidden, store):
            connect(m, flipped(self.parameters), part.parameters)

        # U is what the gates wait for. Rows of h and of x fill the time in which there is none, while gates are made,
        # and then W of the step after: none of it is wanted as soon.
        offers = (path.u_burst, store.burst, inputs.burst, path.burst)
        offer_in_order(m, self, offers)
        connect(m, store.store, flipped(self.store))
        connect(m, flipped(self.fill), inputs.fill)
        connect(m, flipped(self.fill), path.fill)

        connect(m, path.bias, gates.bias)
        connect(m, path.c, cell.c)
        connect(m, path.h_state, hidden.state)
        connect(m, path.held, hidden.held)
        connect(m, path.held_sums, gates.held_sums)
        connect(m, path.x_held, inputs.held)
        connect(m, inputs.keep, path.x_keep)
        connect(m, path.x_block, inputs.block)
        connect(m, hidden.keep, path.h_keep)
        connect(m, path.h_block, hidden.block)
        m.d.comb += [inputs.enable.eq(path.loaded), inputs.step_done.eq(path.step_issued)]

        connect(m, path.step, gates.step)
        connect(m, gates.sums, path.sums)
        connect(m, gates.gates, cell.gates)
        connect(m, cell.unit, hidden.unit)
        connect(m, hidden.row, store.row)
        connect(m, store.cells, cell.read)
        connect(m, store.held, hidden.held_state)
        connect(m, store.held_sums, gates.state)
        connect(m, store.x_held, inputs.state)
        m.d.comb += gates.row_free.eq(store.row_free)

        report_units(m, self, store)
        return m
