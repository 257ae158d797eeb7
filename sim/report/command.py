"""``python -m sim.report RUN.json...``: run results as a page, as JSON and in the terminal; the verdict comes first.

    python -m sim.run mnist --digits 10 --json build/run.json
    python -m sim.report build/run.json

Exit codes: 0 every run is bit-exact, 1 one is not, 2 a file cannot be used.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sim.options import JsonOption
from sim.report.model import Report, as_json, summarise
from sim.report.page import number, page, percent
from sim.report.timeline import load as load_timeline
from sim.report.timeline_page import timeline_view
from sim.results.check import check
from sim.results.result import SCHEMA, SCHEMA_OF_0_1, ResultError, from_json
from software.cli import UserError, write_all

BUILD = Path("build")


def load(path: Path) -> Report:
    """Raises UserError naming file and field, also for a result that contradicts itself."""
    try:
        result = from_json(path.read_text(), str(path))
        check(result, str(path))
        return summarise(str(path), result)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (ResultError, UnicodeDecodeError) as error:
        raise UserError(str(error) if isinstance(error, ResultError) else f"{path}: not text") from None


def found(folder: Path) -> list[Path]:
    """Every run result under ``folder``, by name."""
    results = []
    for path in sorted(folder.rglob("*.json")):
        try:
            head = path.read_text(errors="replace")
        except OSError:
            continue
        if any(f'"schema": "{schema}"' in head for schema in (SCHEMA, SCHEMA_OF_0_1)):
            results.append(path)
    return results


def table_of(report: Report) -> Table:
    """One line a layer."""
    table = Table(header_style="bold", box=None, pad_edge=False, collapse_padding=True)
    for name in ("layer", "exact", "cycles", "/model", "port", "PEs", "dropped", "max err"):
        table.add_column(name, justify="left" if name == "layer" else "right", no_wrap=True)
    for layer in report.layers:
        table.add_row(
            layer.name,
            f"{layer.exact}/{layer.runs}",
            number(layer.cycles),
            f"{layer.cycles / layer.word_model:.4f}" if layer.word_model else "",
            percent(layer.port_busy),
            f"{layer.pe_use:.2f}",
            percent(layer.dropped),
            "" if layer.max_error is None else f"{layer.max_error:.1e}",
        )
    return table


def _show(console: Console, report: Report) -> None:
    result = report.result
    style = "green" if report.exact else "bold red"
    console.print(Text(f"{report.source}: {report.verdict}", style=style), soft_wrap=True)
    console.print(table_of(report))
    for wrong in report.wrong[1:6]:
        console.print(f"also {wrong.where}: {wrong.what}", soft_wrap=True, highlight=False)
    for waveform in report.waveforms:
        console.print(f"waveform {waveform}", soft_wrap=True, highlight=False)
    console.print(
        f"{result.kind} on {result.system}, {result.engine}, preset {result.preset}, seed {result.seed}, "
        f"commit {result.commit[:12]}: {result.command}",
        soft_wrap=True,
        highlight=False,
    )


def main(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN.json...", help="Results written with --json.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"Every result under {BUILD}/.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page.")] = BUILD / "report.html",
    json_path: JsonOption = None,
    timeline: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Draw this timeline too (--trace of sim.run digit); may be repeated."),
    ] = None,
) -> int:
    """Say whether runs were right, and where their cycles went: as a page, in the terminal, as JSON.

    The exit code is 1 when a run did not agree with golden.

    \b
    Examples:
      python -m sim.report build/demo/run.json
      python -m sim.report --all --out build/all.html --json build/all.json
    """
    paths = [*(files or []), *(found(BUILD) if everything else [])]
    if not paths:
        where = f"none of {BUILD}/**/*.json is a run result" if everything else "no RUN.json given"
        raise UserError(f"{where}; python -m sim.run mnist --json {BUILD}/run.json makes one")
    reports = [load(path) for path in paths]
    timelines = [timeline_view(load_timeline(path)) for path in timeline or []]
    pages = {out: page(reports, timelines).encode()}
    if json_path:
        pages[json_path] = json.dumps(as_json(reports), indent=1).encode() + b"\n"
    write_all(pages)
    console = Console()
    for report in reports:
        _show(console, report)
    for written in pages:
        print(f"wrote {written}")
    return 0 if all(report.exact for report in reports) else 1
