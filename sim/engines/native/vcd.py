"""The signals of a netlist by name, and how VCD and NumPy files of them begin."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.engines.native.netlist import Bits, Netlist, NetlistError

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CLOCK = "clk"
"""Identifier of the clock in the file; all others begin with s."""


@dataclass(frozen=True)
class Signal:
    """Bits under an identifier, which all names of these bits share; their words begin at word ``at``."""

    identifier: str
    bits: Bits
    at: int


def _identifier(number: int) -> str:
    text = ""
    while number or not text:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return f"s{text}"


def signals(net: Netlist, chosen: Sequence[str] = ()) -> tuple[list[Signal], str, dict[str, str]]:
    """What has a name, the head of a VCD file with all names, and the identifier of each name; dots in a name separate
    levels of the hierarchy.

    ``chosen``: the only names wanted, () for all. Raises NetlistError naming those that do not exist.
    """
    if absent := [name for name in chosen if name not in net.names]:
        raise NetlistError(f"no signal {', '.join(absent)} in {net.module}")
    known: dict[tuple[int, ...], str] = {}
    found: list[Signal] = []
    entries = []
    words = 0
    clock = net.inputs.get("clk")
    for name in chosen or net.names:
        bits = net.names[name]
        identifier = CLOCK if bits == clock else known.get(tuple(bits))
        if identifier is None:
            identifier = known[tuple(bits)] = _identifier(len(known))
            found.append(Signal(identifier, bits, words))
            words += -(-len(bits) // 64)
        *scope, last = name.split(".")
        entries.append((scope, last, len(bits), identifier))
    return found, _head(net.module, entries), {".".join([*scope, last]): found for scope, last, _, found in entries}


def npy_fields(found: Sequence[Signal], names: Mapping[str, str]) -> tuple[str, list[tuple[int, int]]]:
    """The fields of a NumPy file with an element for each cycle (``harness/npy.h``): their description as in its head,
    and for each the word at which its signal begins, and its bytes. Without the clock, which is 1 in every cycle.
    """
    by_identifier = {signal.identifier: signal for signal in found}
    described: list[tuple[object, ...]] = []
    rows = []
    for name, identifier in names.items():
        if identifier == CLOCK:
            continue
        signal = by_identifier[identifier]
        size = next((size for size in (1, 2, 4, 8) if len(signal.bits) <= 8 * size), 8 * -(-len(signal.bits) // 64))
        described.append((name, f"<u{size}") if size <= 8 else (name, "<u8", (size // 8,)))
        rows.append((signal.at, size))
    return repr(described), rows


def read_rows(path: Path) -> dict[str, NDArray[np.uint64]]:
    """A file NAME.npy of ``harness/npy.h``: the values of each signal, cycle by cycle, by its full name below the top.

    Signals have at most 64 bits.
    """
    # many names make a long head, which NumPy takes from files that one trusts
    table = np.load(path, max_header_size=1 << 24)
    return {name: table[name].astype(np.uint64) for name in table.dtype.names}


def _head(module: str, entries: list[tuple[list[str], str, int, str]]) -> str:
    lines = ["$timescale 1 ns $end", f"$scope module {module} $end"]
    current: list[str] = []
    for scope, name, width, identifier in sorted(entries):
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(current, scope, strict=False))))
        lines += ["$upscope $end"] * (len(current) - common)
        lines += [f"$scope module {level} $end" for level in scope[common:]]
        current = scope
        lines.append(f"$var wire {width} {identifier} {name} $end")
    lines += ["$upscope $end"] * (len(current) + 1)
    return "\n".join([*lines, "$enddefinitions $end"]) + "\n"


def quoted(text: str) -> list[str]:
    """ASCII text as C++ string literals, one a line, that the compiler joins."""
    return [json.dumps(line) for line in text.splitlines(keepends=True)]
