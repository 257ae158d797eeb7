"""A sweep's results as CSV, Parquet, JSON, and a table of the front."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from typing import Any, get_args, get_type_hints

from rich.table import Table

from sim.results.environment import command, versions
from sim.sweep.pareto import front, titles, works_of
from sim.sweep.point import Failure, Row
from sim.sweep.spec import Point
from software.cli import UserError
from software.extras import install_line
from software.provenance import commit

SCHEMA = "elstm.sweep/1"
COLUMNS = (*(field.name for field in fields(Row) if field.name != "run"), "pareto")
"""Of CSV and Parquet: every field of a Row but the record of the RTL's run, and whether it is on the front."""


def flat(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows by COLUMNS."""
    return [asdict(row) | {"pareto": on} for row, on in zip(rows, front(rows), strict=True)]


def csv_bytes(rows: Sequence[Row]) -> bytes:
    """A header and a line a row; what a row does not have is empty."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat(rows))
    return out.getvalue().encode()


def pyarrow() -> Any:
    """The package. Raises UserError when it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise UserError(f"--parquet needs pyarrow: {install_line('sweep')}") from None


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """The same columns, each of its own type. Raises UserError when pyarrow is not installed."""
    arrow, parquet = pyarrow()
    kinds = {int: arrow.int64(), float: arrow.float64(), str: arrow.string(), bool: arrow.bool_()}
    hints = get_type_hints(Row) | {"pareto": bool}
    types = {name: next(kind for kind in (hints[name], *get_args(hints[name])) if kind in kinds) for name in COLUMNS}
    schema = arrow.schema([(name, kinds[kind]) for name, kind in types.items()])
    table = arrow.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in flat(rows)], schema)
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


def json_bytes(name: str, rows: Sequence[Row], failures: Mapping[Point, Failure]) -> bytes:
    """Everything, with the record (sim.results.result.LayerRun) of each RTL run."""
    result = {
        "schema": SCHEMA,
        "name": name,
        "command": command("sim.sweep"),
        "commit": commit(),
        "versions": versions(),
        "rows": flat(rows),
        "failures": [asdict(point) | asdict(failure) for point, failure in failures.items()],
    }
    return json.dumps(result, indent=1).encode() + b"\n"


def front_table(rows: Sequence[Row], most: int) -> tuple[Table, int]:
    """The fronts, fastest first, in ``most`` lines at most, and how many rows they have in all."""
    table = Table(header_style="bold", box=None, pad_edge=False, collapse_padding=True)
    for name in ("Pareto front of", "N_pe", "slots", "N_fuse", "cycles", "/bound", "/model", "kbit", "MACs"):
        left = name.startswith("Pareto")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left)
    # Only where there is a choice do schedule and format need columns of their own
    choices = [key for key in ("schedule", "format") if len({getattr(row, key) for row in rows}) > 1]
    for key in choices:
        table.add_column(key)
    on = front(rows)
    lines = 0
    for (layer, text), places in zip(titles(rows), works_of(rows).values(), strict=True):
        first = ", ".join(filter(None, (layer, text)))
        for row in sorted((rows[n] for n in places if on[n]), key=lambda row: (row.cycles, row.memory_bits, row.macs)):
            lines += 1
            if lines > most:
                continue
            table.add_row(
                first,
                str(row.n_pe),
                str(row.slots),
                row.group_sizes or ("" if row.n_fuse is None else str(row.n_fuse)),
                f"{row.cycles:,}",
                f"{row.cycles / row.bound_cycles:.2f}",
                f"{row.cycles / row.word_model_cycles:.4f}" if row.run else "",
                f"{row.memory_bits / 1000:,.0f}",
                str(row.macs),
                *(getattr(row, key) for key in choices),
            )
            first = ""
    return table, lines
