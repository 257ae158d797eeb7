"""``python -m sim.report``."""

from sim.report.command import main
from software.cli import run

if __name__ == "__main__":
    run(main)
