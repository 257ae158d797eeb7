"""How a run ends: error codes, and the status word."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from golden.fields import Layout

STATUS_LAYOUT = Layout(
    {"busy": 1, "done": 1, "error": 1, "zero_3": 5, "code": 8, "zero_16": 16, "rows": 32},
)
"""The status word, counter 0."""


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
    Error.BAD_N_FUSE: "N_fuse is 0, or the first size of the list",
    Error.MISALIGNED: "an address in use is no multiple of 8",
    Error.BAD_FLAGS: (
        "an unknown or unbuilt flag, schedule, format or parameter of one, X_SKIP without the list, or 0 for a pointer "
        "that is needed"
    ),
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
