"""How memory behaves, at the ports of the bare designs and at the SoC's."""

from dataclasses import dataclass
from typing import Literal


def check_timing(latency: int, jitter: int, stall_permille: int) -> None:
    """Raise ValueError naming the number that no memory here can have."""
    for name, value, low, high in (
        ("latency", latency, 1, 10_000),
        ("jitter", jitter, 0, 10_000),
        ("stall_permille", stall_permille, 0, 999),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {value}")


@dataclass(frozen=True)
class MemoryTiming:
    """How memory behaves.

    Attributes:
        latency: cycles from a request's acceptance to its response, at least 1.
        jitter: up to that many cycles are added to each response, at random.
        order: "fifo" keeps responses in order; "random" lets jitter reorder them. One response per cycle either way.
        stall_permille: probability, in 1/1000, that a cycle accepts no request.
        seed: of all of the above.
    """

    latency: int = 8
    jitter: int = 0
    order: Literal["fifo", "random"] = "fifo"
    stall_permille: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        check_timing(self.latency, self.jitter, self.stall_permille)
        if self.order not in ("fifo", "random"):
            raise ValueError(f"order must be 'fifo' or 'random', not {self.order!r}")


@dataclass(frozen=True)
class AxiTiming:
    """How the memory behaves.

    Attributes:
        latency: cycles from a read address, or the end of a write, to its first answer, at least 1.
        jitter: up to that many cycles more, at random, for each burst.
        order: of read beats: "fifo" burst by burst as asked; "bursts" whole bursts in the order they become due;
            "beats" any beat that is due of any burst, at random.
        stall_permille: probability, in 1/1000, that a channel is not ready, or does not answer, in a cycle.
        writes: "together" takes addresses and data as they come; "address first" takes data only behind their address;
            "data first" takes an address only when data are waiting.
        seed: of all of the above.

    Raises ValueError naming the number that is out of range.
    """

    latency: int = 8
    jitter: int = 0
    order: Literal["fifo", "bursts", "beats"] = "fifo"
    stall_permille: int = 0
    writes: Literal["together", "address first", "data first"] = "together"
    seed: int = 1

    def __post_init__(self) -> None:
        check_timing(self.latency, self.jitter, self.stall_permille)
