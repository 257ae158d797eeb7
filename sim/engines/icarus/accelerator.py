"""The emitted Verilog under Icarus, driven through cocotb: slow, four-valued, and the very file that users get."""

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

from sim.engines import designs
from sim.engines.build_cache import HARNESS, cached, scratch, verilog, verilog_sha256
from sim.host.accelerator import RESET_CYCLES
from sim.protocol.accelerator import AcceleratorJob, Outcome
from sim.protocol.base import Console, Design, EngineError, Progress, WaveRequest, refuse_choice
from software.extras import install_line

PERIOD = 10
"""Clock period, ns."""


def _runner() -> Any:
    # cocotb is an optional extra: imported only when this engine runs
    return import_module("cocotb_tools.runner").get_runner("icarus")


def _compile(design: Design, directory: Path) -> None:
    module = designs.module_name(design)
    try:
        _runner().build(
            sources=[verilog(design), HARNESS / "waves.v"],
            hdl_toplevel=module,
            build_args=["-s", "elstm_waves"],
            defines={"TOP": module},
            build_dir=directory,
            timescale=("1ns", "1ps"),
            always=True,
            log_file=directory / "build.log",
        )
    except (SystemExit, Exception) as error:
        log = directory / "build.log"
        raise EngineError(f"iverilog failed: {log.read_text()[:2000] if log.exists() else error}") from None


@contextmanager
def _following(path: Path, progress: Progress | None) -> Iterator[None]:
    """Pass on what the simulation writes to its progress file."""
    ended = Event()

    def follow() -> None:
        while not ended.wait(0.5):
            if progress and path.exists() and (text := path.read_text()):
                progress(int(text))

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _wave_arguments(wave: WaveRequest | None) -> list[str]:
    if wave is None:
        return []
    refuse_choice("icarus", wave)
    if not wave.path.endswith(".fst"):
        raise EngineError(f"Icarus writes waveforms as FST: name it something.fst, not {Path(wave.path).suffix}")
    times = (
        f"+{name}={(RESET_CYCLES + cycle) * PERIOD}" for name, cycle in (("first", wave.first), ("last", wave.last))
    )
    return [f"+wave={Path(wave.path).absolute()}", *times]


def run_bench(
    design: Design, module: str, job: object, wave: WaveRequest | None = None, progress: Progress | None = None
) -> Any:
    """Run the cocotb test in ``module`` on the design's Verilog; returns the outcome that it pickled."""
    waves = _wave_arguments(wave)
    key = verilog_sha256(design)[:32]
    build = cached(f"icarus/{key}", lambda directory: _compile(design, directory))
    with scratch() as directory:
        files = {name: directory / name for name in ("job", "outcome", "progress")}
        files["job"].write_bytes(pickle.dumps(job))
        log = directory / "log"
        try:
            with _following(files["progress"], progress):
                _runner().test(
                    test_module=module,
                    hdl_toplevel=designs.module_name(design),
                    hdl_toplevel_lang="verilog",
                    build_dir=build,
                    test_dir=directory,
                    results_xml=str(directory / "results.xml"),
                    extra_env={f"ELSTM_{name.upper()}": str(path) for name, path in files.items()},
                    plusargs=waves,
                    waves=wave is not None,
                    log_file=log,
                )
        except SystemExit:
            pass  # the runner's way to report a failed simulation; the missing outcome says so below
        if not files["outcome"].exists():
            tail = log.read_text()[-2000:] if log.exists() else "no log"
            raise EngineError(f"the cocotb simulation failed: {tail}")
        return pickle.loads(files["outcome"].read_bytes())


class IcarusEngine:
    """Simulates at about two thousand cycles a second."""

    name = "icarus"

    def missing(self) -> str | None:
        if not shutil.which("iverilog"):
            return "Icarus Verilog is not installed: apt install iverilog"
        if not find_spec("cocotb_tools"):
            return f"cocotb is not installed: {install_line('cocotb')}"
        return None

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def run(
        self, design: Design, job: AcceleratorJob, progress: Progress | None = None, console: Console | None = None
    ) -> Outcome:
        outcome: Outcome = run_bench(design, "sim.engines.icarus.bench", job, job.wave, progress)
        return outcome
