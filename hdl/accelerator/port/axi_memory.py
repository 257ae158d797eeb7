"""The memory adapter for AXI4: a burst of the loader becomes one INCR burst, beats find their way back by id."""

from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Out

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import BURST_WORDS, Kind, bits_for, target_layout
from hdl.accelerator.port.members import adapter_members
from hdl.axi4 import FIXED, Axi4Signature
from hdl.common.component import Component
from hdl.common.ram import Ram

WRITES = 15
"""Write bursts without an answer, at most."""


class AxiMemory(Component):
    """Asks for one word of a ``burst`` a cycle at ``axi``, read or written, and takes the answers in any order.

    Parameters:
        memory: the bytes that exist, from and to multiples of 128; a burst elsewhere is an error and is not issued.

    A read burst is issued, with an id of its own, while fewer than ``cfg.window`` words are outstanding; so at most
    ``cfg.window`` + 15 are, and latency is hidden as by single requests with that window. Words of a burst count as
    asked for one a cycle, and the next burst waits for its turn.

    ``fill`` carries each loaded word one cycle after its beat; ``store`` brings words and is told of each, for the last
    of a burst not before its answer. While ``control`` says stop, bursts under way are completed, with strobes low for
    words that were not offered in time. Its events: in every cycle a word has its turn (PORT_BUSY), waits for the port,
    a burst waits for answers to others (PORT_FULL), or there is nothing to ask for.
    """

    def __init__(self, cfg: AcceleratorConfig, memory: range) -> None:
        if memory.step != 1 or not memory or memory.start % 128 or memory.stop % 128:
            raise ValueError(f"memory must be a range of bytes between multiples of 128, not {memory!r}")
        self.cfg, self.memory = cfg, memory
        super().__init__({**adapter_members(cfg), "axi": Out(Axi4Signature(bits_for(memory.stop - 1), cfg.tag_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, axi, burst, events = self.cfg, self.axi, self.burst, self.control.events
        m.d.comb += [getattr(axi, name).eq(value) for name, value in FIXED.items()]

        # The burst whose words have their turn.
        left = Signal(5)
        storing = Signal()
        turn = Signal()
        load = Signal()
        read_turn = Signal()
        m.d.comb += [
            load.eq((left != 0) & storing & (~axi.wvalid | axi.wready) & (self.store.data.valid | self.control.stop)),
            read_turn.eq((left != 0) & ~storing & (~axi.arvalid | axi.arready)),
            turn.eq(load | read_turn),
            self.store.data.ready.eq(load & ~self.control.stop),
        ]

        # Ids of reads are used in turn, so that one comparison finds a free one, a cycle ahead.
        in_flight = Signal(cfg.window)
        next_id = Signal(cfg.tag_bits)
        id_free = Signal(init=1)
        words = Signal(range(cfg.window + BURST_WORDS))
        writes = Signal(range(WRITES + 1))
        is_store = Signal()
        exists = Signal()
        blocked = Signal()
        free = Signal()
        issue_read = Signal()
        issue_write = Signal()
        first, last = self.memory.start >> 7, (self.memory.stop >> 7) - 1
        line = burst.addr[4:]
        m.d.comb += [
            is_store.eq(burst.kind == Kind.STORE),
            exists.eq((line >= first) & (line <= last)),
            # whether its memory exists or not: that takes longer to find
            blocked.eq(Mux(is_store, writes == WRITES, (words >= cfg.window) | ~id_free)),
            # the words of the last burst are through, and so is what it shows on the port
            free.eq(
                ~self.control.stop
                & ((left == 0) | (turn & (left == 1)))
                & Mux(is_store, ~axi.awvalid | axi.awready, ~axi.arvalid | axi.arready)
            ),
            burst.taken.eq(burst.valid & free & ~blocked),
            issue_read.eq(burst.taken & exists & ~is_store),
            issue_write.eq(burst.taken & exists & is_store),
        ]
        with m.If(turn):
            m.d.sync += left.eq(left - 1)
        with m.If(self.control.stop & ~storing):
            m.d.sync += left.eq(0)
        with m.If(issue_read | issue_write):
            m.d.sync += [left.eq(burst.words), storing.eq(is_store)]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(issue_read):
            m.d.sync += [
                axi.arvalid.eq(1),
                axi.arid.eq(next_id),
                axi.araddr.eq(burst.addr << 3),
                axi.arlen.eq(burst.words - 1),
                next_id.eq(next_id + 1),
            ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(issue_write):
            m.d.sync += [axi.awvalid.eq(1), axi.awaddr.eq(burst.addr << 3), axi.awlen.eq(burst.words - 1)]
        with m.If(axi.wready):
            m.d.sync += axi.wvalid.eq(0)
        with m.If(load):
            m.d.sync += [
                axi.wvalid.eq(1),
                axi.wdata.eq(self.store.data.payload),
                axi.wstrb.eq(Mux(self.control.stop, 0, 0xFF)),
                axi.wlast.eq(left == 1),
            ]

        # Where the beats of each burst go: kind and index of the first, and how many have come.
        target = target_layout(cfg)
        m.submodules.targets = targets = Ram(target.size, cfg.window)
        m.submodules.beats = beats = Ram(4, cfg.window)
        fresh = Signal(cfg.window)
        pushed: Any = Signal(target)
        m.d.comb += [
            pushed.kind.eq(burst.kind),
            pushed.index.eq(burst.index),
            targets.write_en.eq(issue_read),
            targets.write_addr.eq(next_id),
            targets.write_data.eq(pushed.as_value()),
        ]
        # A beat that comes during reset, of a burst from before it, finds its id not in flight.
        beat = Signal()
        issued_bit = Signal(cfg.window)
        beat_bit = Signal(cfg.window)
        following = Signal.like(next_id)

        def is_free(number: Signal) -> Value:
            return ~in_flight.bit_select(number, 1) | (beat & axi.rlast & (axi.rid == number))

        m.d.comb += [
            beat.eq(axi.rvalid & in_flight.bit_select(axi.rid, 1)),
            targets.read_en.eq(beat),
            targets.read_addr.eq(axi.rid),
            beats.read_en.eq(beat),
            beats.read_addr.eq(axi.rid),
            issued_bit.bit_select(next_id, 1).eq(issue_read),
            beat_bit.bit_select(axi.rid, 1).eq(beat),
            following.eq(next_id + 1),
        ]
        m.d.sync += [
            in_flight.eq((in_flight & ~Mux(axi.rlast, beat_bit, 0)) | issued_bit),
            id_free.eq(Mux(issue_read, is_free(following), is_free(next_id))),
            fresh.eq((fresh & ~beat_bit) | issued_bit),
            words.eq(words + Mux(issue_read, burst.words, 0) - beat),
        ]

        filled = Signal()
        failed = Signal()
        number = Signal(4)
        following = Signal(4)
        m.d.sync += [filled.eq(beat), failed.eq(axi.rresp[1])]
        was_first = Signal()
        same = Signal()
        rid = Signal(cfg.tag_bits)
        before = Signal(4)
        found = data.View(target, targets.read_data)
        with m.If(beat):
            m.d.sync += [
                self.fill.data.eq(axi.rdata),
                was_first.eq(fresh.bit_select(axi.rid, 1)),
                # the count that is being written now cannot be read
                same.eq(filled & (rid == axi.rid)),
                rid.eq(axi.rid),
                before.eq(following),
            ]
        m.d.comb += [
            number.eq(Mux(was_first, 0, Mux(same, before, beats.read_data))),
            following.eq(number + 1),
            beats.write_en.eq(filled),
            beats.write_addr.eq(rid),
            beats.write_data.eq(following),
            self.fill.valid.eq(filled & ~failed),
            self.fill.kind.eq(found.kind),
            self.fill.index.eq(found.index + number),
        ]

        answered = Signal()
        owed = Signal(range(WRITES + BURST_WORDS + 1))
        m.d.comb += [answered.eq(axi.bvalid & (writes != 0)), self.store.stored.eq(owed != 0)]
        m.d.sync += [
            writes.eq(writes + issue_write - answered),
            owed.eq(owed + (load & (left != 1)) + answered - self.store.stored),
        ]

        nowhere = Signal()
        write_failed = Signal()
        m.d.sync += [
            nowhere.eq(burst.taken & ~exists & ~is_store),
            write_failed.eq((answered & axi.bresp[1]) | (burst.taken & ~exists & is_store)),
        ]
        m.d.comb += [
            self.control.faults.mem_read.eq((filled & failed) | nowhere),
            self.control.faults.mem_write.eq(write_failed),
            self.control.idle.eq((words == 0) & ~filled & (writes == 0) & (owed == 0)),
            events.port_busy.eq(turn),
            events.port_stalled.eq((left != 0) & ~turn),
            events.port_full.eq((left == 0) & burst.valid & free & blocked),
            events.port_idle.eq(~(events.port_busy | events.port_stalled | events.port_full)),
        ]
        return m
