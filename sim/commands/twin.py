"""``python -m sim.run twin FILE``: a program on Spike with golden as the accelerator, and a check of it all.

Without FILE the program is ``network`` with the MNIST network, and what it leaves in memory is compared with golden:
exit code 0 when every bit agrees, 1 when one does not. With FILE the command exits with the program's own code.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from golden.config import AcceleratorConfig
from golden.cycles import CELL_FUSION, EVENTS
from golden.settings import Configuration
from sim.digits.program import check_program
from sim.digits.stored import SYMBOLS, differences, golden_results, stored_results
from sim.engines.build_cache import scratch
from sim.options import JsonOption, NFuseOfNetworkOption, PresetOption, RamOption
from sim.protocol import elf
from sim.protocol.base import EngineError
from sim.results.environment import RISCV_COMPILER
from sim.spike import twin
from software.checkpoint import MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError, check_outputs, write_all
from software.firmware.packing import PackedNetwork, build_network
from software.options import ConfigOption, ImagesOption, OtherCheckpointOption, SetOption, accelerator, check_fits
from software.tuning.networks import NetworkOption, for_digits, network_of
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

SPIKE = "spike"
"""Name of the twin where engines of the SoC are chosen."""


def run_twin(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A RISC-V executable; the MNIST program if not given.")
    ] = None,
    digits: Annotated[int, typer.Option(metavar="N", min=1, help="Digits of the MNIST program.")] = 2,
    network_name: NetworkOption = None,
    checkpoint: OtherCheckpointOption = None,
    images: ImagesOption = MNIST_DIGITS,
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
    ram: RamOption = 16,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    timeout: Annotated[int, typer.Option(metavar="SECONDS", min=1, help="Give up after that many seconds.")] = 600,
    json_path: JsonOption = None,
) -> None:
    """Run a program on Spike with golden as the accelerator: the functional twin of the SoC.

    Without FILE it is the MNIST program, and every bit that it leaves in memory is compared with golden; with FILE the
    command exits with the program's own code.

    \b
    Examples:
      python -m sim.run twin --digits 10
      python -m sim.run twin build/firmware/mnist-l1.elf
      python -m sim.run twin --schedule list --x-skip --w-format stream16 --u-format stream16
      python -m sim.run twin --network delta
    """
    check_outputs(json_path)
    shipped = network_of(network_name, checkpoint)
    choice = shipped.schedule_of(n_fuse, schedule, groups, x_skip, best, delta, x_threshold, x_format, h_fp16)
    formats = shipped.formats_of(w_format, u_format, gap_bits, unit, best, balance)
    asked = accelerator(preset, config, settings, shipped.preset)
    if file is not None and (network_name is not None or not choice.plain):
        what = "--network is" if network_name is not None else "--schedule and --best are"
        raise UserError(f"{what} of the MNIST program: FILE has the schedule that it was built with")
    choice.check(asked.config)
    try:
        if (text := twin.missing()) is not None:
            raise EngineError(text)
        if file is not None:
            check_program(elf.load(file, ram << 20), file, asked)
            with Console(stderr=True).status(f"{file} on Spike"):
                outcome = twin.run(file, (), ram << 20, asked.config, timeout)
            _show(outcome)
            _save(json_path, outcome, asked, [])
            raise typer.Exit(outcome.exit_code)
        found = load_digits(images)
        if digits > len(found.labels):
            raise UserError(f"--digits must be in 1..{len(found.labels)}, not {digits}")
        trained, x = for_digits(load_checkpoint(shipped.path), found, choice, formats)
        x = x[:digits]
        check_fits([layer.shape(x.shape[1]) for layer in trained.layers], x.shape[1], asked)
        network = PackedNetwork.of(trained, x, formats, choice, asked.config)
        with scratch() as folder:
            program = build_network(network, "network", folder / "network.elf")
            start = time.monotonic()
            with Console(stderr=True).status(f"{digits} digits on Spike"):
                outcome = twin.run(program, SYMBOLS, ram << 20, asked.config, timeout)
    except (elf.ElfError, ValueError) as error:
        raise UserError(str(error)) from None
    seconds = time.monotonic() - start
    _show(outcome)
    if outcome.exit_code:
        _save(json_path, outcome, asked, [])
        print(f"the program ended with {outcome.exit_code}", file=sys.stderr)
        raise typer.Exit(1)
    problems = differences(stored_results(network, outcome.memory), golden_results(network))
    for problem in problems:
        print(problem)
    _save(json_path, outcome, asked, problems)
    if problems:
        raise typer.Exit(1)
    tell_plans(formats, choice, network.planned)
    print(f"{digits} digits bit-exact on Spike, built with {outcome.compiler}, {seconds:.1f} s")


def _save(
    path: Path | None, outcome: twin.TwinOutcome, asked: Configuration[AcceleratorConfig], problems: list[str]
) -> None:
    """The outcome as JSON, if it is wanted; ``problems``: what differs from golden in memory."""
    if path:
        content = {
            "schema": "elstm.twin/1", "exit_code": outcome.exit_code, "exact": not problems, "problems": problems,
            "starts": [asdict(start) for start in outcome.starts], "console": outcome.console,
            RISCV_COMPILER: outcome.compiler or "unknown", "preset": asked.name, "config": asked.config.as_dict(),
        }  # fmt: skip
        write_all({path: json.dumps(content, indent=1).encode() + b"\n"})
        # stdout is the program's
        print(f"wrote {path}", file=sys.stderr)


def _show(outcome: twin.TwinOutcome) -> None:
    """The file's warning, the console, and of each start the cycles by the published model, of a list by its own."""
    if outcome.warning:
        print(outcome.warning, file=sys.stderr)
    print(outcome.console, end="", flush=True)
    for number, start in enumerate(outcome.starts, 1):
        if start.error == "NONE":
            model = "published" if start.schedule == CELL_FUSION.name else "word-level"
            what = f"{start.cycles} cycles by the {model} model"
        else:
            what = f"{start.error} after {start.rows} rows"
        by = f"groups of {', '.join(map(str, start.groups))}" if start.groups else f"N_fuse {start.n_fuse}"
        by = start.schedule if start.schedule == EVENTS.name else by
        print(f"start {number}: X {start.x}, H {start.h}, T {start.t}, {by}: {what}", file=sys.stderr)
