"""The SoC's Verilog against cocotbext-axi's memory: back-pressure on all channels, any order, errors."""

from importlib.util import find_spec

import numpy as np
import pytest

from golden.isa import Error, StatusWord
from golden.layer import Layer
from golden.memory import h_from_bytes
from hdl.core.csr_file import Cause, Csr
from sim.engines.icarus.accelerator import IcarusEngine, run_bench
from sim.layers.jobs import LayerCall, layer_segments
from sim.protocol.base import Design
from software.extras import install_line
from tests.hdl.accelerator.test_axi4_accelerator import call_of
from tests.hdl.axi_ram_job import Job, Result
from tests.hdl.soc_bench import CONFIG, DONE, RAM, RAM_BYTES, RESULTS
from tests.hdl.test_soc import TABLE, Program, layer_program

SEED = 20
UNTOUCHED = b"\xff" * 8


@pytest.fixture(autouse=True)
def installed() -> None:
    missing = IcarusEngine().missing()
    if not missing and not find_spec("cocotbext.axi"):
        missing = f"cocotbext-axi is not installed: {install_line('cocotb')}"
    if missing:
        pytest.skip(f"engine icarus: {missing}")


def simulate(program: Program, data: dict[int, bytes], **fields: object) -> Result:
    program.load(3, DONE)
    program.s("sd", 3, 0, 0)
    program.jal(0, 0)
    table = b"".join(value.to_bytes(8, "little") for value in program.constants)
    words = b"".join(word.to_bytes(4, "little") for word in program.words)
    image = bytearray(RAM_BYTES)
    for address, content in ({RAM: words, TABLE: table, DONE: UNTOUCHED} | data).items():
        image[address - RAM : address - RAM + len(content)] = content
    job = Job(bytes(image), RAM, DONE, seed=SEED, **fields)  # type: ignore[arg-type]
    result: Result = run_bench(Design("soc", CONFIG), "tests.hdl.axi_ram_bench", job)
    assert result.ended, f"the program does not end in {result.cycles} cycles, seed {SEED}"
    return result


def word(result: Result, address: int) -> int:
    return int.from_bytes(result.memory[address - RAM : address - RAM + 8], "little")


def stored_h(result: Result, call: LayerCall, h: int) -> np.ndarray:
    return h_from_bytes(result.memory[h - RAM : h - RAM + 4 * call.packed.h * call.steps], call.packed.h)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"pause_permille": 400},
        {"interleave": True, "latency": 25},
        {"interleave": True, "latency": 12, "pause_permille": 300},
    ],
    ids=["fast", "back-pressure", "any order", "both"],
)
def test_a_layer_is_golden_s(fields: dict[str, object]) -> None:
    call = call_of(3, steps=2)
    program, data, h = layer_program(call)
    result = simulate(program, data, **fields)
    status = StatusWord.decode(word(result, RESULTS))
    assert (status.code, status.rows, status.busy) == (0, 2, False)
    assert (stored_h(result, call, h) == Layer(call.packed).run(np.asarray(call.x), call.threshold).h).all()
    if fields.get("interleave"):
        assert result.interleaved > 20, "the test must have what it is named after"
        assert max(result.lengths) == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code"),
    [("read_error", Error.MEM_READ), ("missing", Error.MEM_READ), ("write_error", Error.MEM_WRITE)],
)
def test_an_error_response_ends_the_run_with_its_code(fault: str, code: Error) -> None:
    call = call_of(3, steps=2)
    program, data, h = layer_program(call)
    u = next(s.address for s in layer_segments(call, RAM + 0x1000) if s.name == "u")
    where = {"read_error": u, "missing": u & ~0x7F, "write_error": h}[fault]
    result = simulate(program, data, interleave=True, latency=6, **{fault: where})
    status = StatusWord.decode(word(result, RESULTS))
    assert (status.error, status.code, status.busy) == (True, code, False)


@pytest.mark.slow
def test_error_responses_to_the_core_are_access_faults() -> None:
    program = Program()
    program.handler(
        (program.csr, "csrrs", 6, Csr.MCAUSE, 0),
        (program.s, "sd", 9, 6, 0),
        (program.i, "addi", 9, 9, 8),
        (program.csr, "csrrs", 8, Csr.MEPC, 0),
        (program.i, "addi", 8, 8, 4),
        (program.csr, "csrrw", 0, Csr.MEPC, 8),
    )
    program.load(9, RESULTS)
    bad = RAM + 0x8000
    program.i("addi", 5, 0, 0)
    program.load(7, bad)
    program.i("ld", 5, 7, 0)
    program.s("sd", 7, 5, 8)
    result = simulate(program, {}, interleave=True, read_error=bad, write_error=bad + 8)
    assert [word(result, RESULTS + 8 * n) for n in range(2)] == [Cause.LOAD_ACCESS, Cause.STORE_ACCESS]
