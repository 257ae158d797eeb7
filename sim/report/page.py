"""The report as one HTML page that needs nothing else: no network, no file beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sim.report.model import Report, bin_names, summarise
from sim.results.result import RunResult

TEMPLATE = Path(__file__).parent / "templates"
BAR_WIDTH = 1000
"""Width of a stacked bar in its own units."""


def number(value: float | None) -> str:
    """Cycles, with thousands apart."""
    return "" if value is None else f"{value:,.0f}"


def percent(value: float) -> str:
    """A share as the pages write it."""
    return f"{100 * value:.1f} %"


def bars(histogram: Sequence[int]) -> list[dict[str, Any]]:
    """Bins of an error histogram with their share of the highest one, 0..1."""
    most = max(histogram, default=0) or 1
    return [
        {"name": name, "count": count, "height": count / most}
        for name, count in zip(bin_names(), histogram, strict=True)
    ]


def environment() -> Any:
    """The templates, with the filters they use."""
    # Only those who ask for a page wait for this import
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    made = Environment(loader=FileSystemLoader(TEMPLATE), autoescape=True, undefined=StrictUndefined)
    made.trim_blocks = made.lstrip_blocks = True
    made.filters |= {"number": number, "percent": percent}
    made.globals |= {"bars": bars, "bar_width": BAR_WIDTH}
    return made


def page_of(result: RunResult, source: str) -> bytes:
    """The page of one result; source: what it calls where the result came from."""
    return page([summarise(source, result)]).encode()


def files_of(result: RunResult, json: Path | None, report: Path | None) -> dict[Path, bytes]:
    """The files of a run that were asked for: the result as JSON, its page."""
    files = {json: (result.to_json() + "\n").encode()} if json else {}
    if report:
        files[report] = page_of(result, str(json) if json else result.command)
    return files


def page(reports: Sequence[Report], timelines: Sequence[Mapping[str, Any]] = ()) -> str:
    """The whole page; timelines: as sim.report.timeline_page.timeline_view gives them."""
    return environment().get_template("report.html").render(reports=reports, timelines=timelines)
