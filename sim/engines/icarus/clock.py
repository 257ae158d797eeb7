"""The clock of a cocotb test, in the cycles of docs/simulation.md."""

from collections.abc import Callable
from typing import Any

from cocotb.triggers import Timer

from sim.host.accelerator import RESET_CYCLES

HALF_PERIOD = 5
"""Half a clock period, ns."""


async def run_cycles(dut: Any, drive: Callable[[], None], sample: Callable[[], bool]) -> None:
    """Reset, then a cycle after the other until ``sample`` says that it was the last.

    ``drive`` sets the inputs of a cycle, ``sample`` takes its outputs. Every input must have a value before, or X would
    get into the registers.
    """
    dut.clk.value = 0
    dut.rst.value = 1
    for _ in range(RESET_CYCLES):
        await Timer(HALF_PERIOD, "ns")
        dut.clk.value = 1
        await Timer(HALF_PERIOD, "ns")
        dut.clk.value = 0
    dut.rst.value = 0
    while True:
        drive()
        await Timer(HALF_PERIOD, "ns")
        if sample():
            return
        dut.clk.value = 1
        await Timer(HALF_PERIOD, "ns")
        dut.clk.value = 0
