"""The counters, and which of them add up to which."""

from dataclasses import dataclass
from enum import IntEnum

from golden.fields import Layout

VERSION_LAYOUT = Layout({"version": 16, "n_pe": 8, "slots": 8, "max_x": 16, "max_h": 16})
"""Counter 1: the version, and the configuration of the build."""

FEATURES_LAYOUT = Layout({"schedules": 8, "formats": 8, "input_formats": 8, "delta": 1, "h_fp16": 1, "vector_units": 6})
"""Counter 28: what the build has: a bit for each number of a schedule and a format, flags, units of h a cycle."""


class Counter(IntEnum):
    """Index of each counter (COUNTER, rs1). All but VERSION are cleared at START and hold after the run."""

    STATUS = 0
    VERSION = 1
    CYCLES = 2
    W_WORDS = 3
    U_WORDS = 4
    KEPT_BLOCKS = 5
    N_FUSE = 6
    PORT_BUSY = 7
    PORT_STALLED = 8
    PORT_FULL = 9
    PORT_IDLE = 10
    X_WORDS = 11
    SETUP_WORDS = 12
    STORE_WORDS = 13
    SKIPPED_BLOCKS = 14
    W_BUSY = 15
    W_STOLEN = 16
    W_STARVED = 17
    W_IDLE = 18
    U_STARVED = 19
    U_IDLE = 20
    PE_BUSY = 21
    GATE_BUSY = 22
    GATE_WAIT_W = 23
    GATE_WAIT_STORE = 24
    GATE_IDLE = 25
    X_SENT = 26
    X_SKIPPED = 27
    FEATURES = 28


COUNTER_BITS = 48
"""Width of every count in hardware; a COUNTER instruction gives it with zeros above."""

COUNTER_MEANINGS: dict[Counter, str] = {
    Counter.STATUS: "status word: busy, done, error, code, complete rows of h",
    Counter.VERSION: (
        f"version (bits {VERSION_LAYOUT.place('version').text}), N_pe ({VERSION_LAYOUT.place('n_pe').text}), "
        f"slots ({VERSION_LAYOUT.place('slots').text}), max X ({VERSION_LAYOUT.place('max_x').text}), "
        f"max H ({VERSION_LAYOUT.place('max_h').text})"
    ),
    Counter.CYCLES: "clock cycles from the acceptance of START to the fall of busy",
    Counter.W_WORDS: "64-bit words of W loaded, over all passes",
    Counter.U_WORDS: "64-bit words of U loaded, over all steps",
    Counter.KEPT_BLOCKS: "blocks of s(h), units of U, that were kept, summed over all steps",
    Counter.N_FUSE: "fusion factor that ran: the one asked for, or the capacity if that is smaller",
    Counter.PORT_BUSY: "cycles in which the memory took a request, of one word each",
    Counter.PORT_STALLED: "cycles in which a request waited for the memory",
    Counter.PORT_FULL: "cycles without a request because the next tag was still unanswered",
    Counter.PORT_IDLE: "cycles without a request because there was nothing to ask for, or no room for it",
    Counter.X_WORDS: "64-bit words of x loaded",
    Counter.SETUP_WORDS: "64-bit words of bias, offsets, tables and state loaded before the first step",
    Counter.STORE_WORDS: "64-bit words of h and state stored",
    Counter.SKIPPED_BLOCKS: "blocks of s(h) that were dropped, summed over all steps; their columns are not loaded",
    Counter.W_BUSY: "cycles in which PEs worked on W, each on a step of its own",
    Counter.W_STOLEN: "cycles in which a value word of W waited because the gate unit read a W bank",
    Counter.W_STARVED: "cycles in which a group of steps was under way and no value word of W was there",
    Counter.W_IDLE: "cycles without a group under way: its x or free slots were missing, or W is through",
    Counter.U_STARVED: "cycles in which a word of U was due and not there",
    Counter.U_IDLE: "cycles in which no word of U was due: the next block of h was not known, or a step was closed",
    Counter.PE_BUSY: "cycles in which a PE worked, summed over all PEs, with one for the zeros of an empty first chunk",
    Counter.GATE_BUSY: "cycles in which the gate unit took the four sums of a unit of h, or by events of several",
    Counter.GATE_WAIT_W: "cycles in which a step's U sums waited for its W sums",
    Counter.GATE_WAIT_STORE: "cycles in which a step with all its sums waited for a row of h to be stored",
    Counter.GATE_IDLE: "cycles in which the gate unit waited for a step's U sums",
    Counter.X_SENT: "units of W of which a change of x was sent, summed over all steps, by events",
    Counter.X_SKIPPED: "units of W of which no change of x was sent, summed over all steps; they are not loaded",
    Counter.FEATURES: "what the build has: "
    + ", ".join(f"{name.replace('_', ' ')} ({FEATURES_LAYOUT.place(name).text})" for name in FEATURES_LAYOUT.fields),
}


@dataclass(frozen=True)
class CounterSum:
    """``total`` is the sum of ``parts``: in every run, or, unless ``always``, in one that ends without an error."""

    total: Counter
    parts: tuple[Counter, ...]
    always: bool = True


COUNTER_SUMS: tuple[CounterSum, ...] = (
    CounterSum(Counter.CYCLES, (Counter.PORT_BUSY, Counter.PORT_STALLED, Counter.PORT_FULL, Counter.PORT_IDLE)),
    CounterSum(Counter.CYCLES, (Counter.W_BUSY, Counter.W_STOLEN, Counter.W_STARVED, Counter.W_IDLE)),
    CounterSum(Counter.CYCLES, (Counter.U_WORDS, Counter.U_STARVED, Counter.U_IDLE)),
    CounterSum(Counter.CYCLES, (Counter.GATE_BUSY, Counter.GATE_WAIT_W, Counter.GATE_WAIT_STORE, Counter.GATE_IDLE)),
    CounterSum(
        Counter.PORT_BUSY,
        (Counter.W_WORDS, Counter.U_WORDS, Counter.X_WORDS, Counter.SETUP_WORDS, Counter.STORE_WORDS),
        always=False,
    ),
)
"""Every cycle has one reason at the port, at the W PEs, at the U PE and at the gates; every word asked for is used."""
