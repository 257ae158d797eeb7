"""What an address sends, with progress."""

import urllib.request

from software import progress

TIMEOUT = 20
"""Seconds a server may be silent."""
CHUNK = 1 << 16


def get(url: str) -> bytes:
    """All of it; what breaks off in the middle is for the caller's checksum to find. Raises OSError."""
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, progress.bars() as bars:
        task = bars.add_task(
            f"{url.rsplit('/', 1)[-1]}, bytes", total=int(answer.headers["Content-Length"] or 0) or None
        )
        parts = []
        while part := answer.read(CHUNK):
            parts.append(part)
            bars.advance(task, len(part))
    return b"".join(parts)
