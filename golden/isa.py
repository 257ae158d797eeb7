"""The instruction set: one table of instructions, flags, status bits, error codes and counters.

The RTL's decoder, the C header, the documentation and the tests are all made from these tables, and take the positions
of bits from the layouts here. Numbers are never reused: a retired one stays in the table with its history.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import reduce
from operator import or_

from golden.fields import Layout, Place

CUSTOM_0 = 0x0B
"""Opcode of every instruction of the accelerator."""

VERSION = 1
"""Value of counter 1, bits 15:0: grows when a program could tell the difference."""


INSTRUCTION_LAYOUT = Layout(
    {"opcode": 7, "rd": 5, "xs2": 1, "xs1": 1, "xd": 1, "rs1": 5, "rs2": 5, "funct": 7},
)
"""An instruction word."""

START_LAYOUT = Layout(
    {
        "trace": 1, "h_seq": 1, "h_pruned": 1, "x_skip": 1, "state_in": 1, "state_out": 1, "irq": 1, "unused_7": 1,
        "schedule": 2, "unused_10": 2, "w_format": 2, "u_format": 2, "unused_16": 48,
    }
)  # fmt: skip
"""rs2 of START: flags, and the numbers of schedule and formats."""

STREAMS_LAYOUT = Layout(
    {"w_gap_bits": 4, "w_unit": 2, "unused_6": 2, "u_gap_bits": 4, "u_unit": 2, "unused_14": 2}
)  # fmt: skip
"""Parameters of the stream formats: the width of a gap, and the columns of a unit less 1, of W and of U."""

STATUS_LAYOUT = Layout(
    {"busy": 1, "done": 1, "error": 1, "zero_3": 5, "code": 8, "zero_16": 16, "rows": 32},
)
"""The status word, counter 0."""

VERSION_LAYOUT = Layout({"version": 16, "n_pe": 8, "slots": 8, "max_x": 16, "max_h": 16})
"""Counter 1: the version, and the configuration of the build."""


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

    TRACE = START_LAYOUT.place("trace").mask
    H_SEQ = START_LAYOUT.place("h_seq").mask
    H_PRUNED = START_LAYOUT.place("h_pruned").mask
    X_SKIP = START_LAYOUT.place("x_skip").mask
    STATE_IN = START_LAYOUT.place("state_in").mask
    STATE_OUT = START_LAYOUT.place("state_out").mask
    IRQ = START_LAYOUT.place("irq").mask


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
    STREAM16 = 1
    STREAM8 = 2


SCHEDULE_MEANINGS: dict[Schedule, str] = {Schedule.CELL_FUSION: "cell fusion, as in the paper"}
FORMAT_MEANINGS: dict[Format, str] = {
    Format.ESELL: "eSELL",
    Format.STREAM16: "stream-16",
    Format.STREAM8: "stream-8",
}

BUILT_SCHEDULES: tuple[Schedule, ...] = (Schedule.CELL_FUSION,)
"""Schedules that the RTL has a sequencer for."""
BUILT_FORMATS: tuple[Format, ...] = (Format.ESELL,)
"""Formats that the RTL has a decoder for."""


@dataclass(frozen=True)
class Field:
    """A number in START's flags: field ``name`` of its layout; ``built``: the numbers that the RTL runs."""

    name: str
    built: tuple[int, ...]

    @property
    def place(self) -> Place:
        """Where it lies."""
        return START_LAYOUT.place(self.name)

    @property
    def shift(self) -> int:
        """Its lowest bit."""
        return self.place.shift

    @property
    def bits(self) -> int:
        """Its width."""
        return self.place.bits

    def of(self, word: int) -> int:
        """The number in a word of flags."""
        return self.place.of(word)

    @property
    def used(self) -> int:
        """The bits of the word that are set in any built number."""
        return reduce(or_, self.built) << self.shift

    @property
    def holes(self) -> tuple[int, ...]:
        """Numbers made of bits of ``used`` alone that are not built."""
        used = self.of(self.used)
        return tuple(n for n in range(1 << self.bits) if not n & ~used and n not in self.built)


