"""What a sweep keeps of its points while it runs: one line of JSON a point, appended as soon as it is finished."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from sim.results.result import ResultError, record_from
from sim.sweep.point import Failure, Row
from software.cli import UserError

FILE = "points.jsonl"


class Store:
    """Results by ``Point.key``, in ``folder``/points.jsonl. The last line of a key counts.

    A process that is killed while it appends leaves a line without an end; it and every other line that cannot be read
    count as never written (``damaged``).
    """

    def __init__(self, file: BinaryIO, where: Path) -> None:
        self._file = file
        self.results: dict[str, Row | Failure] = {}
        self.damaged = 0
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                file.truncate(file.tell() - len(line))
                self.damaged += 1
                break
            try:
                key, result = _parse(line, f"{where}:{number}")
            except (ValueError, KeyError, TypeError, ResultError):
                self.damaged += 1
            else:
                self.results[key] = result

    def row(self, key: str) -> Row | None:
        """The row of a finished point."""
        result = self.results.get(key)
        return result if isinstance(result, Row) else None

    def add(self, key: str, result: Row | Failure) -> None:
        """Append a result; when this returns it is on the disk."""
        kind = "row" if isinstance(result, Row) else "failure"
        # One write, so that a kill leaves a part of one line at most
        self._file.write(json.dumps({"key": key, kind: asdict(result)}).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.results[key] = result


def _parse(line: bytes, where: str) -> tuple[str, Row | Failure]:
    value = json.loads(line)
    if "row" in value:
        return value["key"], record_from(Row, value["row"], where)
    return value["key"], record_from(Failure, value["failure"], where)


@contextmanager
def opened(folder: Path, fresh: bool) -> Iterator[Store]:
    """The store of a folder, which is made; ``fresh`` forgets what is there.

    Raises UserError when it cannot be written, or another sweep writes it at this time.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another sweep is writing {path}: wait for it, or choose another --out") from None
        if fresh:
            file.truncate(0)
        file.seek(0)
        yield Store(file, path)
