"""Several simulations at a time, in threads that do not outlive Ctrl-C."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sim.engines.compiled import stop_programs

Result = TypeVar("Result")
LAST_SECONDS = 1.0
"""How long interrupted threads may take to put their things away; one that simulates in Python would take minutes."""


def _stop_icarus() -> None:
    """End the simulations that cocotb's runner started for this process, as it tells nobody about them."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            number, _, rest = path.read_text().partition(" (")
            name, _, fields = rest.rpartition(") ")
            if name == "vvp" and int(fields.split()[1]) == os.getpid():
                os.kill(int(number), signal.SIGKILL)


@contextmanager
def simulations(jobs: Sequence[Callable[[], Result]], workers: int) -> Iterator[list[Future[Result]]]:
    """Begin the jobs in their order, ``workers`` at a time; a future for each.

    When the body raises no further one is begun; what runs then is waited for, except after Ctrl-C, which ends it.
    """
    queue: SimpleQueue[tuple[Future[Result], Callable[[], Result]]] = SimpleQueue()
    futures: list[Future[Result]] = [Future() for _ in jobs]
    for pair in zip(futures, jobs, strict=True):
        queue.put(pair)

    def work() -> None:
        while True:
            try:
                future, job = queue.get_nowait()
            except Empty:
                return
            if future.set_running_or_notify_cancel():
                _finish(future, job)

    for _ in range(min(workers, len(jobs))):
        Thread(target=work, daemon=True).start()
    try:
        yield futures
    except BaseException as error:
        begun = [future for future in futures if not future.cancel()]
        if not isinstance(error, Exception):
            stop_programs()
            _stop_icarus()
        wait(begun, None if isinstance(error, Exception) else LAST_SECONDS)
        raise


def _finish(future: "Future[Any]", job: Callable[[], Any]) -> None:
    try:
        result = job()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
