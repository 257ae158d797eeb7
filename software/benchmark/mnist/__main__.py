"""``python -m software.benchmark.mnist``."""

from software.benchmark.common.spelling import run_spelled
from software.benchmark.mnist.command import app

if __name__ == "__main__":
    run_spelled(app)
