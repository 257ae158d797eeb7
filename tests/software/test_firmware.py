"""Building programs: the generated header, packed networks, layers of the paper, both toolchains, and errors."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden import isa
from golden.formats import Parameters
from golden.layer import Layer, pack_layer
from scripts.firmware_header import HEADER, header
from software import image
from software.checkpoint import MNIST_CHECKPOINT, MNIST_DIGITS, load_checkpoint, load_digits
from software.cli import UserError
from software.firmware import build, layers
from software.firmware.packing import PackedNetwork, build_network, output_words, write_network
from software.tuning.plan import Plan

needs_compiler = pytest.mark.skipif(not build.toolchains(), reason="no RISC-V C compiler")
each_toolchain = pytest.mark.parametrize("tools", build.toolchains(), ids=lambda tools: tools.name)


def firmware(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "software.firmware", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def small_network() -> PackedNetwork:
    rng = np.random.default_rng(5)
    w, u, b = (rng.standard_normal(shape).astype(np.float16) for shape in ((24, 7), (24, 6), (24,)))
    out = rng.standard_normal((3, 6)).astype(np.float32), rng.standard_normal(3).astype(np.float32)
    return PackedNetwork([(pack_layer(w, u, b), 0.3)], rng.standard_normal((2, 5, 7)).astype(np.float32), *out)


def test_the_header_is_up_to_date() -> None:
    assert HEADER.read_text() == header(), "run: make docs"


@each_toolchain
def test_instructions_assemble_to_the_words_of_the_table(tools: build.Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "all.c"
    calls = {
        isa.Funct.SIZES: "elstm_sizes(1, 2)", isa.Funct.STEPS: "elstm_steps(1, 2)",
        isa.Funct.WEIGHTS: "elstm_weights(1, 2)", isa.Funct.FUSION: "elstm_fusion(1, 2)",
        isa.Funct.DATA: "elstm_data(1, 2)", isa.Funct.START: "elstm_start(1, 2)",
        isa.Funct.EXTENSION: "elstm_extension(1, 2)", isa.Funct.COUNTER: "exit(elstm_counter(1))",
        isa.Funct.ABORT: "elstm_abort()", isa.Funct.STREAMS: "elstm_streams(1, 2)",
        isa.Funct.GROUPS: "elstm_groups(1, 2)", isa.Funct.EVENTS: "elstm_events(1)",
    }  # fmt: skip
    assert set(calls) == set(isa.Funct)
    body = "".join(f"{text}; " for funct, text in calls.items() if funct != isa.Funct.COUNTER)
    body += f"{calls[isa.Funct.COUNTER]};"
    source.write_text(f'#include "elstm.h"\n#include "firmware.h"\nint main(void) {{ {body} }}')
    content = build.build(build.sources(str(source)), tmp_path / "all.elf", tools, ["-Wextra", "-Werror"]).read_bytes()
    words = [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content) - 3, 4)]
    custom = [word for word in words if word & 0x7F == isa.CUSTOM_0 and word >> 25 in calls]
    registers = 31 << 7 | 31 << 15 | 31 << 20
    for row in isa.INSTRUCTIONS:
        xd = row.funct == isa.Funct.COUNTER
        wanted = isa.encode(row.funct, xd=xd, xs1=row.rs1 is not None, xs2=row.rs2 is not None) & ~registers
        assert wanted in [word & ~registers for word in custom], row.funct.name


@needs_compiler
def test_names_and_numbers_are_those_of_the_tables(tmp_path: Path) -> None:
    checks = [f"ELSTM_ERROR_{e.name} == {e.value}" for e in isa.Error]
    checks += [f"ELSTM_COUNTER_{c.name} == {c.value}" for c in isa.Counter]
    checks += [f"ELSTM_{f.name} == {f.value}" for f in isa.FLAG_MEANINGS]
    checks += [f"ELSTM_STATUS_{s.name} == {s.value}" for s in isa.Status]
    source = tmp_path / "names.c"
    asserts = "\n".join(f'_Static_assert({check}, "{check}");' for check in checks)
    source.write_text(f'#include "elstm.h"\n{asserts}\nint main(void) {{ return 0; }}')
    build.build(build.sources(str(source)), tmp_path / "names.elf")


def test_the_output_layer_in_fixed_point() -> None:
    rng = np.random.default_rng(6)
    w, b = rng.standard_normal((10, 128)).astype(np.float32), rng.standard_normal(10).astype(np.float32)
    fixed_w, fixed_b = output_words(w, b)
    h = rng.integers(-(2**11), 2**11, 128)
    sums = (fixed_w.astype(object) * (h * 2**13).astype(object)).sum(axis=1) + fixed_b.astype(object)
    exact = w.astype(np.float64) @ (h / 2**11) + b
    assert np.abs(np.array([float(s) / 2**46 for s in sums]) - exact).max() < 128 * 2**-23
    assert output_words(np.array([[0.5, -1.0]], np.float32), np.array([2.0], np.float32))[0].tolist() == [
        [1 << 21, -(1 << 22)]
    ]
    with pytest.raises(UserError, match="weights must be below 512, not 600"):
        output_words(np.array([[600.0]], np.float32), np.array([0], np.float32))
    with pytest.raises(UserError, match="sums must stay below 65536, not 70400"):
        output_words(np.full((1, 200), 352, np.float32), np.array([0], np.float32))


@needs_compiler
def test_a_program_knows_its_image(tmp_path: Path) -> None:
    """packed.h has the fields where software.image puts them."""
    places = {"formats": 40, "threshold": 44, "w": 48, "w_offsets": 64, "input": 128, "bytes": 144, "streams": 156}
    checks = [f"offsetof(struct image, {name}) == {at}" for name, at in places.items()]
    checks.append(f"sizeof(struct image) == {image.HEADER.size}")
    source = tmp_path / "image.c"
    asserts = "\n".join(f'_Static_assert({check}, "{check}");' for check in checks)
    source.write_text(f'#include <stddef.h>\n#include "packed.h"\n{asserts}\nint main(void) {{ return 0; }}')
    network = write_network(small_network(), tmp_path)
    build.build([*build.sources(str(source)), build.HERE / build.NETWORK_SUPPORT, network], tmp_path / "i.elf")


@needs_compiler
def test_formats_are_asked_for_by_options_and_told(tmp_path: Path) -> None:
    options = ("--digits", "1", "-o", tmp_path / "n.elf", "--w-format", "stream16", "--u-format", "auto")
    done = firmware("network", *options, "--gap-bits", "4")
    assert done.returncode == 0, done.stderr
    checkpoint = load_checkpoint(MNIST_CHECKPOINT)
    content = (tmp_path / "n.elf").read_bytes()
    x = load_digits(MNIST_DIGITS).inputs()[:1]
    lines = done.stdout.splitlines()
    for number, layer in enumerate(checkpoint.layers, 1):
        wanted = Parameters(4)
        packed = pack_layer(layer.w, layer.u, layer.b, isa.Format.STREAM16, isa.Format.STREAM8, wanted, wanted)
        assert image.build(packed, x if number == 1 else None, layer.threshold) in content
        assert lines[number - 1] == (
            f"layer {number}: W stream-16, gap bits 4, {len(packed.w.words):,} words; "
            f"U stream-8, gap bits 4, {len(packed.u.words):,} words"
        )
    assert lines[2] == str(tmp_path / "n.elf")
    done = firmware("hello", "-o", tmp_path / "h.elf", "--w-format", "stream16")
    assert done.returncode == 2 and not (tmp_path / "h.elf").exists()
    assert done.stderr == "error: --w-format and --u-format are of a packed network, which hello has not\n"


@needs_compiler
def test_a_schedule_is_asked_for_by_options_and_told(tmp_path: Path) -> None:
    plan = ("--schedule", "list", "--groups", "6,22", "--x-skip")
    done = firmware("network", "--digits", "1", "-o", tmp_path / "n.elf", *plan)
    said = "list, groups of 6, 22, units of W skipped where x is 0"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"layer 1: {said}\nlayer 2: {said}\n{tmp_path / 'n.elf'}\n"
    weights, x = load_checkpoint(MNIST_CHECKPOINT).layers[0], load_digits(MNIST_DIGITS).inputs()[:1]
    packed, asked = pack_layer(weights.w, weights.u, weights.b), Plan(3, isa.Schedule.LIST, (6, 22), x_skip=True)
    assert image.build(packed, x, weights.threshold, asked) in (tmp_path / "n.elf").read_bytes()
    done = firmware("hello", "-o", tmp_path / "h.elf", *plan)
    assert done.returncode == 2 and not (tmp_path / "h.elf").exists()
    assert done.stderr == "error: --schedule and --best are of a packed network, which hello has not\n"
    done = firmware("network", "-o", tmp_path / "h.elf", "--preset", "mnist", "--set", "group_list=false", *plan)
    assert done.returncode == 2 and not (tmp_path / "h.elf").exists()
    assert done.stderr.endswith("--schedule list is not built with group_list=false, which has: cell-fusion\n")


@needs_compiler
def test_a_layer_of_ones_own_can_say_its_schedule(tmp_path: Path) -> None:
    source = tmp_path / "own.c"
    source.write_text(
        '#include "elstm.h"\n#include "firmware.h"\n'
        "static const struct elstm_layer layer = {.x = 4, .h = 4, .n_fuse = 1,\n"
        "    .schedule = ELSTM_SCHEDULE_LIST << ELSTM_SCHEDULE_SHIFT | ELSTM_X_SKIP,\n"
        "    .groups = {3 | 6 << ELSTM_GROUP_BITS}};\n"
        "int main(void) { elstm_run(&layer, 0, 0, 1, 0, ELSTM_H_SEQ); return 0; }\n"
    )
    build.build(build.sources(str(source)), tmp_path / "own.elf", None, ["-Wextra", "-Werror"])
    low, word = isa.group_words((3, 6))[0], isa.start_word(isa.Flags.X_SKIP, isa.Schedule.LIST)
    checks = [
        f"(ELSTM_SCHEDULE_LIST << ELSTM_SCHEDULE_SHIFT | ELSTM_X_SKIP) == {word}",
        f"(3 | 6 << ELSTM_GROUP_BITS) == {low}",
        *(f"ELSTM_SCHEDULE_{schedule.name} == {schedule.value}" for schedule in isa.Schedule),
        *(f"ELSTM_FORMAT_{form.name} == {form.value}" for form in isa.Format),
    ]
    asserts = "\n".join(f'_Static_assert({check}, "{check}");' for check in checks)
    source.write_text(f'#include "elstm.h"\n{asserts}\nint main(void) {{ return 0; }}')
    build.build(build.sources(str(source)), tmp_path / "own.elf")


def test_a_network_must_fit_together() -> None:
    network = small_network()
    with pytest.raises(ValueError, match="layer 2 takes X = 12, layer 1 gives H = 8"):
        w, u, b = np.zeros((16, 12), np.float16), np.zeros((16, 4), np.float16), np.zeros(16, np.float16)
        replace(network, layers=[*network.layers, (pack_layer(w, u, b), 0.0)])
    with pytest.raises(ValueError, match=r"x must have shape \(N, T, inputs\)"):
        replace(network, x=network.x[0])


@each_toolchain
def test_the_elf_holds_the_image_as_it_is(tools: build.Toolchain, tmp_path: Path) -> None:
    network = small_network()
    packed, threshold = network.layers[0]
    path = build_network(network, "network", tmp_path / "n.elf", tools)
    content = path.read_bytes()
    assert image.build(packed, network.x, threshold) in content
    needed = build.memory_bytes(path)
    assert 65536 < needed < 65536 + 3 * len(content)


@needs_compiler
def test_a_program_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MAX_MEMORY", 1 << 16)
    with pytest.raises(build.FirmwareError, match="n.elf needs 1 MiB of memory, the limit is 0 MiB"):
        build_network(small_network(), "network", tmp_path / "n.elf")
    assert not list(tmp_path.iterdir())


def test_images_are_files_of_their_own(tmp_path: Path) -> None:
    path = write_network(small_network(), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bias.bin", "layer1_image.bin", "network.S", "weights.bin"]
    assert ".size results, 320\n" in path.read_text()


@pytest.mark.parametrize("number", [1, 2])
def test_mnist_layers_are_the_trained_ones(number: int) -> None:
    data = layers.layer_data(f"mnist-l{number}", 3)
    weights = load_checkpoint(MNIST_CHECKPOINT).layers[number - 1]
    assert data.threshold == weights.threshold and data.x.shape == (3, 28, (28, 128)[number - 1])
    assert np.array_equal(data.packed.u.words, pack_layer(weights.w, weights.u, weights.b).u.words)
    if number == 2:
        below = layers.layer_data("mnist-l1", 3)
        assert np.array_equal(data.x, Layer(below.packed).run(below.x, below.threshold).h_pruned)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "pruned"),
    [("ptb-l1", 800, 0.56), ("ptb-l2", 800, 0.41), ("wiki-l1", 1500, 0.37), ("wiki-l2", 1500, 0.39)],
)
def test_random_layers_prune_as_the_papers(name: str, size: int, pruned: float) -> None:
    data = layers.layer_data(name, 2)
    assert (data.packed.x, data.packed.h, data.x.shape) == (size, size, (2, 35, size))
    assert 1 - Layer(data.packed).run(data.x, data.threshold).kept.mean() == pytest.approx(pruned, abs=0.02)


@needs_compiler
@pytest.mark.slow
def test_a_large_layer_says_what_memory_it_needs(tmp_path: Path) -> None:
    done = firmware("original", "--layer", "wiki-l1", "-o", tmp_path / "w.elf")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1] == "needs 33 MiB of memory, more than the usual 16: run it with --ram 33"


@needs_compiler
def test_the_command_takes_the_sizes(tmp_path: Path) -> None:
    for arguments in (("nofence", "--digits", "1"), ("original", "--layer", "mnist-l1", "--sequences", "2")):
        path = tmp_path / f"{arguments[0]}.elf"
        done = firmware(*arguments, "--n-fuse", "2", "-o", path)
        assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
        assert path.read_bytes().startswith(b"\x7fELF")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("network", "--digits", "101"), "--digits must be in 1..100"),
        (("network", "--checkpoint", "none.npz"), "none.npz"),
        (("original",), "original and --layer go together; layers are: mnist-l1, mnist-l2, ptb-l1"),
        (("network", "--layer", "ptb-l1"), "original and --layer go together"),
        (("original", "--layer", "ptb-l3"), "no layer 'ptb-l3'; there are: mnist-l1"),
        (("original", "--layer", "mnist-l1", "--sequences", "0"), "--sequences must be 1 or more, not 0"),
        (("original", "--layer", "mnist-l1", "--sequences", "101"), "--sequences must be at most 100"),
    ],
)
@needs_compiler
def test_errors_are_one_line(arguments: tuple[str, ...], text: str, tmp_path: Path) -> None:
    done = firmware(*arguments, "-o", tmp_path / "x.elf")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and text in done.stderr
    assert not list(tmp_path.iterdir())


@needs_compiler
def test_a_program_knows_the_accelerator_that_it_is_built_for(tmp_path: Path) -> None:
    source, made = tmp_path / "a.c", tmp_path / "a.elf"
    source.write_text(
        '#include "firmware.h"\n'
        '_Static_assert(ELSTM_CONFIG_N_PE == 4 && ELSTM_CONFIG_SLOTS == 18 && ELSTM_CONFIG_MAX_X == 64, "other");\n'
        "int main(void) { return 0; }\n"
    )
    words = (source, "-o", made, "--preset", "tiny", "--set", "n_pe=4")
    assert firmware(*words, "--set", "slots=18").returncode == 0 and made.exists()
    refused = firmware(*words, "--set", "slots=24")
    assert refused.returncode == 2 and "static assertion failed" in refused.stderr


@needs_compiler
def test_what_the_accelerator_cannot_hold_is_not_built(tmp_path: Path) -> None:
    made = tmp_path / "a.elf"
    done = firmware("network", "-o", made, "--preset", "mnist", "--set", "max_t=20")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: layer 1 has T = 28, preset mnist+max_t-20 allows 20\n" and not made.exists()
    done = firmware("original", "--layer", "mnist-l1", "--sequences", "1", "-o", made, "--preset", "tiny")
    assert done.stderr == "error: layer 1 has H = 128, preset tiny allows 64\n" and not made.exists()
    assert firmware("network", "-o", made, "--preset", "mnist").returncode == 0
