"""``python -m sim.sweep``."""

from sim.sweep.command import main
from software.cli import run

if __name__ == "__main__":
    run(main)
