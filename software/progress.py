"""Progress of long work: rate and remaining time on stderr, and nothing where stderr is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """Steps in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.2g}/s")


def bars(transient: bool = True, redirect_stdout: bool = True) -> Progress:
    """Bars on stderr; ``transient``: they vanish when all is done. Lines printed through it are always shown.

    redirect_stdout: what is printed goes above the bars, which is right only where stdout is a terminal too.
    """
    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
    return Progress(
        *columns,
        console=console,
        transient=transient,
        disable=not console.is_terminal,
        redirect_stdout=redirect_stdout,
    )


@contextmanager
def steps(total: int) -> Iterator[Callable[[str], None]]:
    """A bar over the steps of some work; call what it gives with the name of each step as it begins."""
    with bars() as shown:
        task = shown.add_task("", total=total, completed=-1)
        yield lambda name: shown.update(task, advance=1, description=name)
