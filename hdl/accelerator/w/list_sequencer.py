"""The list schedule: W passes once for each group of a list of sizes, and only where a step needs it."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from golden.config import LISTED_STEPS, AcceleratorConfig
from hdl.accelerator.layout import ACTIVE_BITS, TAG_BITS, Widths, slot_after, unit_layout
from hdl.accelerator.signatures import LookSignature, ParametersSignature, StepsSignature
from hdl.common.component import Component

LISTS = 8
"""Lists of steps of a bank: half of the tags, so that an old one is told from a new one."""
_MARGIN = 4
"""Units whose items may still be on their way to the banks when the decoder takes another."""


class ListSequencer(Component):
    """Tells which ``units`` of W come, for each group of steps, and which steps of each bank a unit is for.

    ``parameters``: the run's. A group of ``size`` steps begins (``begin``) when its x is in (``x_ready`` counts groups)
    and the steps in work, those of the groups begun less those that are ``freed``, leave it a place among ``capacity``.

    Units come in order, each after its lists: ``steps`` writes them bank by bank, ``counts`` are their lengths. With
    X_SKIP a step whose x is zero in a unit is in no list of it, and a unit without any is not needed. ``looks`` reads
    which x are. A list is not written while ``oldest``, the tag of the unit that a bank works on, is near its own.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "size": In(w.group),
                "capacity": In(ACTIVE_BITS),
                "x_ready": In(1),
                "freed": In(1),
                "begin": Out(1),
                "units": Out(stream.Signature(unit_layout(cfg))),
                "looks": Out(LookSignature(cfg)).array(cfg.w_banks),
                "steps": Out(StepsSignature(cfg)).array(cfg.w_banks),
                "counts": Out(range(LISTED_STEPS + 1)).array(LISTS, cfg.w_banks),
                "oldest": In(TAG_BITS).array(cfg.w_banks),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p = self.cfg, Widths(self.cfg), self.parameters
        banks = range(cfg.w_banks)
        inputs = Signal(w.group)
        active = Signal(ACTIVE_BITS)
        group = Signal(w.group)
        unit = Signal(w.units)
        tag = Signal(TAG_BITS)
        begin = self.begin
        # found a cycle ahead: between two groups are more
        fits = Signal()
        m.d.sync += [
            fits.eq((self.size != 0) & (active + self.size <= self.capacity)),
            inputs.eq(inputs + self.x_ready - begin),
            active.eq(active + Mux(begin, self.size, 0) - self.freed),
        ]

        # The group's first step, of which bank it is and where each bank's first step lies; the same as the unit's
        # steps are gone through, the next one of each bank at a time.
        first_bank = Signal(w.bank)
        first: list[Any] = [Signal.like(self.steps[0].step, name=f"first_{b}") for b in banks]
        now: list[Any] = [Signal.like(self.steps[0].step, name=f"now_{b}") for b in banks]
        started = Signal(w.group)
        last_turn = Signal()
        after_group = Signal(w.bank)
        look = Signal()
        looked = Signal()
        place = [Array((b - i) % cfg.w_banks for i in banks)[first_bank] for b in banks]
        works = [started + place[b] < group for b in banks]
        block = Mux(p.w_matrix.single, unit >> 2, unit)
        m.d.comb += last_turn.eq(started + cfg.w_banks >= group)
        m.d.sync += looked.eq(look)
        counts = [Signal(range(LISTED_STEPS + 1), name=f"count_{b}") for b in banks]
        wanted = [Signal(name=f"wanted_{b}") for b in banks]
        with m.If(look):
            m.d.sync += started.eq(Mux(last_turn, 0, started + cfg.w_banks))
            with m.If(last_turn):
                following = Array((i + first_bank) for i in range(cfg.w_banks + 1))[group - started]
                m.d.sync += after_group.eq(Mux(following >= cfg.w_banks, following - cfg.w_banks, following))
        for b in banks:
            steps = self.steps[b]
            of_step = Signal(name=f"of_step_{b}")
            found: Any = Signal.like(steps.step, name=f"found_{b}")
            zero = Mux(p.w_matrix.single, ~self.looks[b].nonzero.bit_select(unit[:2], 1), self.looks[b].nonzero == 0)
            m.d.comb += [
                self.looks[b].addr.eq(now[b].x + block),
                wanted[b].eq(looked & of_step & ~(p.x_skip & zero)),
                steps.en.eq(wanted[b]),
                steps.tag.eq(tag),
                steps.place.eq(counts[b]),
                steps.step.eq(found),
            ]
            m.d.sync += [of_step.eq(works[b]), found.eq(now[b])]
            with m.If(look & works[b]):
                m.d.sync += [
                    now[b].sums.eq(slot_after(now[b].sums, p.h_blocks, cfg.bank_slots * cfg.row_groups)),
                    now[b].x.eq(slot_after(now[b].x, p.x_blocks, cfg.bank_slots * cfg.x_blocks)),
                ]
            with m.If(wanted[b]):
                m.d.sync += counts[b].eq(counts[b] + 1)

        entry: Any = self.units.payload
        any_wanted = Cat(count.any() for count in counts).any()
        units = Mux(p.w_matrix.single, p.x_blocks << 2, p.x_blocks)
        room = Cat(((tag - self.oldest[b])[:TAG_BITS] < LISTS - _MARGIN) for b in banks).all()
        m.d.comb += [entry.unit.eq(unit), entry.mark.tag.eq(tag)]
        with m.FSM(name="groups"):
            with m.State("WAIT"):
                m.d.comb += begin.eq((inputs != 0) & fits)
                m.d.sync += [group.eq(self.size), unit.eq(0), *(now[b].eq(first[b]) for b in banks)]
                with m.If(begin):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += look.eq(room | (started != 0))
                with m.If(look & last_turn):
                    m.next = "FOUND"
            with m.State("FOUND"):
                # what the last look gave is being listed
                m.next = "UNIT"
            with m.State("UNIT"):
                m.d.comb += [self.units.valid.eq(1), entry.needed.eq(any_wanted)]
                with m.Switch(tag[:-1]):
                    for i in range(LISTS):
                        with m.Case(i):
                            m.d.sync += [self.counts[i][b].eq(counts[b]) for b in banks]
                with m.If(self.units.ready):
                    m.d.sync += [unit.eq(unit + 1), tag.eq(tag + any_wanted), *(count.eq(0) for count in counts)]
                    with m.If(unit + 1 == units):
                        # what was reached is where the next group begins
                        m.d.sync += [first[b].eq(now[b]) for b in banks]
                        m.next = "END"
                    with m.Else():
                        m.d.sync += [now[b].eq(first[b]) for b in banks]
                        m.next = "LOOK"
            with m.State("END"):
                m.d.comb += [self.units.valid.eq(1), entry.end.eq(1)]
                with m.If(self.units.ready):
                    m.d.sync += first_bank.eq(after_group)
                    m.next = "WAIT"
        return m
