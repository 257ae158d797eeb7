"""The cocotb test that runs one SocJob: reads (configuration, job), pickled, from the file named by ELSTM_JOB, pickles
the outcome to ELSTM_OUTCOME and writes the cycles simulated so far to ELSTM_PROGRESS. Run by
``sim.engines.icarus.soc``."""

import os
import pickle
from pathlib import Path
from typing import Any

import cocotb

from sim.engines.icarus.clock import run_cycles
from sim.host.soc import CONTROLS, IDLE, PAYLOADS, RETIRED, SocHost


class _Pins:
    """The AXI4 port, ``busy`` and the trace port: writes what changed, reads integers and notes X."""

    def __init__(self, dut: Any, host: SocHost, traced: bool) -> None:
        names = {*IDLE, *CONTROLS, *(name for channel in ("aw", "w", "ar") for name in PAYLOADS[channel])}
        self._axi = {name: getattr(dut, f"axi__{name}") for name in names}
        self._rvfi = {name: getattr(dut, f"rvfi_{name}") for name in ("valid", *RETIRED)} if traced else {}
        self._busy, self._host = dut.busy, host
        self._driven: dict[str, int] = {}

    def drive(self, wires: dict[str, int]) -> None:
        for name, value in wires.items():
            if self._driven.get(name) != value:
                self._axi[name].value = value
                self._driven[name] = value

    def _get(self, handle: Any) -> int:
        value = handle.value
        if value.is_resolvable:
            return int(value)
        # a program may store a register that was never written, as when it saves those of its caller
        if handle is not self._axi["wdata"]:
            self._host.unknown(handle._name)
        return int("".join(bit if bit == "1" else "0" for bit in str(value)), 2)

    def sample(self) -> dict[str, int]:
        wires = {name: self._get(self._axi[name]) for name in CONTROLS}
        for channel in ("aw", "w", "ar"):
            if wires[f"{channel}valid"]:
                wires |= {name: self._get(self._axi[name]) for name in PAYLOADS[channel]}
        return wires

    def busy(self) -> bool:
        return bool(self._get(self._busy))

    def retired(self) -> dict[str, int] | None:
        if not (self._rvfi and self._get(self._rvfi["valid"])):
            return None
        return {name: self._get(self._rvfi[name]) for name in RETIRED}


@cocotb.test()
async def run_job(dut: Any) -> None:
    """One job from reset to its outcome."""
    config, job = pickle.loads(Path(os.environ["ELSTM_JOB"]).read_bytes())
    progress = Path(os.environ["ELSTM_PROGRESS"])

    def tell(cycles: int) -> None:
        progress.write_text(str(cycles))

    host = SocHost(job, config, tell)
    pins = _Pins(dut, host, config.core.rvfi)

    pins.drive(IDLE)

    def step() -> bool:
        return host.sample(pins.sample(), pins.busy(), pins.retired())

    await run_cycles(dut, lambda: pins.drive(host.drive()), step)
    Path(os.environ["ELSTM_OUTCOME"]).write_bytes(pickle.dumps(host.outcome()))
