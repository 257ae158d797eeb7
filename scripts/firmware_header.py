"""Write software/firmware/elstm.h from the tables in golden/isa: ``python -m scripts.firmware_header [FILE]``."""

from pathlib import Path
from typing import Annotated

import typer

from golden import isa
from golden.fields import Layout
from golden.isa import Counter, Error, Format, Funct, Instruction
from software.cli import run, write_all

HEADER = Path(__file__).parents[1] / "software" / "firmware" / "elstm.h"

HEAD = """/* The accelerator: instructions, flags, status bits, error codes, counters, and inline functions for them.

   Made from golden/isa by `make docs`; a test keeps it up to date. Do not edit.

   Every array that the accelerator reads or writes starts at a multiple of 8. Memory written before elstm_start is seen
   by the run; what the run writes may be read after elstm_fence. The "memory" clobbers keep the compiler from moving
   loads and stores across commands. */
#pragma once
#include <stdint.h>
"""

TAIL = """
/* Waits until every command has been taken and the accelerator is not busy: h and the state may be read then. */
static inline void elstm_fence(void) { __asm__ volatile("fence" ::: "memory"); }

/* Waits for the end of the run, then gives its status word. */
static inline uint64_t elstm_wait(void) {
    elstm_fence();
    return elstm_counter(ELSTM_COUNTER_STATUS);
}

/* The weights of a layer. x, h: sizes in elements, multiples of 4; threshold: bits of an fp32; w_offsets: may be 0.
   formats: of W and U, in the fields of START's flags, 0 for eSELL; streams: gap bits and columns of a unit less 1, of
   W in bits 3:0 and 5:4, of U in 11:8 and 13:12; tables: of the values of stream-8, W's and then U's. schedule: its
   number in the field of START's flags, with X_SKIP, DELTA, H_FP16 and the format of x, which go with every run, 0 for
   cell fusion, which takes n_fuse; groups: sizes of the list's groups as elstm_groups takes them, ELSTM_GROUP_BITS
   each, the last of which repeats; x_threshold: bits of an fp32, of changes of x by events. */
struct elstm_layer {
    uint64_t x, h;
    const void *w, *u, *w_offsets, *u_offsets, *bias;
    uint32_t threshold;
    uint32_t n_fuse;
    uint32_t formats, streams;
    const void *tables;
    uint64_t groups[2];
    uint32_t schedule;
    uint32_t x_threshold;
};

/* Bytes of a row of x, of a row of h, and of a state: h and c, with DELTA the held h and four sums a unit, by events
   the held x. */
static inline uint64_t elstm_x_bytes(const struct elstm_layer *layer) {
    uint32_t format = layer->schedule >> ELSTM_X_FORMAT_SHIFT & 3;
    return format == ELSTM_X_UINT8 ? (layer->x + 7) & ~7ULL : layer->x * (format == ELSTM_X_FP16 ? 2 : 4);
}
static inline uint64_t elstm_h_bytes(const struct elstm_layer *layer) {
    return layer->h * (layer->schedule & ELSTM_H_FP16 ? 2 : 4);
}
static inline uint64_t elstm_state_bytes(const struct elstm_layer *layer) {
    uint64_t by_events = (layer->schedule >> ELSTM_SCHEDULE_SHIFT & 3) == ELSTM_SCHEDULE_EVENTS;
    return layer->h * (layer->schedule & ELSTM_DELTA ? 28 : 8) + (by_events ? layer->x * 4 : 0);
}

/* Sets up and starts a layer over `steps` rows of x, and returns at once. x: float [steps][layer->x], fp16 with that
   format of x, or bytes, k for k/256, of which every row begins at a multiple of 8; h: float [layer->h], or
   [steps][layer->h] with H_SEQ, fp16 with H_FP16; state: elstm_state_bytes, or 0 without STATE_IN and STATE_OUT. */
static inline void elstm_run(const struct elstm_layer *layer, const void *x, void *h, uint64_t steps, void *state,
                             uint64_t flags) {
    elstm_sizes(layer->x, layer->h);
    elstm_steps(layer->threshold, steps);
    elstm_weights((uint64_t)layer->w, (uint64_t)layer->bias);
    elstm_fusion((uint64_t)layer->u_offsets, layer->n_fuse);
    elstm_data((uint64_t)x, (uint64_t)h);
    elstm_extension((uint64_t)layer->w_offsets, (uint64_t)state);
    if (layer->formats) elstm_streams(layer->streams, (uint64_t)layer->tables);
    uint32_t schedule = layer->schedule >> ELSTM_SCHEDULE_SHIFT & 3;
    if (schedule == ELSTM_SCHEDULE_LIST) elstm_groups(layer->groups[0], layer->groups[1]);
    if (schedule == ELSTM_SCHEDULE_EVENTS) elstm_events(layer->x_threshold);
    elstm_start((uint64_t)layer->u, flags | layer->formats | layer->schedule);
}
"""


