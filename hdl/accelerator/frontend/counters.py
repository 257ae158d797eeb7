"""What a program can read of a run: its counters, beside the status word and the version."""

from functools import reduce
from itertools import pairwise
from operator import add

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out, Signature

from golden import isa
from golden.config import AcceleratorConfig
from golden.isa import Counter
from hdl.accelerator.layout import Widths
from hdl.accelerator.signatures import AdapterSignature, unit_events
from hdl.common.component import Component
from hdl.common.ram import Ram
from hdl.common.struct import struct

_AT_ONCE = (Counter.STATUS, Counter.VERSION, Counter.CYCLES, Counter.N_FUSE, Counter.FEATURES)
COUNTED = tuple(c for c in Counter if c not in _AT_ONCE)
"""Counters that grow by the events of their name."""
READ_CYCLES = 2
"""Cycles from the question for one of COUNTED to its value, after the first round; the others are there at once."""
_PAUSE = READ_CYCLES + 1
"""Cycles of a read in which no other count is folded."""
_BETWEEN_READS = 2
"""Cycles from the value of a read to the next question, at least: the answer leaves, a command comes."""
_LONGEST = -(-len(COUNTED) // _BETWEEN_READS) * (_PAUSE + _BETWEEN_READS) + _PAUSE
"""Cycles from a fold of a count to its next, at most: all have a turn, and reads come as fast as they can."""


class Counters(Component):
    """Counts cycles and events while ``busy``, from ``start`` on; the cycle of a START that runs (``begin``) is the
    first.

    ``datapath`` and ``memory``: the events; a counter that several units name grows by the sum. ``n_fuse``: the fusion
    factor, kept from the START. ``read`` asks for counter ``index`` of the table and holds until ``valid``, which
    comes with ``value``: at once, or READ_CYCLES later, without what happened in between; 0 for an index past the end.
    Of ``status``, the status word, too. At least two cycles pass between a ``valid`` and the next ``read``.

    Counts of isa.COUNTER_BITS are rows of one memory. Each counter has but a few bits beside it, which one adder folds
    into its row, the next counter's every cycle, and out of turn that of a counter that is read. The first round after
    a START overwrites the rows; reads wait until it is over.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "start": In(1),
                "begin": In(1),
                "busy": In(1),
                "n_fuse": In(Widths(cfg).fuse),
                "datapath": In(Signature({name: Out(events) for name, events in unit_events(cfg).items()})),
                "memory": In(AdapterSignature().members["events"].signature),
                "status": In(struct(isa.STATUS_LAYOUT)),
                "read": In(1),
                "index": In(range(max(Counter) + 2)),
                "valid": Out(1),
                "value": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        n_fuse = Signal.like(self.n_fuse)
        cycles = Signal(isa.COUNTER_BITS)
        with m.If(self.start):
            m.d.sync += [n_fuse.eq(Mux(self.begin, self.n_fuse, 0)), cycles.eq(self.begin)]
        with m.Elif(self.busy):
            m.d.sync += cycles.eq(cycles + 1)

        # What is read of COUNTED: the question, its fold, its value.
        counted = Signal()
        reading = Signal(READ_CYCLES)
        asked = Signal()
        first_round = Signal(init=1)
        m.d.comb += [
            counted.eq(Array(Const(c in COUNTED, 1) for c in (*Counter, None))[self.index]),
            asked.eq(self.read & counted & (reading == 0) & ~first_round),
        ]
        m.d.sync += reading.eq(Cat(asked, reading[:-1]))

        # Whose count is folded: in turn, and never one whose row is being written.
        turn = Signal(range(len(Counter)), init=COUNTED[0])
        folded = Signal.like(turn)
        fold = Signal()
        m.d.comb += [
            folded.eq(Mux(reading[0], self.index, turn)),
            fold.eq(reading[0] | ~(asked | reading.any())),
        ]
        started = Signal()
        counting = Signal()
        m.d.sync += [started.eq(self.start), counting.eq(self.busy)]
        with m.If(started):
            m.d.sync += [turn.eq(COUNTED[0]), first_round.eq(1)]
        with m.Elif(fold & ~reading[0]):
            with m.Switch(turn):
                for counter, after in pairwise((*COUNTED, COUNTED[0])):
                    with m.Case(counter):
                        m.d.sync += turn.eq(after)
            with m.If(turn == COUNTED[-1]):
                m.d.sync += first_round.eq(0)

        parts: dict[Counter, Value] = {}
        for counter in COUNTED:
            name = counter.name.lower()
            happened, most = self._events(name)
            if not most:
                # no unit of this build says anything of it
                continue
            events = Signal(range(most + 1), name=f"{name}_events")
            parts[counter] = Signal(range(most * _LONGEST + 1), name=name)
            m.d.sync += [
                events.eq(happened),
                parts[counter].eq(
                    Mux(started | (fold & (folded == counter)), 0, parts[counter]) + Mux(counting, events, 0)
                ),
            ]

        m.submodules.counts = counts = Ram(isa.COUNTER_BITS, len(Counter))
        part = Signal(max(len(value) for value in parts.values()))
        first = Signal()
        written = Signal.like(folded)
        write = Signal()
        total = Signal(isa.COUNTER_BITS)
        m.d.sync += [
            part.eq(Array(parts.get(counter, Const(0, 1)) for counter in Counter)[folded]),
            first.eq(first_round),
            written.eq(folded),
            write.eq(fold),
        ]
        m.d.comb += [
            counts.read_en.eq(fold),
            counts.read_addr.eq(folded),
            total.eq(Mux(first, 0, counts.read_data) + part),
            counts.write_en.eq(write),
            counts.write_addr.eq(written),
            counts.write_data.eq(total),
        ]

        build = {name: getattr(cfg, name) for name in isa.VERSION_LAYOUT.fields if name != "version"}
        values = {
            Counter.STATUS: self.status.as_value(),
            Counter.VERSION: Const(isa.VERSION_LAYOUT.pack(version=isa.VERSION, **build), 64),
            Counter.FEATURES: Const(cfg.features, 64),
            Counter.N_FUSE: n_fuse,
            Counter.CYCLES: cycles,
        }
        at_once = Array(values.get(counter, Const(0, 64)) for counter in (*Counter, None))[self.index]
        m.d.comb += [
            self.valid.eq(self.read & (~counted | reading[-1])),
            self.value.eq(Mux(reading[-1], total, at_once)),
        ]
        return m

    def _events(self, name: str) -> tuple[Value, int]:
        """How much a counter grows in this cycle, and how much that can be."""
        units = [self.memory, *(getattr(self.datapath, unit) for unit in self.datapath.signature.members)]
        found = [(getattr(unit, name), unit.signature.members[name].shape) for unit in units if hasattr(unit, name)]
        return reduce(add, [events for events, _ in found] or [Const(0)]), sum(shape.stop - 1 for _, shape in found)
