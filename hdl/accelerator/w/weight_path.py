"""The W x path: groups of time steps, decoded words shared by all PEs that work on W, each with a bank of sums."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator import formats
from hdl.accelerator.layout import Kind, Widths, half_place, item_layout
from hdl.accelerator.ring import Ring
from hdl.accelerator.signatures import (
    UNIT_FAULTS,
    FillSignature,
    GroupsSignature,
    OfferSignature,
    ParametersSignature,
    WeightSumsSignature,
    unit_events,
    w_bank_signature,
)
from hdl.accelerator.w.group_sequencer import GroupSequencer
from hdl.accelerator.w.input_buffer import InputBuffer
from hdl.accelerator.w.weight_loader import WeightLoader
from hdl.common.component import Component
from hdl.common.queue import Queue


class WeightPath(Component):
    """From memory to the sums W x of two groups of steps.

    A value word stays for as many cycles as a PE has steps in the group; in each of them every PE works on another
    step of ``parameters``' run. ``groups`` says which groups are complete; a read of ``sums`` takes one issue cycle
    from the PEs.

    ``x_burst`` and ``w_burst`` ask for x and W, ``fill`` brings both. ``faults``: what is wrong with them. ``events``:
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
                "banks": Out(w_bank_signature(cfg)).array(cfg.w_banks),
                "spare": Out(range(cfg.n_pe)),
                "faults": Out(UNIT_FAULTS["weights"]),
                "events": Out(unit_events(cfg)["weights"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, events = self.cfg, Widths(self.cfg), self.events
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
        connect(m, ring.space, loader.space)
        connect(m, groups.columns, decoder.columns)
        connect(m, decoder.items, items.i)
        connect(m, decoder.heads, loader.heads)
        m.d.comb += [
            decoder.blocks.eq(self.parameters.h_blocks << 1),
            groups.x_ready.eq(inputs.group_ready),
            groups.release.eq(self.groups.release),
            self.groups.rows.eq(groups.rows),
            self.faults.bad_x.eq(inputs.bad_x),
            self.faults.bad_format.eq(decoder.bad_format | loader.bad_format),
            self.faults.bad_weight.eq(decoder.bad_weight),
            self.faults.acc_overflow.eq(Cat(bank.overflow for bank in self.banks).any()),
        ]

        # A step a PE and cycle, around the banks; the operands are fetched.
        item = items.o.payload
        waiting = Signal()
        ended = Signal()
        started = Signal(w.group)
        issue = Signal()
        last_turn = Signal()
        upper_slot, upper_bank = half_place(cfg)
        # the bank of the step `started`, counted from that of the group's first
        lead = Signal(w.bank)
        turns = [Signal(w.slot, name=f"turn_{bank}") for bank in range(cfg.w_banks)]
        rows = Mux(item.half, groups.rows[1], groups.rows[0])
        m.d.comb += [
            waiting.eq(items.o.valid & ~item.end),
            ended.eq(items.o.valid & item.end),
            issue.eq(waiting & ~self.sums.read),
            last_turn.eq(started + cfg.w_pes >= rows),
            items.o.ready.eq(item.end | (issue & last_turn)),
            inputs.read.en.eq(issue),
            inputs.read.column.eq(item.column),
            inputs.group_free.eq(ended),
        ]
        for number, bank in enumerate(self.banks):
            # which step from `started` on is this bank's: of either half
            place = Signal(w.bank, name=f"place_{number}")
            works = Signal(name=f"works_{number}")
            slot = inputs.read.slots[number]
            lower = Array((number - i) % cfg.w_banks for i in range(cfg.w_banks))[lead]
            upper = Array((number - upper_bank - i) % cfg.w_banks for i in range(cfg.w_banks))[lead]
            m.d.comb += [
                place.eq(Mux(item.half, upper, lower)),
                works.eq(issue & (place < cfg.w_pes) & (started + place < rows)),
                slot.eq(turns[number] + Mux(item.half, upper_slot + (number < upper_bank), 0)),
                bank.item.eq(item),
                bank.issue.eq(works),
                bank.addr.eq(slot * cfg.row_groups + item.row_group),
                bank.operands.eq(inputs.read.operands[number]),
                bank.mark.end.eq(ended),
                bank.mark.half.eq(item.half),
            ]
            with m.If(issue & last_turn):
                m.d.sync += turns[number].eq(0)
            with m.Elif(works):
                m.d.sync += turns[number].eq(turns[number] + 1)
        with m.If(issue):
            m.d.sync += started.eq(Mux(last_turn, 0, started + cfg.w_pes))
            if cfg.pooled:
                m.d.sync += lead.eq(Mux(last_turn, 0, Mux(lead == 0, cfg.w_banks - 1, lead - 1)))
        if cfg.pooled:
            spares = [Mux(item.half, (upper_bank + i - 1) % cfg.n_pe, (i - 1) % cfg.n_pe) for i in range(cfg.w_banks)]
            m.d.comb += self.spare.eq(Array(spares)[lead])
        marked = self.banks[0].marked
        for half in range(2):
            with m.If(marked.end & (marked.half == half)):
                m.d.sync += self.groups.ready[half].eq(1)
            with m.Elif(self.groups.release & (self.groups.release_half == half)):
                m.d.sync += self.groups.ready[half].eq(0)

        # A read travels with the stages of the words, so that it meets an idle bank.
        read = Signal(2)
        read_addr = [Signal.like(self.banks[0].read_addr, name=f"read_addr_{i}") for i in range(2)]
        read_bank = [Signal(w.bank, name=f"read_bank_{i}") for i in range(3)]
        m.d.sync += [
            read.eq(Cat(self.sums.read, read)),
            read_addr[0].eq(self.sums.slot * cfg.row_groups + self.sums.row_group),
            read_addr[1].eq(read_addr[0]),
            read_bank[0].eq(self.sums.bank),
            read_bank[1].eq(read_bank[0]),
            read_bank[2].eq(read_bank[1]),
        ]
        for number, bank in enumerate(self.banks):
            m.d.comb += [bank.read.eq(read[1] & (read_bank[1] == number)), bank.read_addr.eq(read_addr[1])]
        m.d.comb += [
            self.sums.sums[i].eq(Array(bank.sums[i] for bank in self.banks)[read_bank[2]]) for i in range(BANK_LANES)
        ]

        groups_open = Signal(2)
        m.d.sync += groups_open.eq(groups_open + groups.begin - ended)
        m.d.comb += [
            events.w_words.eq(ring.words.valid & ring.words.ready),
            events.x_words.eq(inputs.fill.valid & (inputs.fill.kind == Kind.X)),
            events.w_busy.eq(issue),
            events.w_stolen.eq(waiting & self.sums.read),
            events.w_starved.eq(~waiting & (groups_open != 0)),
            events.w_idle.eq(~(events.w_busy | events.w_stolen | events.w_starved)),
            events.pe_busy.eq(sum(bank.issue for bank in self.banks)),
        ]
        return m
