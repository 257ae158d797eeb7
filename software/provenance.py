"""Where a file comes from: the commit of the sources that made it."""

import subprocess
from pathlib import Path

_SOURCES = Path(__file__).parents[1]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(_SOURCES), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def commit() -> str:
    """Commit of the sources, with "-dirty" when a tracked file differs from it; "unknown" outside a checkout."""
    # An installed copy may lie inside somebody else's repository.
    if not (_SOURCES / ".git").exists() or not (head := _git("rev-parse", "HEAD")):
        return "unknown"
    return head + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")
