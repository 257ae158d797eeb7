"""``python -m software.benchmark.import_torch``."""

from software.benchmark.common.spelling import run_spelled
from software.benchmark.import_torch.command import app

if __name__ == "__main__":
    run_spelled(app)
