"""Words on their way to memory and back."""

from amaranth import unsigned
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, Signature

from golden.config import AcceleratorConfig
from golden.isa import Counter, Error
from hdl.accelerator.layout import (
    WORD_ADDRESS_BITS,
    Kind,
    Widths,
)
from hdl.accelerator.signatures.run import EventSignature, FaultSignature


class OfferSignature(Signature):
    """A burst that a requester offers: up to 16 consecutive words that do not cross a 128-byte boundary.

    Unlike a stream, an offer is made anew every cycle: it may grow, change or go until the cycle in which ``taken``
    is high. ``index`` belongs to the first word and counts up with the words.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "addr": Out(WORD_ADDRESS_BITS),
                "words": Out(5),
                "kind": Out(Kind),
                "index": Out(Widths(cfg).index),
                "taken": In(1),
            }
        )


class FillSignature(Signature):
    """A loaded word on its way to the buffer that asked for it; it cannot be refused."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "kind": Out(Kind),
                "index": Out(Widths(cfg).index),
                "data": Out(64),
            }
        )


class StoreSignature(Signature):
    """Words to store, in the order of the bursts that ask for them; ``stored`` pulses for each answered one."""

    def __init__(self) -> None:
        super().__init__({"data": Out(stream.Signature(unsigned(64))), "stored": In(1)})


class RingSpaceSignature(Signature):
    """Room in a ring, seen from it: for a burst of any length while ``roomy``, from ``next_index`` on; ``alloc`` takes
    entries."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        w = Widths(cfg)
        super().__init__({"next_index": Out(w.ring), "roomy": Out(1), "alloc": In(5)})


class AdapterSignature(Signature):
    """What a memory adapter and the front end say to each other.

    While ``stop`` is high nothing new is requested; ``idle``: everything is answered and no fill is on its way.
    ``faults`` pulse for answers with an error. Of ``events`` one is high in every cycle.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "stop": In(1),
                "idle": Out(1),
                "faults": Out(FaultSignature(Error.MEM_READ, Error.MEM_WRITE)),
                "events": Out(
                    EventSignature(Counter.PORT_BUSY, Counter.PORT_STALLED, Counter.PORT_FULL, Counter.PORT_IDLE)
                ),
            }
        )
