"""The SoC's emitted Verilog under Icarus, through cocotb (``sim.soc_cocotb_bench``)."""

from sim.cxxrtl import Console
from sim.icarus import IcarusEngine, run_bench
from sim.protocol import Design, Progress
from sim.soc_program import SocJob, SocOutcome, config_of


class IcarusSoc:
    """Some thousand cycles a second, four-valued; the console comes at the end."""

    name = "icarus"

    def missing(self) -> str | None:
        return IcarusEngine().missing()

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        config = config_of(design)
        outcome: SocOutcome = run_bench(design, "sim.soc_cocotb_bench", (config, job), job.wave, progress)
        if console and outcome.console:
            console(outcome.console)
        return outcome
