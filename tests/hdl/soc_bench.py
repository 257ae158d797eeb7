"""Programs on the whole SoC in pysim: a word at a time in, what memory holds out."""

from dataclasses import dataclass, field
from typing import Any

from amaranth.sim import Simulator

from golden.config import RAM_BASE, SocConfig, preset
from hdl.shared_port import FETCH
from hdl.soc import Soc
from sim.protocol.base import Segment
from sim.protocol.timing import AxiTiming
from tests.hdl.axi_bench import AxiBench

RAM = RAM_BASE
RAM_BYTES = 0x1_0000
DONE = RAM + 0x0F00
"""A store here ends the program; below are its instructions."""
RESULTS = RAM + 0x0800
CONFIG = SocConfig(preset("tiny"), ram_bytes=RAM_BYTES, cache_lines=16)


@dataclass
class SocRun:
    """What happened.

    Attributes:
        memory: all of RAM.
        lines: addresses of the instruction lines asked for.
        core_reads: cycles in which a read burst of the core was accepted.
        working: cycles of the accelerator's first read burst and of the answer to its last write.
    """

    memory: bytes = b""
    cycles: int = 0
    lines: list[int] = field(default_factory=list)
    core_reads: list[int] = field(default_factory=list)
    working: tuple[int, int] = (0, 0)

    def result(self, index: int) -> int:
        at = RESULTS - RAM + 8 * index
        return int.from_bytes(self.memory[at : at + 8], "little")


def run(
    words: list[int],
    timing: AxiTiming,
    *,
    config: SocConfig = CONFIG,
    data: dict[int, bytes] | None = None,
    read_error: int | None = None,
    write_error: int | None = None,
    max_cycles: int = 6000,
) -> SocRun:
    """Run ``words`` from RAM, with ``data`` by address, until a store to DONE. Errors are offsets of words in RAM."""
    image = bytearray(RAM_BYTES)
    for address, content in ({RAM: b"".join(word.to_bytes(4, "little") for word in words)} | (data or {})).items():
        image[address - RAM : address - RAM + len(content)] = content
    ram = Segment("ram", RAM, RAM_BYTES, bytes(image), True, read_error, write_error)
    dut, result = Soc(config), SocRun()
    core = 1 << config.accelerator.tag_bits

    async def bench(ctx: Any) -> None:
        port = AxiBench(ctx, dut.axi, (ram,), timing)
        for cycle in range(max_cycles):
            port.drive()
            wires = port.sample()
            read = wires["arid"] if wires["arvalid"] and wires["arready"] else None
            if read is not None and read & core:
                result.core_reads.append(cycle)
                if read == core | FETCH:
                    result.lines.append(wires["araddr"])
            elif read is not None and not result.working[0]:
                result.working = cycle, cycle
            if port.wires["bvalid"] and not port.wires["bid"] & core:
                result.working = result.working[0], cycle
            if wires["awvalid"] and wires["awaddr"] == DONE:
                break
            await ctx.tick()
        else:
            raise AssertionError(f"the program does not end in {max_cycles} cycles, seed {timing.seed}")
        assert not port.checker.violations
        assert not port.violations
        result.cycles = cycle
        result.memory = port.image.contents()["ram"]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return result
