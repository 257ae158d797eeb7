"""The instruction set: one table of instructions, flags, status bits, error codes and counters.

The RTL's decoder, the C header, the documentation and the tests are all made from these tables. Numbers are never
reused: a retired one stays in the table with its history.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import reduce
from operator import or_

CUSTOM_0 = 0x0B
"""Opcode of every instruction of the accelerator."""

VERSION = 1
"""Value of counter 1, bits 15:0: grows when a program could tell the difference."""


class Funct(IntEnum):
    """funct7 of each instruction."""

    SIZES = 0
    STEPS = 1
    WEIGHTS = 2
    FUSION = 3
    DATA = 4
    START = 5
    EXTENSION = 6
    COUNTER = 7
    ABORT = 8


@dataclass(frozen=True)
class Instruction:
    """One row of the instruction table; an operand that is None is not read and its xs bit may be 0."""

    funct: Funct
    rs1: str | None
    rs2: str | None
    effect: str


INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction(Funct.SIZES, "X, elements", "H, elements", "set the sizes of the layer"),
    Instruction(Funct.STEPS, "threshold, fp32 bits", "T", "set the pruning threshold and the number of time steps"),
    Instruction(Funct.WEIGHTS, "address of W", "address of the bias", "set the addresses of W and of the bias"),
    Instruction(Funct.FUSION, "address of U's column offsets", "N_fuse", "set U's offsets and the fusion factor"),
    Instruction(Funct.DATA, "address of x", "address of h", "set the addresses of input and output"),
    Instruction(Funct.START, "address of U", "flags", "check everything set so far and start; returns at once"),
    Instruction(
        Funct.EXTENSION, "address of W's column offsets or 0", "address of the state or 0", "set the optional addresses"
    ),
    Instruction(Funct.COUNTER, "counter index", None, "read a counter; never waits for a run"),
    Instruction(Funct.ABORT, None, None, "stop the run, clear all registers and errors; never waits for a run"),
)


class Flags(IntFlag):
    """Flags of START (rs2)."""

    TRACE = 1 << 0
    H_SEQ = 1 << 1
    H_PRUNED = 1 << 2
    X_SKIP = 1 << 3
    STATE_IN = 1 << 4
    STATE_OUT = 1 << 5
    IRQ = 1 << 6


FLAG_MEANINGS: dict[Flags, str] = {
    Flags.TRACE: "ignored (the original's trace flag)",
    Flags.H_SEQ: "store every row of h, not only the last",
    Flags.H_PRUNED: "stored rows of h are pruned: +0.0 in every block below the threshold",
    Flags.X_SKIP: "skip all-zero 4-element blocks of x; needs W's column offsets",
    Flags.STATE_IN: "start from the state in memory instead of h = c = 0",
    Flags.STATE_OUT: "store the state after the last step",
    Flags.IRQ: "raise the interrupt when the run ends",
}


class Schedule(IntEnum):
    """Numbers of the schedules, a field of START's flags. ``golden.cycles`` has what they take."""

    CELL_FUSION = 0


class Format(IntEnum):
    """Numbers of the formats of weights, fields of START's flags. ``golden.formats`` has what they are."""

    ESELL = 0


SCHEDULE_MEANINGS: dict[Schedule, str] = {Schedule.CELL_FUSION: "cell fusion, as in the paper"}
FORMAT_MEANINGS: dict[Format, str] = {Format.ESELL: "eSELL"}

BUILT_SCHEDULES: tuple[Schedule, ...] = (Schedule.CELL_FUSION,)
"""Schedules that the RTL has a sequencer for."""
BUILT_FORMATS: tuple[Format, ...] = (Format.ESELL,)
"""Formats that the RTL has a decoder for."""

SCHEDULE_SHIFT, SCHEDULE_BITS = 8, 2
W_FORMAT_SHIFT, W_FORMAT_BITS = 12, 2
U_FORMAT_SHIFT, U_FORMAT_BITS = 14, 2


