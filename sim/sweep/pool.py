"""Where the points of a sweep are computed: processes of this machine, or the workers of a Dask scheduler."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from threading import Thread

from software.cli import UserError
from software.extras import install_line

CONNECT_SECONDS = 10
"""How long a scheduler may take to answer, and then to have a worker."""


def _leave_with_parent(parent: Connection) -> None:
    """Make this process, and the simulators it starts, end as soon as the other end of ``parent`` is closed."""
    # A group of its own: Ctrl-C reaches the sweep alone, which then ends this group in one go
    os.setpgrp()

    def wait() -> None:
        try:
            parent.recv_bytes()
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)

    Thread(target=wait, daemon=True).start()


@contextmanager
def local(workers: int) -> Iterator[Executor]:
    """So many processes. They end with this process, however it ends, and at once when the body raises."""
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(workers, context, _leave_with_parent, (theirs,))
    try:
        yield executor
    except BaseException:
        ours.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


@contextmanager
def dask(address: str) -> Iterator[Executor]:
    """The workers of the Dask scheduler at ``address``. Raises UserError when there is no Dask, scheduler or worker."""
    try:
        distributed = import_module("distributed")
    except ImportError:
        raise UserError(f"--scheduler needs Dask: {install_line('sweep')}") from None
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--scheduler {address}: {error}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise UserError(f"--scheduler {address}: no worker has come in {CONNECT_SECONDS} s") from None
        # Closing the client makes the scheduler forget what was not computed yet
        yield client.get_executor(pure=False)
