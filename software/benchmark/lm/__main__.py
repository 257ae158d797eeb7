"""``python -m software.benchmark.lm``."""

import sys

from software.benchmark.lm.command import main

if __name__ == "__main__":
    sys.exit(main())
