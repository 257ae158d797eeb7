"""Write docs/counters.md from the tables in golden/isa: ``python -m scripts.counter_docs [FILE]``."""

from pathlib import Path
from typing import Annotated

import typer

from golden import isa
from golden.isa import Counter
from scripts.isa_docs import table
from software.cli import run, write_all

DOCS = Path(__file__).parents[1] / "docs" / "counters.md"

HEAD = f"""# Counters

Made from `golden/isa` by `make docs`; a test keeps it up to date.

The instruction COUNTER ([isa.md](isa.md)) reads them, at any time; `sim.run` and `sim.report` show those of each run.
Each is {isa.COUNTER_BITS} bits wide. All but VERSION are cleared at START and hold after the run, so that they are read
at leisure. They count cycles of the accelerator's clock, words of 64 bits, or blocks of h: 4 elements, or as many as
a unit of U's format has columns.
"""

SUMS = """## The sums

Every cycle of a run has one reason at each of four places: the memory port, the W PEs, the U PE, the gate unit. So the
counters of a place add up to CYCLES. Under the list all PEs are one pool: the W PEs are then those that have a word of
W, the U PE the one that has U's. A sum marked with * holds in a run that ends without an error.
"""

READING = """## Reading them

- **Is memory the limit?** PORT_BUSY / CYCLES is how much of the port the run used; the paper's schedule leaves some of
  it idle by itself. PORT_STALLED is memory refusing requests. PORT_FULL says that the window is too small for the
  latency: all tags are out. PORT_IDLE is the accelerator having nothing to ask for.
- **Are the PEs the limit?** PE_BUSY / (N_pe x CYCLES) is their use. W_BUSY of CYCLES is W's share. W_IDLE is mostly
  waiting for U: the slots are full, and free up as steps complete.
- **Who waits for whom?** U_STARVED: the U PE waits while W has the port. GATE_WAIT_W: a step has its U sums, and W is
  not through with the group yet. GATE_WAIT_STORE: rows of h are written more slowly than they are made.
- **Is W loaded too often?** W_WORDS of PORT_BUSY is W's share of the port. W is loaded once per group of steps, so that
  W_WORDS / (words of W) = ceil(T / (N_FUSE x (N_pe - 1))), exactly, under cell fusion, and under the list at most the
  number of its groups, less what X_SKIP left out; larger groups, and slots for them, lower it.
- **What did pruning save?** SKIPPED_BLOCKS of KEPT_BLOCKS + SKIPPED_BLOCKS are the columns of U that were never loaded;
  their sum is T x H / 4, or T x H where U's units are single columns.

[performance.md](performance.md) reads them for the layers of the paper.
"""


def document() -> str:
    """The whole page."""
    counters = [(counter.value, counter.name, isa.COUNTER_MEANINGS[counter]) for counter in Counter]
    sums = [
        (row.total.name + ("" if row.always else " *"), " + ".join(part.name for part in row.parts))
        for row in isa.COUNTER_SUMS
    ]
    return "\n".join(
        [
            HEAD,
            table(("index", "name", "meaning"), counters),
            SUMS,
            table(("counter", "is the sum of"), sums),
            READING.rstrip("\n") + "\n",
        ]
    )


def main(target: Annotated[Path, typer.Argument(metavar="FILE", help="The page to write.")] = DOCS) -> None:
    """Write it anew; prints its path."""
    write_all({target: document().encode()})
    print(target)


if __name__ == "__main__":
    run(main)
