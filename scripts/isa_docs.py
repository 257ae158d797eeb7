"""Write docs/isa.md from the tables in golden/isa.py: ``python -m scripts.isa_docs [FILE]``."""

import sys
from pathlib import Path

from golden import isa
from golden.isa import Counter, Error

DOCS = Path(__file__).parents[1] / "docs" / "isa.md"

HEAD = f"""# Instructions

Made from `golden/isa.py` by `make docs`; a test keeps it up to date. Version {isa.VERSION}.

Every instruction is a RoCC command with opcode custom-0 ({isa.CUSTOM_0:#04x}) and the number below in `funct7`. Sizes
are in elements, addresses in bytes and multiples of 8.
"""

RULES = """
## Rules

- Functs 0 to 4 and 6 only store. Everything is checked at START, on all 64 bits of each operand (of the threshold the
  lower 32); the first check that fails is reported and memory is not touched. Registers keep their values after a
  run; reset and ABORT clear them.
- A command of functs 0 to 6 that arrives during a run waits for its end; COUNTER and ABORT never wait for a run.
  Commands stay in order.
- A command with xd = 1 gets exactly one response: COUNTER its counter (0 when there is none of that number), every
  other the status word. A command without xd gets none.
- An unknown funct, another opcode, or a needed operand whose xs bit is 0 changes nothing but makes the next START
  answer BAD_COMMAND.
- N_fuse never changes a result. Beyond the capacity, floor(slots / (2 (N_pe - 1))), the capacity runs.
- `busy` is high from the cycle in which START is accepted until the last memory response has come, writes included.
  Rows of h are written in order, the state last. After an error the rows that the status word calls complete are right.
- The interrupt (flag IRQ) is a level: it rises when the run ends and falls at the next START, at ABORT, or at reset.
- ABORT stops new requests; `busy` falls when the outstanding responses have come.
"""


def table(titles: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


def bits(shift: int, width: int) -> str:
    return f"{shift + width - 1}:{shift}"


def document() -> str:
    """The whole page."""
    instructions = [(i.funct.value, i.funct.name, i.rs1 or "-", i.rs2 or "-", i.effect) for i in isa.INSTRUCTIONS]
    flags = [
        (
            flag.value.bit_length() - 1,
            flag.name,
            meaning + ("" if flag in isa.IMPLEMENTED_FLAGS else " (not built yet)"),
        )
        for flag, meaning in isa.FLAG_MEANINGS.items()
    ]
    flags += [
        (bits(isa.SCHEDULE_SHIFT, isa.SCHEDULE_BITS), "schedule", "0: cell fusion, as in the paper"),
        (bits(isa.W_FORMAT_SHIFT, isa.W_FORMAT_BITS), "format of W", "0: eSELL"),
        (bits(isa.U_FORMAT_SHIFT, isa.U_FORMAT_BITS), "format of U", "0: eSELL"),
    ]
    status = [(flag.value.bit_length() - 1, flag.name) for flag in isa.Status]
    status += [
        (bits(isa.STATUS_CODE_SHIFT, 8), "error code"),
        (bits(isa.STATUS_ROWS_SHIFT, 32), "rows of h that are complete"),
    ]
    errors = [
        (error.value, error.name, isa.ERROR_MEANINGS[error], "START" if error in isa.START_CHECKS else "run")
        for error in Error
        if error != Error.NONE
    ]
    counters = [(counter.value, counter.name, isa.COUNTER_MEANINGS[counter]) for counter in Counter]
    sums = [
        (row.total.name + ("" if row.always else " *"), " + ".join(part.name for part in row.parts))
        for row in isa.COUNTER_SUMS
    ]
    return "\n".join(
        [
            HEAD,
            table(("funct", "name", "rs1", "rs2", "effect"), instructions),
            "## Flags of START\n\nWith 0, a run starts from h = c = 0 and writes only the last, unpruned h. Any "
            f"other\nbit, schedule or format answers {Error.BAD_FLAGS.name}.\n",
            table(("bit", "name", "meaning"), flags),
            "## Status word (counter 0)\n",
            table(("bits", "meaning"), status),
            "## Errors\n\nChecks at START are made in this order.\n",
            table(("code", "name", "meaning", "found"), errors),
            "## Counters\n\nAll but VERSION are cleared at START and hold after the run.\n",
            table(("index", "name", "meaning"), counters),
            "They add up; a sum marked with * does so in a run that ends without an error.\n",
            table(("counter", "is the sum of"), sums).rstrip("\n"),
            RULES.rstrip("\n") + "\n",
        ]
    )


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    target.write_text(document())
    print(target)
