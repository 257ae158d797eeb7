"""Inside the W path: columns, inputs and groups of time steps."""

from amaranth.lib.wiring import In, Out, Signature

from golden.config import LISTED_STEPS, AcceleratorConfig
from hdl.accelerator.layout import (
    HALVES,
    TAG_BITS,
    Widths,
    step_layout,
)


class HeadSignature(Signature):
    """``valid`` pulses for each head that a decoder takes; ``values``: the value words that follow it."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "values": Out(4)})


class InputReadSignature(Signature):
    """A read of the x of one bank, seen from the reader: with ``en`` block ``addr`` of four fp16 as ``operands``, one
    cycle later."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        w = Widths(cfg)
        super().__init__(
            {
                "en": Out(1),
                "addr": Out(w.x_row),
                "operands": In(HALVES),
            }
        )


class LookSignature(Signature):
    """A look at the x of one bank, seen from the reader: which of the four values of block ``addr`` are not 0 is
    ``nonzero``, one cycle later."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"addr": Out(Widths(cfg).x_row), "nonzero": In(4)})


class StepsSignature(Signature):
    """Steps of one bank that a unit of W is for, seen from who finds them: with ``en`` row ``place`` of list ``tag``
    is written, ``sums`` and ``x`` being the first rows of the step's sums and inputs."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "en": Out(1),
                "tag": Out(TAG_BITS),
                "place": Out(range(LISTED_STEPS)),
                "step": Out(step_layout(cfg)),
            }
        )


class GroupsSignature(Signature):
    """Groups of time steps, seen from the W path.

    ``size``: steps of the group whose sums are read, or will be next; ``ready``: all of them are complete. ``next``
    goes on to the group after it. ``free`` pulses when the sums of a step have been read, with ``last`` if it was the
    last of its group.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "size": Out(Widths(cfg).group),
                "ready": Out(1),
                "next": In(1),
                "free": In(1),
                "last": In(1),
            }
        )
