"""Which PE takes which word of W, for which time step, in each cycle."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import LISTED_STEPS, AcceleratorConfig
from hdl.accelerator.layout import Widths, half_place, item_layout, step_layout
from hdl.accelerator.signatures import ParametersSignature, StepsSignature
from hdl.accelerator.w.bank_feed import FUSED_ITEMS, BankFeed
from hdl.accelerator.w.list_sequencer import LISTS
from hdl.common.component import Component
from hdl.common.queue import Queue


class IssueUnit(Component):
    """Takes decoded ``items`` and issues each to the banks of the steps that it is for.

    In the run of ``parameters`` a bank that is ``issued`` a word works on item ``heads[bank]`` for the step at
    ``steps[bank]``. ``rows``: steps of the group in work. Cell fusion works on w_pes steps a cycle, in their order,
    around the banks, all on one item. Under the list each bank goes on by itself, through the steps in its ``lists``,
    of the lengths ``counts``.

    ``reading``: the gates take ``read_bank`` from the PEs in this cycle. ``spare``: the PE that is left for U, which
    takes it with ``u_issue``: always under cell fusion; under the list one that has no word, or that of the bank which
    is furthest ahead, which waits.

    ``ended`` pulses when all banks are done with a group. ``waiting``: there is a word to work on; ``valid`` says of
    which bank.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "items": In(stream.Signature(item_layout(cfg))),
                "rows": In(w.group),
                "lists": In(StepsSignature(cfg)).array(cfg.w_banks),
                "counts": In(range(LISTED_STEPS + 1)).array(LISTS, cfg.w_banks),
                "reading": In(1),
                "read_bank": In(w.bank),
                "u_issue": In(1),
                "issued": Out(cfg.w_banks),
                "heads": Out(item_layout(cfg)).array(cfg.w_banks),
                "steps": Out(step_layout(cfg)).array(cfg.w_banks),
                "valid": Out(cfg.w_banks),
                "waiting": Out(1),
                "ended": Out(1),
                "spare": Out(range(cfg.n_pe)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        banks = range(cfg.w_banks)
        feeds: list[Any] = []
        if cfg.group_list:
            for b in banks:
                m.submodules[f"feed_{b}"] = feed = BankFeed(cfg)
                feeds.append(feed)
                connect(m, flipped(self.lists[b]), feed.steps)
                m.d.comb += [
                    *(feed.counts[i].eq(self.counts[i][b]) for i in range(LISTS)),
                    feed.fused.eq(~p.list),
                    feed.items.payload.eq(self.items.payload),
                    self.heads[b].eq(feed.head),
                    self.valid[b].eq(feed.valid),
                ]
            m.d.comb += self.items.ready.eq(Cat(feed.ready for feed in feeds).all())
        else:
            m.submodules.queue = queue = Queue(item_layout(cfg), FUSED_ITEMS)
            connect(m, flipped(self.items), queue.i)
            m.d.comb += [
                *(head.eq(queue.o.payload) for head in self.heads),
                self.valid.eq(queue.o.valid.replicate(cfg.w_banks)),
            ]
        due = Cat(self.valid[b] & ~self.heads[b].end for b in banks)
        m.d.comb += [
            self.waiting.eq(due.any()),
            # groups without a word may follow each other faster than it is known how large they are
            self.ended.eq(Cat(self.valid[b] & self.heads[b].end for b in banks).all() & (self.rows != 0)),
        ]

        # Cell fusion: the step `started` of the group is that of bank `lead`, counted from the group's first.
        started = Signal(w.group)
        half = Signal()
        lead = Signal(w.bank)
        last_turn = Signal()
        turns: list[Any] = [Signal(step_layout(cfg), name=f"turn_{b}") for b in banks]
        upper_slot, upper_bank = half_place(cfg)
        fused = due[0] & ~self.reading
        drop = Signal()
        m.d.comb += last_turn.eq(started + cfg.w_pes >= self.rows)
        if cfg.group_list:
            fused &= ~p.list
        m.d.comb += drop.eq(self.ended | (fused & last_turn))
        with m.If(fused):
            m.d.sync += started.eq(Mux(last_turn, 0, started + cfg.w_pes))
            if cfg.group_list:
                m.d.sync += lead.eq(Mux(last_turn, 0, Mux(lead == 0, cfg.w_banks - 1, lead - 1)))
        m.d.sync += half.eq(half ^ self.ended)
        fused_issue = []
        for b in banks:
            # which step from `started` on is this bank's, in either half
            lower = Array((b - i) % cfg.w_banks for i in banks)[lead]
            upper = Array((b - upper_bank - i) % cfg.w_banks for i in banks)[lead]
            place = Signal(w.bank, name=f"place_{b}")
            works = Signal(name=f"works_{b}")
            fused_issue.append(works)
            slot = upper_slot + (b < upper_bank)
            m.d.comb += [
                place.eq(Mux(half, upper, lower)),
                works.eq(fused & (place < cfg.w_pes) & (started + place < self.rows)),
                self.steps[b].sums.eq(turns[b].sums + Mux(half, slot * cfg.row_groups, 0)),
                self.steps[b].x.eq(turns[b].x + Mux(half, slot * cfg.x_blocks, 0)),
            ]
            with m.If(fused & last_turn):
                m.d.sync += turns[b].eq(0)
            with m.Elif(works):
                m.d.sync += [turns[b].sums.eq(turns[b].sums + p.h_blocks), turns[b].x.eq(turns[b].x + p.x_blocks)]
        if not cfg.group_list:
            m.d.comb += [self.issued.eq(Cat(fused_issue)), queue.o.ready.eq(drop), self.spare.eq(cfg.n_pe - 1)]
            return m

        spares = [Mux(half, (upper_bank + i - 1) % cfg.n_pe, (i - 1) % cfg.n_pe) for i in banks]
        m.d.comb += [self.issued.eq(Cat(fused_issue)), self.spare.eq(Array(spares)[lead])]
        for feed in feeds:
            m.d.comb += [feed.items.valid.eq(self.items.valid & self.items.ready), feed.drop.eq(drop)]
        # The bank furthest ahead waits for U: it has the fewest items.
        ahead = Signal(w.bank)
        rooms = [feed.room for feed in feeds]
        for b in banks:
            with m.If(Cat(rooms[b] >= room for room in rooms).all()):
                m.d.sync += ahead.eq(b)
        # Whether the gates read is known late in a cycle: what follows from either is ready by then.
        choices = []
        for reading in (False, True):
            wants = [feed.due & (self.read_bank != b) if reading else feed.due for b, feed in enumerate(feeds)]
            spare = Signal(range(cfg.n_pe), name=f"spare_when_{'read' if reading else 'free'}")
            m.d.comb += spare.eq(ahead)
            for b in reversed(banks):
                with m.If(~wants[b]):
                    m.d.comb += spare.eq(b)
            choices.append((spare, Cat(wants[b] & ~(self.u_issue & (spare == b)) for b in banks)))
        (spare, takes), (spare_read, takes_read) = choices
        with m.If(p.list):
            m.d.comb += [
                self.spare.eq(Mux(self.reading, spare_read, spare)),
                self.issued.eq(Mux(self.reading, takes_read, takes)),
            ]
            for b, feed in enumerate(feeds):
                counts = [self.counts[i][b] for i in range(LISTS)]
                needs = Array(count != 0 for count in counts)[self.items.payload.mark.tag[: (LISTS - 1).bit_length()]]
                m.d.comb += [
                    feed.take.eq(self.issued[b]),
                    self.steps[b].eq(feed.step),
                    feed.items.valid.eq(self.items.valid & self.items.ready & (self.items.payload.end | needs)),
                ]
        return m
