"""The options that commands of ``sim`` share, and what is checked about them before a long run."""

from pathlib import Path
from typing import Annotated

import typer

from golden.config import ACCELERATOR_PRESETS
from golden.settings import USUAL
from sim.engines import registry
from sim.protocol import elf
from software.cli import UserError

EngineOption = Annotated[
    str, typer.Option(metavar="NAME", help=f"Simulator: {', '.join(registry.names('accelerator'))}.")
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Configuration of the accelerator: {', '.join(ACCELERATOR_PRESETS)}.",
        show_default=USUAL,
    ),
]
NFuseOption = Annotated[int, typer.Option(metavar="N", min=1, help="Fusion factor asked for.")]
NFuseOfNetworkOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Fusion factor asked for.", show_default="3")
]
LatencyOption = Annotated[int, typer.Option(metavar="N", help="Cycles from a request to its response, 1 to 10,000.")]
JitterOption = Annotated[int, typer.Option(metavar="N", help="Up to so many cycles more, at random.")]
StallsOption = Annotated[
    int,
    typer.Option("--stalls", "--stall", metavar="N", help="Cycles without acceptance, in 1/1000, 0 to 999."),
]
JsonOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write the page that sim.report makes, HTML.")
]
WorkersOption = Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Simulations at a time.")]
WaveOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write a waveform, VCD (Icarus: FST); see docs/waveforms.md.")
]
RamOption = Annotated[
    int, typer.Option(metavar="MIB", min=1, max=elf.MAX_RAM_MIB, help="Size of the memory at 0x80000000, MiB.")
]
MemTraceOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write cycle, address and words of each burst the accelerator loads (soc)."),
]


def window(text: str, option: str = "--wave-window") -> tuple[int, int]:
    """FIRST:LAST as two numbers of cycles. Raises UserError naming the option."""
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise UserError(f"{option} must be FIRST:LAST in cycles, not {text!r}")
    return int(first), int(last)
