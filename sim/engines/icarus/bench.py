"""The cocotb test that runs one AcceleratorJob: reads the pickled job named by ELSTM_JOB, pickles the outcome to
ELSTM_OUTCOME and writes the cycles simulated so far to ELSTM_PROGRESS now and then. Run by
``sim.engines.icarus.accelerator``."""

import os
import pickle
from pathlib import Path
from typing import Any

import cocotb

from sim.engines.icarus.clock import run_cycles
from sim.host.accelerator import Drive, Host, Sample
from sim.host.memory import UNKNOWN_NAMES

_INPUTS = tuple(Drive.__dataclass_fields__)
_CONTROLS = ("cmd__ready", "resp__valid", "mem__req_valid", "busy", "interrupt")
_REQUEST = ("mem__req_addr", "mem__req_tag", "mem__req_cmd", "mem__req_size")
_STORE = ("mem__req_data", "mem__req_mask")
_RESPONSE = ("resp__rd", "resp__data")
_UNKNOWN_INDEX = {name.replace(".", "__"): index for index, name in enumerate(UNKNOWN_NAMES)}


class _Pins:
    """The ports: writes what changed, reads integers and notes X."""

    def __init__(self, dut: Any) -> None:
        self._handles = {name: getattr(dut, name) for name in (*_INPUTS, *_CONTROLS, *_RESPONSE, *_REQUEST, *_STORE)}
        self._driven: dict[str, int] = {}

    def drive(self, inputs: Drive) -> None:
        for name in _INPUTS:
            value = int(getattr(inputs, name))
            if self._driven.get(name) != value:
                self._handles[name].value = value
                self._driven[name] = value

    def sample(self) -> Sample:
        unknown: list[int] = []

        def get(name: str) -> int:
            value = self._handles[name].value
            if value.is_resolvable:
                return int(value)
            unknown.append(_UNKNOWN_INDEX[name])
            return 0

        ready, answers, requests, busy, interrupt = (get(name) for name in _CONTROLS)
        sample = Sample(ready, answers, requests, busy, interrupt, unknown=unknown)
        # A payload without its valid, and the data of a load, may be anything.
        names: tuple[str, ...] = _RESPONSE if sample.resp__valid else ()
        if sample.mem__req_valid:
            names += _REQUEST
            if get("mem__req_cmd"):
                names += _STORE
        for name in names:
            setattr(sample, name, get(name))
        return sample


@cocotb.test()
async def run_job(dut: Any) -> None:
    """One job from reset to its outcome."""
    job = pickle.loads(Path(os.environ["ELSTM_JOB"]).read_bytes())
    progress = Path(os.environ["ELSTM_PROGRESS"])

    def tell(cycles: int) -> None:
        progress.write_text(str(cycles))

    pins = _Pins(dut)
    host = Host(job, len(dut.mem__req_tag), tell)

    dut.exception.value = 0
    dut.cmd__status.value = 0
    pins.drive(host.idle)
    await run_cycles(dut, lambda: pins.drive(host.drive()), lambda: host.sample(pins.sample()))
    Path(os.environ["ELSTM_OUTCOME"]).write_bytes(pickle.dumps(host.outcome()))