def constants(title: str, prefix: str, values: dict[str, int], hexadecimal: bool = False) -> str:
    """A comment and a ``#define`` for each value."""
    lines = [f"/* {title} */"]
    lines += [f"#define {prefix}{name} {f'{value:#x}' if hexadecimal else value}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def names_of(function: str, what: str, names: dict[int, str]) -> str:
    """A C function from a number to a name."""
    last = max(names)
    rows = "".join(f'        [{number}] = "{name}",\n' for number, name in names.items())
    return f"""/* {what} */
static inline const char *{function}(uint64_t number) {{
    static const char *const names[] = {{
{rows}    }};
    return number <= {last} && names[number] ? names[number] : "unknown";
}}
"""


def instruction(row: Instruction) -> str:
    """The C function that issues an instruction: COUNTER returns its counter, every other nothing."""
    name, returns = row.funct.name.lower(), row.funct == Funct.COUNTER
    operands = [register for register, operand in (("rs1", row.rs1), ("rs2", row.rs2)) if operand]
    parameters = ", ".join(f"uint64_t {register}" for register in operands) or "void"
    meanings = "".join(
        f"; {register}: {operand}" for register, operand in (("rs1", row.rs1), ("rs2", row.rs2)) if operand
    )
    funct3 = returns << 2 | bool(row.rs1) << 1 | bool(row.rs2)
    places = iter(range(int(returns), 3))
    sources = [f"%{next(places)}" if register in operands else "x0" for register in ("rs1", "rs2")]
    text = (
        f'".insn r {isa.CUSTOM_0:#04x}, {funct3}, {row.funct.value}, {"%0" if returns else "x0"}, {", ".join(sources)}"'
    )
    clauses = ('"=r"(value)' if returns else "", ", ".join(f'"r"({register})' for register in operands), '"memory"')
    asm = f"__asm__ volatile({text} :{':'.join(f' {clause} ' if clause else '' for clause in clauses).rstrip()});"
    body = f"    uint64_t value;\n    {asm}\n    return value;\n" if returns else f"    {asm}\n"
    kind = "uint64_t" if returns else "void"
    return f"/* {row.effect}{meanings} */\nstatic inline {kind} elstm_{name}({parameters}) {{\n{body}}}\n"


def accessors(kind: str, word: str, layout: Layout, names: tuple[str, ...]) -> str:
    """A C function for each of some fields of a 64-bit word; ``kind``: what it returns."""
    lines = []
    for name in names:
        place = layout.place(name)
        lines.append(
            f"static inline {kind} elstm_{name}(uint64_t {word}) "
            f"{{ return {word} >> {place.shift} & {(1 << place.bits) - 1:#x}; }}"
        )
    return "\n".join(lines) + "\n"


def header() -> str:
    """The whole file."""
    shifts = {f"{field.name.upper()}_SHIFT": field.shift for field in isa.FIELDS}
    status = {flag.name or "": flag.value for flag in isa.Status}
    status |= {f"{name.upper()}_SHIFT": isa.STATUS_LAYOUT.place(name).shift for name in ("code", "rows")}
    return "\n".join(
        [
            HEAD,
            f"#define ELSTM_VERSION {isa.VERSION}\n",
            constants("funct7 of each instruction", "ELSTM_FUNCT_", {f.name: f.value for f in Funct}),
            constants("flags of START", "ELSTM_", {f.name or "": f.value for f in isa.FLAG_MEANINGS}, True),
            constants("fields of the flags", "ELSTM_", shifts),
            constants("schedules, numbers of that field", "ELSTM_SCHEDULE_", {s.name: s.value for s in isa.Schedule}),
            constants(
                "formats of weights, numbers of those fields", "ELSTM_FORMAT_", {f.name: f.value for f in Format}
            ),
            constants("formats of x, numbers of that field", "ELSTM_X_", {f.name: f.value for f in isa.InputFormat}),
            f"#define ELSTM_GROUP_BITS {isa.GROUP_SIZE_BITS}\n",
            constants("status word", "ELSTM_STATUS_", status),
            constants("error codes", "ELSTM_ERROR_", {e.name: e.value for e in Error}),
            constants("counters", "ELSTM_COUNTER_", {c.name: c.value for c in Counter}),
            f"#define ELSTM_COUNTERS {max(Counter) + 1}\n",
            names_of("elstm_error_name", "Name of an error code.", {e.value: e.name for e in Error}),
            names_of("elstm_counter_name", "Name of a counter.", {c.value: c.name for c in Counter}),
            "\n".join(instruction(row) for row in isa.INSTRUCTIONS).rstrip("\n") + "\n",
            "/* Fields of the status word, and of counters VERSION and FEATURES. */\n"
            + accessors("uint32_t", "status", isa.STATUS_LAYOUT, ("code", "rows"))
            + accessors("uint64_t", "version", isa.VERSION_LAYOUT, ("n_pe", "slots", "max_x", "max_h"))
            + accessors("uint64_t", "features", isa.FEATURES_LAYOUT, tuple(isa.FEATURES_LAYOUT.fields)),
            TAIL.strip("\n") + "\n",
        ]
    )


def main(target: Annotated[Path, typer.Argument(metavar="FILE", help="The header to write.")] = HEADER) -> None:
    """Write it anew; prints its path."""
    write_all({target: header().encode()})
    print(target)


if __name__ == "__main__":
    run(main)
