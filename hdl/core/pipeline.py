"""What the stages of the pipeline say to each other."""

from amaranth import unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Out, Signature

from hdl.core.decoder import Decoded, Instruction

__all__ = ["BypassSignature", "Executed", "FaultSignature", "Issued", "WriteSignature"]


Issued = data.StructLayout(
    {
        "pc": unsigned(64),
        "insn": Instruction,
        "fetch_error": unsigned(1),
        "decoded": Decoded,
        "a": unsigned(64),
        "b": unsigned(64),
        "rs2": unsigned(64),
        "target": unsigned(64),
    }
)
"""An instruction on its way from D to X.

``pc``: its address in bytes; ``insn``: its word; ``fetch_error``: its fetch was answered with an error, so nothing
but ``pc`` means anything; ``decoded``: what to do; ``a`` and ``b``: the ALU's operands; ``rs1`` is ``a`` where it
is used, ``rs2``: the second register, 0 if not used; ``target``: where branches, JAL and FENCE.I go.
"""


Executed = data.StructLayout(
    {
        "trapped": unsigned(1),
        "memory": unsigned(1),
        "load": unsigned(1),
        "multiply": unsigned(1),
        "uncounted": unsigned(1),
        "write_rd": unsigned(1),
        "rd": unsigned(5),
        "value": unsigned(64),
        "pc": unsigned(64),
        "address": unsigned(64),
        "funct3": unsigned(3),
    }
)
"""An instruction on its way from X to M.

``trapped``: it has trapped and has no effect any more; ``memory``: it waits for the data bus; ``load``: what comes
from there is its value; ``multiply``: the product is; otherwise ``value``. ``uncounted``: minstret does not count
it, for it has written that register. ``write_rd``, ``rd``: the register to write. ``pc``, ``address`` (bytes) and
``funct3`` are the instruction's.
"""


class BypassSignature(Signature):
    """What a stage is about to write, seen from it: ``writes`` register ``rd``, with ``value`` once ``known``."""

    def __init__(self) -> None:
        super().__init__({"writes": Out(1), "rd": Out(5), "known": Out(1), "value": Out(64)})


class WriteSignature(Signature):
    """A write to the register file, seen from the writer: ``value`` to register ``rd``, not x0, while ``en``."""

    def __init__(self) -> None:
        super().__init__({"en": Out(1), "rd": Out(5), "value": Out(64)})


class FaultSignature(Signature):
    """The access fault of the instruction in M, seen from M: ``raised`` for one cycle, with the instruction's ``pc``,
    the ``address`` in bytes that it wanted, and whether it is a ``load``."""

    def __init__(self) -> None:
        super().__init__({"raised": Out(1), "load": Out(1), "pc": Out(64), "address": Out(64)})
