"""The rules of the AXI4 port, checked cycle by cycle; plain Python, for any simulator that can show the wires.

``MASTER`` and ``SLAVE`` name the wires of each side. A wire that is beside a low ``valid`` may be missing in a sample.
"""

from collections import deque
from collections.abc import Mapping

from hdl.axi4 import CACHE, PROT, SIZE, Burst

_ADDRESS = ("id", "addr", "len", "size", "burst", "cache", "prot")
PAYLOADS: dict[str, tuple[str, ...]] = {
    "aw": tuple(f"aw{name}" for name in _ADDRESS),
    "w": ("wdata", "wstrb", "wlast"),
    "b": ("bid", "bresp"),
    "ar": tuple(f"ar{name}" for name in _ADDRESS),
    "r": ("rid", "rdata", "rresp", "rlast"),
}
"""What is beside ``valid`` on each channel."""
_OF_MASTER = ("aw", "w", "ar")
MASTER = tuple(name for c in PAYLOADS for name in ((f"{c}valid", *PAYLOADS[c]) if c in _OF_MASTER else (f"{c}ready",)))
SLAVE = tuple(name for c in PAYLOADS for name in ((f"{c}ready",) if c in _OF_MASTER else (f"{c}valid", *PAYLOADS[c])))

PAGE = 4096
BEAT_BYTES = 1 << SIZE
MAX_BEATS = 16
KEPT = 20


class AxiChecker:
    """Give it every cycle, in order; ``violations`` says what was wrong, in words, the first few.

    Attributes:
        reads: read bursts accepted and not finished, {id: beats left}.
        most_read_bursts, most_read_beats: the most of them at once, and of the beats they lacked.
        read_beats, write_beats: transferred in all.
    """

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.reads: dict[int, int] = {}
        self.most_read_bursts = self.most_read_beats = 0
        self.read_beats = self.write_beats = 0
        self._cycle = 0
        self._waiting: dict[str, tuple[int, ...]] = {}
        # write bursts: addresses without all of their data, data without an address, complete ones without an answer
        self._addresses: deque[tuple[int, int]] = deque()
        self._data: deque[int] = deque()
        self._beats = 0
        self._unanswered: deque[int] = deque()

    @property
    def idle(self) -> bool:
        """Nothing is under way in either direction."""
        return not (self.reads or self._addresses or self._data or self._beats or self._unanswered or self._waiting)

    def sample(self, wires: Mapping[str, int]) -> None:
        """One cycle, out of reset."""
        for channel, names in PAYLOADS.items():
            payload = tuple(wires[name] for name in names) if wires[f"{channel}valid"] else None
            held = self._waiting.pop(channel, None)
            if held is not None and payload != held:
                self._note(f"{channel} changed or went away before it was taken: {held} became {payload}")
            if payload is not None and not wires[f"{channel}ready"]:
                self._waiting[channel] = payload
        for channel in ("r", "b"):
            if not wires[f"{channel}ready"]:
                self._note(f"{channel}ready is low")
        # answers first: none may belong to what is accepted in the same cycle
        if wires["rvalid"] and wires["rready"]:
            self._read_beat(wires["rid"], wires["rlast"])
        if wires["bvalid"] and wires["bready"]:
            self._answer(wires["bid"])
        if wires["arvalid"] and wires["arready"]:
            self._address("ar", wires)
            if wires["arid"] in self.reads:
                self._note(f"arid {wires['arid']} is used again before its last beat")
            self.reads[wires["arid"]] = wires["arlen"] + 1
            self.most_read_bursts = max(self.most_read_bursts, len(self.reads))
            self.most_read_beats = max(self.most_read_beats, sum(self.reads.values()))
        if wires["awvalid"] and wires["awready"]:
            self._address("aw", wires)
            self._addresses.append((wires["awid"], wires["awlen"] + 1))
        if wires["wvalid"] and wires["wready"]:
            self.write_beats += 1
            self._beats += 1
            if wires["wlast"]:
                self._data.append(self._beats)
                self._beats = 0
        if self._addresses and self._beats >= self._addresses[0][1]:
            self._note(f"no wlast at beat {self._addresses[0][1]}")
        while self._addresses and self._data:
            (identifier, beats), sent = self._addresses.popleft(), self._data.popleft()
            if beats != sent:
                self._note(f"wlast at beat {sent} of {beats}")
            self._unanswered.append(identifier)
        self._cycle += 1

    def finish(self) -> None:
        """After the last cycle: nothing may be under way."""
        if not self.idle:
            self._note(f"{len(self.reads)} reads and {len(self._unanswered) + len(self._addresses)} writes are left")

    def _note(self, text: str) -> None:
        if len(self.violations) < KEPT:
            self.violations.append(f"cycle {self._cycle}: {text}")

    def _address(self, channel: str, wires: Mapping[str, int]) -> None:
        address, beats = wires[f"{channel}addr"], wires[f"{channel}len"] + 1
        fixed = {"size": SIZE, "burst": Burst.INCR, "cache": CACHE, "prot": PROT}
        for name, expected in fixed.items():
            if wires[channel + name] != expected:
                self._note(f"{channel}{name} is {wires[channel + name]}, not {expected}")
        if address % BEAT_BYTES:
            self._note(f"{channel}addr {address:#x} is no multiple of {BEAT_BYTES}")
        if beats > MAX_BEATS:
            self._note(f"{channel} asks for {beats} beats")
        if address // PAGE != (address + BEAT_BYTES * beats - 1) // PAGE:
            self._note(f"{channel} burst of {beats} beats at {address:#x} crosses a 4 KiB boundary")

    def _read_beat(self, identifier: int, last: int) -> None:
        self.read_beats += 1
        if identifier not in self.reads:
            self._note(f"r beat with id {identifier}, which no burst in flight has")
            return
        self.reads[identifier] -= 1
        left = self.reads[identifier]
        if bool(last) != (left == 0):
            self._note(f"rlast is {last} with {left} beats of id {identifier} to come")
        if last or not left:
            del self.reads[identifier]

    def _answer(self, identifier: int) -> None:
        if identifier not in self._unanswered:
            self._note(f"b with id {identifier} before the end of any such write")
            return
        self._unanswered.remove(identifier)
