"""Everything that works during a run: the two paths and the units from sums to h, and how they are joined."""

from amaranth import Module
from amaranth.lib.wiring import connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.datapath_ends import datapath_ports, offer_in_order, report_units
from hdl.accelerator.pool import Pool
from hdl.accelerator.u.recurrent_path import RecurrentPath
from hdl.accelerator.vector.cell_unit import CellUnit
from hdl.accelerator.vector.gate_unit import GateUnit
from hdl.accelerator.vector.hidden_state import HiddenState
from hdl.accelerator.vector.store_unit import StoreUnit
from hdl.accelerator.w.weight_path import WeightPath
from hdl.common.component import Component


class Datapath(Component):
    """Works on the run of ``parameters`` from the end of its reset on; it is reset between runs.

    ``burst``, ``store`` and ``fill`` go to the memory adapter, ``report`` to the front end.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(datapath_ports(cfg))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        m.submodules.weights = weights = WeightPath(cfg)
        m.submodules.recurrent = recurrent = RecurrentPath(cfg)
        m.submodules.pool = pool = Pool(cfg)
        m.submodules.gates = gates = GateUnit(cfg)
        m.submodules.cell = cell = CellUnit(cfg)
        m.submodules.hidden = hidden = HiddenState(cfg)
        m.submodules.store = store = StoreUnit(cfg)
        for part in (weights, recurrent, gates, cell, hidden, store):
            connect(m, flipped(self.parameters), part.parameters)

        # Stores are few and free buffers; x and W must not wait for each other's turn; U takes what is left.
        offers = (store.burst, weights.x_burst, weights.w_burst, recurrent.burst)
        offer_in_order(m, self, offers)
        connect(m, store.store, flipped(self.store))
        connect(m, flipped(self.fill), weights.fill)
        connect(m, flipped(self.fill), recurrent.fill)

        for bank in range(cfg.w_banks):
            connect(m, weights.banks[bank], pool.w[bank])
        connect(m, recurrent.bank, pool.u)
        connect(m, recurrent.w_offsets, weights.offsets)
        connect(m, recurrent.w_tables, weights.tables)
        m.d.comb += [pool.spare.eq(weights.spare), weights.u_issue.eq(recurrent.bank.issue)]
        m.d.comb += weights.loaded.eq(recurrent.loaded)

        connect(m, recurrent.bias, gates.bias)
        connect(m, recurrent.c, cell.c)
        connect(m, recurrent.state, hidden.state)
        if cfg.delta:
            connect(m, recurrent.held, hidden.held)
            connect(m, recurrent.held_sums, gates.held_sums)
            connect(m, store.held, hidden.held_state)
            connect(m, store.held_sums, gates.state)

        connect(m, weights.groups, gates.groups)
        connect(m, gates.w_sums, weights.sums)
        connect(m, recurrent.step, gates.step)
        connect(m, gates.u_sums, recurrent.sums)
        connect(m, gates.quad, cell.quad)
        connect(m, cell.unit, hidden.unit)
        connect(m, hidden.keep, recurrent.keep)
        connect(m, recurrent.block, hidden.block)
        connect(m, hidden.row, store.row)
        connect(m, store.cells, cell.read)
        m.d.comb += gates.row_free.eq(store.row_free)

        report_units(m, self, store)
        return m
