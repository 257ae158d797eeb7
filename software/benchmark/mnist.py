"""The MNIST benchmark: ``python -m software.benchmark.mnist COMMAND``."""

import typer

from software.benchmark.mnist_reproduce import reproduce
from software.cli import run_app

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command("reproduce")(reproduce)


@app.callback()
def commands() -> None:
    """Train, prune and evaluate the MNIST network."""


if __name__ == "__main__":
    run_app(app)
