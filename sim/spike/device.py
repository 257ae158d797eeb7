"""The golden accelerator as Spike's RoCC device; ``sim.spike.twin`` has Spike load this file.

ELSTM_TWIN_CONFIG is the configuration as JSON, ELSTM_TWIN_LOG a file that gets a line of JSON for each START that
ended, and at a failure of the device itself a line with "failure".
"""

import ctypes
import json
import os
import traceback
from dataclasses import asdict
from typing import Any

from riscv import isa
from riscv.processor import insn_desc_t, processor_t

from golden.config import AcceleratorConfig
from sim.spike.accelerator import Accelerator, Command, MemoryFault, Start

FENCE, FENCE_MASK = 0x0000_000F, 0x0000_707F
MASK64 = 2**64 - 1
CUSTOM = (0x0B, 0x2B, 0x5B, 0x7B)


class SpikeMemory:
    """Memory as the hart sees it, through what Spike's binding has: reserving loads (signed) and conditional stores."""

    def __init__(self, mmu: Any) -> None:
        self._load, self._store = mmu.load_reserved_64, mmu.store_conditional_64

    def load(self, address: int) -> int:
        try:
            return self._load(address) & MASK64
        # Spike's trap, which Python sees as this
        except RuntimeError:
            raise MemoryFault from None

    def store(self, address: int, word: int) -> None:
        self.load(address)
        if not self._store(address, word):
            raise AssertionError(f"Spike refused the store to {address:#x}")


@isa.register("elstm")
class Device(isa.ROCC):
    """One accelerator, made at the first command."""

    accelerator: Accelerator | None = None

    def _make(self, processor: processor_t) -> Accelerator:
        config = AcceleratorConfig(**json.loads(os.environ["ELSTM_TWIN_CONFIG"]))
        accelerator = Accelerator(config, SpikeMemory(processor.mmu), started)

        def fence(processor: processor_t, insn: Any, pc: int) -> int:
            guarded(accelerator.fence)
            return pc + 4

        # Spike asks extensions of this kind for no instructions of their own, so the fence is put in by hand
        self._fence = insn_desc_t(FENCE, FENCE_MASK, *[fence] * 8)
        processor.register_custom_insn(self._fence)
        rebuild = ctypes.CDLL(None)._ZN11processor_t16build_opcode_mapEv
        rebuild.argtypes, rebuild.restype = [ctypes.c_void_p], None
        rebuild(processor_t.addressof(processor))
        return accelerator

    def _command(self, opcode: int, processor: processor_t, insn: Any, rs1: int, rs2: int) -> int:
        def run() -> int:
            if self.accelerator is None:
                self.accelerator = self._make(processor)
            return self.accelerator.command(
                Command(insn.funct, rs1 & MASK64, rs2 & MASK64, bool(insn.xs1), bool(insn.xs2), opcode)
            )

        return guarded(run)

    def custom0(self, processor: processor_t, insn: Any, rs1: int, rs2: int) -> int:
        return self._command(CUSTOM[0], processor, insn, rs1, rs2)

    def custom1(self, processor: processor_t, insn: Any, rs1: int, rs2: int) -> int:
        return self._command(CUSTOM[1], processor, insn, rs1, rs2)

    def custom2(self, processor: processor_t, insn: Any, rs1: int, rs2: int) -> int:
        return self._command(CUSTOM[2], processor, insn, rs1, rs2)

    def custom3(self, processor: processor_t, insn: Any, rs1: int, rs2: int) -> int:
        return self._command(CUSTOM[3], processor, insn, rs1, rs2)


def note(record: dict[str, object]) -> None:
    """Append a line to the log."""
    with open(os.environ["ELSTM_TWIN_LOG"], "a") as log:
        log.write(json.dumps(record) + "\n")


def started(start: Start) -> None:
    """Write a START that ended to the log."""
    note(asdict(start))


def guarded(action: Any) -> Any:
    """An exception must not unwind through Spike: it is noted, and Spike ends."""
    try:
        return action()
    except BaseException:
        note({"failure": traceback.format_exc()})
        os._exit(3)
