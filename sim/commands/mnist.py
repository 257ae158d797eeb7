"""``python -m sim.run mnist``: digits through the RTL, with a table and a JSON result.

On the SoC a C program runs both layers and the output layer, and what it prints is shown; with ``--system accelerator``
the commands come from the simulator, and the output layer is done in NumPy.
Exit codes: 0 everything agreed with golden, 1 something did not, 2 the run could not be made.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from sim.commands.twin import SPIKE, run_twin
from sim.digits import soc as soc_mnist
from sim.digits.network import DigitRun, Network, Setup, mismatch_wave, whole_test_set
from sim.digits.soc import SocNetwork, SocSetup
from sim.engines import registry
from sim.engines.build_cache import verilog_sha256
from sim.options import (
    JitterOption,
    JsonOption,
    LatencyOption,
    MemTraceOption,
    NFuseOfNetworkOption,
    PresetOption,
    ReportOption,
    StallsOption,
    WaveOption,
    WorkersOption,
    window,
)
from sim.protocol.base import WaveRequest
from sim.protocol.timing import AxiTiming, MemoryTiming
from sim.report.page import files_of
from sim.results.environment import RISCV_COMPILER, command, versions
from sim.results.result import RunResult
from software.checkpoint import MNIST_DIGITS, CheckpointError, Digits, load_checkpoint, load_digits
from software.cli import UserError, check_outputs, write_all
from software.options import ConfigOption, ImagesOption, OtherCheckpointOption, SetOption, accelerator
from software.places import whole
from software.progress import bars
from software.provenance import commit
from software.tuning.networks import NetworkOption, network_of
from software.tuning.schedule_choice import (
    BestOption,
    DeltaOption,
    GroupsOption,
    HFp16Option,
    ScheduleOfNetworkOption,
    XFormatOption,
    XSkipOption,
    XThresholdOption,
    tell_plans,
)
from software.weight_formats import BalanceOption, GapBitsOption, UFormatOption, UnitOfNetworkOption, WFormatOption

SYSTEMS = ("soc", "accelerator")


def digits_table(runs: list[DigitRun]) -> Table:
    """One row a digit and layer, so that it fits a terminal of 80 columns."""
    table = Table(header_style="bold")
    for name in ("digit", "label", "answer", "layer", "h", "cycles", "W words", "U words", "kept"):
        table.add_column(name, justify="left" if name in ("layer", "h") else "right", no_wrap=name != "h")
    for run in runs:
        predicted = "-" if run.record.prediction is None else str(run.record.prediction)
        row = [str(run.record.index), str(run.record.label), predicted]
        for layer in run.record.layers:
            counts = (layer.cycles, layer.w_words_loaded, layer.u_words_loaded, layer.kept_blocks)
            verdict = "exact" if layer.exact else "WRONG"
            table.add_row(*row, layer.layer, verdict, *(f"{count:,}" for count in counts))
            row = [""] * 3
    return table


def _select(digits: Digits, count: int, path: Path) -> Digits:
    if not 1 <= count <= len(digits.labels):
        raise UserError(f"--digits must be in 1..{len(digits.labels)} (all that {path} holds), not {count}")
    return Digits(digits.images[:count], digits.labels[:count])


def run_mnist(
    digits: Annotated[int, typer.Option(metavar="N", help="How many of the digits, from the first.")] = 10,
    system: Annotated[
        str, typer.Option(metavar="NAME", help="soc, or accelerator: that alone, without the core.")
    ] = "soc",
    engine: Annotated[
        str, typer.Option(metavar="NAME", help=f"Simulator: {', '.join(registry.names('soc'))}; or {SPIKE}, the twin.")
    ] = registry.DEFAULT,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    n_fuse: NFuseOfNetworkOption = None,
    schedule: ScheduleOfNetworkOption = None,
    groups: GroupsOption = None,
    x_skip: XSkipOption = False,
    best: BestOption = False,
    delta: DeltaOption = None,
    x_threshold: XThresholdOption = None,
    x_format: XFormatOption = None,
    h_fp16: HFp16Option = None,
    w_format: WFormatOption = None,
    u_format: UFormatOption = None,
    gap_bits: GapBitsOption = None,
    unit: UnitOfNetworkOption = None,
    balance: BalanceOption = False,
    latency: LatencyOption = 8,
    jitter: JitterOption = 0,
    stalls: StallsOption = 0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the memory's random numbers.")] = 1,
    network_name: NetworkOption = None,
    checkpoint: OtherCheckpointOption = None,
    images: ImagesOption = MNIST_DIGITS,
    json: JsonOption = None,
    report: ReportOption = None,
    wave: WaveOption = None,
    wave_window: Annotated[
        str, typer.Option(metavar="FIRST:LAST", help="Cycles of --wave, in the first digit's run.")
    ] = "0:5000",
    wave_layer: Annotated[int, typer.Option(metavar="N", min=1, help="Layer of --wave (accelerator alone).")] = 1,
    mem_trace: MemTraceOption = None,
    workers: WorkersOption = 2,
) -> None:
    """Classify digits with both LSTM layers on the RTL, bit for bit against golden.

    A C program on the RTL of the whole SoC does it, or the accelerator alone. What disagrees is named with layer, step
    and unit, and a waveform is made around it; then the exit code is 1.

    \b
    Examples:
      python -m sim.run mnist --digits 3 --json build/run.json
      python -m sim.run mnist --system accelerator --wave build/wave.vcd --wave-window 0:2000
      python -m sim.run mnist --latency 30 --jitter 10 --stalls 100
      python -m sim.run mnist --digits 1 --best
      python -m sim.run mnist --network delta --system accelerator
    """
    if system not in SYSTEMS:
        raise UserError(f"no system {system!r}; there are: {', '.join(SYSTEMS)}")
    if system == "soc" and wave_layer != 1:
        raise UserError("--wave-layer is for --system accelerator: on the SoC all layers are one run")
    if system == "accelerator" and mem_trace:
        raise UserError("--mem-trace is for --system soc")
    shipped = network_of(network_name, checkpoint)
    choice = shipped.schedule_of(n_fuse, schedule, groups, x_skip, best, delta, x_threshold, x_format, h_fp16)
    if engine == SPIKE:
        if system != "soc" or any((json, report, wave, mem_trace)):
            raise UserError(f"--engine {SPIKE} is for --system soc, without --json, --report, --wave and --mem-trace")
        run_twin(
            None, digits, network_name, checkpoint, images, n_fuse, schedule, groups, x_skip, best, delta,
            x_threshold, x_format, h_fp16, w_format, u_format, gap_bits, unit, balance, preset=preset, config=config,
            settings=settings,
        )  # fmt: skip
        return
    check_outputs(json, report, wave, mem_trace)
    formats = shipped.formats_of(w_format, u_format, gap_bits, unit, best, balance)
    cycles, asked = window(wave_window), accelerator(preset, config, settings, shipped.preset)
    choice.check(asked.config)
    network: Network | SocNetwork
    try:
        net = load_checkpoint(shipped.path)
        chosen = _select(load_digits(images), digits, images)
        if system == "soc":
            behaviour = AxiTiming(latency, jitter, "beats" if jitter else "fifo", stalls, seed=seed)
            network = SocNetwork(
                SocSetup(registry.get("soc", engine), asked.config, behaviour, choice, formats), net, chosen
            )
            sha256 = verilog_sha256(network.setup.design)
        else:
            timing = MemoryTiming(latency, jitter, "random" if jitter else "fifo", stalls, seed)
            setup = Setup(registry.get("accelerator", engine), asked.config, timing, choice, formats)
            network = Network(setup, net, chosen)
            sha256 = setup.engine.verilog_sha256(setup.design)
    except (CheckpointError, ValueError) as error:
        raise UserError(str(error)) from None
    start = time.monotonic()
    # on a terminal the program's lines go above the bar
    shared = sys.stdout.isatty()
    with whole(wave, mem_trace) as (wave_part, trace_part), bars(redirect_stdout=shared) as bar:
        task = bar.add_task("digits", total=digits)
        wanted = WaveRequest(str(wave_part), *cycles) if wave_part else None
        if isinstance(network, SocNetwork):
            network.mem_trace = trace_part

        def done(run: DigitRun) -> None:
            bar.advance(task)
            for line in run.record.console.splitlines():
                print(f"digit {run.record.index} | {line}", flush=True)

        runs = network.run(workers, done, lambda layer: wanted if layer + 1 == wave_layer else None)
    tell_plans(formats, choice, network.planned)
    result = _result(network, runs, engine, asked.name, seed, sha256, time.monotonic() - start)
    wrong = [run for run in runs if not run.record.exact]
    if wrong:
        path = wave or Path("build") / f"mismatch_digit{wrong[0].record.index}.vcd"
        if isinstance(network, SocNetwork):
            made = soc_mnist.mismatch_wave(network, wrong[0], path)
        else:
            made = mismatch_wave(network.setup, wrong[0], path)
        result.notes.append(f"waveform {made}")
    files = files_of(result, json, report)
    write_all(files)
    _report(result, runs)
    for written in (*files, wave, mem_trace):
        if written:
            print(f"wrote {written}")
    if wrong:
        raise typer.Exit(1)


def _result(
    network: Network | SocNetwork,
    runs: list[DigitRun],
    engine: str,
    preset: str,
    seed: int,
    sha256: str,
    seconds: float,
) -> RunResult:
    cycles = sum(run.cycles for run in runs)
    simulating = sum(run.seconds for run in runs)
    right = sum(run.record.prediction == run.record.label for run in runs)
    return RunResult(
        kind="mnist",
        exact=all(run.record.exact for run in runs),
        engine=engine,
        system=network.setup.design.top,
        preset=preset,
        config=network.config.as_dict(),
        verilog_sha256=sha256,
        seed=seed,
        commit=commit(),
        command=command("sim.run"),
        versions=versions(network.program if isinstance(network, SocNetwork) else None),
        inputs=[run.record for run in runs],
        accuracy=right / len(runs),
        **whole_test_set(network.checkpoint, network.planned),
        simulated_cycles=cycles,
        wall_seconds=seconds,
        cycles_per_second=cycles / simulating if simulating else 0.0,
        notes=[f"digit {run.record.index}: {problem}" for run in runs for problem in run.problems],
    )


def answers_line(result: RunResult) -> str:
    """How many answers are right, which are not, and what the network does on the whole test set."""
    wrong = [run for run in result.inputs if run.prediction != run.label]
    count = len(result.inputs)
    line = f"{count - len(wrong)} of {count} answers right"
    if wrong:
        named = ", ".join(f"{run.index} (a {run.label}, answer {run.prediction})" for run in wrong[:5])
        line += f", all but digit {named}{' and others' if len(wrong) > 5 else ''}"
    if result.tested_accuracy is not None:
        line += f"; of all {result.tested_inputs:,} test digits golden answers {result.tested_accuracy:.2%} right"
    return line


def _report(result: RunResult, runs: list[DigitRun]) -> None:
    console = Console()
    console.print(digits_table(runs))
    exact = sum(run.record.exact for run in runs)
    error = max((layer.max_abs_error or 0.0 for run in runs for layer in run.record.layers), default=0.0)
    console.print(
        f"{exact} of {len(runs)} digits bit-exact; largest difference from float64 {error:.2e}",
        answers_line(result),
        f"{result.engine}, preset {result.preset}, seed {result.seed}, Verilog sha256 {result.verilog_sha256[:16]}, "
        f"commit {result.commit[:12]}"
        + (f", program built with {result.versions[RISCV_COMPILER]}" if RISCV_COMPILER in result.versions else ""),
        f"{result.simulated_cycles:,} cycles in {result.wall_seconds:.1f} s, "
        f"{result.cycles_per_second:,.0f} cycles/s per simulation",
        sep="\n",
        soft_wrap=True,
    )
    for note in result.notes[:20]:
        console.print(note, soft_wrap=True, highlight=False)
