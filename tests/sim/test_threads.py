"""Simulations in threads: in order, so many at a time, and gone after Ctrl-C whatever they are doing."""

import subprocess
import sys
import time
from functools import partial
from operator import floordiv

import pytest

from sim.threads import LAST_SECONDS, simulations
from tests.doc_commands import ROOT


def test_results_come_in_order_and_errors_where_they_belong() -> None:
    with simulations([partial(floordiv, 6, n) for n in (1, 2, 0, 3)], 2) as futures:
        assert [futures[n].result() for n in (0, 1, 3)] == [6, 3, 2]
        with pytest.raises(ZeroDivisionError):
            futures[2].result()


def test_no_further_one_is_begun_after_an_error_and_what_runs_is_waited_for() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def job(n: int) -> None:
        begun.append(n)
        time.sleep(0.2)
        ended.append(n)

    with pytest.raises(ZeroDivisionError), simulations([partial(job, n) for n in range(50)], 2) as futures:
        futures[0].result()
        raise ZeroDivisionError
    assert len(begun) < 50 and sorted(begun) == sorted(ended)


def test_after_ctrl_c_nobody_waits_for_a_thread_that_cannot_be_stopped() -> None:
    code = (
        "import time\n"
        "from sim.threads import simulations\n"
        "from software.cli import call, new_app\n"
        "app = new_app()\n"
        "@app.command()\n"
        "def main() -> None:\n"
        "    with simulations([lambda: time.sleep(60)] * 3, 2):\n"
        "        raise KeyboardInterrupt\n"
        "raise SystemExit(call(app, []))\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert time.monotonic() - started < 20 + LAST_SECONDS
