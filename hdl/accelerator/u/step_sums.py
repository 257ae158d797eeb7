"""What a path does around the bank of the sums of two steps: clear it before a run, load first what comes first."""

from typing import Any

from amaranth import Cat, Module, Signal, Value


def clear_both(m: Module, bank: Any, needed: Value, rows: Value) -> None:
    """What runs before left in the sums goes first where it is ``needed``: that of both steps, one after the other.

    bank: a BankSignature of two memories; rows: the row groups of each.
    """
    cleared = Signal(2)
    m.d.comb += [
        bank.clear.eq(needed & ~bank.clearing & ~cleared.all()),
        bank.clear_memory.eq(cleared[0]),
        bank.clear_rows.eq(rows),
    ]
    with m.If(bank.clear):
        m.d.sync += cleared.eq(Cat(1, cleared[0]))


def give_sums(m: Module, bank: Any, sums: Any, step: Any) -> None:
    """A RecurrentSumsSignature reads the bank, and a StepSignature says that a step is complete."""
    m.d.comb += [
        bank.read.eq(sums.read),
        bank.read_memory.eq(sums.half),
        bank.read_addr.eq(sums.row_group),
        bank.read_clears.eq(sums.clears),
        *(sums.sums[i].eq(bank.sums[i]) for i in range(len(sums.sums))),
        step.done.eq(bank.marked.end),
        step.empty.eq(bank.marked.empty),
    ]


def setup_first(m: Module, setup: Any, scanner: Any, segments: Any, words: Any, decoder: Any) -> None:
    """Until setup is done its segments are asked for and the words are its own, then the columns'.

    segments: the queue's stream; words: the ring's.
    """
    m.d.comb += [setup.words.payload.eq(words.payload), decoder.words.payload.eq(words.payload)]
    with m.If(setup.done):
        m.d.comb += [
            segments.valid.eq(scanner.segments.valid),
            segments.payload.eq(scanner.segments.payload),
            decoder.words.valid.eq(words.valid),
            words.ready.eq(decoder.words.ready),
        ]
    with m.Else():
        m.d.comb += [
            segments.valid.eq(setup.segments.valid),
            segments.payload.eq(setup.segments.payload),
            setup.segments.ready.eq(segments.ready),
            setup.words.valid.eq(words.valid),
            words.ready.eq(setup.words.ready),
        ]
