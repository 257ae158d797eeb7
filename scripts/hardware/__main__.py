"""``python -m scripts.hardware``: measure every preset and make the tables of README.md and docs/hardware.md again.

What is up to date is not measured again, what was measured is kept at once in docs/hardware.json. Exit codes: 0 done,
1 something could not be measured, or --check found a difference, 2 wrong arguments.
"""

import time
from collections.abc import Mapping
from typing import Annotated

import typer

from scripts.hardware import measure, tables
from scripts.hardware.measure import DESIGNS, Row
from software.cli import UserError, run, write_all


def differences(rows: Mapping[str, Row]) -> list[str]:
    """What of the pages is not what the rows say, and what of the rows is missing."""
    problems = [f"{design.name} is missing" for design in DESIGNS if design.name not in rows]
    if problems:
        return problems
    for design in DESIGNS:
        config = rows[design.name]["config"]
        sizes = design.sizes and design.sizes.as_dict()
        if sizes is not None and config.get("accelerator", config) != sizes:
            problems.append(f"{design.name} was measured as {config}")
    for page in tables.PAGES:
        text = page.read_text()
        if tables.rewritten(page, text, rows) != text:
            problems.append(f"{page.name} is not what {measure.FILE.name} says")
    return problems


def _pages(rows: Mapping[str, Row]) -> None:
    write_all({page: tables.rewritten(page, page.read_text(), rows).encode() for page in tables.PAGES})


def main(
    place: Annotated[
        bool, typer.Option("--place", help="Also place what fits the device: from some minutes to half an hour each.")
    ] = False,
    seed: Annotated[
        list[int] | None, typer.Option(metavar="N", min=0, help="Of the placer; may be repeated; 1 without.")
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="TEXT", help="Measure designs whose name contains this.", show_default="all")
    ] = "",
    mark: Annotated[
        bool, typer.Option("--mark", help="Measure nothing, only mark what is older than the sources.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare the pages with what was measured; exit code 1 if they differ.")
    ] = False,
) -> int:
    """Measure area, clock and cycles of every preset and make the tables in README.md and docs/hardware.md again.

    A quarter of an hour for everything, less where it is up to date; after Ctrl-C the same command goes on. To be run
    in a clone.

    \b
    Examples:
      python -m scripts.hardware
      python -m scripts.hardware --place --only tiny
      python -m scripts.hardware --check
    """
    if seed and not place:
        raise UserError("--seed is for --place")
    if not any(only in design.name for design in DESIGNS):
        raise UserError(f"no design {only!r}; there are: {', '.join(design.name for design in DESIGNS)}")
    rows = measure.load()
    if check:
        problems = differences(rows)
        for problem in problems:
            print(f"{problem}: run python -m scripts.hardware")
        old = [design.name for design in DESIGNS if design.name in rows and tables.status_of(rows[design.name])]
        print(f"marked as older than the RTL: {', '.join(old) or 'nothing'}")
        return 1 if problems else 0
    seeds = (seed or [1]) if place else []
    failed = 0
    for design in DESIGNS:
        row = rows.setdefault(design.name, {})
        try:
            measure.emit(design, row)
            measure.save(rows)
            todo = measure.missing(design, row, seeds)
            if not todo:
                print(f"{design.name}: up to date", flush=True)
            elif mark or only not in design.name:
                print(f"{design.name}: left out: {', '.join(what for what, _ in todo)}", flush=True)
                continue
            for what, call in todo:
                started = time.monotonic()
                call()
                measure.save(rows)
                print(f"{design.name}: {what}, {time.monotonic() - started:.0f} s", flush=True)
        except measure.Failure as failure:
            failed += 1
            print(f"{design.name}: FAILED: {failure}", flush=True)
            if "rtl" not in row:
                del rows[design.name]
    if all(design.name in rows for design in DESIGNS):
        _pages(rows)
        for page in tables.PAGES:
            print(f"wrote {page.relative_to(measure.ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
