"""Everything that works during a run: the two paths and the units from sums to h, and how they are joined."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import BANK_LANES, AcceleratorConfig
from golden.isa import Error
from hdl.accelerator.layout import FillSignature, OfferSignature, ParametersSignature, Widths, event_layout
from hdl.accelerator.u.recurrent_path import RecurrentPath
from hdl.accelerator.vector.cell_unit import CellUnit
from hdl.accelerator.vector.gate_unit import GateUnit
from hdl.accelerator.vector.hidden_state import HiddenState
from hdl.accelerator.vector.store_unit import StoreUnit
from hdl.accelerator.w.weight_path import WeightPath


class Datapath(wiring.Component):
    """Everything that works during a run, and is reset between runs.

    ``burst``, ``data``, ``fill`` and ``stored`` go to the memory adapter. ``error`` with ``error_code`` pulses when
    the data cannot be worked on; of several errors in one cycle one is reported.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "data": Out(stream.Signature(unsigned(64))),
                "fill": In(FillSignature(cfg)),
                "stored": In(1),
                "rows": Out(Widths(cfg).t),
                "finished": Out(1),
                "error": Out(1),
                "error_code": Out(8),
                "events": Out(event_layout(cfg)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        m.submodules.weights = weights = WeightPath(cfg)
        m.submodules.recurrent = recurrent = RecurrentPath(cfg)
        m.submodules.gates = gates = GateUnit(cfg)
        m.submodules.cell = cell = CellUnit(cfg)
        m.submodules.hidden = hidden = HiddenState(cfg)
        m.submodules.store = store = StoreUnit(cfg)
        for part in (weights, recurrent, gates, cell, hidden, store):
            connect(m, flipped(self.parameters), part.parameters)
        connect(m, flipped(self.fill), weights.fill)
        connect(m, flipped(self.fill), recurrent.fill)
        connect(m, store.data, flipped(self.data))

        # Stores are few and free buffers; x and W must not wait for each other's turn; U takes what is left.
        taken = Signal()
        for offer in (store.burst, weights.x_burst, weights.w_burst, recurrent.burst):
            mine = offer.valid & ~taken
            with m.If(mine):
                m.d.comb += [
                    self.burst.valid.eq(1),
                    self.burst.addr.eq(offer.addr),
                    self.burst.words.eq(offer.words),
                    self.burst.kind.eq(offer.kind),
                    self.burst.index.eq(offer.index),
                    offer.taken.eq(self.burst.taken),
                ]
            following = Signal(name="taken")
            m.d.comb += following.eq(taken | offer.valid)
            taken = following

        setup = recurrent.setup
        m.d.comb += [
            gates.enable.eq(setup.done),
            gates.bias_en.eq(setup.bias_en),
            gates.bias_addr.eq(setup.addr),
            gates.bias.eq(setup.word),
            gates.w_ready.eq(weights.ready),
            gates.w_rows.eq(weights.rows),
            weights.release.eq(gates.release),
            weights.release_half.eq(gates.release_half),
            weights.read.eq(gates.w_read),
            weights.read_bank.eq(gates.w_bank),
            weights.read_slot.eq(gates.w_slot),
            weights.read_row_group.eq(gates.w_row_group),
            gates.u_done.eq(recurrent.done),
            gates.u_empty.eq(recurrent.empty),
            recurrent.read.eq(gates.u_read),
            recurrent.read_half.eq(gates.u_half),
            recurrent.read_row_group.eq(gates.u_row_group),
            gates.row_free.eq(store.row_free),
            gates.quad_addr.eq(cell.quad_addr),
            cell.quad_done.eq(gates.quad_done),
            cell.c_en.eq(setup.c_en),
            cell.c_addr.eq(setup.addr),
            cell.c_data.eq(setup.element),
            cell.c_read.eq(store.c_read),
            cell.c_read_addr.eq(store.c_addr),
            store.c.eq(cell.c),
            hidden.unit_valid.eq(cell.unit_valid | setup.h_valid),
            hidden.unit.eq(cell.unit),
            hidden.keep_addr.eq(recurrent.keep_addr),
            recurrent.keep.eq(hidden.keep),
            hidden.h_en.eq(recurrent.h_en),
            hidden.h_addr.eq(recurrent.h_addr),
            recurrent.h.eq(hidden.h),
            recurrent.published.eq(hidden.published),
            hidden.store_half.eq(store.half),
            hidden.store_addr.eq(store.addr),
            store.keep.eq(hidden.store_keep),
            store.h.eq(hidden.store_h),
            store.row_done.eq(hidden.row_done),
            store.stored.eq(self.stored),
            self.rows.eq(store.rows),
            self.finished.eq(store.finished),
        ]
        events = self.events
        m.d.comb += [
            events.w_words.eq(weights.loaded),
            events.u_words.eq(recurrent.loaded),
            events.x_words.eq(weights.x_loaded),
            events.setup_words.eq(recurrent.setup_loaded),
            events.store_words.eq(self.stored),
            events.kept_blocks.eq(recurrent.kept),
            events.skipped_blocks.eq(recurrent.skipped),
            events.w_busy.eq(weights.issued),
            events.w_stolen.eq(weights.stolen),
            events.w_starved.eq(weights.starved),
            events.w_idle.eq(~(weights.issued | weights.stolen | weights.starved)),
            events.u_starved.eq(recurrent.due & ~recurrent.loaded),
            events.u_idle.eq(~recurrent.due),
            events.pe_busy.eq(weights.working + recurrent.working),
            events.gate_busy.eq(gates.busy),
            events.gate_wait_w.eq(gates.wait_w),
            events.gate_wait_store.eq(gates.wait_store),
            events.gate_idle.eq(~(gates.busy | gates.wait_w | gates.wait_store)),
        ]
        for lane in range(BANK_LANES):
            m.d.comb += [
                gates.w_sums[lane].eq(weights.read_data[lane]),
                gates.u_sums[lane].eq(recurrent.read_data[lane]),
            ]
        for gate in range(4):
            for unit in range(4):
                m.d.comb += cell.quad[gate][unit].eq(gates.quad[gate][unit])
        with m.If(setup.h_valid):
            m.d.comb += hidden.unit.eq(setup.h)

        for happened, code in (
            (weights.overflow | recurrent.overflow | gates.overflow, Error.ACC_OVERFLOW),
            (recurrent.bad_state, Error.BAD_STATE),
            (weights.bad_x, Error.BAD_X),
            (recurrent.bad_bias, Error.BAD_BIAS),
            (weights.bad_weight | recurrent.bad_weight, Error.BAD_WEIGHT),
            (weights.bad_format | recurrent.bad_format, Error.BAD_FORMAT),
        ):
            with m.If(happened):
                m.d.comb += [self.error.eq(1), self.error_code.eq(code)]
        return m