@dataclass(frozen=True)
class Field:
    """A number in START's flags: ``bits`` of them from bit ``shift`` up; ``built``: the numbers that the RTL runs."""

    shift: int
    bits: int
    built: tuple[int, ...]

    def of(self, word: int) -> int:
        """The number in a word of flags."""
        return word >> self.shift & ((1 << self.bits) - 1)

    @property
    def used(self) -> int:
        """The bits of the word that are set in any built number."""
        return reduce(or_, self.built) << self.shift

    @property
    def holes(self) -> tuple[int, ...]:
        """Numbers made of bits of ``used`` alone that are not built."""
        used = self.of(self.used)
        return tuple(n for n in range(1 << self.bits) if not n & ~used and n not in self.built)


SCHEDULE_FIELD = Field(SCHEDULE_SHIFT, SCHEDULE_BITS, BUILT_SCHEDULES)
W_FORMAT_FIELD = Field(W_FORMAT_SHIFT, W_FORMAT_BITS, BUILT_FORMATS)
U_FORMAT_FIELD = Field(U_FORMAT_SHIFT, U_FORMAT_BITS, BUILT_FORMATS)
FIELDS = (SCHEDULE_FIELD, W_FORMAT_FIELD, U_FORMAT_FIELD)


def start_word(
    flags: int,
    schedule: Schedule = Schedule.CELL_FUSION,
    w_format: Format = Format.ESELL,
    u_format: Format = Format.ESELL,
) -> int:
    """rs2 of START: the flags with the numbers of schedule and formats in their fields."""
    return int(flags) | schedule << SCHEDULE_SHIFT | w_format << W_FORMAT_SHIFT | u_format << U_FORMAT_SHIFT


IMPLEMENTED_FLAGS = Flags.TRACE | Flags.H_SEQ | Flags.H_PRUNED | Flags.STATE_IN | Flags.STATE_OUT | Flags.IRQ
"""Flags that the RTL runs; START with any other bit of rs2 set answers BAD_FLAGS."""

USED_BITS = reduce(or_, (field.used for field in FIELDS), int(IMPLEMENTED_FLAGS))
"""Bits of START's rs2 that may be set: built flags, and the bits of built numbers."""


def refused(word: int) -> bool:
    """Whether START answers BAD_FLAGS to this rs2 whatever the registers hold: something in it is not built."""
    return bool(word & ~USED_BITS) or any(field.of(word) in field.holes for field in FIELDS)


class Error(IntEnum):
    """Error codes, status bits 15:8. Of checks at START the first that fails, in this order, is reported."""

    NONE = 0
    BAD_COMMAND = 1
    BAD_SIZE = 2
    BAD_T = 3
    BAD_N_FUSE = 4
    MISALIGNED = 5
    BAD_FLAGS = 6
    BAD_THRESHOLD = 7
    BAD_FORMAT = 8
    BAD_WEIGHT = 9
    BAD_BIAS = 10
    BAD_X = 11
    BAD_STATE = 12
    MEM_READ = 13
    MEM_WRITE = 14
    ACC_OVERFLOW = 15
    ABORTED = 16


START_CHECKS = (
    Error.BAD_COMMAND,
    Error.BAD_SIZE,
    Error.BAD_T,
    Error.BAD_N_FUSE,
    Error.MISALIGNED,
    Error.BAD_FLAGS,
    Error.BAD_THRESHOLD,
)
"""Errors found at START before memory is touched, in the order of checking."""

ERROR_MEANINGS: dict[Error, str] = {
    Error.NONE: "no error",
    Error.BAD_COMMAND: "since the last START a command had an unknown funct or opcode, or lacked a needed operand",
    Error.BAD_SIZE: "X or H is 0, no multiple of 4, or above the build's limit",
    Error.BAD_T: "T is 0 or above the build's limit",
    Error.BAD_N_FUSE: "N_fuse is 0",
    Error.MISALIGNED: "an address in use is no multiple of 8",
    Error.BAD_FLAGS: "an unknown or unbuilt flag, schedule or format, or a pointer that a flag needs is 0",
    Error.BAD_THRESHOLD: "the threshold is NaN",
    Error.BAD_FORMAT: "a malformed eSELL head, or a column whose heads disagree with its offset",
    Error.BAD_WEIGHT: "a weight is infinite or NaN",
    Error.BAD_BIAS: "a bias is not finite or |b| >= 2048",
    Error.BAD_X: "an input is not finite after its conversion to fp16",
    Error.BAD_STATE: "a state h is not finite, above 1 in magnitude, or not exact in fp16",
    Error.MEM_READ: "a load was answered with an error",
    Error.MEM_WRITE: "a store was answered with an error",
    Error.ACC_OVERFLOW: "a product or a sum left the signed 32-bit range of Q12.20",
    Error.ABORTED: "the run was ended by ABORT",
}


