"""START's flags, and the numbers of schedules and formats in them."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import reduce
from operator import or_

from golden.fields import Layout, Place

START_LAYOUT = Layout(
    {
        "trace": 1, "h_seq": 1, "h_pruned": 1, "x_skip": 1, "state_in": 1, "state_out": 1, "irq": 1, "delta": 1,
        "schedule": 2, "unused_10": 2, "w_format": 2, "u_format": 2, "x_format": 2, "h_fp16": 1, "unused_19": 45,
    }
)  # fmt: skip
"""rs2 of START: flags, and the numbers of schedule and formats."""


class Flags(IntFlag):
    """Flags of START (rs2)."""

    TRACE = START_LAYOUT.place("trace").mask
    H_SEQ = START_LAYOUT.place("h_seq").mask
    H_PRUNED = START_LAYOUT.place("h_pruned").mask
    X_SKIP = START_LAYOUT.place("x_skip").mask
    STATE_IN = START_LAYOUT.place("state_in").mask
    STATE_OUT = START_LAYOUT.place("state_out").mask
    IRQ = START_LAYOUT.place("irq").mask
    DELTA = START_LAYOUT.place("delta").mask
    H_FP16 = START_LAYOUT.place("h_fp16").mask


FLAG_MEANINGS: dict[Flags, str] = {
    Flags.TRACE: "ignored (the original's trace flag)",
    Flags.H_SEQ: "store every row of h, not only the last",
    Flags.H_PRUNED: (
        "stored rows of h are pruned: +0.0 in every block, or unit of U's format, below the threshold; with DELTA what "
        "is held after the step"
    ),
    Flags.X_SKIP: "of the list: skip units of W in which all of x is zero; needs W's column offsets",
    Flags.STATE_IN: "start from the state in memory instead of h = c = 0",
    Flags.STATE_OUT: "store the state after the last step",
    Flags.IRQ: "raise the interrupt when the run ends",
    Flags.DELTA: "send the changes of h that reach the threshold, and keep sums of U h from step to step",
    Flags.H_FP16: "rows of h are stored as fp16, four to a word",
}


class Schedule(IntEnum):
    """Numbers of the schedules, a field of START's flags. ``golden.cycles`` has what they take."""

    CELL_FUSION = 0
    LIST = 1
    EVENTS = 2


class Format(IntEnum):
    """Numbers of the formats of weights, fields of START's flags. ``golden.formats`` has what they are."""

    ESELL = 0
    STREAM16 = 1
    STREAM8 = 2


class InputFormat(IntEnum):
    """Numbers of the formats of x, a field of START's flags. Every row begins on 8 bytes."""

    FP32 = 0
    FP16 = 1
    UINT8 = 2


SCHEDULE_MEANINGS: dict[Schedule, str] = {
    Schedule.CELL_FUSION: "cell fusion, as in the paper",
    Schedule.LIST: "a list of group sizes, on one pool of PEs",
    Schedule.EVENTS: "events: columns of W and U by the changes of x and h; needs DELTA and stream formats",
}

FORMAT_MEANINGS: dict[Format, str] = {
    Format.ESELL: "eSELL",
    Format.STREAM16: "stream-16",
    Format.STREAM8: "stream-8",
}

INPUT_FORMAT_MEANINGS: dict[InputFormat, str] = {
    InputFormat.FP32: "fp32",
    InputFormat.FP16: "fp16",
    InputFormat.UINT8: "uint8, k for k/256",
}

BUILT_SCHEDULES: tuple[Schedule, ...] = (Schedule.CELL_FUSION, Schedule.LIST, Schedule.EVENTS)
"""Schedules that the RTL has a sequencer for."""

BUILT_FORMATS: tuple[Format, ...] = (Format.ESELL, Format.STREAM16, Format.STREAM8)
"""Formats that the RTL has a decoder for."""

BUILT_INPUT_FORMATS: tuple[InputFormat, ...] = (InputFormat.FP32, InputFormat.FP16, InputFormat.UINT8)
"""Formats of x that the RTL reads."""


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

X_FORMAT_FIELD = Field("x_format", BUILT_INPUT_FORMATS)

FIELDS = (SCHEDULE_FIELD, W_FORMAT_FIELD, U_FORMAT_FIELD, X_FORMAT_FIELD)

IMPLEMENTED_FLAGS = (
    Flags.TRACE | Flags.H_SEQ | Flags.H_PRUNED | Flags.X_SKIP | Flags.STATE_IN | Flags.STATE_OUT | Flags.IRQ
    | Flags.DELTA | Flags.H_FP16
)  # fmt: skip
"""Flags that the RTL runs; START with any other bit of rs2 set answers BAD_FLAGS."""

USED_BITS = reduce(or_, (field.used for field in FIELDS), int(IMPLEMENTED_FLAGS))
"""Bits of START's rs2 that may be set: built flags, and the bits of built numbers."""


def start_word(
    flags: int,
    schedule: Schedule = Schedule.CELL_FUSION,
    w_format: Format = Format.ESELL,
    u_format: Format = Format.ESELL,
    x_format: InputFormat = InputFormat.FP32,
) -> int:
    """rs2 of START: the flags with the numbers of schedule and formats in their fields."""
    return int(flags) | START_LAYOUT.pack(schedule=schedule, w_format=w_format, u_format=u_format, x_format=x_format)


def refused(word: int) -> bool:
    """Whether START answers BAD_FLAGS to this rs2 whatever the registers hold: something in it is not built."""
    return bool(word & ~USED_BITS) or any(field.of(word) in field.holes for field in FIELDS)
