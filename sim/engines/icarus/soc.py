"""The SoC's emitted Verilog under Icarus, through cocotb (``sim.engines.icarus.soc_bench``)."""

from sim.engines.build_cache import verilog_sha256
from sim.engines.icarus.accelerator import IcarusEngine, run_bench
from sim.protocol.base import Console, Design, Progress
from sim.protocol.soc import SocJob, SocOutcome, config_of


class IcarusSoc:
    """Some thousand cycles a second, four-valued; the console comes at the end."""

    name = "icarus"

    def missing(self) -> str | None:
        return IcarusEngine().missing()

    def verilog_sha256(self, design: Design) -> str:
        return verilog_sha256(design)

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        config = config_of(design)
        outcome: SocOutcome = run_bench(design, "sim.engines.icarus.soc_bench", (config, job), job.wave, progress)
        if console and outcome.console:
            console(outcome.console)
        return outcome
