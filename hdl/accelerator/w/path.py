"""The W x path: groups of time steps, decoded words shared by all W PEs, one result bank a PE."""

from amaranth import Array, Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator import formats
from hdl.accelerator.bank import ResultBank
from hdl.accelerator.layout import (
    FillSignature,
    Kind,
    OfferSignature,
    ParametersSignature,
    Widths,
    column_layout,
    group_capacity,
    item_layout,
)
from hdl.accelerator.pe import SpmvPe
from hdl.accelerator.ring import Ring
from hdl.accelerator.w.inputs import InputBuffer
from hdl.accelerator.w.loader import WeightLoader
from hdl.common.queue import Queue


class GroupSequencer(wiring.Component):
    """Tells the decoder which columns come: all of W for each group, once its inputs and its half of the slots allow.

    ``begin`` pulses with the start of a group. ``rows[half]`` is the number of steps in the group that fills that
    half. ``x_ready`` counts a group of inputs; ``release`` gives a half back when its results have been read.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "columns": Out(stream.Signature(column_layout(cfg))),
                "x_ready": In(1),
                "release": In(1),
                "begin": Out(1),
                "rows": Out(data.ArrayLayout(unsigned(w.group), 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        steps_left = Signal(w.t)
        inputs = Signal(2)
        halves = Signal(2, init=2)
        half = Signal()
        column = Signal(w.columns)
        begin = self.begin
        capacity = group_capacity(cfg, p)
        group = Mux(steps_left < capacity, steps_left, capacity)
        entry = self.columns.payload
        m.d.comb += [entry.half.eq(half), entry.column.eq(column), entry.first.eq(column == 0)]
        with m.FSM(name="groups"):
            with m.State("INIT"):
                m.d.sync += steps_left.eq(p.steps)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += begin.eq((inputs != 0) & (halves != 0) & (steps_left != 0))
                with m.If(begin):
                    m.d.sync += [
                        steps_left.eq(steps_left - group),
                        Array(self.rows[i] for i in range(2))[half].eq(group),
                        column.eq(0),
                    ]
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.comb += self.columns.valid.eq(1)
                with m.If(self.columns.ready):
                    m.d.sync += column.eq(column + 1)
                    with m.If(column + 1 == p.x_blocks):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.columns.valid.eq(1), entry.end.eq(1), entry.first.eq(0)]
                with m.If(self.columns.ready):
                    m.d.sync += half.eq(~half)
                    m.next = "WAIT"
        m.d.sync += [inputs.eq(inputs + self.x_ready - begin), halves.eq(halves + self.release - begin)]
        return m


class WeightPath(wiring.Component):
    """From memory to the sums W x of two groups of steps.

    A value word stays for as many cycles as a PE has steps in the group; in each of them every PE works on another
    step. ``ready[half]`` rises when all sums of that half are complete and falls with ``release``.

    ``read`` asks for 16 sums of one step (``read_bank``, ``read_slot``, ``read_row_group``); it takes one issue
    cycle from the PEs, and ``read_data`` follows three cycles later, for one cycle.

    ``loaded``, ``x_loaded`` pulse per word. Every cycle is one of ``issued`` (``working`` PEs are given an item),
    ``stolen`` (an item waits for a read), ``starved`` (a group is under way without an item) or none of them.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "x_burst": Out(OfferSignature(cfg)),
                "w_burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "rows": Out(data.ArrayLayout(unsigned(w.group), 2)),
                "ready": Out(2),
                "release": In(1),
                "release_half": In(1),
                "read": In(1),
                "read_bank": In(w.bank),
                "read_slot": In(w.slot),
                "read_row_group": In(w.row_group),
                "read_data": Out(signed(32)).array(BANK_LANES),
                "loaded": Out(1),
                "x_loaded": Out(1),
                "issued": Out(1),
                "stolen": Out(1),
                "starved": Out(1),
                "working": Out(range(cfg.w_pes + 1)),
                "bad_x": Out(1),
                "bad_format": Out(1),
                "bad_weight": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w = self.cfg, Widths(self.cfg)
        m.submodules.inputs = inputs = InputBuffer(cfg)
        m.submodules.loader = loader = WeightLoader(cfg)
        m.submodules.ring = ring = Ring(cfg, Kind.W)
        m.submodules.groups = groups = GroupSequencer(cfg)
        m.submodules.decoder = decoder = formats.decoder(cfg, known_length=False)
        m.submodules.items = items = Queue(item_layout(cfg), 4)
        for part in (inputs, loader, groups):
            connect(m, flipped(self.parameters), part.parameters)
        connect(m, inputs.burst, flipped(self.x_burst))
        connect(m, loader.burst, flipped(self.w_burst))
        connect(m, flipped(self.fill), inputs.fill)
        connect(m, flipped(self.fill), ring.fill)
        connect(m, ring.words, decoder.words)
        connect(m, groups.columns, decoder.columns)
        connect(m, decoder.items, items.i)
        m.d.comb += [
            decoder.blocks.eq(self.parameters.h_blocks << 1),
            loader.head.eq(decoder.head),
            loader.head_values.eq(decoder.head_values),
            loader.next_index.eq(ring.next_index),
            loader.free.eq(ring.free),
            ring.alloc.eq(loader.alloc),
            groups.x_ready.eq(inputs.group_ready),
            groups.release.eq(self.release),
            self.rows.eq(groups.rows),
            self.loaded.eq(ring.words.valid & ring.words.ready),
            self.bad_x.eq(inputs.bad_x),
            self.bad_format.eq(decoder.bad_format | loader.bad_format),
            self.bad_weight.eq(decoder.bad_weight),
        ]

        # Stage 0: one step a PE and cycle; the operands are fetched.
        item = items.o.payload
        turn = Signal(w.fuse)
        started = Signal(w.group)
        rows = Mux(item.half, groups.rows[1], groups.rows[0])
        issue = Signal()
        slot = Signal(w.slot)
        last_turn = Signal()
        m.d.comb += [
            issue.eq(items.o.valid & ~item.end & ~self.read),
            last_turn.eq(started + cfg.w_pes >= rows),
            items.o.ready.eq(item.end | (issue & last_turn)),
            slot.eq(turn + Mux(item.half, cfg.fuse_capacity, 0)),
            inputs.read_en.eq(issue),
            inputs.read_slot.eq(slot),
            inputs.read_column.eq(item.column),
            inputs.group_free.eq(items.o.valid & item.end),
        ]
        groups_open = Signal(2)
        waiting = items.o.valid & ~item.end
        m.d.sync += groups_open.eq(groups_open + groups.begin - (items.o.valid & item.end))
        m.d.comb += [
            self.x_loaded.eq(inputs.fill.valid & (inputs.fill.kind == Kind.X)),
            self.issued.eq(issue),
            self.stolen.eq(waiting & self.read),
            self.starved.eq(~waiting & (groups_open != 0)),
            self.working.eq(sum(issue & (started + i < rows) for i in range(cfg.w_pes))),
        ]
        with m.If(issue):
            m.d.sync += [
                turn.eq(Mux(last_turn, 0, turn + 1)),
                started.eq(Mux(last_turn, 0, started + cfg.w_pes)),
            ]

        # Stages 1 to 3: operands there, products rounded while the bank fetches, sums written.
        item_1 = Signal.like(item)
        addr_1 = Signal(range(cfg.bank_slots * cfg.row_groups))
        addr_2 = Signal.like(addr_1)
        working = [Signal(cfg.w_pes, name=f"working_{i}") for i in range(1, 4)]
        lanes_2 = Signal.like(item.lanes)
        lanes_3 = Signal.like(item.lanes)
        first = Signal(2)
        done = Signal(3)
        done_half = Signal(3)
        m.d.sync += [
            item_1.eq(item),
            addr_1.eq(slot * cfg.row_groups + item.row_group),
            addr_2.eq(addr_1),
            working[0].eq(Cat(issue & (started + i < rows) for i in range(cfg.w_pes))),
            working[1].eq(working[0]),
            working[2].eq(working[1]),
            lanes_2.eq(item_1.lanes),
            lanes_3.eq(lanes_2),
            first.eq(Cat(item_1.first, first)),
            done.eq(Cat(items.o.valid & item.end, done)),
            done_half.eq(Cat(item.half, done_half)),
        ]
        for half in range(2):
            with m.If(done[2] & (done_half[2] == half)):
                m.d.sync += self.ready[half].eq(1)
            with m.Elif(self.release & (self.release_half == half)):
                m.d.sync += self.ready[half].eq(0)

        # A read travels with the stages, so that it meets an idle bank.
        read = Signal(2)
        read_addr = [Signal.like(addr_1, name=f"read_addr_{i}") for i in range(2)]
        read_bank = [Signal(w.bank, name=f"read_bank_{i}") for i in range(3)]
        m.d.sync += [
            read.eq(Cat(self.read, read)),
            read_addr[0].eq(self.read_slot * cfg.row_groups + self.read_row_group),
            read_addr[1].eq(read_addr[0]),
            read_bank[0].eq(self.read_bank),
            read_bank[1].eq(read_bank[0]),
            read_bank[2].eq(read_bank[1]),
        ]
        banks = []
        overflows = Signal(cfg.w_pes)
        for i in range(cfg.w_pes):
            m.submodules[f"pe_{i}"] = pe = SpmvPe()
            m.submodules[f"bank_{i}"] = bank = ResultBank(cfg.bank_slots * cfg.row_groups)
            banks.append(bank)
            m.d.comb += [
                pe.values.eq(item_1.values),
                pe.selects.eq(item_1.selects),
                pe.operands.eq(inputs.operands[i]),
                bank.fetch.eq(working[1][i]),
                bank.addr.eq(addr_2),
                bank.first.eq(first[1]),
                bank.lanes.eq(lanes_3),
                *(bank.products[j].eq(pe.products[j]) for j in range(4)),
                bank.read.eq(read[1] & (read_bank[1] == i)),
                bank.read_addr.eq(read_addr[1]),
                overflows[i].eq((working[2][i] & pe.overflow) | bank.overflow),
            ]
        m.d.comb += [
            *(
                self.read_data[lane].eq(Array(bank.read_data[lane] for bank in banks)[read_bank[2]])
                for lane in range(BANK_LANES)
            ),
            self.overflow.eq(overflows.any()),
        ]
        return m
