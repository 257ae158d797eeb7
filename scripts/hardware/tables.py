"""The tables that README.md and docs/hardware.md show of what was measured, between marks in those pages."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from golden.config import ACCELERATOR_PRESETS, AcceleratorConfig
from golden.cycles import SCHEDULES
from golden.formats import FORMATS
from hdl.synth.targets import ECP5
from scripts.hardware.measure import DESIGNS, ROOT, Measured, Row, fits
from software.cli import UserError
from software.tuning.networks import PAPER

OLDER = "†"
"""Behind a number of an RTL that is no longer the sources'."""
PATHS = 5
KINDS = ("lut", "carry", "ff", "lutram", "mult", "bram", "bits")
"""What is shown of an area, in this order."""
VERIFIED = {
    "accelerator default": "100 digits, Figure 10's six layers, random layers",
    "accelerator tiny": "random layers, planted bugs",
    "accelerator event": "ten digits of three networks, random layers, planted bugs",
    "soc event": "ten digits",
    "soc default": "ten digits, programs, cocotbext-axi",
}
"""What ran on a design; on others ten digits did."""
PAGES = (ROOT / "README.md", ROOT / "docs" / "hardware.md")
_BLOCK = r"(?ms)^<!-- made by python -m scripts\.hardware: {name} -->\n.*?^<!-- end -->$"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    rule = ["---"] * left + ["---:"] * (len(titles) - left)
    lines = [f"| {' | '.join(cells)} |\n" for cells in (titles, *rows)]
    return "".join((lines[0], f"|{'|'.join(rule)}|\n", *lines[1:]))


def _mark(row: Row, part: Row) -> str:
    return "" if part["rtl"] == row["rtl"] else f" {OLDER}"


def _placed(row: Row) -> list[Row]:
    """Placements of the RTL that was synthesized last."""
    return [p for p in row.get("placements", ()) if p["rtl"] == row.get("synthesis", {}).get("rtl")]


def clock(row: Row) -> str:
    """MHz: placed, with the range of several seeds, or the estimate behind a ~."""
    if "synthesis" not in row:
        return "not measured"
    mark = _mark(row, row["synthesis"])
    if found := sorted(p["fmax"] for p in _placed(row)):
        several = f"{found[0]:.1f} to {found[-1]:.1f}" if found[0] != found[-1] else f"{found[0]:.1f}"
        return f"{several} placed{mark}"
    return f"~{1000 / row['synthesis']['estimated_paths'][0]['ns']:.1f}{mark}"


def _area(row: Row, kinds: Sequence[str]) -> list[str]:
    if "synthesis" not in row:
        return ["not measured"] * len(kinds)
    mark = _mark(row, row["synthesis"])
    return [f"{row['synthesis']['area'][''][kind]:,}{mark}" for kind in kinds]


def cycles(design: Measured, row: Row) -> str:
    """Of both layers of a digit, "" where the network does not fit."""
    if "cycles" not in row:
        return "not measured" if design.runs_digits else ""
    shown = " + ".join(f"{each:,}" for each in row["cycles"]["layers"])
    network = "" if design.network == PAPER else f" (network {design.network})"
    return shown + network + _mark(row, row["cycles"])


def _runs(sizes: AcceleratorConfig) -> str:
    """Schedules and formats."""
    return f"{SCHEDULES.names(sizes.schedules)}; {FORMATS.names(sizes.formats)}"


def status(rows: Mapping[str, Row]) -> str:
    """README's table: a row for each preset, and the SoC with two of them."""
    titles = ("preset", "runs", "N_pe, slots", "X, H, T at most", "window", "registers, memory (bits)",
              "LUT4, MULT18, DP16KD", "clock (MHz)", "cycles per MNIST digit (L1 + L2)", "verified by")  # fmt: skip
    shown = []
    by_name = {design.name: design for design in DESIGNS}
    socs = [design.name for design in DESIGNS if design.top == "soc"]
    for name in (*(f"accelerator {preset}" for preset in ACCELERATOR_PRESETS), *socs):
        design, row = by_name[name], rows[name]
        sizes = design.sizes
        assert sizes
        shown.append(
            (
                f"SoC, {design.preset}" if design.top == "soc" else design.preset,
                _runs(sizes),
                f"{sizes.n_pe}, {sizes.slots}",
                f"{sizes.max_x}, {sizes.max_h}, {sizes.max_t}",
                str(sizes.window),
                f"{row['register_bits']:,} + {row['memory_bits']:,}",
                "; ".join(_area(row, ("lut", "mult", "bram"))),
                clock(row),
                cycles(design, row),
                VERIFIED.get(name, "ten digits"),
            )
        )
    return _table(titles, shown, len(titles))


