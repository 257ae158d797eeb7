"""Write docs/isa.md from the tables in golden/isa: ``python -m scripts.isa_docs [FILE]``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any

import typer

from golden import isa
from golden.isa import Counter, Error, Flags, Funct, Instruction
from software.cli import run, write_all

DOCS = Path(__file__).parents[1] / "docs" / "isa.md"

HEAD = f"""# Instructions

Made from `golden/isa` by `make docs`; a test keeps it up to date. Version {isa.VERSION}.

The accelerator is a RoCC coprocessor of a RISC-V core. A program gives it a layer with five to eight instructions,
starts it, does other things or waits with `fence`, and reads h from memory. Sizes are in elements, addresses in bytes
and multiples of 8; [esell.md](esell.md) and [formats.md](formats.md) say how the arrays lie in memory.
"""

FIELDS = tuple(reversed(isa.INSTRUCTION_LAYOUT.fields))
ENCODING = f"""## Encoding

All are R-type instructions with the major opcode custom-0 ({isa.CUSTOM_0:#04x}).

| bits | {" | ".join(isa.INSTRUCTION_LAYOUT.place(name).text for name in FIELDS)} |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| field | funct7 | {" | ".join(FIELDS[1:])} |
| value | the number below | register | register | 1: response to rd | 1: rs1 is read | 1: rs2 is read | register | \
{isa.CUSTOM_0:#04x} |

xd, xs1 and xs2 lie where other instructions have funct3; an operand whose xs bit is 0 is not sent. As assemblers write
it, with x1, x2 and x3 for the registers:
"""

EXAMPLE = """## Example

`elstm.h` has an inline function for each instruction and names for all numbers below ([programs.md](programs.md)). This
program runs the first layer of the network it is linked with:

```c example.c
#include "packed.h"

int main(void) {
    struct elstm_layer layer = open_layer(0);
    elstm_run(&layer, input_of(0, 0), results, steps_of_network(), 0, ELSTM_H_SEQ | ELSTM_H_PRUNED);
    uint64_t status = elstm_wait(); /* fence, then counter 0 */
    if (status & ELSTM_STATUS_ERROR) {
        print(elstm_error_name(elstm_code(status)));
        return 1;
    }
    print_number("rows of h: ", elstm_rows(status));
    print_number(", cycles: ", elstm_counter(ELSTM_COUNTER_CYCLES));
    print("\\n");
    return 0;
}
```

    python -m software.firmware example.c --digits 1 -o example.elf
    python -m sim.run elf example.elf

The same without the header, in assembly, the operands being in s0 to s10:

```
%s
```
"""

PARTS = {name: isa.STREAMS_LAYOUT.place(name).text for name in isa.STREAMS_LAYOUT.fields}

RULES = f"""## Rules

**Commands.** Functs 0 to 4, 6, 9 and 10 only store. Everything is checked at START, on all 64 bits of each operand (of
the threshold the lower 32); the first check that fails is reported and memory is not touched. Registers keep their
values after a run, so that for another x only DATA precedes the next START; reset and ABORT clear them. h and state
must not overlap an input of the same run, but the state that is read may be the one that is written.

**Waiting.** A command of functs 0 to 6, 9 or 10 that arrives during a run waits for its end, so starts may follow each
other without a fence. COUNTER and ABORT never wait for a run. Commands stay in order.

**Responses.** A command with xd = 1 gets exactly one: COUNTER its counter (0 when there is none of that number), every
other the status word as it is after the command. A command without xd gets none.

**Wrong commands.** An unknown funct, another opcode, or a needed operand whose xs bit is 0 changes nothing but makes
the next START answer BAD_COMMAND.

**Fences.** Stores that precede START in the program are seen by the run. `busy` is high from the cycle in which START
is accepted until the last memory response has come, writes included; `fence` waits for it to fall, and what the run
wrote may be read after the `fence` only.

**Rows.** Rows of h are written in the order of time steps, units ascending, the state last. After an error the rows
that the status word calls complete are right. Without H_SEQ nothing is written unless the run succeeds or a write
itself fails.

**N_fuse** never changes a result. Beyond the capacity, floor(slots / (2 (N_pe - 1))), the capacity runs, and counter
N_FUSE says so.

**List.** Under schedule 1 the steps of a run are cut into groups of the sizes that GROUPS gave
([schedules.md](schedules.md)): {isa.GROUP_SIZE_BITS} bits each, the first lowest, rs2 standing above the \
{isa.GROUPS_RS1_BITS} lowest bits of rs1. The
first 0 ends the list, and the last size repeats; one over what the slots hold runs as that. Sizes change no result.
N_fuse is not used, but may not be 0.

**Streams.** A format other than eSELL takes what STREAMS gave: gap bits and columns of a unit less 1, of W in bits
{PARTS["w_gap_bits"]} and {PARTS["w_unit"]} of rs1, of U in {PARTS["u_gap_bits"]} and {PARTS["u_unit"]}; in rs2 the \
address of the tables of stream-8. W in such a format needs its
offsets, from EXTENSION.

**State.** With STATE_IN, x and h point at this call's first step, and the h of the state is pruned before the first
step. STATE_OUT stores h unpruned. A sequence in several calls gives the bits of one call.

**Interrupt.** With IRQ, the line `interrupt` rises when the run ends in any way: well, in an error, refused at START,
or by ABORT, then once `busy` has fallen. It falls at the next START, at an ABORT without a run, or at reset. It is a
level: bit 12 of mip and mie of the project's core.

**Abort.** ABORT stops new requests; `busy` falls when the responses to those under way have come, and the status says
ABORTED. Without a run it clears status and errors. All registers are cleared in both cases.

**Every error** ends with `busy` low and an accelerator that takes the next START. A memory that never answers keeps
`busy` high; then only reset helps.
"""


def table(titles: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    """A table in Markdown."""
    lines = [titles, tuple("---" for _ in titles), *rows]
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped) + "\n"


def numbered(meanings: Mapping[Any, str]) -> str:
    """The numbers of a field, each with what it means."""
    return ", ".join(f"{int(number)}: {meaning}" for number, meaning in meanings.items())


def assembly(row: Instruction, rd: str = "x3", rs1: str = "x1", rs2: str = "x2") -> str:
    """The instruction as GNU as and LLVM take it; registers that it does not use are x0."""
    xd, xs1, xs2 = row.funct == Funct.COUNTER, row.rs1 is not None, row.rs2 is not None
    registers = ", ".join(name if used else "x0" for name, used in ((rd, xd), (rs1, xs1), (rs2, xs2)))
    return f".insn r {isa.CUSTOM_0:#04x}, {4 * xd + 2 * xs1 + xs2}, {row.funct.value}, {registers}"


def word(row: Instruction) -> int:
    """What ``assembly(row)`` assembles to."""
    xd, xs1, xs2 = row.funct == Funct.COUNTER, row.rs1 is not None, row.rs2 is not None
    encoded = isa.encode(row.funct, xd=xd, xs1=xs1, xs2=xs2, rd=3 * xd)
    for register, used in (("rs1", xs1), ("rs2", xs2)):
        encoded &= ~(0 if used else isa.INSTRUCTION_LAYOUT.place(register).mask)
    return encoded


def example() -> str:
    """A START of a layer, and a loop until its end, as assembly."""
    registers = {
        Funct.SIZES: ("s0", "s1"), Funct.STEPS: ("s2", "s3"), Funct.WEIGHTS: ("s4", "s5"), Funct.FUSION: ("s6", "s7"),
        Funct.DATA: ("s8", "s9"), Funct.START: ("s10", "t0"), Funct.COUNTER: ("t0", "x0"),
    }  # fmt: skip
    lines = []
    for row in isa.INSTRUCTIONS:
        if row.funct in registers:
            rs1, rs2 = registers[row.funct]
            text = assembly(row, "a0", rs1, rs2)
            what = ", ".join(name for name in (row.rs1, row.rs2) if name)
            if row.funct == Funct.START:
                lines.append(f"li t0, {int(Flags.H_SEQ | Flags.H_PRUNED)}")
            if row.funct == Funct.COUNTER:
                lines += ["fence", f"li t0, {Counter.STATUS.value}"]
            lines.append(f"{text:42}# {row.funct.name}: {what}")
    return "\n".join(lines)


def document() -> str:
    """The whole page."""
    encodings = [
        (row.funct.value, row.funct.name, f"`{assembly(row)}`", f"{word(row):08x}") for row in isa.INSTRUCTIONS
    ]
    instructions = [(i.funct.value, i.funct.name, i.rs1 or "-", i.rs2 or "-", i.effect) for i in isa.INSTRUCTIONS]
    flags = [
        (
            isa.START_LAYOUT.place(str(flag.name).lower()).text,
            flag.name,
            meaning + ("" if flag in isa.IMPLEMENTED_FLAGS else " (not built yet)"),
        )
        for flag, meaning in isa.FLAG_MEANINGS.items()
    ]
    flags += [
        (isa.SCHEDULE_FIELD.place.text, "schedule", numbered(isa.SCHEDULE_MEANINGS)),
        (isa.W_FORMAT_FIELD.place.text, "format of W", numbered(isa.FORMAT_MEANINGS)),
        (isa.U_FORMAT_FIELD.place.text, "format of U", numbered(isa.FORMAT_MEANINGS)),
    ]
    meanings = {
        isa.Status.BUSY: "a run is under way, or its last responses are",
        isa.Status.DONE: "a START has been answered, by a run that ended or by an error",
        isa.Status.ERROR: "it ended with the error code below",
    }
    status = [
        (isa.STATUS_LAYOUT.place(str(flag.name).lower()).text, f"{flag.name}: {meanings[flag]}") for flag in isa.Status
    ]
    status += [
        (isa.STATUS_LAYOUT.place("code").text, "error code"),
        (isa.STATUS_LAYOUT.place("rows").text, "rows of h that are complete"),
    ]
    errors = [
        (error.value, error.name, isa.ERROR_MEANINGS[error], "START" if error in isa.START_CHECKS else "run")
        for error in Error
        if error != Error.NONE
    ]
    counters = ", ".join(f"{counter.value} {counter.name}" for counter in Counter)
    counters += ": [counters.md](counters.md) says what they count and how to read them."
    return "\n".join(
        [
            HEAD,
            "## The instructions\n",
            table(("funct", "name", "rs1", "rs2", "effect"), instructions),
            "Functs 0 to 5 are those of the published design, the others are extensions.\n",
            ENCODING,
            table(("funct", "name", "written", "word"), encodings),
            "## Flags of START\n\nWith 0, a run starts from h = c = 0 and writes only the last, unpruned h. Any "
            f"other\nbit, schedule or format answers {Error.BAD_FLAGS.name}.\n",
            table(("bit", "name", "meaning"), flags),
            "## Status word\n\nCounter 0, and the response to every other command with xd = 1. All other bits are 0.\n",
            table(("bits", "meaning"), status),
            "## Errors\n\nChecks at START are made in this order. Of several errors in the data of a run any may be "
            "reported.\n",
            table(("code", "name", "meaning", "found"), errors),
            f"## Counters\n\n{fill(counters, 120, break_on_hyphens=False)}\n",
            RULES,
            EXAMPLE.rstrip("\n") % example() + "\n",
        ]
    )


def main(target: Annotated[Path, typer.Argument(metavar="FILE", help="The page to write.")] = DOCS) -> None:
    """Write it anew; prints its path."""
    write_all({target: document().encode()})
    print(target)


if __name__ == "__main__":
    run(main)
