"""``python -m software.benchmark.data``."""

import sys

from software.benchmark.data.command import main

if __name__ == "__main__":
    sys.exit(main())
