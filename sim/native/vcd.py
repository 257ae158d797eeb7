"""The signals of a netlist by name, and how a VCD file of them begins."""

import json
from dataclasses import dataclass
from itertools import takewhile

from sim.native.netlist import Bits, Netlist

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


def signals(net: Netlist) -> tuple[list[Signal], str]:
    """What has a name, and the head of a VCD file with all names; dots in a name separate levels of the hierarchy."""
    known: dict[tuple[int, ...], str] = {}
    found: list[Signal] = []
    entries = []
    words = 0
    clock = net.inputs.get("clk")
    for name, bits in net.names.items():
        identifier = CLOCK if bits == clock else known.get(tuple(bits))
        if identifier is None:
            identifier = known[tuple(bits)] = _identifier(len(known))
            found.append(Signal(identifier, bits, words))
            words += -(-len(bits) // 64)
        *scope, last = name.split(".")
        entries.append((scope, last, len(bits), identifier))
    return found, _head(net.module, entries)


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
