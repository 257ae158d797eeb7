"""``python -m sim.figure10``: the paper's Figure 10 on the RTL, every h of every step checked against golden.

The six layers of Table 2 under three schemes, on the bare accelerator. Random weights of the paper's sparsity stand for
all six; the trained MNIST network runs on real digits, the trained Penn Treebank network on real text. Finished rows
are kept under build/figure10/rows, so that an interrupted run goes on where it was.
Exit codes: 0 every row is exact, 1 one is not, 2 the run could not be made.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from golden.config import AcceleratorConfig
from sim.engines import registry
from sim.figure10.picture import groups_of, mean_cycles, picture
from sim.figure10.rows import OURS, SCHEMES, Run, Runner, runs_of
from sim.layers.jobs import RunFailed
from sim.layers.table2 import LAYERS, Case, h_sparsity_of_bar, random_case, threshold_for, trained_cases
from sim.options import EngineOption, LatencyOption, PresetOption, WorkersOption
from sim.protocol.base import EngineError
from sim.protocol.timing import MemoryTiming
from sim.results.environment import command, versions
from sim.results.result import LayerRun, RunResult, write_whole
from software.checkpoint import (
    MNIST_CHECKPOINT,
    MNIST_DIGITS,
    PTB_LAYERS,
    PTB_SENTENCES,
    CheckpointError,
    load_checkpoint,
    load_digits,
    load_language_model,
    load_packed_layers,
    load_sentences,
)
from software.cli import UserError
from software.options import ConfigOption, SetOption, accelerator
from software.progress import bars
from software.provenance import commit

OUT = Path("build") / "figure10"
SOURCES = ("random", "trained")
SCHEMES_HELP = f"Of: all (the paper's), {', '.join(SCHEMES)}; beside them, where they are built: {', '.join(OURS)}."
PTB_MODEL = Path("checkpoints") / "ptb-2x800.npz"


def _chosen(option: str, text: str, known: tuple[str, ...], more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The names of a comma-separated option, in their usual order; "all" is every one of ``known``, not of ``more``."""
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name != "all" and name not in (*known, *more):
            raise UserError(f"{option}: no {name!r}; there are: all, {', '.join((*known, *more))}")
    return tuple(name for name in (*known, *more) if name in names or ("all" in names and name in known))


def mnist_cases(wanted: frozenset[str], digits: int) -> list[Case]:
    """The shipped network on the first shipped digits, at its own thresholds."""
    network, images = load_checkpoint(MNIST_CHECKPOINT), load_digits(MNIST_DIGITS)
    if not 1 <= digits <= len(images.labels):
        raise UserError(f"--digits must be in 1..{len(images.labels)}, not {digits}")
    thresholds = {f"mnist-l{n}": layer.threshold for n, layer in enumerate(network.layers, 1)}
    xs = images.inputs()[:digits]
    return trained_cases("MNIST", network.layers, xs, lambda paper, _layer, _xs: thresholds[paper.name], wanted)


def ptb_cases(wanted: frozenset[str], sentences: int, data: Path | None) -> list[Case]:
    """The Penn Treebank network on shipped sentences: the shipped layers at their own thresholds.

    A checkpoint in the folder ``data`` takes their place, with its own embedding of the same words; where it has no
    thresholds, those are taken that drop Table 2's share of the blocks of h.
    """
    sample = load_sentences(PTB_SENTENCES)
    if not 1 <= sentences <= len(sample.x):
        raise UserError(f"--sentences must be in 1..{len(sample.x)}, not {sentences}")
    path = data / PTB_MODEL if data else None
    if path and path.is_file():
        model = load_language_model(path)
        words, most = len(model.embedding), int(sample.tokens.max())
        if most >= words:
            raise UserError(f"{path} knows {words} words, the sentences have word {most}")
        layers, x = model.layers, model.embedding[sample.tokens]
    else:
        layers, x = load_packed_layers(PTB_LAYERS), sample.x
    xs = x[:sentences].astype(np.float32)
    own = {f"ptb-l{n}": layer.threshold for n, layer in enumerate(layers, 1)}
    return trained_cases(
        "PTB",
        layers,
        xs,
        lambda paper, layer, x: own[paper.name] or threshold_for(layer, x, paper.h_sparsity),
        wanted,
    )