def gates(row: Row) -> str:
    """Two-input NANDs of the logic, and flip-flops beside them."""
    if "gates" not in row:
        return "not measured"
    return f"{round(row['gates']['nand2']):,} + {row['gates']['ff']:,}{_mark(row, row['gates'])}"


def designs(rows: Mapping[str, Row]) -> str:
    """What every design takes, whether it fits, and how fast it is."""
    columns = (ECP5.columns[kind] for kind in KINDS)
    titles = ("design", *columns, "estimated ns", "MHz", "fits", "NAND2 + FF")
    shown = []
    for design in DESIGNS:
        row = rows[design.name]
        done = "synthesis" in row
        ns = f"{row['synthesis']['estimated_paths'][0]['ns']:.1f}{_mark(row, row['synthesis'])}" if done else ""
        over = fits(row) if done else ""
        fit = (f"no: {over}" if over else "yes") if done else "not measured"
        shown.append((design.name, *_area(row, KINDS), ns, clock(row), fit, gates(row)))
    return _table(titles, shown)


def units(name: str) -> Callable[[Mapping[str, Row]], str]:
    """What each unit of a design takes with all in it."""

    def made(rows: Mapping[str, Row]) -> str:
        row = rows[name]
        if "synthesis" not in row:
            return f"{name} is not measured.\n"
        titles = ("unit", *(row["synthesis"]["columns"][kind] for kind in KINDS))
        shown = [
            (f"`{unit}`" if unit else "all", *(f"{area[kind]:,}" for kind in KINDS))
            for unit, area in row["synthesis"]["area"].items()
        ]
        return _table(titles, shown)

    return made


def placements(rows: Mapping[str, Row]) -> str:
    """Estimates against placements."""
    shown = []
    for design in DESIGNS:
        row = rows[design.name]
        if found := _placed(row):
            placed = ", ".join(f"{p['path']['ns']:.1f} ns ({p['fmax']:.1f} MHz, seed {p['seed']})" for p in found)
            mark = _mark(row, row["synthesis"])
            shown.append((design.name, f"{row['synthesis']['estimated_paths'][0]['ns']:.1f} ns{mark}", placed + mark))
    return _table(("design", "estimated", "placed and routed"), shown, 3) if shown else "Nothing is placed yet.\n"


def paths(rows: Mapping[str, Row]) -> str:
    """The slowest paths of core and tiny."""
    shown = []
    for name in ("core default", "accelerator tiny"):
        row = rows[name]
        for path in row.get("synthesis", {}).get("estimated_paths", ())[:PATHS]:
            way = " -> ".join(f"`{step}`" for step in (path["start"], *path["through"], path["end"]))
            shown.append((name, f"{path['ns']:.1f}{_mark(row, row['synthesis'])}", str(path["levels"]), way))
    return _table(("design", "estimated ns", "levels", "from register, through, to register"), shown, 4)


def note(rows: Mapping[str, Row]) -> str:
    """What the numbers are of."""
    tools = sorted({row["synthesis"]["yosys"].partition(" (")[0] for row in rows.values() if "synthesis" in row})
    old = [name for name, row in rows.items() if OLDER in status_of(row)]
    text = f"ECP5-85, speed 6, {', '.join(tools) or 'nothing synthesized'}; ~: estimated, not placed.\n"
    return text + (f"{OLDER}: of an older RTL than the sources': {', '.join(old)}.\n" if old else "")


def status_of(row: Row) -> str:
    """OLDER if anything that is shown of the design is."""
    parts = [row[key] for key in ("synthesis", "gates", "cycles") if key in row]
    return "".join(_mark(row, part) for part in parts)


BLOCKS: dict[str, Callable[[Mapping[str, Row]], str]] = {
    "status": status,
    "designs": designs,
    "note": note,
    "placements": placements,
    "units of the core": units("core default"),
    "units of tiny": units("accelerator tiny"),
    "paths": paths,
}


def rewritten(page: Path, text: str, rows: Mapping[str, Row]) -> str:
    """A page with its blocks made again. Raises UserError for a mark that is none."""
    found = re.findall(r"(?m)^<!-- made by python -m scripts\.hardware: (.*) -->$", text)
    for name in found:
        if name not in BLOCKS:
            raise UserError(f"{page}: no block {name!r}; there are: {', '.join(BLOCKS)}")
        made = f"<!-- made by python -m scripts.hardware: {name} -->\n{BLOCKS[name](rows)}<!-- end -->"
        text, count = re.subn(_BLOCK.format(name=re.escape(name)), lambda _, made=made: made, text)  # type: ignore[misc]
        if count != 1:
            raise UserError(f"{page}: block {name!r} must be there once, with its end")
    return text
