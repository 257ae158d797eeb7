"""Registers and memories: what is read at the beginning of a cycle and written at its end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from sim.engines.native.cells import COMBINATIONAL, Cells
from sim.engines.native.netlist import Bits, Cell, Netlist, NetlistError
from sim.engines.native.words import WORD, Node, ones, storage


@dataclass
class Effect:
    """Something done with what was computed: the bits it reads, and its statements."""

    reads: list[Bits]
    code: Callable[[], list[str]]


@dataclass
class _Memory:
    """A memory as columns of at most 64 bits: (name, first bit, width) of each."""

    cell: Cell
    size: int
    width: int
    address_bits: int
    columns: list[tuple[str, int, int]] = field(default_factory=list)

    def port(self, name: str, number: int, per_port: int) -> Bits:
        return self.cell.inputs[name][number * per_port : (number + 1) * per_port]

    @property
    def full(self) -> bool:
        """Every address exists."""
        return self.size >= 1 << self.address_bits


class State(Cells):
    """Statements of everything that remembers.

    Attributes:
        registers: (first bit, width, initial value), members of the state.
        updates: definitions of the next state; writes: stores to memories, to come after everything else.
        members, tables, memories: declarations of RAMs, of constant tables; (name, type) of RAMs.
    """

    def __init__(self, net: Netlist, cut_to_bits: set[str]) -> None:
        super().__init__(net, cut_to_bits)
        self.registers: list[tuple[int, int, int]] = []
        self.updates: list[Effect] = []
        self.writes: list[Effect] = []
        self.members: list[str] = []
        self.tables: list[str] = []
        self.memories: list[tuple[str, str]] = []
        for number, cell in enumerate(net.cells):
            if cell.kind == "$dff":
                self._flip_flops(cell)
            elif cell.kind == "$mem_v2":
                self._memory(number, cell)
            elif cell.kind in COMBINATIONAL:
                self.cell(cell)
            else:
                raise NetlistError(f"cell {cell.name} is of type {cell.kind}, which is not supported")

    def _clocked(self, cell: Cell, clock: Bits, rising: bool) -> None:
        if clock != self.net.inputs.get("clk") or not rising:
            raise NetlistError(f"{cell.kind} {cell.name} has another clock than the rising edge of clk")

    def _register(self, base: int, width: int, initial: int, reads: list[Bits], value: Callable[[], str]) -> None:
        self.define(base, width, prefix="c.")
        self.registers.append((base, width, initial))
        self.updates.append(Effect(reads, lambda: [f"n.v{base} = {value()};"]))

    def _flip_flops(self, cell: Cell) -> None:
        self._clocked(cell, cell.inputs["CLK"], bool(cell.number("CLK_POLARITY")))
        out, data = cell.outputs["Q"], cell.inputs["D"]
        for low, high in pairwise(self.cuts(cell, len(out), [data])):
            initial = sum(self.net.initial.get(bit, 0) << i for i, bit in enumerate(out[low:high]))
            part = data[low:high]
            self._register(out[low], high - low, initial, [part], partial(self.word, part))

    def _memory(self, number: int, cell: Cell) -> None:
        memory = _Memory(cell, cell.number("SIZE"), cell.number("WIDTH"), cell.number("ABITS"))
        if cell.number("OFFSET") or cell.number("RD_WIDE_CONTINUATION") or cell.number("WR_WIDE_CONTINUATION"):
            raise NetlistError(f"$mem_v2 {cell.name}: does not start at 0 (OFFSET), or has ports of several widths")
        text = cell.digits("INIT", memory.size * memory.width)
        ends = range(len(text), len(text) - memory.size * memory.width, -memory.width)
        values = [int(text[end - memory.width : end], 2) for end in ends]
        for low in range(0, memory.width, WORD):
            width = min(WORD, memory.width - low)
            name = f"m{number}_{low // WORD}"
            memory.columns.append((name, low, width))
            self._declare(name, storage(width), [value >> low & ones(width) for value in values], cell)
        for port in range(cell.number("RD_PORTS")):
            self._read_port(memory, port)
        for port in range(cell.number("WR_PORTS")):
            self._write_port(memory, port)

    def _declare(self, name: str, kind: str, values: list[int], cell: Cell) -> None:
        content = ", ".join(map(hex, values))
        if not cell.number("WR_PORTS"):
            self.tables.append(f"static const {kind} {name}[{len(values)}] = {{{content}}};")
            return
        start = f"{{{content}}}" if any(values) else f"std::vector<{kind}>({len(values)})"
        self.members.append(f"std::vector<{kind}> {name} = {start};")
        self.memories.append((name, kind))

    def _read_port(self, memory: _Memory, port: int) -> None:
        cell = memory.cell
        address = memory.port("RD_ADDR", port, memory.address_bits)
        enable = memory.port("RD_EN", port, 1)
        base = cell.outputs["RD_DATA"][port * memory.width]
        clocked = cell.number("RD_CLK_ENABLE") >> port & 1
        if memory.port("RD_SRST", port, 1) != [0] or memory.port("RD_ARST", port, 1) != [0]:
            raise NetlistError(f"$mem_v2 {cell.name}: a read port with a reset (RD_SRST, RD_ARST)")
        if clocked:
            self._clocked(cell, memory.port("RD_CLK", port, 1), bool(cell.number("RD_CLK_POLARITY") >> port & 1))
        initial = int(cell.digits("RD_INIT_VALUE"), 2) >> port * memory.width
        for name, low, width in memory.columns:
            load = self._load(memory, name, address)
            if not clocked:
                node = Node([address], cell)
                node.code = lambda node=node, load=load: self.assign(node, load())  # type: ignore[misc]
                self.define(base + low, width, node)
                continue
            writers = self._seen_writers(memory, port, low, width)

            def value(load: Callable[[], str] = load, writers: list = writers, at: int = base + low) -> str:
                text = load()
                for where, mask, data in writers:
                    changed = f"(({text}) & ~{self.word(mask)}) | ({self.word(data)} & {self.word(mask)})"
                    text = f"({self.word(where)} == {self.word(address)} ? {changed} : {text})"
                return text if enable == [1] else f"{self.word(enable)} ? {text} : c.v{at}"

            reads = [address, enable, *(bits for writer in writers for bits in writer)]
            self._register(base + low, width, initial >> low & ones(width), reads, value)

    def _load(self, memory: _Memory, name: str, address: Bits) -> Callable[[], str]:
        def load() -> str:
            at = self.word(address)
            return f"{name}[{at}]" if memory.full else f"({at} < {memory.size} ? {name}[{at}] : 0)"

        return load

    def _seen_writers(self, memory: _Memory, port: int, low: int, width: int) -> list[tuple[Bits, Bits, Bits]]:
        """(address, mask, data) of the write ports whose data of the same cycle the read port sees."""
        writers = memory.cell.number("WR_PORTS")
        seen = memory.cell.number("RD_TRANSPARENCY_MASK") >> (port * writers)
        return [
            (
                memory.port("WR_ADDR", writer, memory.address_bits),
                memory.port("WR_EN", writer, memory.width)[low : low + width],
                memory.port("WR_DATA", writer, memory.width)[low : low + width],
            )
            for writer in range(writers)
            if seen >> writer & 1
        ]

    def _write_port(self, memory: _Memory, port: int) -> None:
        cell = memory.cell
        self._clocked(cell, memory.port("WR_CLK", port, 1), bool(cell.number("WR_CLK_POLARITY") >> port & 1))
        address = memory.port("WR_ADDR", port, memory.address_bits)
        for name, low, width in memory.columns:
            mask = memory.port("WR_EN", port, memory.width)[low : low + width]
            data = memory.port("WR_DATA", port, memory.width)[low : low + width]

            def code(name: str = name, mask: Bits = mask, data: Bits = data) -> list[str]:
                at, value = self.word(address), self.word(data)
                inside = "" if memory.full else f" && {at} < {memory.size}"
                if len(set(mask)) == 1:
                    return [f"if ({self.word(mask[:1])}{inside}) {name}[{at}] = {value};"]
                chosen = self.word(mask)
                return [f"if ({chosen}{inside}) {name}[{at}] = ({name}[{at}] & ~{chosen}) | ({value} & {chosen});"]

            self.writes.append(Effect([address, mask, data], code))
