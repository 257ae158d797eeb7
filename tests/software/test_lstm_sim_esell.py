import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import memory
from golden.config import preset
from golden.cycles import LIST, LayerWords
from golden.formats import Parameters, esell
from golden.isa import Format, InputFormat, Schedule, group_words
from golden.layer import Layer, pack_layer
from golden.layer import run as golden_run
from golden.reference import reference
from software import image
from software.checkpoint import MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError, run, write_all
from software.lstm_sim_esell import main
from software.tuning.networks import NETWORKS, for_digits
from software.tuning.plan import Plan
from software.tuning.schedule_choice import plan_layers
from software.weight_formats import FormatChoice


def layer(inputs: int = 9, hidden: int = 10, x_shape: tuple[int, ...] = (5, 9), seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def sparse(rows: int, cols: int) -> np.ndarray:
        return (rng.standard_normal((rows, cols)) * (rng.random((rows, cols)) < 0.6)).astype(np.float16)

    return {
        "w": sparse(4 * hidden, inputs),
        "u": sparse(4 * hidden, hidden),
        "b": rng.standard_normal(4 * hidden).astype(np.float16),
        "x": rng.standard_normal(x_shape).astype(np.float32),
    }


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["lstm_sim_esell", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(main)
    return stop.value.code or 0  # type: ignore[return-value]


def save(path: Path, **changes: Any) -> Path:
    arrays: dict[str, Any] = {**layer(), **changes}
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


@pytest.mark.parametrize("x_shape", [(5, 9), (3, 5, 9)])
def test_the_result_is_goldens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, x_shape: tuple[int, ...]) -> None:
    arrays = layer(x_shape=x_shape)
    source, out = save(tmp_path / "l.npz", **arrays), tmp_path / "deep" / "r.npz"
    assert call(monkeypatch, source, "--out", out, "--threshold", "0.5") == 0
    packed = pack_layer(arrays["w"], arrays["u"], arrays["b"])
    golden = golden_run(packed, arrays["x"], 0.5)
    with np.load(out) as found:
        assert {k: found[k].dtype.str for k in found.files} == {
            "w_words": "<u8", "u_words": "<u8", "w_offsets": "<u2", "u_offsets": "<u2", "bias_words": "<u8",
            "h": "<f4", "c": "<i4", "h_float64": "<f8", "kept": "|b1",
        }  # fmt: skip
        assert np.array_equal(found["w_words"], packed.w.words) and np.array_equal(found["u_words"], packed.u.words)
        assert np.array_equal(found["w_offsets"], packed.w.offsets)
        assert np.array_equal(found["u_offsets"], packed.u.offsets)
        assert found["bias_words"].tobytes() == packed.bias.tobytes()
        assert found["h"].shape == (*x_shape[:-1], 10)
        assert np.array_equal(found["h"], golden.h[..., :10]) and np.array_equal(found["c"], golden.c[..., :10])
        assert np.array_equal(found["kept"], golden.kept) and 0 < golden.kept.mean() < 1
        assert np.array_equal(found["h_float64"], reference(packed, arrays["x"], 0.5).h[..., :10])


def arrays_of(header: str) -> dict[str, tuple[str, list[str]]]:
    """Type and items of each array of a C header; the declared length must be right."""
    found = {}
    for kind, name, count, body in re.findall(r"^(\w+) (\w+)\[(\d+)\] [^=]*= \{\n(.*?)\n\};", header, re.S | re.M):
        items = body.replace("\n", " ").split(", ")
        assert len(items) == int(count), name
        found[name] = kind, items
    return found


@pytest.mark.parametrize(("inputs", "hidden"), [(9, 10), (16, 16), (20, 4), (32, 12)])
def test_the_header_has_the_original_arrays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: int, hidden: int
) -> None:
    arrays = layer(inputs, hidden, (3, inputs))
    arrays["x"][0, :3] = [1e-7, -0.0, 0.1]
    source, path = save(tmp_path / "l.npz", **arrays), tmp_path / "l.h"
    assert call(monkeypatch, source, "--out", tmp_path / "r.npz", "--header", path) == 0
    packed = pack_layer(arrays["w"], arrays["u"], arrays["b"])
    found = arrays_of(path.read_text())
    assert list(found) == ["w", "w_offset", "u", "u_offset", "bias", "x"]
    assert {name: kind for name, (kind, _) in found.items()} == {**dict.fromkeys(found, "uint64_t"), "x": "float"}
    words = {name: [int(item, 16) for item in items] for name, (kind, items) in found.items() if kind == "uint64_t"}
    assert words["w"] == packed.w.words.tolist() and words["u"] == packed.u.words.tolist()
    for name, matrix in (("w", packed.w), ("u", packed.u)):
        offsets = words[f"{name}_offset"]
        assert len(offsets) == matrix.cols // 4 // 4 + 1
        assert np.array_equal(esell.unpack_halves(offsets, matrix.cols // 4), matrix.offsets)
    assert words["bias"] == memory.bias_words(packed).tolist()
    x = np.array([float.fromhex(item.removesuffix("f")) for item in found["x"][1]], dtype=np.float32)
    assert x.tobytes() == memory.x_bytes(packed, arrays["x"])


def test_formats_as_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = layer(x_shape=(5, 9))
    source, out = save(tmp_path / "l.npz", **arrays), tmp_path / "r.npz"
    asked = ("--w-format", "stream8", "--u-format", "stream16", "--unit", 1)
    files = ("--header", tmp_path / "l.h", "--image", tmp_path / "l.bin", "--json", tmp_path / "l.json")
    assert call(monkeypatch, source, "--out", out, "--threshold", "0.3", *asked, *files) == 0
    wanted = Parameters(unit_cols=1)
    packed = pack_layer(arrays["w"], arrays["u"], arrays["b"], Format.STREAM8, Format.STREAM16, wanted, wanted)
    golden = golden_run(packed, arrays["x"], 0.3)
    gap, tables = packed.u.parameters.gap_bits, packed.w.parameters.tables
    assert gap is not None and tables is not None and golden.kept.shape == (5, 12)
    with np.load(out) as found:
        assert np.array_equal(found["w_words"], packed.w.words) and np.array_equal(found["u_words"], packed.u.words)
        assert (found["w_offsets"].shape, found["u_offsets"].shape) == ((12,), (12,))
        assert np.array_equal(found["w_tables"], tables) and "u_tables" not in found.files
        assert np.array_equal(found["h"], golden.h[..., :10]) and np.array_equal(found["kept"], golden.kept)
        assert np.array_equal(found["h_float64"], reference(packed, arrays["x"], 0.3).h[..., :10])
    text = (tmp_path / "l.h").read_text()
    assert "/* stream-8 and stream-16 arrays of one LSTM layer" in text
    assert "#define LAYER_FORMATS 0x6000 " in text and f"#define LAYER_STREAMS {4 | gap << 8:#x} " in text
    in_header = arrays_of(text)
    assert list(in_header) == ["w", "w_offset", "u", "u_offset", "bias", "tables", "x"]
    words = np.array([int(item, 16) for item in in_header["tables"][1]], np.uint64)
    assert words.tobytes() == np.stack([tables, np.zeros_like(tables)]).tobytes() == memory.layer_bytes(packed).tables
    assert (tmp_path / "l.bin").read_bytes() == image.build(packed, arrays["x"], 0.3)
    (told,) = json.loads((tmp_path / "l.json").read_text())["layers"]
    assert (told["w"]["format"], told["w"]["gap_bits"], told["w"]["unit_cols"]) == ("stream-8", 4, 1)
    assert (told["u"]["format"], told["u"]["gap_bits"], told["blocks"]) == ("stream-16", gap, 60)
    shown = capsys.readouterr().out
    assert (
        f"stream-16, gap bits {gap}, units of 1 column" in shown and "stream-8, gap bits 4, units of 1 column" in shown
    )


def test_changes_go_into_header_and_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = layer(x_shape=(2, 5, 9))
    arrays["x"] = (np.random.default_rng(9).integers(0, 256, (2, 5, 9)) / 256).astype(np.float32)
    source, files = save(tmp_path / "l.npz", **arrays), ("--header", tmp_path / "l.h", "--image", tmp_path / "l.bin")
    streams = ("--w-format", "stream16", "--u-format", "stream8", "--unit", 1)
    asked = ("--schedule", "events", "--x-format", "uint8", "--h-fp16", "--x-threshold", 0.125)
    run = (source, "--out", tmp_path / "r.npz", "--threshold", "0.3", *streams, *files)
    assert call(monkeypatch, *run, *asked, "--json", tmp_path / "l.json") == 0
    packed = FormatChoice("stream16", "stream8", unit=1).on_grid(w=True, u=True).pack(*(arrays[n] for n in "wub"))
    plan = Plan(
        schedule=Schedule.EVENTS, delta=True, x_threshold=0.125, x_format=InputFormat.UINT8, h_fp16=True
    )  # fmt: skip
    assert (tmp_path / "l.bin").read_bytes() == image.build(packed, arrays["x"], 0.3, plan)
    golden = Layer(packed, delta=True, events=True).run(arrays["x"], 0.3, x_threshold=0.125)
    with np.load(tmp_path / "r.npz") as found:
        assert np.array_equal(found["h"], golden.h[..., :10]) and np.array_equal(found["kept"], golden.kept)
        assert np.array_equal(found["x_sent"], golden.x_sent) and 0 < golden.x_sent.mean() < 1
        assert np.abs(found["h"] - found["h_float64"]).max() < 0.1
    text = (tmp_path / "l.h").read_text()
    assert f"#define LAYER_SCHEDULE {plan.start_word:#x} /* in START's flags: events, changes of x from" in text
    assert "#define LAYER_X_THRESHOLD 0x3e000000 /* of EVENTS: 0.125 */" in text and "LAYER_GROUPS" not in text
    words = np.array([int(item, 16) for item in arrays_of(text)["x"][1]], np.uint64)
    assert words.tobytes() == memory.x_bytes(packed, arrays["x"], InputFormat.UINT8)
    (told,) = json.loads((tmp_path / "l.json").read_text())["layers"]
    assert (told["delta"], told["x_threshold"], told["x_format"], told["h_fp16"]) == (True, 0.125, "uint8", True)
    assert told["plan"] == "events, changes of x from 0.125 on, x as uint8, rows of h as fp16"
    assert "events, changes of x from 0.125 on" in capsys.readouterr().out
    assert call(monkeypatch, *run, "--grid") == 0
    with np.load(tmp_path / "r.npz") as found:
        u = FormatChoice("stream16", "stream8", unit=1).on_grid(w=False, u=True).pack(*(arrays[n] for n in "wub")).u
        assert np.array_equal(found["u_words"], u.words) and "x_sent" not in found.files
    assert call(monkeypatch, *run, "--balance") == 2
    assert "--balance is for a network" in capsys.readouterr().err


def test_bytes_that_x_is_none_of_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save(tmp_path / "l.npz", **layer(x_shape=(5, 9)))
    run = (source, "--out", tmp_path / "r.npz", "--image", tmp_path / "l.bin", "--x-format", "uint8")
    assert call(monkeypatch, *run) == 2
    assert "error: x as uint8 must be k/256, k in 0..255, not " in capsys.readouterr().err
    assert not (tmp_path / "r.npz").exists()


def test_a_network_by_events_is_packed_for_its_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Layer 1 on bytes with W scaled for them, layer 2 on fp16 rows, as programs have it."""
    network = NETWORKS["delta"]
    asked = ("--schedule", "events", "--w-format", "stream16", "--u-format", "stream16", "--unit", 1)
    files = ("--image", tmp_path / "n.bin", "--digits", 2, "--x-format", "uint8", "--h-fp16")
    assert call(monkeypatch, network.path, "--out", tmp_path / "r.npz", *asked, *files) == 0
    digits = load_digits(MNIST_DIGITS)
    trained, x = for_digits(load_checkpoint(network.path), digits, network.schedule, network.formats)
    planned = plan_layers(trained.layers, x[0], network.formats, network.schedule, preset("event"))
    x = x[:2]
    for number, one in enumerate(planned, 1):
        wanted = image.build(one.packed, x, one.threshold, one.plan)
        assert (tmp_path / f"n.l{number}.bin").read_bytes() == wanted
        x = one.golden(x).h_pruned


def test_a_schedule_goes_into_header_and_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = layer(x_shape=(2, 5, 9))
    source, files = save(tmp_path / "l.npz", **arrays), ("--header", tmp_path / "l.h", "--image", tmp_path / "l.bin")
    packed = pack_layer(arrays["w"], arrays["u"], arrays["b"])
    words = LayerWords.of_layer(packed, golden_run(packed, arrays["x"][0], 0.3).kept, arrays["x"][0])
    for groups, sizes in (("3,6", (3, 6)), ("search", LIST.search(words, preset("default")))):
        asked = ("--schedule", "list", "--x-skip", "--groups", groups, "--json", tmp_path / "l.json")
        assert call(monkeypatch, source, "--out", tmp_path / "r.npz", "--threshold", "0.3", *asked, *files) == 0
        plan = image.parse((tmp_path / "l.bin").read_bytes()).plan
        assert plan == Plan(schedule=Schedule.LIST, groups=sizes, x_skip=True)
        assert (tmp_path / "l.bin").read_bytes() == image.build(packed, arrays["x"], 0.3, plan)
        text = (tmp_path / "l.h").read_text()
        assert "#define LAYER_SCHEDULE 0x108 " in text and "LAYER_FORMATS" not in text
        low, high = group_words(sizes)
        assert f"#define LAYER_GROUPS {low:#x}, {high:#x} " in text
        (told,) = json.loads((tmp_path / "l.json").read_text())["layers"]
        assert (told["schedule"], told["groups"], told["x_skip"]) == ("list", [*sizes], True)
        assert f"list, groups of {', '.join(map(str, sizes))}, x skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--w-format", "dense"), "--w-format must be esell, stream16, stream8 or auto, not 'dense'"),
        (("--unit", "1"), "--gap-bits and --unit are of stream formats, and W and U are both esell"),
        (("--u-format", "stream8", "--gap-bits", "5"), "gap bits of stream-8 must be 4, not 5"),
        (("--w-format", "stream16"), "65504 in row 1, column 2 becomes infinite in 12 bits (gap bits 4), in W"),
    ],
)
def test_a_format_that_cannot_be_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: tuple[str, ...],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arrays = layer()
    arrays["w"][1, 2] = 65504
    assert call(monkeypatch, save(tmp_path / "l.npz", **arrays), "--out", tmp_path / "r.npz", *options) == 2
    assert capsys.readouterr().err == f"error: {said}\n" and not (tmp_path / "r.npz").exists()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
def test_a_compiler_reads_the_header_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arrays = layer(x_shape=(2, 3, 9))
    arrays["x"][0, 0, :4] = [1e-7, -0.0, 0.1, 2.0**-140]
    source = save(tmp_path / "l.npz", **arrays)
    assert call(monkeypatch, source, "--out", tmp_path / "r.npz", "--header", tmp_path / "l.h") == 0
    (tmp_path / "p.c").write_text(
        '#include <stdio.h>\n#include "l.h"\n'
        "#define PUT(a) if ((unsigned long)(a) % 8 || fwrite(a, sizeof a, 1, stdout) != 1) return 1;\n"
        "int main(void) { PUT(w) PUT(u) PUT(bias) PUT(x) return 0; }\n"
    )
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "p", tmp_path / "p.c"], check=True)
    out = subprocess.run([tmp_path / "p"], capture_output=True, check=True).stdout
    packed = pack_layer(arrays["w"], arrays["u"], arrays["b"])
    data = memory.layer_bytes(packed)
    assert out == data.w + data.u + data.bias + memory.x_bytes(packed, arrays["x"])


def test_the_image_holds_the_layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arrays = layer(x_shape=(2, 3, 9))
    path = tmp_path / "l.bin"
    assert call(monkeypatch, save(tmp_path / "l.npz", **arrays), "--out", tmp_path / "r.npz", "--image", path) == 0
    packed = pack_layer(arrays["w"], arrays["u"], arrays["b"])
    assert image.parse(path.read_bytes()).layer == memory.layer_bytes(packed)
    assert path.read_bytes() == image.build(packed, arrays["x"], 0.0)


def test_the_same_input_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = save(tmp_path / "l.npz")
    for name in ("a", "b"):
        files = [tmp_path / f"{name}.{kind}" for kind in ("npz", "h", "bin")]
        assert call(monkeypatch, source, "--out", files[0], "--header", files[1], "--image", files[2]) == 0
    for kind in ("npz", "h", "bin"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_wider_types_are_rounded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arrays = layer()
    wide = {name: a.astype(np.float64) for name, a in arrays.items()}
    wide["w"] = wide["w"] * (1 + 2.0**-14)
    for name, changes in (("narrow", arrays), ("wide", wide)):
        assert call(monkeypatch, save(tmp_path / f"{name}.npz", **changes), "--out", tmp_path / f"{name}.out.npz") == 0
    with np.load(tmp_path / "narrow.out.npz") as a, np.load(tmp_path / "wide.out.npz") as b:
        assert all(np.array_equal(a[k], b[k]) for k in a.files)


def with_value(name: str, at: tuple[int, ...], value: float) -> dict[str, np.ndarray]:
    a = layer()[name].astype(np.float64)
    a[at] = value
    return {name: a}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"u": None}, "no array 'u'; it has: w, b, x"),
        ({"w": np.zeros((40, 9, 1))}, "w must have two dimensions, not shape (40, 9, 1)"),
        ({"w": np.zeros((36, 9))}, "w must have 4H = 40 rows (u has H = 10 columns), not 36"),
        ({"u": np.zeros((44, 10))}, "u must have 4H = 40 rows, not 44"),
        ({"b": np.zeros(10)}, "b must have shape (40,), not (10,)"),
        ({"x": np.zeros((5, 8))}, "x must have shape (T, 9) or (N, T, 9), not (5, 8)"),
        ({"x": np.zeros(9)}, "x must have shape (T, 9) or (N, T, 9), not (9,)"),
        ({"x": np.zeros((0, 9))}, "not (0, 9)"),
        ({"w": np.zeros((40, 0))}, "w must have two dimensions, not shape (40, 0)"),
        (with_value("w", (3, 4), 65520), "w[3, 4] is 65520.0: fp16 holds magnitudes below 65520"),
        (with_value("u", (39, 9), -1e9), "u[39, 9] is -1000000000.0: fp16 holds"),
        (with_value("u", (0, 0), np.nan), "u[0, 0] is nan: fp16 holds"),
        (with_value("b", (7,), 2048), "b[7] is 2048.0: the hardware takes biases below 2048"),
        (with_value("x", (4, 8), np.inf), "x[4, 8] is inf: fp16 holds"),
        (with_value("x", (4, 8), 1e300), "x[4, 8] is 1e+300: fp16 holds"),
        ({"w": np.full((40, 9), 1j)}, "w must hold real numbers, not complex128"),
        ({"b": np.array(["a"] * 40)}, "b must hold real numbers, not <U1"),
        ({"h0": np.zeros(10)}, "array 'h0' is not used; a layer here has w, u, b, x"),
        ({"x": np.array([[None] * 9])}, "not a readable .npz archive: Object arrays cannot be loaded"),
        (
            {"w": np.full((40, 9), 60000), "x": np.full((5, 9), 60000)},
            "the hardware would stop at step 0: a product or a",
        ),
    ],
)
def test_bad_layers_are_one_line_and_write_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    changes: dict[str, np.ndarray],
    text: str,
) -> None:
    source = save(tmp_path / "l.npz", **changes)
    outputs = tmp_path / "out"
    arguments = ("--out", outputs / "r.npz", "--header", outputs / "l.h", "--image", outputs / "l.bin")
    assert call(monkeypatch, source, *arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and text in err and err.count("\n") == 1
    assert not outputs.exists()


def test_files_that_are_no_layer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    whole = save(tmp_path / "l.npz").read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    cases = {
        "cut.npz": (whole[: len(whole) // 2], "not a readable .npz archive"),
        "damaged.npz": (whole[:300] + bytes(100) + whole[400:], "not a readable .npz archive"),
        "empty.npz": (b"", "not a readable .npz archive"),
        "text.npz": (b"hello", "not a readable .npz archive"),
        "keras.npz": (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file, as Keras writes"),
        "one.npy": ((tmp_path / "one.npy").read_bytes(), "not an .npz archive"),
    }
    for name, (content, text) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert call(monkeypatch, tmp_path / name, "--out", tmp_path / "r.npz") == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {tmp_path / name}: ") and text in err and err.count("\n") == 1, name
    assert call(monkeypatch, tmp_path / "none.npz", "--out", tmp_path / "r.npz") == 2
    assert "none.npz: No such file or directory" in capsys.readouterr().err
    assert call(monkeypatch, tmp_path, "--out", tmp_path / "r.npz") == 2
    assert "Is a directory" in capsys.readouterr().err
    assert not (tmp_path / "r.npz").exists()


def test_one_unwritable_output_leaves_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source = save(tmp_path / "l.npz")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dir").mkdir()
    out = tmp_path / "out"
    for bad in (tmp_path / "file" / "l.bin", tmp_path / "dir"):
        assert call(monkeypatch, source, "--out", out / "r.npz", "--header", out / "l.h", "--image", bad) == 2
        err = capsys.readouterr().err
        assert f"cannot write {bad}: " in err and err.count("\n") == 1
        assert not out.exists()
    assert call(monkeypatch, source, "--out", source) == 2
    assert "must be different files" in capsys.readouterr().err
    assert call(monkeypatch, source, "--out", out / "r.npz", "--header", out / "x" / ".." / "r.npz") == 2
    assert call(monkeypatch, source, "--out", out / "r.npz", "--threshold", "nan") == 2
    assert "--threshold must be a number, not nan" in capsys.readouterr().err
    assert call(monkeypatch, source) == 2
    assert "Missing option '--out'" in capsys.readouterr().err


def test_write_all_replaces_and_keeps_permissions_public(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "new" / "b"
    a.write_bytes(b"old")
    write_all({a: b"1", b: b"2"})
    assert (a.read_bytes(), b.read_bytes()) == (b"1", b"2")
    assert b.stat().st_mode & 0o444 == 0o444 & ~_umask()
    with pytest.raises(UserError, match=f"cannot write {tmp_path}: is a directory"):
        write_all({a: b"3", tmp_path: b"4"})
    assert a.read_bytes() == b"1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "new"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def network_file(path: Path) -> Path:
    """Two layers of 6 inputs, 5 and 8 units."""
    first, second = layer(6, 5), layer(5, 8, seed=2)
    arrays: dict[str, Any] = {f"l{n}.{key}": a[key] for n, a in ((1, first), (2, second)) for key in ("w", "u", "b")}
    output: dict[str, Any] = {"out.w": np.zeros((3, 8), np.float32), "out.b": np.zeros(3, np.float32)}
    np.savez(path, **arrays, **output, thresholds=np.array([0.4, 0.6], np.float32), meta=np.array("{}"))
    return path


def images_file(path: Path, columns: int = 6) -> Path:
    rng = np.random.default_rng(4)
    np.savez(path, images=rng.integers(0, 256, (4, 7, columns), np.uint8), labels=np.zeros(4, np.uint8))
    return path


def test_a_network_gives_all_its_layers_in_both_forms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source, images = network_file(tmp_path / "net.npz"), images_file(tmp_path / "digits.npz")
    out = tmp_path / "out"
    arguments = ("--header", out / "n.h", "--image", out / "n.bin", "--images", images, "--digits", 3)
    assert call(monkeypatch, source, "--out", out / "r.npz", *arguments) == 0
    assert sorted(p.name for p in out.iterdir()) == ["n.l1.bin", "n.l1.h", "n.l2.bin", "n.l2.h", "r.npz"]
    with np.load(images) as file:
        x = file["images"][:3].astype(np.float32) / np.float32(255)
    with np.load(out / "r.npz") as found:
        for number, (arrays, threshold) in enumerate(((layer(6, 5), 0.4), (layer(5, 8, seed=2), 0.6)), 1):
            packed = pack_layer(arrays["w"], arrays["u"], arrays["b"])
            golden = golden_run(packed, x, threshold)
            assert np.array_equal(found[f"l{number}.h"], golden.h[..., : packed.hidden])
            assert np.array_equal(found[f"l{number}.u_words"], packed.u.words)
            assert (out / f"n.l{number}.bin").read_bytes() == image.build(packed, x, threshold)
            words = arrays_of((out / f"n.l{number}.h").read_text())["w"][1]
            assert [int(word, 16) for word in words] == packed.w.words.tolist()
            x = golden.h_pruned


def test_networks_that_cannot_be_packed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    source, images = network_file(tmp_path / "net.npz"), images_file(tmp_path / "digits.npz")
    for arguments, text in (
        (("--threshold", "0.5"), "--threshold is for a single layer"),
        (("--images", images, "--digits", "5"), "--digits must be in 1..4"),
        (
            ("--images", images_file(tmp_path / "wide.npz", 7), "--digits", "1"),
            "layer 1 takes 6 inputs, an image row of",
        ),
        (("--images", tmp_path / "none.npz"), "none.npz"),
        (
            ("--images", images, "--digits", "1", "--header", tmp_path / "a.x", "--image", tmp_path / "a.x"),
            "must be different files",
        ),
    ):
        assert call(monkeypatch, source, "--out", tmp_path / "r.npz", *arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("error: ") and text in err and err.count("\n") == 1
    assert not (tmp_path / "r.npz").exists()


def test_a_packed_layer_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = save(tmp_path / "l.npz")
    (tmp_path / "l.npz.gz").write_bytes(gzip.compress(source.read_bytes()))
    for path, out in ((source, "a"), (tmp_path / "l.npz.gz", "b")):
        assert call(monkeypatch, path, "--out", tmp_path / out) == 0
    with np.load(tmp_path / "a") as a, np.load(tmp_path / "b") as b:
        assert all(np.array_equal(a[name], b[name]) for name in a.files)
