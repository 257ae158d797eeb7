"""A flattened RTLIL module as a graph of bits: what Yosys' ``write_rtlil`` prints, parsed and with its aliases gone.

Every bit is a number: 0 and 1 are the constants (X and what nothing drives count as 0), all others name one bit of a
*variable*: an input port or an output of a cell. The bits of a variable are consecutive numbers, lowest first.
"""

import re
from dataclasses import dataclass, field

Bits = list[int]


class NetlistError(Exception):
    """The text, or something in the design, is not understood."""


@dataclass
class Cell:
    """A cell: type, parameters (binary digits, x included), and the bits of each input and output, lowest first."""

    kind: str
    name: str
    parameters: dict[str, str]
    inputs: dict[str, Bits]
    outputs: dict[str, Bits]

    def number(self, parameter: str) -> int:
        """A parameter as an unsigned integer. Raises NetlistError if the cell has no such number."""
        return int(self.digits(parameter), 2)

    def digits(self, parameter: str, width: int = 1) -> str:
        """A parameter as binary digits, highest first, at least ``width``; x counts as 0. Raises NetlistError."""
        value = self.parameters.get(parameter)
        if value is None or not re.fullmatch("[01xzm-]*", value):
            raise NetlistError(f"{self.kind} {self.name}: parameter {parameter} is {value or 'missing'}, not a number")
        return re.sub("[xzm-]", "0", value).zfill(width)


@dataclass
class Netlist:
    """A module.

    Attributes:
        inputs, outputs: bits of each port.
        initial: value of bits that have one before the first edge.
        names: bits of every wire that has a name in the source, ports included.
        bits: one more than the largest bit.
    """

    module: str
    inputs: dict[str, Bits] = field(default_factory=dict)
    outputs: dict[str, Bits] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    initial: dict[int, int] = field(default_factory=dict)
    names: dict[str, Bits] = field(default_factory=dict)
    bits: int = 2


_WIRE = re.compile(r"  wire (.*)$")
_TOKEN = re.compile(r"[{}]|\[\d+(?::\d+)?\]|\d+'[01xzm-]*|[\\$]\S+|-?\d+|\S+")
_OUTPUTS = ("Y", "Q", "RD_DATA")
_IGNORED = ("$scopeinfo",)


def _digits(value: str) -> str:
    """A constant as binary digits; Yosys prints one of 32 bits in decimal. Any other text is left as it is."""
    if re.fullmatch(r"-?\d+", value):
        return f"{int(value) & 0xFFFFFFFF:032b}"
    return value.partition("'")[2] if re.fullmatch(r"\d+'[01xzm-]*", value) else value


