"""The core's ports, with their contracts in words.

All of them are plain: no bursts, no ids, no protocol of a particular bus. Addresses and sizes are in bytes. Nothing
transfers while reset is high, whatever the valid signals say.

Instruction bus. A request transfers when ``req_valid`` and ``req_ready`` are high. Until then the core may change the
address or take the request back (it does when a branch goes elsewhere). Every accepted request gets exactly one
response, in order, no earlier than the next cycle; responses are always accepted. At most ``FETCH_DEPTH`` requests
are outstanding. ``flush`` is high in the cycle in which a ``fence.i`` retires: whoever keeps copies of instructions
drops them before answering requests that are accepted in that cycle or later.

Data bus. ``req_valid`` stays up, with everything beside it, until ``req_ready``. Every accepted request, load or store,
gets exactly one response, no earlier than the next cycle; it is always accepted. At most one request is outstanding
when the next one is accepted in the cycle of its response, so ``req_valid`` may depend on ``resp_valid`` and
``resp_error`` of the same cycle. No request is speculative: each belongs to an instruction that retires or that traps
because of the answer. A store retires only after its response, therefore a RoCC command that follows a store sees the
memory it wrote, without a fence.

RoCC. ``cmd`` and ``resp`` as in `hdl.rocc`; ``mem`` is not here, for a coprocessor's memory port bypasses the core.
A command is issued when every older instruction has retired, and is withdrawn when an interrupt is taken first.
"""

from amaranth.lib.wiring import In, Out, Signature

from hdl.rocc import CommandSignature, ResponseSignature

__all__ = ["FETCH_DEPTH", "DataBusSignature", "InstructionBusSignature", "RoccControlSignature"]

FETCH_DEPTH = 4
"""Instructions fetched ahead, and requests outstanding on the instruction bus."""


class InstructionBusSignature(Signature):
    """32-bit reads at multiples of 4, seen from the core."""

    def __init__(self) -> None:
        super().__init__(
            {
                "req_valid": Out(1),
                "req_ready": In(1),
                "req_addr": Out(64),
                "flush": Out(1),
                "resp_valid": In(1),
                "resp_data": In(32),
                "resp_error": In(1),
            }
        )


class DataBusSignature(Signature):
    """Naturally aligned loads and stores of ``1 << req_size`` bytes, seen from the core.

    ``req_addr`` is the address of the first byte. ``req_data``, ``resp_data`` and ``req_mask`` (one bit a byte, also
    for loads) are lanes of the aligned 64-bit word that holds it.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "req_valid": Out(1),
                "req_ready": In(1),
                "req_addr": Out(64),
                "req_write": Out(1),
                "req_size": Out(2),
                "req_data": Out(64),
                "req_mask": Out(8),
                "resp_valid": In(1),
                "resp_data": In(64),
                "resp_error": In(1),
            }
        )


class RoccControlSignature(Signature):
    """The RoCC port without ``mem``, seen from the core."""

    def __init__(self) -> None:
        super().__init__(
            {
                "cmd": Out(CommandSignature()),
                "resp": In(ResponseSignature()),
                "busy": In(1),
                "interrupt": In(1),
                "exception": Out(1),
            }
        )
