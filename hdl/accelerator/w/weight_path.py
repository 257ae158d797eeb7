"""The W x path: groups of time steps, decoded words shared by all PEs that work on W, each with a bank of sums."""

from amaranth import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.layout import ACTIVE_BITS, HALVES, Kind, Widths, unit_layout
from hdl.accelerator.signatures import (
    FillSignature,
    GroupsSignature,
    OfferSignature,
    ParametersSignature,
    WeightSumsSignature,
    WriteSignature,
    unit_events,
    unit_faults,
    w_bank_signature,
)
from hdl.accelerator.w.group_sequencer import GroupSequencer
from hdl.accelerator.w.group_sizes import GroupSizes
from hdl.accelerator.w.input_buffer import InputBuffer
from hdl.accelerator.w.issue_unit import IssueUnit
from hdl.accelerator.w.list_sequencer import LISTS, ListSequencer
from hdl.accelerator.w.slot_count import SlotCount
from hdl.accelerator.w.weight_source import WeightSource
from hdl.common.component import Component
from hdl.common.queue import Queue

UNITS = 2
"""Units of W that are asked for and not taken yet."""


class WeightPath(Component):
    """From memory to the sums W x of groups of steps.

    A value word stays until every step of the group in ``parameters``' run had it; in each cycle every PE works on
    another step. ``groups`` says which groups are complete; a read of ``sums`` takes one issue cycle from the PEs.
    ``banks``: words for them. ``spare``: the PE that W leaves to U, which takes it with ``u_issue``.

    ``x_burst`` and ``w_burst`` ask for x and W, ``fill`` brings both; ``offsets`` and ``tables`` write what is loaded
    before W, all of it when ``loaded`` rises. ``faults``: what is wrong with them. ``events``:
    a word of each; every cycle is one of W_BUSY (PE_BUSY of the PEs are given an item), W_STOLEN (an item waits for a
    read), W_STARVED (a group is under way without an item) or W_IDLE.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "x_burst": Out(OfferSignature(cfg)),
                "w_burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "groups": Out(GroupsSignature(cfg)),
                "sums": In(WeightSumsSignature(cfg)),
                "offsets": In(WriteSignature(cfg.x_blocks, HALVES)),
                "tables": In(WriteSignature(TABLE_WORDS, HALVES)),
                "loaded": In(1),
                "u_issue": In(1),
                "banks": Out(w_bank_signature(cfg)).array(cfg.w_banks),
                "spare": Out(range(cfg.n_pe)),
                "faults": Out(unit_faults(cfg)["weights"]),
                "events": Out(unit_events(cfg)["weights"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p, events = self.cfg, self.parameters, self.events
        m.submodules.inputs = inputs = InputBuffer(cfg)
        m.submodules.source = source = WeightSource(cfg)
        m.submodules.groups = groups = GroupSequencer(cfg)
        # Groups are begun, worked on, and read by the gates, at most all of them apart.
        m.submodules.begun = begun = GroupSizes(cfg)
        m.submodules.current = current = GroupSizes(cfg)
        m.submodules.read = read = GroupSizes(cfg)
        walkers = [begun, current, read]
        for part in (inputs, source, groups, *walkers):
            connect(m, flipped(p), part.parameters)
        connect(m, inputs.burst, flipped(self.x_burst))
        connect(m, source.burst, flipped(self.w_burst))
        connect(m, flipped(self.fill), inputs.fill)
        connect(m, flipped(self.fill), source.fill)
        connect(m, flipped(self.offsets), source.offsets)
        connect(m, flipped(self.tables), source.tables)
        capacity = Signal(Widths(cfg).group)
        begin = Signal()
        ended = Signal()
        m.d.comb += [
            source.loaded.eq(self.loaded),
            source.capacity.eq(capacity),
            *(sizes.capacity.eq(capacity) for sizes in walkers),
            begin.eq(groups.begin),
            begun.take.eq(begin),
            current.take.eq(ended),
            read.take.eq(self.groups.next),
            groups.size.eq(begun.size),
            groups.x_ready.eq(inputs.group_ready),
            groups.release.eq(self.groups.free & self.groups.last),
            source.units.valid.eq(groups.units.valid),
            source.units.payload.eq(groups.units.payload),
            groups.units.ready.eq(source.units.ready),
            inputs.group_free.eq(ended),
            self.groups.size.eq(read.size),
            self.faults.bad_x.eq(inputs.bad_x),
            self.faults.bad_format.eq(source.bad_format),
            self.faults.bad_weight.eq(source.bad_weight),
            self.faults.acc_overflow.eq(Cat(bank.overflow for bank in self.banks).any()),
        ]

        m.submodules.issue = issue = IssueUnit(cfg)
        connect(m, flipped(p), issue.parameters)
        connect(m, source.items, issue.items)
        m.d.comb += [
            issue.rows.eq(current.size),
            issue.reading.eq(self.sums.read),
            issue.read_bank.eq(self.sums.bank),
            issue.u_issue.eq(self.u_issue),
            ended.eq(issue.ended),
            self.spare.eq(issue.spare),
        ]
        for number, (bank, x) in enumerate(zip(self.banks, inputs.reads, strict=True)):
            item = issue.heads[number]
            step = issue.steps[number]
            m.d.comb += [
                x.en.eq(issue.issued[number]),
                x.addr.eq(step.x + item.column),
                bank.item.eq(item),
                bank.issue.eq(issue.issued[number]),
                *(each.eq(step.sums + group) for each, group in zip(bank.addr, item.row_groups, strict=True)),
                bank.operands.eq(x.operands),
                bank.mark.eq(ended),
            ]
        if cfg.clears:
            m.submodules.slots = slots = SlotCount(cfg)
            connect(m, flipped(p), slots.parameters)
            cleared = self._clear(m, slots)
            m.d.comb += groups.enable.eq(cleared | ~p.w_matrix.stream)
        else:
            m.d.comb += groups.enable.eq(1)
        if cfg.group_list:
            m.submodules.list = listed = ListSequencer(cfg)
            connect(m, flipped(p), listed.parameters)
            # The sequencer looks for what comes next without regard to what the decoder does in this cycle.
            m.submodules.units = units = Queue(unit_layout(cfg), UNITS)
            connect(m, listed.units, units.i)
            capacity_of_x = Signal.like(capacity)
            m.d.sync += [
                capacity.eq(Mux(cleared, slots.group, 0)),
                capacity_of_x.eq(Mux(slots.counted, slots.group, 0)),
            ]
            m.d.comb += [
                inputs.capacity.eq(capacity_of_x),
                inputs.rows_fit.eq(slots.rows_of_x),
                inputs.group_begun.eq(listed.begin),
                inputs.freed_rows.eq(current.size),
                listed.size.eq(Mux(p.list, begun.size, 0)),
                listed.capacity.eq(slots.steps),
                listed.x_ready.eq(inputs.group_ready),
                listed.freed.eq(self.groups.free),
            ]
            oldest = [Signal.like(source.oldest, name=f"oldest_{number}") for number in range(cfg.w_banks)]
            for number in range(cfg.w_banks):
                connect(m, listed.looks[number], inputs.looks[number])
                connect(m, listed.steps[number], issue.lists[number])
                working_on = issue.heads[number].mark.tag
                # told a cycle late: no list is given up too early for that
                m.d.sync += oldest[number].eq(Mux(issue.valid[number], working_on, source.oldest))
                m.d.comb += [
                    listed.oldest[number].eq(oldest[number]),
                    *(issue.counts[i][number].eq(listed.counts[i][number]) for i in range(LISTS)),
                ]
            with m.If(p.list):
                m.d.comb += [
                    begin.eq(listed.begin),
                    groups.size.eq(0),
                    source.units.valid.eq(units.o.valid),
                    source.units.payload.eq(units.o.payload),
                    units.o.ready.eq(source.units.ready),
                ]

        # Groups whose sums are complete: none is forgotten when the gates are behind.
        # Under the list there may be as many groups as steps in the banks.
        open_bits = ACTIVE_BITS if cfg.group_list else Widths(cfg).group
        complete = Signal(open_bits)
        m.d.sync += complete.eq(complete + self.banks[0].marked - self.groups.next)
        m.d.comb += self.groups.ready.eq(complete != 0)

        # A read travels with the stages of the words, so that it meets an idle bank.
        read_en = Signal(2)
        read_addr = [Signal.like(self.banks[0].read_addr, name=f"read_addr_{i}") for i in range(2)]
        read_clears = [Signal(4, name=f"read_clears_{i}") for i in range(2)]
        read_bank = [Signal.like(self.sums.bank, name=f"read_bank_{i}") for i in range(3)]
        m.d.sync += [
            read_en.eq(Cat(self.sums.read, read_en)),
            read_addr[0].eq(self.sums.addr),
            read_addr[1].eq(read_addr[0]),
            read_clears[0].eq(self.sums.clears),
            read_clears[1].eq(read_clears[0]),
            read_bank[0].eq(self.sums.bank),
            read_bank[1].eq(read_bank[0]),
            read_bank[2].eq(read_bank[1]),
        ]
        for number, bank in enumerate(self.banks):
            m.d.comb += [
                bank.read.eq(read_en[1] & (read_bank[1] == number)),
                bank.read_addr.eq(read_addr[1]),
                bank.read_clears.eq(read_clears[1]),
            ]
        m.d.comb += [
            self.sums.sums[i].eq(Array(bank.sums[i] for bank in self.banks)[read_bank[2]]) for i in range(BANK_LANES)
        ]

        groups_open = Signal(open_bits)
        m.d.sync += groups_open.eq(groups_open + begin - ended)
        m.d.comb += [
            events.w_words.eq(source.taken),
            events.x_words.eq(inputs.fill.valid & (inputs.fill.kind == Kind.X)),
            events.w_busy.eq(issue.issued.any()),
            events.w_stolen.eq(issue.waiting & ~issue.issued.any()),
            events.w_starved.eq(~issue.waiting & (groups_open != 0)),
            events.w_idle.eq(~(events.w_busy | events.w_stolen | events.w_starved)),
            events.pe_busy.eq(sum(issue.issued[i] for i in range(cfg.w_banks))),
        ]
        return m

    def _clear(self, m: Module, slots: SlotCount) -> Value:
        """Where sums are added to from the first word on: what a run before left goes first. High when it is gone."""
        p = self.parameters
        counted = Signal()
        clear = Signal()
        m.d.sync += counted.eq(slots.counted)
        m.d.comb += clear.eq(slots.counted & ~counted & (p.list | p.w_matrix.stream))
        # slots go around in all of the memory, and cell fusion's second half lies where that of the largest H does
        few = p.list & (slots.steps >= p.steps)
        rows = Mux(few, slots.sum_rows, self.cfg.bank_slots * self.cfg.row_groups)
        for bank in self.banks:
            m.d.comb += [bank.clear.eq(clear), bank.clear_rows.eq(rows)]
        return counted & ~Cat(bank.clearing for bank in self.banks).any()