class Status(IntFlag):
    """Low bits of the status word (counter 0); the code is in bits 15:8, complete rows of h in bits 63:32."""

    BUSY = 1 << 0
    DONE = 1 << 1
    ERROR = 1 << 2


STATUS_CODE_SHIFT = 8
STATUS_ROWS_SHIFT = 32


@dataclass(frozen=True)
class StatusWord:
    """A decoded status word."""

    busy: bool
    done: bool
    error: bool
    code: Error
    rows: int

    @classmethod
    def decode(cls, word: int) -> "StatusWord":
        """Raises ValueError on a code that the table does not have."""
        return cls(
            bool(word & Status.BUSY),
            bool(word & Status.DONE),
            bool(word & Status.ERROR),
            Error(word >> STATUS_CODE_SHIFT & 0xFF),
            word >> STATUS_ROWS_SHIFT & 0xFFFF_FFFF,
        )


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


COUNTER_BITS = 48
"""Width of every count in hardware; a COUNTER instruction gives it with zeros above."""

COUNTER_MEANINGS: dict[Counter, str] = {
    Counter.STATUS: "status word: busy, done, error, code, complete rows of h",
    Counter.VERSION: "version (bits 15:0), N_pe (23:16), slots (31:24), max X (47:32), max H (63:48)",
    Counter.CYCLES: "clock cycles from the acceptance of START to the fall of busy",
    Counter.W_WORDS: "64-bit words of W loaded, over all passes",
    Counter.U_WORDS: "64-bit words of U loaded, over all steps",
    Counter.KEPT_BLOCKS: "blocks of s(h) that were kept, summed over all steps",
    Counter.N_FUSE: "fusion factor that ran: the one asked for, or the capacity if that is smaller",
    Counter.PORT_BUSY: "cycles in which the memory took a request, of one word each",
    Counter.PORT_STALLED: "cycles in which a request waited for the memory",
    Counter.PORT_FULL: "cycles without a request because the next tag was still unanswered",
    Counter.PORT_IDLE: "cycles without a request because there was nothing to ask for, or no room for it",
    Counter.X_WORDS: "64-bit words of x loaded",
    Counter.SETUP_WORDS: "64-bit words of bias, column offsets and state loaded before the first step",
    Counter.STORE_WORDS: "64-bit words of h and state stored",
    Counter.SKIPPED_BLOCKS: "blocks of s(h) that were dropped, summed over all steps; their columns are not loaded",
    Counter.W_BUSY: "cycles in which the W PEs worked, each on a step of its own",
    Counter.W_STOLEN: "cycles in which a value word of W waited because the gate unit read a W bank",
    Counter.W_STARVED: "cycles in which a group of steps was under way and no value word of W was there",
    Counter.W_IDLE: "cycles without a group under way: its x or a free half of the slots was missing, or W is through",
    Counter.U_STARVED: "cycles in which a word of U was due and not there",
    Counter.U_IDLE: "cycles in which no word of U was due: the next block of h was not known, or a step was closed",
    Counter.PE_BUSY: "cycles in which a PE worked, summed over all PEs, with one for the zeros of an empty first chunk",
    Counter.GATE_BUSY: "cycles in which the gate unit took four sums",
    Counter.GATE_WAIT_W: "cycles in which a step's U sums waited for its W sums",
    Counter.GATE_WAIT_STORE: "cycles in which a step with all its sums waited for a row of h to be stored",
    Counter.GATE_IDLE: "cycles in which the gate unit waited for a step's U sums",
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


def encode(
    funct: int, *, xd: bool = False, xs1: bool = True, xs2: bool = True, rd: int = 0, opcode: int = CUSTOM_0
) -> int:
    """The 32-bit instruction word, rs1 and rs2 as registers x1 and x2."""
    return funct << 25 | 2 << 20 | 1 << 15 | int(xd) << 14 | int(xs1) << 13 | int(xs2) << 12 | rd << 7 | opcode
