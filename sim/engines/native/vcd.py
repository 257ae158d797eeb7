"""The signals of a netlist by name, and how a VCD file of them begins."""

import json
from collections.abc import Sequence
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


def signals(net: Netlist, chosen: Sequence[str] = ()) -> tuple[list[Signal], str]:
    """What has a name, and the head of a VCD file with all names; dots in a name separate levels of the hierarchy.

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
    return found, _head(net.module, entries)


def read_rows(path: Path) -> dict[str, NDArray[np.uint64]]:
    """A file NAME.rows (``harness/vcd.h``): the values of each signal, cycle by cycle, by its full name below the top.

    Signals have at most 64 bits.
    """
    head, _, rows = path.read_bytes().partition(b"$enddefinitions $end\n")
    names: dict[str, str] = {}
    widths: dict[str, int] = {}
    scope: list[str] = []
    for line in head.decode().splitlines():
        fields = line.split()
        if fields[0] == "$scope":
            scope.append(fields[2])
        elif fields[0] == "$upscope":
            scope.pop()
        elif fields[0] == "$var":
            names[".".join([*scope[1:], fields[4]])] = fields[3]
            widths[fields[3]] = -(-int(fields[2]) // 8)
    order = sorted(widths, key=lambda text: (len(text), [_DIGITS.index(digit) for digit in text[1:]]))
    table = np.frombuffer(rows, np.uint8).reshape(-1, sum(widths.values()))
    at, values = 0, {}
    for identifier in order:
        padded = np.zeros((len(table), 8), np.uint8)
        padded[:, : widths[identifier]] = table[:, at : at + widths[identifier]]
        values[identifier] = padded.view("<u8")[:, 0]
        at += widths[identifier]
    return {name: values[identifier] for name, identifier in names.items()}


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