SCHEDULE_FIELD = Field("schedule", BUILT_SCHEDULES)
W_FORMAT_FIELD = Field("w_format", BUILT_FORMATS)
U_FORMAT_FIELD = Field("u_format", BUILT_FORMATS)
FIELDS = (SCHEDULE_FIELD, W_FORMAT_FIELD, U_FORMAT_FIELD)


def start_word(
    flags: int,
    schedule: Schedule = Schedule.CELL_FUSION,
    w_format: Format = Format.ESELL,
    u_format: Format = Format.ESELL,
) -> int:
    """rs2 of START: the flags with the numbers of schedule and formats in their fields."""
    return int(flags) | START_LAYOUT.pack(schedule=schedule, w_format=w_format, u_format=u_format)


def streams_word(w_gap_bits: int, w_unit_cols: int, u_gap_bits: int, u_unit_cols: int) -> int:
    """The parameters of W and U in a word; 0 gap bits and units of 4 columns where a format has none."""
    return STREAMS_LAYOUT.pack(
        w_gap_bits=w_gap_bits, w_unit=w_unit_cols - 1, u_gap_bits=u_gap_bits, u_unit=u_unit_cols - 1
    )


IMPLEMENTED_FLAGS = Flags.TRACE | Flags.H_SEQ | Flags.H_PRUNED | Flags.STATE_IN | Flags.STATE_OUT | Flags.IRQ
"""Flags that the RTL runs; START with any other bit of rs2 set answers BAD_FLAGS."""

USED_BITS = reduce(or_, (field.used for field in FIELDS), int(IMPLEMENTED_FLAGS))
"""Bits of START's rs2 that may be set: built flags, and the bits of built numbers."""


def refused(word: int) -> bool:
    """Whether START answers BAD_FLAGS to this rs2 whatever the registers hold: something in it is not built."""
    return bool(word & ~USED_BITS) or any(field.of(word) in field.holes for field in FIELDS)


class Error(IntEnum):
    """Error codes, the status word's ``code``. Of checks at START the first that fails, in this order, is reported."""

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
    Error.BAD_FORMAT: (
        "a malformed eSELL head, a column whose heads disagree with its offset, or a stream's value beyond its unit"
    ),
    Error.BAD_WEIGHT: "a weight, or a value in a table of a stream, is infinite or NaN",
    Error.BAD_BIAS: "a bias is not finite or |b| >= 2048",
    Error.BAD_X: "an input is not finite after its conversion to fp16",
    Error.BAD_STATE: "a state h is not finite, above 1 in magnitude, or not exact in fp16",
    Error.MEM_READ: "a load was answered with an error",
    Error.MEM_WRITE: "a store was answered with an error",
    Error.ACC_OVERFLOW: "a product or a sum left the signed 32-bit range of Q12.20",
    Error.ABORTED: "the run was ended by ABORT",
}


class Status(IntFlag):
    """The status word's single bits."""

    BUSY = STATUS_LAYOUT.place("busy").mask
    DONE = STATUS_LAYOUT.place("done").mask
    ERROR = STATUS_LAYOUT.place("error").mask


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
        fields = STATUS_LAYOUT.unpack(word)
        busy, done, error = (bool(fields[name]) for name in ("busy", "done", "error"))
        return cls(busy, done, error, Error(fields["code"]), fields["rows"])


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
    Counter.VERSION: (
        f"version (bits {VERSION_LAYOUT.place('version').text}), N_pe ({VERSION_LAYOUT.place('n_pe').text}), "
        f"slots ({VERSION_LAYOUT.place('slots').text}), max X ({VERSION_LAYOUT.place('max_x').text}), "
        f"max H ({VERSION_LAYOUT.place('max_h').text})"
    ),
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
    return INSTRUCTION_LAYOUT.pack(opcode=opcode, rd=rd, xs2=xs2, xs1=xs1, xd=xd, rs1=1, rs2=2, funct=funct)
