"""The cocotb test that runs a program on the SoC's Verilog with cocotbext-axi as its memory: another author's reading
of the protocol. Reads a pickled Job, pickles a Result; run by test_axi4_cocotbext.py through
sim.engines.icarus.accelerator."""

import itertools
import os
import pickle
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiRam, AxiResp, AxiSlaveRead, AxiSlaveWrite

from tests.hdl.axi_ram_job import Job, Result

PERIOD = 10
"""ns."""


class Faulty(Exception):
    """This word is answered with an error."""


class Target:
    """Memory with errors on purpose; every access takes a while."""

    def __init__(self, job: Job, content: bytearray, clock: Any, random: Random) -> None:
        self.job, self.content, self.clock, self.random = job, content, clock, random

    async def _wait(self) -> None:
        if cycles := self.random.randint(0, self.job.latency):
            await ClockCycles(self.clock, cycles)

    async def read(self, address: int, length: int) -> bytes:
        await self._wait()
        if address == self.job.read_error:
            raise Faulty
        at = address - self.job.base
        return bytes(self.content[at : at + length])

    async def write(self, address: int, data: bytes) -> None:
        if self.job.write_error is not None and address & ~7 == self.job.write_error:
            raise Faulty
        at = address - self.job.base
        self.content[at : at + len(data)] = data


class AnyOrderRead(AxiSlaveRead):
    """Answers every read burst on its own, so that beats of several come interleaved and in any order."""

    job: Job
    result: Result
    last_id: int | None = None
    open_ids: set[int]

    async def _process_read(self) -> None:
        self.open_ids = set()
        while True:
            ar = await self.ar_channel.recv()
            self.result.lengths.append(int(ar.arlen) + 1)
            assert int(ar.arid) not in self.open_ids, f"id {int(ar.arid)} is in flight twice"
            self.open_ids.add(int(ar.arid))
            cocotb.start_soon(self._answer(int(ar.arid), int(ar.araddr), int(ar.arlen) + 1))

    async def _answer(self, identifier: int, address: int, beats: int) -> None:
        assert 0x1000 - (address & 0xFFF) >= 8 * beats, f"burst of {beats} from {address:#x} crosses 4 KiB"
        for beat in range(beats):
            r = self.r_channel._transaction_obj()
            r.rid, r.rlast, r.rresp, r.rdata = identifier, beat == beats - 1, AxiResp.OKAY, 0
            at = address + 8 * beat
            try:
                r.rdata = int.from_bytes(await self._read(at, 8), "little")
            except Faulty:
                r.rresp = AxiResp.SLVERR
            if self.job.missing is not None and at >= self.job.missing:
                r.rresp = AxiResp.DECERR
            if r.rlast:
                self.open_ids.discard(identifier)
            await self.r_channel.send(r)
            if self.last_id not in (None, identifier) and self.last_id in self.open_ids:
                self.result.interleaved += 1
            self.last_id = identifier


def _pauses(random: Random, permille: int) -> Any:
    return (random.randrange(1000) < permille for _ in itertools.repeat(None))


@cocotb.test()
async def run_program(dut: Any) -> None:
    job: Job = pickle.loads(Path(os.environ["ELSTM_JOB"]).read_bytes())
    random, result = Random(job.seed), Result()
    content = bytearray(job.image)
    dut.rst.value = 1
    Clock(dut.clk, PERIOD, unit="ns").start()
    bus = AxiBus.from_prefix(dut, "axi_")
    await ClockCycles(dut.clk, 4)
    if job.interleave:
        target = Target(job, content, dut.clk, random)
        reads: Any = AnyOrderRead(bus.read, dut.clk, dut.rst, target)
        reads.job, reads.result = job, result
        writes: Any = AxiSlaveWrite(bus.write, dut.clk, dut.rst, target)
        read_word = lambda at: bytes(content[at - job.base : at - job.base + 8])  # noqa: E731
    else:
        ram = AxiRam(bus, dut.clk, dut.rst, size=2**32)
        ram.write(job.base, content)
        reads, writes = ram.read_if, ram.write_if
        read_word = lambda at: ram.read(at, 8)  # noqa: E731
    if job.pause_permille:
        for channel in (reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel, writes.b_channel):
            channel.set_pause_generator(_pauses(random, job.pause_permille))
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    untouched = read_word(job.done)
    for cycle in range(1, job.max_cycles + 1):
        await RisingEdge(dut.clk)
        result.cycles = cycle
        if read_word(job.done) != untouched:
            result.ended = True
            break

    result.memory = bytes(content) if job.interleave else bytes(ram.read(job.base, len(content)))
    Path(os.environ["ELSTM_OUTCOME"]).write_bytes(pickle.dumps(result))
