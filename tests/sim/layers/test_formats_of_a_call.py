"""The formats of a call: what lies in memory, what START says, what the RTL and the commands answer, the record."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden.config import preset
from golden.formats import OPEN, Parameters, pack_offsets
from golden.isa import Counter, Error, Flags, Format, Funct
from golden.layer import Layer, pack_layer
from sim.commands.layer import run_layer
from sim.commands.mnist import run_mnist
from sim.commands.twin import run_twin
from sim.engines import registry
from sim.layers.compare import judge
from sim.layers.counters import expected
from sim.layers.jobs import LayerCall, decode, layer_job, layer_segments
from sim.layers.record import layer_run
from sim.protocol.accelerator import Command
from sim.protocol.base import Design
from sim.spike import twin
from software import cli
from software.benchmark.common.npz import npz

TINY = preset("tiny")
DESIGN = Design("accelerator", TINY)
Kind = tuple[Format, Parameters]
ESELL: Kind = (Format.ESELL, OPEN)
STREAM16: Kind = (Format.STREAM16, Parameters(5, 1))
STREAM8: Kind = (Format.STREAM8, OPEN)


def call_of(w: Kind, u: Kind, **fields: object) -> LayerCall:
    rng = np.random.default_rng(8)
    a, b = ((rng.normal(size=size) * (rng.random(size) < 0.6)).astype(np.float16) for size in ((48, 8), (48, 12)))
    packed = pack_layer(a, b, np.zeros(48, np.float16), w[0], u[0], w[1], u[1])
    call = LayerCall(packed, rng.normal(size=(5, 8)).astype(np.float32), 0.1, 2)
    return replace(call, **fields)  # type: ignore[arg-type]


def commands(call: LayerCall) -> dict[int, Command]:
    return {step.inst >> 25: step for step in layer_job(call).steps if isinstance(step, Command)}


@pytest.mark.parametrize(("w", "u"), [(ESELL, STREAM16), (STREAM16, ESELL), (STREAM8, STREAM16), (ESELL, STREAM8)])
def test_memory_holds_what_the_formats_need(w: Kind, u: Kind) -> None:
    call = call_of(w, u)
    held = {segment.name: segment for segment in layer_segments(call)}
    packed, sent = call.packed, commands(call)
    assert held["u_offsets"].data == pack_offsets(packed.u.offsets).astype("<u8").tobytes()
    assert held["u_offsets"].size == (24 if u[1].unit_cols == 1 else 8)
    assert ("w_offsets" in held) == (w is not ESELL) and ("tables" in held) == (Format.STREAM8 in (w[0], u[0]))
    if w is not ESELL:
        assert held["w_offsets"].data == pack_offsets(packed.w.offsets).astype("<u8").tobytes()
        assert sent[Funct.EXTENSION].rs1 == held["w_offsets"].address
    if "tables" in held:
        assert held["tables"].size == 256 and held["tables"].address % 8 == 0 and not held["tables"].write
    assert sent[Funct.START].rs2 & 0xF000 == w[0] << 12 | u[0] << 14


@pytest.mark.parametrize("number", sorted(set(Format) - set(TINY.formats)))
@pytest.mark.parametrize("matrix", ["w", "u"])
def test_the_rtl_refuses_what_it_does_not_read(number: Format, matrix: str) -> None:
    kind: Kind = (number, OPEN)
    call = call_of(*((kind, ESELL) if matrix == "w" else (ESELL, kind)))
    outcome = decode(call, registry.get("accelerator").run(DESIGN, layer_job(call)))
    assert (outcome.status.code, outcome.status.rows) == (Error.BAD_FLAGS, 0)
    assert outcome.counters[Counter.PORT_BUSY] == 0


def test_the_record_says_formats_and_parameters() -> None:
    call = call_of(STREAM8, STREAM16)
    golden = Layer(call.packed).run(call.x, call.threshold)
    esell = call_of(ESELL, ESELL)
    rtl = decode(esell, registry.get("accelerator").run(DESIGN, layer_job(esell)))
    plain = Layer(esell.packed).run(esell.x, esell.threshold)
    verdict = judge("L1", esell, plain, rtl, preset("tiny"))
    run = layer_run("L1", call, golden, rtl, verdict, preset("tiny"))
    assert run.format == "stream-8 and stream-16"
    assert (run.w_gap_bits, run.w_unit_cols, run.u_gap_bits, run.u_unit_cols) == (4, 4, 5, 1)
    assert run.blocks == 5 * 12
    run = layer_run("L1", esell, plain, rtl, verdict, preset("tiny"))
    assert (run.format, run.w_gap_bits, run.w_unit_cols, run.u_gap_bits, run.u_unit_cols) == ("eSELL", 0, 4, 0, 4)
    assert run.blocks == 5 * 3


def test_the_counters_count_units_and_what_is_loaded_once() -> None:
    call = call_of(STREAM8, STREAM16)
    golden = Layer(call.packed).run(call.x, call.threshold)
    counts = expected(call, golden, preset("tiny"))
    kept = int(golden.kept.sum())
    assert 0 < kept < 60
    assert (counts[Counter.KEPT_BLOCKS], counts[Counter.SKIPPED_BLOCKS]) == (kept, 60 - kept)
    # bias 12; offsets of 12 units of U, 2 of W; tables
    assert counts[Counter.SETUP_WORDS] == 12 + 3 + 1 + 32
    loaded = int((golden.kept * call.packed.u.offsets).sum())
    # Every word of a stream is a cycle of a PE: no heads, no zeros
    assert counts[Counter.PE_BUSY] == 5 * len(call.packed.w.words) + loaded
    assert counts[Counter.U_WORDS] == loaded
    skipping = replace(call_of(ESELL, ESELL), flags=Flags.X_SKIP)
    plain = Layer(skipping.packed).run(skipping.x, skipping.threshold)
    assert expected(skipping, plain, preset("tiny"))[Counter.SETUP_WORDS] == 12 + 1 + 1


COMMANDS: dict[str, Callable[..., None]] = {"layer": run_layer, "mnist": run_mnist, "twin": run_twin}
needs_spike = pytest.mark.skipif(twin.missing() is not None, reason="needs the package spike")


@pytest.mark.parametrize("name", ["layer", "mnist", pytest.param("twin", marks=needs_spike)])
def test_commands_refuse_what_the_rtl_does_not_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("software.weight_formats.BUILT_FORMATS", (Format.ESELL,))
    rng = np.random.default_rng(9)
    file = tmp_path / "m.npz"
    shapes = {"l1.w": (32, 28), "l1.u": (32, 8), "l1.b": (32,), "out.w": (10, 8), "out.b": (10,), "thresholds": (1,)}
    made = {key: (rng.normal(size=shape) / 4).astype(np.float16) for key, shape in shapes.items()}
    made |= {key: np.abs(made[key].astype(np.float32)) for key in ("out.w", "out.b", "thresholds")}
    file.write_bytes(npz(made | {"meta": np.array("{}")}))
    app = cli.new_app()
    app.command()(COMMANDS[name])
    asked = [str(file)] if name == "layer" else ["--checkpoint", str(file), "--digits", "1"]
    assert cli.call(app, [*asked, "--u-format", "stream16", "--gap-bits", "6"]) == 2
    said = "error: U of layer 1 is stream-16, gap bits 6, which the RTL does not read: eSELL\n"
    assert capsys.readouterr().err == said
    assert cli.call(app, [*asked, "--w-format", "x"]) == 2
    assert "--w-format must be esell, stream16, stream8 or auto, not 'x'" in capsys.readouterr().err