class _Parser:
    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.at = 0
        self.base: dict[str, tuple[int, int]] = {}
        self.alias: dict[int, int] = {}
        self.next = 2

    def wire(self, name: str, width: int) -> Bits:
        self.base[name] = self.next, width
        self.next += width
        return list(range(self.next - width, self.next))

    def signal(self, text: str) -> Bits:
        """Bits of a signal, lowest first, before aliases are resolved."""
        stack: list[list[Bits]] = [[]]
        for token in _TOKEN.findall(text):
            first = token[0]
            if first == "{":
                stack.append([])
            elif first == "}":
                parts = stack.pop()
                stack[-1].append([bit for part in reversed(parts) for bit in part])
            elif first == "[":
                high, _, low = token[1:-1].partition(":")
                whole = stack[-1].pop()
                stack[-1].append(whole[int(low or high) : int(high) + 1])
            elif first in "\\$":
                if token not in self.base:
                    raise NetlistError(f"unknown wire {token}")
                base, width = self.base[token]
                stack[-1].append(list(range(base, base + width)))
            elif "'" in token:
                # X may stand for all of them
                width, _, digits = token.partition("'")
                known = [int(digit == "1") for digit in reversed(digits)]
                stack[-1].append(known + [0] * (int(width) - len(known)))
            elif re.fullmatch(r"-?\d+", token):
                value = int(token)
                stack[-1].append([value >> i & 1 for i in range(32)])
            else:
                raise NetlistError(f"cannot read {token!r} in the signal {text}")
        (parts,) = stack
        return [bit for part in parts for bit in part]

    def parse(self) -> Netlist:
        net = Netlist("")
        ports: list[tuple[str, str, Bits]] = []
        initials: list[tuple[Bits, str]] = []
        initial: str | None = None
        cells: list[Cell] = []
        connects: list[tuple[str, str]] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            word = line.split(maxsplit=1)[0] if line.strip() else ""
            if word == "module":
                if net.module:
                    raise NetlistError("more than one module: flatten first")
                net.module = line.split()[1].lstrip("\\")
            elif word == "attribute" and line.startswith("  attribute \\init "):
                initial = _digits(line.split()[2])
            elif word == "wire":
                fields = line.split()
                name, words = fields[-1], fields[1:-1]
                width = int(words[words.index("width") + 1]) if "width" in words else 1
                bits = self.wire(name, width)
                if initial is not None:
                    initials.append((bits, initial))
                    initial = None
                if "inout" in words:
                    raise NetlistError(f"port {name} is an inout")
                for direction in ("input", "output"):
                    if direction in words:
                        ports.append((direction, name.lstrip("\\"), bits))
            elif word == "cell":
                cells += self._cell(line)
            elif word == "connect":
                connects.append(self._connection(line))
            elif word in ("process", "memory"):
                raise NetlistError(f"{word} left: run proc and memory_collect first")
        for left, right in connects:
            for driven, driver in zip(self.signal(left), self.signal(right), strict=True):
                if driven < 2 or self.alias.setdefault(driven, driver) != driver:
                    raise NetlistError(f"two drivers: connect {left} {right}")
        return self._resolve(net, ports, initials, cells)

    @staticmethod
    def _connection(line: str) -> tuple[str, str]:
        """Both sides of ``connect A B``; A is one word or in braces or has an index."""
        text = line.strip()[len("connect ") :]
        if text.startswith("{"):
            depth = 0
            for i, character in enumerate(text):
                depth += (character == "{") - (character == "}")
                if not depth:
                    return text[: i + 1], text[i + 1 :]
        match = re.match(r"(\S+(?: \[\d+(?::\d+)?\])?) (.*)$", text)
        if not match:
            raise NetlistError(f"cannot read {line.strip()!r}")
        return match[1], match[2]

    def _cell(self, line: str) -> list[Cell]:
        _, kind, name = line.split(maxsplit=2)
        cell = Cell(kind, name, {}, {}, {})
        while (line := self.lines[self.at].strip()) != "end":
            self.at += 1
            word, key, value = line.split(maxsplit=2)
            if key == "signed":
                key, value = value.split(maxsplit=1)
            key = key.lstrip("\\")
            if word == "parameter":
                cell.parameters[key] = _digits(value)
            else:
                target = cell.outputs if key in _OUTPUTS else cell.inputs
                target[key] = self.signal(value)
        self.at += 1
        return [] if kind in _IGNORED else [cell]

    def _name(self, bit: int) -> str:
        """The wire that a bit before resolution belongs to."""
        return next(name for name, (base, width) in self.base.items() if base <= bit < base + width)

    def _resolve(
        self,
        net: Netlist,
        ports: list[tuple[str, str, Bits]],
        initials: list[tuple[Bits, str]],
        cells: list[Cell],
    ) -> Netlist:
        """Number the bits of inputs and cell outputs anew and replace every other bit by the one that drives it."""
        driver: dict[int, int] = {0: 0, 1: 1}

        def define(bits: Bits) -> Bits:
            if not driver.keys().isdisjoint(bits) or not self.alias.keys().isdisjoint(bits):
                raise NetlistError(f"two drivers: {self._name(bits[0])}")
            fresh = list(range(net.bits, net.bits + len(bits)))
            net.bits += len(bits)
            driver.update(zip(bits, fresh, strict=True))
            return fresh

        for direction, name, bits in ports:
            if direction == "input":
                net.inputs[name] = define(bits)
        for cell in cells:
            for port, bits in cell.outputs.items():
                cell.outputs[port] = define(bits)

        def resolve(bit: int) -> int:
            path = []
            while bit not in driver:
                path.append(bit)
                if len(path) > len(self.alias) + 1:
                    raise NetlistError(f"{self._name(bit)} is connected to itself")
                if bit not in self.alias:
                    driver[bit] = 0  # nothing drives it: X, which Amaranth's simulator takes as 0 too
                    break
                bit = self.alias[bit]
            found = driver[bit]
            for passed in path:
                driver[passed] = found
            return found

        for cell in cells:
            for port, bits in cell.inputs.items():
                cell.inputs[port] = [resolve(bit) for bit in bits]
        for direction, name, bits in ports:
            if direction == "output":
                net.outputs[name] = [resolve(bit) for bit in bits]
        for name, (base, width) in self.base.items():
            bits = list(range(base, base + width))
            if name.startswith("\\") and all(bit in driver or bit in self.alias for bit in bits):
                net.names[name[1:]] = [resolve(bit) for bit in bits]
        for bits, text in initials:
            for bit, digit in zip(bits, reversed(text), strict=False):
                if digit == "1":
                    net.initial[resolve(bit)] = 1
        net.cells = cells
        return net


def parse(text: str) -> Netlist:
    """Parse the RTLIL of one module without processes and hierarchy. Raises NetlistError."""
    return _Parser(text).parse()