def prepare(
    names: tuple[str, ...],
    sources: tuple[str, ...],
    schemes: tuple[str, ...],
    config: AcceleratorConfig,
    make_trained: Callable[[], list[Case]],
    seed: int,
    tell: Callable[[str], None],
) -> list[Run]:
    """All runs with golden's results."""
    cases = []
    for name in names:
        if "random" in sources:
            tell(f"weights, thresholds and golden results: {LAYERS[name].title}")
            cases.append(random_case(LAYERS[name], seed))
    if "trained" in sources:
        tell("weights, thresholds and golden results: trained networks")
        cases += make_trained()
    return [run for case in cases for run in runs_of(case, schemes, config)]


def table_of(rows: list[LayerRun]) -> Table:
    """One line a layer and scheme; several digits or sentences of a trained network are averaged."""
    table = Table(header_style="bold", box=None, pad_edge=False, collapse_padding=True)
    for name in ("layer", "scheme", "N", "cycles", "/model", "port", "speed", "publ.", "paper", "h"):
        table.add_column(name, justify="left" if name in ("layer", "scheme", "h") else "right", no_wrap=True)
    for (name, source), schemes in groups_of(rows).items():
        title = f"{LAYERS[name].title} {source}"
        base = schemes.get("original")
        for scheme, group in schemes.items():
            cycles = mean_cycles(group)
            paper = LAYERS[name].cycles(scheme) if source == "random" else None
            table.add_row(
                title,
                scheme,
                "-" if group[0].group_sizes else "/".join(str(n) for n in sorted({row.n_fuse for row in group})),
                f"{cycles:,.0f}",
                f"{cycles / mean_cycles(group, 'word_model_cycles'):.4f}",
                f"{mean_cycles(group, 'port_busy') / cycles:.1%}",
                f"{mean_cycles(base) / cycles:.2f}" if base else "-",
                f"{published_speedup(base, group):.2f}" if base and group[0].published_model_cycles else "-",
                f"{LAYERS[name].original / paper:.2f}" if paper else "",
                "exact" if all(row.exact for row in group) else "WRONG",
            )
            title = ""
    return table


def reasons(rows: list[LayerRun]) -> list[str]:
    """Why the paper's bar is higher, where it is, in words."""
    found = []
    for row in rows:
        paper = LAYERS[row.layer]
        if row.source != "random" or row.scheme != "fused" or row.speedup is None:
            continue
        if row.speedup < paper.original / paper.fused:
            needed = h_sparsity_of_bar(paper, row.w_words, row.u_words)
            found.append(
                f"{paper.title}: the paper's bar has N {paper.n_fuse}, and by the published formula drops {needed:.1%} "
                f"of the blocks of h, not Table 2's {paper.h_sparsity:.0%}"
            )
    return found


def published_speedup(original: list[LayerRun], rows: list[LayerRun]) -> float:
    """What the published formula says of the same data."""
    return mean_cycles(original, "published_model_cycles") / mean_cycles(rows, "published_model_cycles")


