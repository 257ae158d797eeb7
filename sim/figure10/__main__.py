"""``python -m sim.figure10``."""

from sim.figure10.command import main
from software.cli import run

if __name__ == "__main__":
    run(main)
