"""The host of one SocJob in Python, for the simulators that run in it; ``harness/soc.cc`` is the same in C++.

A simulator loops: ``drive()`` gives the inputs of a cycle, ``sample()`` takes the outputs that settled in it, then
the clock rises (docs/simulation.md).
"""

import time
from collections.abc import Mapping

from golden.config import SocConfig
from sim.host.axi import AxiMemory
from sim.host.axi_rules import MASTER, PAYLOADS, AxiChecker
from sim.host.htif import Htif, HtifState
from sim.host.memory import VIOLATIONS_KEPT, Image, Violations
from sim.protocol.base import Console, EngineError, Progress, Write
from sim.protocol.core import Stop, Trap
from sim.protocol.soc import SocJob, SocOutcome

IDLE: dict[str, int] = {
    **dict.fromkeys(("arready", "awready", "wready", "bvalid", "bid", "rvalid", "rid"), 0),
    "rdata": 2**64 - 1,
    "rresp": 3,
    "rlast": 1,
    "bresp": 3,
}
"""The slave's wires during reset."""
CONTROLS = tuple(name for name in MASTER if name.endswith(("valid", "ready")))
"""The master's wires to look at in every cycle; what is in PAYLOADS only beside its valid."""
RETIRED = ("trap", "pc_rdata", "pc_wdata", "insn", "mem_addr", "mem_wmask", "csr_mcause_wdata", "csr_mtval_wdata")
"""Fields of the trace port to look at when it is valid."""
_FETCH_FAULT = 1


class SocHost:
    """Runs a job, keeps the memory and writes down what happened."""

    def __init__(
        self, job: SocJob, config: SocConfig, progress: Progress | None = None, console: Console | None = None
    ) -> None:
        if job.trace:
            raise EngineError("only the compiled engines write a trace of instructions")
        self._job, self._progress, self._console = job, progress, console
        self._traced = config.core.rvfi
        self._core_id = 1 << config.accelerator.tag_bits
        self._violations = Violations()
        self._image = Image(job.segments, self._violations)
        self._htif = Htif(self._image, job.tohost, job.fromhost)
        self._memory = AxiMemory(self._image, job.timing, config.ram, self._stored)
        self._checker = AxiChecker()
        self._driven: dict[str, int] = {}
        self._log: list[Write] = []
        self._loads: list[str] = []
        self._stop = Stop.EXITED
        reset = config.core.reset_address
        self._last = dict.fromkeys(RETIRED, 0) | {"pc_rdata": reset, "pc_wdata": reset}
        self._trap: Trap | None = None
        self._exited = False
        self._busy_since: int | None = None
        self._busy_cycles: list[int] = []
        self._shown = self._retired = self._active = self._reads = self._writes = 0
        self._start = self._told = time.monotonic()
        self.cycle = 0

    def drive(self) -> dict[str, int]:
        """The slave's wires in this cycle."""
        self._driven = self._memory.drive()
        return self._driven

    def sample(self, axi: Mapping[str, int], busy: bool, retired: Mapping[str, int] | None = None) -> bool:
        """The master's wires of this cycle (CONTROLS, and payloads beside their valid), the SoC's ``busy``, and RETIRED
        of the instruction that did; True when the run is over."""
        driven, cycle = self._driven, self.cycle
        loads = axi["arvalid"] and driven["arready"]
        if loads or (axi["wvalid"] and driven["wready"]) or driven["rvalid"]:
            self._active = cycle
        if loads:
            self._reads += 1
            if not axi["arid"] & self._core_id:
                self._loads.append(f"{cycle} {axi['araddr']:#010x} {axi['arlen'] + 1}\n")
        self._writes += axi["awvalid"] and driven["awready"]
        self._memory.sample(axi)
        self._checker.sample(driven | dict(axi))
        self._watch_busy(busy)
        if retired:
            self._retire(retired)
        exited = self._exited if self._traced else self._htif.state == HtifState.EXIT
        self.cycle += 1
        self._tell()
        if exited or self._stop != Stop.EXITED:
            return True
        if self._htif.state == HtifState.UNKNOWN:
            self._stop = Stop.BAD_HTIF
        if self.cycle >= self._job.max_cycles:
            self._stop = Stop.MAX_CYCLES
        if self.cycle - self._active > self._job.stuck_cycles:
            self._stop = Stop.STUCK
        return self._stop != Stop.EXITED

    def unknown(self, name: str) -> None:
        """An output was X."""
        if len(self._violations) < VIOLATIONS_KEPT:
            self._violations.append(f"cycle {self.cycle}: output {name} is unknown (X)")

    def outcome(self) -> SocOutcome:
        """What came back; to be called once, when the run is over."""
        self._watch_busy(False)
        if self._job.mem_trace:
            with open(self._job.mem_trace, "w") as stream:
                stream.writelines(self._loads)
        return SocOutcome(
            stop=self._stop,
            cycles=self.cycle,
            retired=self._retired,
            tohost=self._htif.value,
            pc=self._last["pc_rdata"],
            next_pc=self._last["pc_wdata"],
            insn=self._last["insn"],
            trap=self._trap,
            console=bytes(self._htif.console),
            wall_seconds=time.monotonic() - self._start,
            read_bursts=self._reads,
            write_bursts=self._writes,
            busy_cycles=self._busy_cycles,
            violations=[*self._violations, *self._checker.violations],
            write_log=self._log,
            memory={kept.name: self._bytes(kept.address, kept.size) for kept in self._job.keep},
            traced=self._traced,
        )

    def _watch_busy(self, busy: bool) -> None:
        """Each period in which the accelerator is busy, whatever its own counter says."""
        if busy == (self._busy_since is not None):
            return
        if self._busy_since is not None:
            self._busy_cycles.append(self.cycle - self._busy_since)
        self._busy_since = self.cycle if busy else None

    def _bytes(self, address: int, size: int) -> bytes:
        first = address & ~7
        words = (self._image.word(at) for at in range(first, address + size, 8))
        content = b"".join((2**64 - 1 if word is None else word).to_bytes(8, "little") for word in words)
        return content[address - first : address - first + size]

    def _stored(self, identifier: int, address: int, data: int, strobes: int) -> None:
        if not identifier & self._core_id:
            if self._job.log_writes:
                self._log.append(Write(self.cycle, address, data, strobes))
            return
        if address != self._job.tohost:
            return
        self._htif.act()
        printed = self._htif.console
        if self._console and len(printed) > self._shown and printed.endswith(b"\n"):
            self._console(bytes(printed[self._shown :]))
            self._shown = len(printed)

    def _retire(self, record: Mapping[str, int]) -> None:
        self._active, self._last = self.cycle, dict(record)
        if not record["trap"]:
            self._retired += 1
            wrote = record["mem_wmask"] and record["mem_addr"] == self._job.tohost
            self._exited = bool(wrote) and self._htif.state == HtifState.EXIT
            return
        trap = Trap(record["pc_rdata"], record["csr_mcause_wdata"], record["csr_mtval_wdata"])
        # a vector where nothing can be fetched: the trap before is the reason
        if trap.cause == _FETCH_FAULT and record["pc_rdata"] == record["pc_wdata"]:
            self._stop = Stop.TRAP_LOOP
            self._trap = self._trap or trap
        else:
            self._trap = trap

    def _tell(self) -> None:
        if self._progress and not self.cycle & 0xFF and time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            self._progress(self.cycle)


__all__ = ["CONTROLS", "IDLE", "PAYLOADS", "RETIRED", "SocHost"]