def main(
    layers: Annotated[
        str, typer.Option(metavar="LIST", help=f"Of: all, {', '.join(LAYERS)}; several with commas.")
    ] = "all",
    sources: Annotated[str, typer.Option(metavar="LIST", help="random weights, trained networks, or all.")] = "all",
    schemes: Annotated[str, typer.Option(metavar="LIST", help=SCHEMES_HELP)] = "all",
    engine: EngineOption = registry.DEFAULT,
    preset: PresetOption = None,
    config_file: ConfigOption = None,
    settings: SetOption = None,
    latency: LatencyOption = 8,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the random weights and inputs.")] = 1,
    digits: Annotated[int, typer.Option(metavar="N", help="Digits for the trained MNIST network.")] = 2,
    sentences: Annotated[int, typer.Option(metavar="N", help="Sentences for the trained Penn Treebank network.")] = 1,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help=f"Folder with another {PTB_MODEL}.", envvar="ELSTM_DATA")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"The result as JSON; else {OUT}/figure10.json.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Picture, PNG; else {OUT}/figure10.png.")] = None,
    workers: WorkersOption = os.cpu_count() or 1,
) -> int:
    """Run the layers of the paper's Table 2 under its schemes on the RTL and draw its Figure 10.

    721 million cycles in all; every h of every step is compared with golden. Finished rows are kept: after Ctrl-C the
    same command goes on.

    \b
    Examples:
      python -m sim.figure10 --layers mnist-l1,mnist-l2
      python -m sim.figure10 --sources random --schemes original,fused --workers 2
      python -m sim.figure10 --layers mnist-l1 --sources random --schemes all,stream16,list,list-stream16
    """
    names = _chosen("--layers", layers, tuple(LAYERS))
    chosen_sources = _chosen("--sources", sources, SOURCES)
    chosen_schemes = _chosen("--schemes", schemes, SCHEMES, tuple(OURS))
    wanted = frozenset(names)
    json, plot = json or OUT / "figure10.json", plot or OUT / "figure10.png"
    console = Console(stderr=True)
    asked = accelerator(preset, config_file, settings)
    config = asked.config

    def trained() -> list[Case]:
        cases = []
        if any(name.startswith("mnist") for name in names):
            cases += mnist_cases(wanted, digits)
        if any(name.startswith("ptb") for name in names):
            cases += ptb_cases(wanted, sentences, data)
        return cases

    try:
        simulator = registry.get("accelerator", engine)
        with console.status("") as status:
            runs = prepare(names, chosen_sources, chosen_schemes, config, trained, seed, status.update)
            if not runs:
                raise UserError("nothing to run: no trained network of these layers was found")
            status.update("building the simulator")
            runner = Runner(simulator, config, MemoryTiming(latency), OUT / "rows")
        start = time.monotonic()
        rows, problems = _simulate(runner, runs, workers)
    except (CheckpointError, ValueError, EngineError, RunFailed) as error:
        raise UserError(str(error)) from None
    seconds = time.monotonic() - start
    result = RunResult(
        kind="figure10",
        exact=all(row.exact for row in rows),
        engine=engine,
        system="accelerator",
        preset=asked.name,
        config=config.as_dict(),
        verilog_sha256=runner.verilog_sha256,
        seed=seed,
        commit=commit(),
        command=command("sim.figure10"),
        versions=versions(),
        inputs=[],
        simulated_cycles=sum(row.cycles for row in rows),
        wall_seconds=seconds,
        cycles_per_second=runner.simulated_cycles / runner.simulated_seconds if runner.simulated_seconds else 0.0,
        notes=problems,
        rows=rows,
    )
    result.save(json)
    title = f"E-LSTM in RTL: {config.n_pe} PEs, {config.slots} slots, one word a cycle, latency {latency}"
    drawn = any(row.scheme == "original" for row in rows)
    if drawn:
        write_whole(plot, picture(rows, title))
    _report(result)
    print(f"wrote {json}")
    if drawn:
        print(f"wrote {plot}")
    return 0 if result.exact else 1


def _simulate(runner: Runner, runs: list[Run], workers: int) -> tuple[list[LayerRun], list[str]]:
    """All rows, with a bar in simulated cycles."""
    total = sum(run.estimate for run in runs)
    with bars() as bar:
        task = bar.add_task(f"{total / 1e6:,.0f} M cycles", total=total)
        done: dict[int, int] = {}

        def started(run: Run) -> Callable[[int], None]:
            def progress(cycles: int) -> None:
                done[id(run)] = cycles
                bar.update(task, completed=sum(done.values()), description=f"{run.title}")

            return progress

        return runner.rows(runs, workers, started)


def _report(result: RunResult) -> None:
    console = Console()
    console.print(table_of(result.rows))
    exact = sum(row.exact for row in result.rows)
    lines = [
        "/model: RTL cycles over the word-level model's; speed: speed-up of the RTL over its own original;",
        "publ.: the published formula's speed-up on the same data; paper: its Figure 10",
        *reasons(result.rows),
        f"{exact} of {len(result.rows)} runs bit-exact in every h; {result.engine}, preset {result.preset}, "
        f"seed {result.seed}, Verilog sha256 {result.verilog_sha256[:16]}, commit {result.commit[:12]}",
        f"{result.simulated_cycles:,} cycles in {result.wall_seconds:.1f} s"
        + (
            f", {result.cycles_per_second:,.0f} cycles/s per simulation" if result.cycles_per_second else ", all stored"
        ),
    ]
    for line in (*lines, *result.notes[:20]):
        console.print(line, soft_wrap=True, highlight=False)
