"""Variables of the generated C++, and bits of a netlist as expressions over them.

A variable is a local of 32 or 64 bits, a member of the state ``c``, or an input; bits above its width are zero.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sim.engines.native.netlist import Bits, Cell, Netlist

WORD = 64


@dataclass
class Node:
    """A statement that is executed in every cycle: the bits it reads, the code it becomes, the cell it is part of.

    ``outputs``: (first bit, width) of the variables it defines.
    """

    reads: list[Bits]
    cell: Cell
    code: Callable[[], list[str]] = list
    outputs: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Variable:
    """``width`` bits from bit ``base`` on; ``node`` defines it, or none does when it is state or an input."""

    base: int
    width: int
    node: Node | None
    name: str


def type_of(width: int) -> str:
    """Type of a local."""
    return "uint32_t" if width <= 32 else "uint64_t"


def storage(width: int) -> str:
    """Type of a register or of a word in a memory."""
    return next(f"uint{n}_t" for n in (8, 16, 32, 64) if width <= n)


def literal(value: int, width: int) -> str:
    """A C++ constant of the word that holds ``width`` bits."""
    return f"{value:#x}u" if width <= 32 else f"{value:#x}ull"


def ones(width: int) -> int:
    """The number with ``width`` low bits set."""
    return (1 << width) - 1


def extend(bits: Bits, width: int, signed: bool) -> Bits:
    """Bits cut or extended to a width."""
    fill = bits[-1] if signed and bits else 0
    return bits[:width] + [fill] * (width - len(bits))


def words(bits: Bits) -> list[Bits]:
    """Bits in pieces of at most 64."""
    return [bits[i : i + WORD] for i in range(0, len(bits), WORD)]


class Words:
    """The variables of a netlist."""

    def __init__(self, net: Netlist) -> None:
        self.net = net
        self.variables: list[Variable] = []
        self.owner: list[int] = [-1] * net.bits
        for bits in net.inputs.values():
            self.define(bits[0], len(bits))

    def define(self, base: int, width: int, node: Node | None = None, prefix: str = "") -> None:
        """Make the bits from ``base`` on one variable, or several if they are too many."""
        for start in range(0, width, WORD):
            part = min(WORD, width - start)
            self.owner[base + start : base + start + part] = [len(self.variables)] * part
            self.variables.append(Variable(base + start, part, node, f"{prefix}v{base + start}"))
            if node:
                node.outputs.append((base + start, part))

    def variable(self, bit: int) -> Variable:
        return self.variables[self.owner[bit]]

    def word(self, bits: Bits) -> str:
        """At most 64 bits as an expression of ``type_of(len(bits))``, without operators outside parentheses."""
        width = len(bits)
        constant = sum(1 << i for i, bit in enumerate(bits) if bit == 1)
        terms = []
        runs = self._runs(bits)
        index = 0
        while index < len(runs):
            position, first, length = runs[index]
            # one bit many times over, as a sign is
            copies = 1
            while length == 1 and index + copies < len(runs) and runs[index + copies] == (position + copies, first, 1):
                copies += 1
            term = self._slice(first, length, width)
            if copies > 1:
                term = f"((-{term}) & {literal(ones(copies), width)})"
            if position:
                term = f"({term} << {position})"
            terms.append(term)
            index += copies
        if constant or not terms:
            terms.append(literal(constant, width))
        return terms[0] if len(terms) == 1 else f"({' | '.join(terms)})"

    def operand(self, bits: Bits, width: int, signed: bool) -> str:
        """``bits`` extended to ``width`` (at most 128) as an unsigned expression, perhaps with more bits above."""
        if width > WORD:
            full = extend(bits, width, signed)
            return f"((u128){self.word(full[WORD:])} << 64 | {self.word(full[:WORD])})"
        if signed and len(bits) < width:
            return f"((uint64_t){self.integer(bits, True)})"
        return self.word(extend(bits, width, signed))

    def integer(self, bits: Bits, signed: bool) -> str:
        """At most 64 bits as an int64_t or uint64_t of the same value."""
        if not signed:
            return f"((uint64_t){self.word(bits)})"
        shift = WORD - len(bits)
        return f"((int64_t)((uint64_t){self.word(bits)} << {shift}) >> {shift})"

    def assign(self, node: Node, expression: str) -> list[str]:
        """Define the variables of a node from an expression wide enough for all of them."""
        if len(node.outputs) == 1:
            base, width = node.outputs[0]
            kind, mask = type_of(width), "" if width in (32, 64) else f" & {literal(ones(width), width)}"
            return [f"const {kind} v{base} = ({kind})({expression}){mask};"]
        whole = f"w{node.outputs[0][0]}"
        lines = [f"const u128 {whole} = {expression};"]
        for number, (base, width) in enumerate(node.outputs):
            mask = "" if width == WORD else f" & {literal(ones(width), WORD)}"
            lines.append(f"const {type_of(width)} v{base} = (uint64_t)({whole} >> {WORD * number}){mask};")
        return lines

    def _runs(self, bits: Bits) -> list[tuple[int, int, int]]:
        """(position, first bit, length) of the runs of consecutive bits of one variable; constants are left out."""
        runs: list[tuple[int, int, int]] = []
        for position, bit in enumerate(bits):
            if bit < 2:
                continue
            if runs:
                at, first, length = runs[-1]
                if at + length == position and first + length == bit and self.owner[first] == self.owner[bit]:
                    runs[-1] = at, first, length + 1
                    continue
            runs.append((position, bit, 1))
        return runs

    def _slice(self, first: int, length: int, width: int) -> str:
        """``length`` bits from ``first`` on, shifted down, as a term of a word of ``width`` bits."""
        variable = self.variable(first)
        low = first - variable.base
        term = variable.name
        if width > 32 and variable.width <= 32:
            term = f"(uint64_t){term}"
        elif variable.width <= 16:
            term = f"(uint32_t){term}"  # state is stored in less than an int, which would be signed
        if low:
            term = f"({term} >> {low})"
        if width <= 32 < variable.width:
            term = f"(uint32_t){term}"
        if low + length < variable.width:
            term = f"({term} & {literal(ones(length), length)})"
        return term
