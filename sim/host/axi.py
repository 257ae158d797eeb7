"""A memory with an AXI4 port, in plain Python and as unhelpful as the protocol allows.

Each cycle: ``drive()`` gives the slave's wires, which depend on former cycles only; ``sample()`` takes the master's.
``harness/axi.h`` is the same memory in C++: for the same master and timing both take exactly the same cycles.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hdl.axi4 import SIZE, Response
from sim.host.memory import Image, Random
from sim.protocol.timing import AxiTiming

_MASK64 = 2**64 - 1


def _response(exists: bool, error: bool) -> int:
    if not error:
        return Response.OKAY
    return Response.SLVERR if exists else Response.DECERR


@dataclass
class _Read:
    identifier: int
    due: int
    beats: deque[tuple[int, int]]


class AxiMemory:
    """Holds an image. A load sees it as it is when its address is taken; a store is done when it is answered.

    Parameters:
        ram: addresses that the master may ask for; those that do not exist are answered with DECERR. Outside of it
            that is a violation, too. An error on purpose is SLVERR.
        stored: called for each word that was written, with id, address, data and strobes.
    """

    def __init__(
        self,
        image: Image,
        timing: AxiTiming = AxiTiming(),
        ram: range = range(0),
        stored: Callable[[int, int, int, int], None] = lambda identifier, address, data, strobes: None,
    ) -> None:
        self.image, self.timing, self.cycle = image, timing, 0
        self._ram, self._stored = ram, stored
        self._random = Random(timing.seed, 1)
        self._reads: list[_Read] = []
        self._addresses: deque[tuple[int, int, int]] = deque()
        self._data: deque[tuple[int, int, int]] = deque()
        self._bursts = 0
        self._answers: deque[tuple[int, int, int, list[tuple[int, int]]]] = deque()
        self._data_waiting = False
        self._driven: dict[str, int] = {}

    def drive(self) -> dict[str, int]:
        """The slave's wires in this cycle."""
        ready = {name: int(self._willing()) for name in ("arready", "awready", "wready")}
        if self.timing.writes == "address first":
            ready["wready"] &= len(self._addresses) > self._bursts
        elif self.timing.writes == "data first":
            ready["awready"] &= bool(self._data_waiting or self._data)
        self._driven = ready | self._r() | self._b()
        return self._driven

    def sample(self, master: Mapping[str, int]) -> None:
        """The master's wires in this cycle; ends it."""
        wires, now = self._driven, self.cycle
        if master["arvalid"] and wires["arready"]:
            beats: deque[tuple[int, int]] = deque()
            for i in range(master["arlen"] + 1):
                beats.append(self._load(master["araddr"] + (i << SIZE), now))
            self._reads.append(_Read(master["arid"], self._due(), beats))
        if master["awvalid"] and wires["awready"]:
            self._addresses.append((master["awid"], master["awaddr"], master["awlen"] + 1))
        self._data_waiting = bool(master["wvalid"]) and not wires["wready"]
        if master["wvalid"] and wires["wready"]:
            self._data.append((master["wdata"], master["wstrb"], master["wlast"]))
            self._bursts += master["wlast"]
        if self._addresses and self._bursts:
            identifier, address, _ = self._addresses.popleft()
            words = []
            while True:
                value, strobes, last = self._data.popleft()
                words.append((value, strobes))
                if last:
                    break
            self._bursts -= 1
            self._answers.append((identifier, self._due(), address, words))
        self.cycle += 1

    def _willing(self) -> bool:
        permille = self.timing.stall_permille
        return not permille or self._random.below(1000) >= permille

    def _due(self) -> int:
        jitter = self.timing.jitter
        return self.cycle + self.timing.latency + (self._random.below(jitter + 1) if jitter else 0)

    def _load(self, address: int, cycle: int) -> tuple[int, int]:
        exists = self.image.exists(address)
        if not exists and address in self._ram:
            return _MASK64, Response.DECERR
        answer = self.image.load(address, SIZE, cycle)
        return answer.data, _response(exists, answer.error)

    def _store(self, address: int, value: int, strobes: int) -> int:
        exists = self.image.exists(address)
        if not exists and address in self._ram:
            return Response.DECERR
        return _response(exists, self.image.store(address, SIZE, value, strobes, self.cycle).error)

    def _r(self) -> dict[str, int]:
        # masters are always ready, so what is shown is taken
        due = [read for read in self._reads if read.due <= self.cycle]
        if self.timing.order == "fifo":
            due = due[:1] if due and due[0] is self._reads[0] else []
        if not due or not self._willing():
            return {"rvalid": 0, "rid": 0, "rdata": _MASK64, "rresp": 3, "rlast": 1}
        if self.timing.order == "beats":
            read = due[self._random.below(len(due))]
        else:
            read = min(due, key=lambda read: read.due)
        value, response = read.beats.popleft()
        if not read.beats:
            self._reads.remove(read)
        return {"rvalid": 1, "rid": read.identifier, "rdata": value, "rresp": response, "rlast": int(not read.beats)}

    def _b(self) -> dict[str, int]:
        if not self._answers or self._answers[0][1] > self.cycle or not self._willing():
            return {"bvalid": 0, "bid": 0, "bresp": 3}
        identifier, _, address, words = self._answers.popleft()
        response: int = Response.OKAY
        for i, (value, strobes) in enumerate(words):
            if not strobes:
                continue
            one = self._store(address + (i << SIZE), value, strobes)
            if one == Response.OKAY:
                self._stored(identifier, address + (i << SIZE), value, strobes)
            response = max(response, one)
        return {"bvalid": 1, "bid": identifier, "bresp": response}
