"""``python -m sim.core_lockstep``."""

from sim.core_lockstep.command import main
from software.cli import run

if __name__ == "__main__":
    run(main)
