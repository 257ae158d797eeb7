"""AXI4: the port of a memory master with 64-bit data, with its contract in words.

Names are those of the AXI specification in lower case, so that tools recognise the port. What a master here promises
beyond the protocol:

- ``valid`` never depends on ``ready`` and stays up, with everything beside it, until the transfer. No output depends
  on an input of the same cycle. ``rready`` and ``bready`` are always high.
- Bursts are INCR, of at most 16 beats of 8 bytes from a multiple of 8, and never cross a 4 KiB boundary (nor one of
  128 bytes). Stores of less than a word have ``wstrb``; a beat with all strobes low writes nothing.
- ``arid`` is unique among the read bursts in flight, so beats of different bursts may come interleaved and in any
  order. Write bursts in flight may share an ``awid``. Write data come in the order of their addresses, without a gap
  in that order, perhaps before the address is taken, and no burst waits for the answer to another.
- Every burst is completed, also when its data are no longer wanted.
- ``AxCACHE`` is CACHE and ``AxPROT`` is PROT, always; locks, QoS and regions are not used.

What it asks of memory: a write is answered when loads that are accepted later see it; SLVERR and DECERR are errors of
the beat, or of the write burst, that they come with. Requests in flight are forgotten in a reset, so both sides are
reset together.
"""

from enum import IntEnum

from amaranth.lib.wiring import In, Member, Out, Signature

__all__ = ["CACHE", "FIXED", "PROT", "SIZE", "Axi4Signature", "Burst", "Response"]

SIZE = 3
"""AxSIZE: log2 of the bytes of a beat."""
CACHE = 0b0010
"""AxCACHE: normal, not cacheable, not bufferable: the memory itself answers."""
PROT = 0b000
"""AxPROT: unprivileged, secure, data; the same for every master behind the port."""


class Burst(IntEnum):
    """AxBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(IntEnum):
    """RRESP and BRESP; the upper bit says error."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


FIXED = {
    f"{channel}{name}": value
    for channel in ("aw", "ar")
    for name, value in (("size", SIZE), ("burst", Burst.INCR), ("cache", CACHE), ("prot", PROT))
} | {"rready": 1, "bready": 1}
"""Outputs of a master that never change."""


class Axi4Signature(Signature):
    """The port, seen from the master.

    Parameters:
        addr_bits: width of addresses, bits (4 KiB pages: at least 12, at most 64).
        id_bits: width of ids, bits (1 to 32).
    """

    def __init__(self, addr_bits: int, id_bits: int) -> None:
        if not 12 <= addr_bits <= 64:
            raise ValueError(f"addr_bits must be in 12..64, not {addr_bits!r}")
        if not 1 <= id_bits <= 32:
            raise ValueError(f"id_bits must be in 1..32, not {id_bits!r}")
        self.addr_bits, self.id_bits = addr_bits, id_bits
        address = {"id": id_bits, "addr": addr_bits, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3}
        members: dict[str, Member] = {}
        for channel in ("aw", "ar"):
            members |= {f"{channel}{name}": Out(bits) for name, bits in {"valid": 1, **address}.items()}
            members[f"{channel}ready"] = In(1)
        super().__init__(
            members
            | {
                "wvalid": Out(1),
                "wready": In(1),
                "wdata": Out(64),
                "wstrb": Out(8),
                "wlast": Out(1),
                "bvalid": In(1),
                "bready": Out(1),
                "bid": In(id_bits),
                "bresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
                "rid": In(id_bits),
                "rdata": In(64),
                "rresp": In(2),
                "rlast": In(1),
            }
        )

    def __eq__(self, other: object) -> bool:
        mine = (self.addr_bits, self.id_bits)
        return isinstance(other, Axi4Signature) and mine == (other.addr_bits, other.id_bits)

    def __hash__(self) -> int:
        return hash((self.addr_bits, self.id_bits))
