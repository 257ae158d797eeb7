"""Write the signal lists of docs/waves, for GTKWave and for Surfer: ``python -m scripts.wave_lists [FOLDER]``.

Only signals whose width does not depend on the configuration are in them, so that they fit every preset.
"""

from pathlib import Path
from typing import Annotated

import typer

from software.cli import run, write_all

WAVES = Path(__file__).parents[1] / "docs" / "waves"

HEXADECIMAL, DECIMAL, BINARY, DIVIDER = "@22", "@24", "@28", "@200"

ACCELERATOR: dict[str, str] = {
    "commands": "cmd__valid cmd__ready cmd__inst:32 cmd__rs1:64 cmd__rs2:64 resp__valid resp__ready resp__data:64 busy "
    "interrupt",
    "run": "frontend.life.running frontend.life.draining frontend.life.code:8 frontend.life.rows:32 "
    "frontend.counters.cycles:48",
    "bursts": "burst__valid burst__taken burst__kind:2 burst__words:5 fill__valid fill__kind:2 fill__data:64",
    "W": "datapath.weights.source.loader.passes_state:2 datapath.weights.inputs.load_state:2 "
    "datapath.weights.groups.groups_state:2 datapath.weights.source.decoder.words__valid "
    "datapath.weights.source.decoder.words__ready datapath.weights.source.decoder.words__payload:64 "
    "datapath.weights.source.decoder.heads__valid datapath.weights.source.decoder.heads__values:4 "
    "datapath.weights.events__w_busy datapath.weights.events__w_stolen "
    "datapath.weights.events__w_starved datapath.weights.groups__ready",
    "U": "datapath.recurrent.scanner.scan_state:3 datapath.recurrent.scanner.look datapath.recurrent.scanner.kept "
    "datapath.recurrent.scanner.skipped datapath.recurrent.decoder.words__valid "
    "datapath.recurrent.decoder.words__ready datapath.recurrent.decoder.words__payload:64 "
    "datapath.recurrent.decoder.heads__valid datapath.recurrent.step__done datapath.recurrent.step__empty",
    "gates": "datapath.gates.running datapath.gates.gate:2 datapath.gates.offset:2 datapath.gates.w_sums__read "
    "datapath.gates.u_sums__read datapath.gates.events__gate_wait_w datapath.gates.events__gate_wait_store "
    "datapath.gates.quad__done",
    "cell": "datapath.cell.valid datapath.cell.c:32 datapath.cell.unit__valid datapath.cell.unit__h:16",
    "h": "datapath.hidden.keep__published datapath.hidden.row__done datapath.store.store_state:3 "
    "datapath.store.row_free datapath.store.progress__finished",
}
"""Names below the accelerator, with their widths, by group."""

PORT = (
    "mem__req_valid mem__req_ready mem__req_cmd:5 mem__req_addr:64 mem__req_data:64 mem__resp_valid mem__resp_data:64 "
    "mem__resp_error"
)
CORE = (
    "core.execute.exceptions.pc:64 core.execute.exceptions.insn:32 core.execute.leaves core.execute.trap "
    "core.finish.done core.finish.bypass__rd:5 rocc__cmd__valid rocc__cmd__ready "
    "rocc__busy ibus__req_valid ibus__resp_valid dbus__req_valid dbus__req_write dbus__req_addr:64 dbus__resp_valid "
    "timer"
)
AXI = (
    "axi__arvalid axi__arready axi__araddr:32 axi__arlen:8 axi__rvalid axi__rdata:64 axi__rlast axi__rresp:2 "
    "axi__awvalid axi__awready axi__awaddr:32 axi__awlen:8 axi__wvalid axi__wready axi__wdata:64 axi__wstrb:8 "
    "axi__wlast axi__bvalid axi__bresp:2"
)

Groups = dict[str, list[tuple[str, int]]]


def _signals(prefix: str, names: str) -> list[tuple[str, int]]:
    split = (name.partition(":") for name in names.split())
    return [(f"{prefix}{name}", int(width or 1)) for name, _, width in split]


def _accelerator(prefix: str) -> Groups:
    return {group: _signals(prefix, names) for group, names in ACCELERATOR.items()}


def lists() -> dict[str, Groups]:
    """(full name, width) of the signals, by list and group."""
    alone, soc = "elstm_accelerator.", "elstm_soc."
    return {
        "accelerator": {"port": _signals(alone, f"clk rst {PORT}"), **_accelerator(alone)},
        "soc": {
            "port": _signals(soc, f"clk rst {AXI}"),
            "core": _signals(soc, CORE),
            **_accelerator(f"{soc}accelerator."),
        },
    }


def gtkwave(groups: Groups) -> str:
    """A save file for GTKWave."""
    lines = ["[*] Made by `make docs`.", "[timestart] 0", "[sst_expanded] 1"]
    for group, signals in groups.items():
        lines += [DIVIDER, f"-{group}"]
        for name, width in signals:
            decimal = name.endswith((".rows", ".cycles"))
            lines.append(BINARY if width == 1 else DECIMAL if decimal else HEXADECIMAL)
            lines.append(name if width == 1 else f"{name}[{width - 1}:0]")
    return "\n".join(lines) + "\n"


def surfer(groups: Groups) -> str:
    """A command file for Surfer."""
    lines = ["# Made by `make docs`."]
    for group, signals in groups.items():
        lines += [f"divider_add {group}", *(f"variable_add {name}" for name, _ in signals)]
    return "\n".join([*lines, "zoom_fit"]) + "\n"


def files() -> dict[str, str]:
    """Every file of docs/waves."""
    made: dict[str, str] = {}
    for name, groups in lists().items():
        made |= {f"{name}.gtkw": gtkwave(groups), f"{name}.sucl": surfer(groups)}
    return made


def main(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write the lists.")] = WAVES) -> None:
    """Write all lists anew; prints their paths."""
    written = {folder / file: text.encode() for file, text in files().items()}
    write_all(written)
    for path in written:
        print(path)


if __name__ == "__main__":
    run(main)
