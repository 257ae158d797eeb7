"""Memories, each in a module of its own with a plain one-read one-write interface, so that a macro can replace it."""

from typing import Any

from amaranth import ClockSignal, Instance, Module, unsigned
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component

__all__ = ["Ram", "RamInstances"]


class Ram(Component):
    """``depth`` rows of ``width`` bits; one synchronous read and one write a cycle.

    Parameters:
        lane_bits: width of the pieces that ``write_en`` enables one by one; by default the whole row.
        init: contents at power-up, for read-only tables, which have no ``write_...``; without it contents are
            undefined until written.

    ``write_en`` stores ``write_data``, or pieces of it, in row ``write_addr``. ``read_data`` holds the row at
    ``read_addr`` one cycle after ``read_en``, and keeps it while ``read_en`` is low. A row that is written in the
    cycle in which it is read returns undefined data; users forward or avoid it.
    """

    def __init__(self, width: int, depth: int, *, lane_bits: int | None = None, init: list[int] | None = None) -> None:
        lane_bits = width if lane_bits is None else lane_bits
        if width < 1 or depth < 1:
            raise ValueError(f"a memory needs at least one row and one bit, not {depth} rows of {width} bits")
        if width % lane_bits:
            raise ValueError(f"width must be a multiple of lane_bits = {lane_bits}, not {width}")
        self.width, self.depth, self.lane_bits = width, depth, lane_bits
        self.init = [] if init is None else init
        addr = range(max(depth, 2))
        ports = {"read_en": In(1), "read_addr": In(addr), "read_data": Out(width)}
        if not self.init:
            ports |= {"write_en": In(width // lane_bits), "write_addr": In(addr), "write_data": In(width)}
        super().__init__(ports)

    @property
    def kind(self) -> str:
        """Name of the module that all memories of this size share: elstm_ram_WIDTHxDEPTH, with _byBITS for lanes."""
        lanes = "" if self.lane_bits == self.width else f"_by{self.lane_bits}"
        return f"elstm_{'rom' if self.init else 'ram'}_{self.width}x{self.depth}{lanes}"

    def elaborate(self, platform: object) -> Module | Instance:
        if isinstance(platform, RamInstances):
            return platform.instance(self)
        m = Module()
        # Nobody reads what a collision gives, so nothing need be built around a macro that gives something else
        attrs: dict[str, Any] = {} if self.init else {"no_rw_check": 1}
        rows: Any = memory.Memory(shape=unsigned(self.width), depth=self.depth, init=self.init, attrs=attrs)
        m.submodules.memory = rows
        read = rows.read_port(domain="sync")
        m.d.comb += [read.addr.eq(self.read_addr), read.en.eq(self.read_en), self.read_data.eq(read.data)]
        if not self.init:
            write = rows.write_port(granularity=self.lane_bits)
            m.d.comb += [
                write.addr.eq(self.write_addr),
                write.en.eq(self.write_en),
                write.data.eq(self.write_data),
            ]
        return m


class RamInstances:
    """The platform of an elaboration in which each Ram becomes an instance of the module of its kind.

    Attributes:
        kinds: a Ram of each kind, by name.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, Ram] = {}

    def instance(self, ram: Ram) -> Instance:
        """An instance for this Ram. Raises ValueError when two tables of one size differ."""
        known = self.kinds.setdefault(ram.kind, ram)
        if known.init != ram.init:
            raise ValueError(f"two tables of kind {ram.kind} have different contents")
        members = ram.signature.members
        wires = {f"{'i' if members[name].flow == In else 'o'}_{name}": getattr(ram, name) for name in members}
        return Instance(ram.kind, i_clk=ClockSignal(), **wires)
