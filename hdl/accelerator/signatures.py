"""Interfaces between the units of the accelerator.

Members that only go one way, without a ``ready``, are pulses or values that the receiver takes in the same cycle. Data
of a memory follow one cycle after what asks for them unless an interface says otherwise.
"""

from amaranth import signed, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from golden.config import BANK_LANES, LISTED_STEPS, AcceleratorConfig
from golden.isa import GROUP_SIZE_BITS, GROUP_SIZES, Counter, Error
from hdl.accelerator.layout import (
    GATE_BITS,
    HALVES,
    SUM_BITS,
    TAG_BITS,
    WORD_ADDRESS_BITS,
    Kind,
    Widths,
    item_layout,
    step_layout,
)


class MatrixSignature(Signature):
    """How a matrix is packed: as a ``stream`` or else eSELL; of a stream ``narrow``, of 8-bit entries, else of 16;
    ``gap_bits``, width of its gaps; ``single``: a unit is one column, not a block of 4."""

    def __init__(self) -> None:
        super().__init__({"stream": Out(1), "narrow": Out(1), "gap_bits": Out(3), "single": Out(1)})


class ParametersSignature(Signature):
    """What a run needs to know; stable while it lasts. Sizes in blocks of 4 elements, addresses in words.

    ``list``: its groups have the ``sizes``; ``w_known``: the lengths of W's units are at ``w_offsets``.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        w = Widths(cfg)
        super().__init__(
            {
                "x_blocks": Out(w.x_blocks),
                "h_blocks": Out(w.h_blocks),
                "steps": Out(w.t),
                "n_fuse": Out(w.fuse),
                "threshold": Out(31),
                "w": Out(WORD_ADDRESS_BITS),
                "u": Out(WORD_ADDRESS_BITS),
                "u_offsets": Out(WORD_ADDRESS_BITS),
                "bias": Out(WORD_ADDRESS_BITS),
                "x": Out(WORD_ADDRESS_BITS),
                "h": Out(WORD_ADDRESS_BITS),
                "state": Out(WORD_ADDRESS_BITS),
                "h_seq": Out(1),
                "h_pruned": Out(1),
                "state_in": Out(1),
                "state_out": Out(1),
                "list": Out(1),
                "sizes": Out(unsigned(GROUP_SIZE_BITS)).array(GROUP_SIZES),
                "x_skip": Out(1),
                "w_offsets": Out(WORD_ADDRESS_BITS),
                "w_known": Out(1),
                "w_matrix": Out(MatrixSignature()),
                "u_matrix": Out(MatrixSignature()),
                "tables": Out(WORD_ADDRESS_BITS),
            }
        )


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


class HeadSignature(Signature):
    """``valid`` pulses for each head that a decoder takes; ``values``: the value words that follow it."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "values": Out(4)})


class BankSignature(Signature):
    """Words for one bank of sums, seen from who issues them.

    Parameters:
        depth: row groups in each memory of the bank.
        memories: memories of the bank.
        mark: shape of what travels beside the words.

    With ``issue`` a PE takes ``item``; its sums are in row group ``addr`` of memory ``memory``, or each value's in one
    of its own. ``operands`` is the block that it meets, one cycle later. ``mark`` comes back as ``marked`` when the
    words that were issued before it are in the sums: LANE_LATENCY cycles later.

    ``read`` reads ``read_addr`` of ``read_memory``: a row group of sums follows one cycle later and holds until the
    memory is used again. It must not come two cycles after an issue for the same memory, which is when that fetches.
    ``read_clears``: which quarters of it then become zero.

    ``clear`` makes the first ``clear_rows`` row groups of ``clear_memory`` zero; until then, as long as ``clearing`` is
    high, they must not be used.

    ``overflow`` pulses a cycle after a product or a sum left the 32-bit range.
    """

    def __init__(self, cfg: AcceleratorConfig, depth: int, *, memories: int = 1, mark: ShapeLike = 1) -> None:
        memory = range(max(2, memories))
        addr = range(max(2, depth))
        super().__init__(
            {
                "item": Out(item_layout(cfg)),
                "issue": Out(1),
                "memory": Out(memory),
                "addr": Out(addr).array(cfg.entries if cfg.streams else 1),
                "operands": Out(HALVES),
                "mark": Out(mark),
                "marked": In(mark),
                "read": Out(1),
                "read_memory": Out(memory),
                "read_addr": Out(addr),
                "read_clears": Out(4),
                "sums": In(signed(SUM_BITS)).array(BANK_LANES),
                "clear": Out(1),
                "clear_memory": Out(memory),
                "clear_rows": Out(range(depth + 1)),
                "clearing": In(1),
                "overflow": In(1),
            }
        )


def w_bank_signature(cfg: AcceleratorConfig) -> BankSignature:
    """A bank of W x; ``mark``: that a group of steps ended."""
    return BankSignature(cfg, cfg.bank_slots * cfg.row_groups)


def u_bank_signature(cfg: AcceleratorConfig) -> BankSignature:
    """The bank of U h; ``mark``: that a step ended, and whether it had no column."""
    mark = data.StructLayout({"end": unsigned(1), "empty": unsigned(1)})
    return BankSignature(cfg, cfg.row_groups, memories=2, mark=mark)


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


class WeightSumsSignature(Signature):
    """A read of row group ``addr`` of a bank of W x, seen from the reader; ``sums`` follow three cycles later, for one
    cycle. ``clears``: the quarters of it that are not read again."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        w = Widths(cfg)
        super().__init__(
            {
                "read": Out(1),
                "bank": Out(w.bank),
                "addr": Out(w.w_row),
                "clears": Out(4),
                "sums": In(signed(SUM_BITS)).array(BANK_LANES),
            }
        )


class RecurrentSumsSignature(Signature):
    """A read of 16 sums U s(h), seen from the reader; ``sums`` follow one cycle later and hold. ``clears``: the
    quarters of them that are not read again."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "read": Out(1),
                "half": Out(1),
                "row_group": Out(Widths(cfg).row_group),
                "clears": Out(4),
                "sums": In(signed(SUM_BITS)).array(BANK_LANES),
            }
        )


class StepSignature(Signature):
    """``done`` pulses when a step's sums U s(h) are complete; with ``empty`` they are zero and in no memory."""

    def __init__(self) -> None:
        super().__init__({"done": Out(1), "empty": Out(1)})


class WriteSignature(Signature):
    """A write to one row of a memory, seen from the writer."""

    def __init__(self, rows: int, shape: ShapeLike) -> None:
        super().__init__({"en": Out(1), "addr": Out(range(max(2, rows))), "data": Out(shape)})


class QuadSignature(Signature):
    """Blocks of gates, seen from the gate unit.

    ``done`` pulses a cycle before all four gates of the next block of units can be read, in order, at ``addr`` of the
    block number modulo 8; ``gates[gate][unit]``, in units of 2^-20, follows one cycle later.
    """

    def __init__(self) -> None:
        super().__init__({"done": Out(1), "addr": In(3), "gates": Out(signed(GATE_BITS)).array(4, 4)})


class UnitSignature(Signature):
    """Elements of h in ascending order: with ``valid`` one of them, ``h`` in fp16."""

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "h": Out(16)})


class KeepSignature(Signature):
    """Keep bits of h, seen from who holds it: ``published`` pulses, in order, a cycle before a block can be read."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"published": Out(1), "addr": In(Widths(cfg).h_blocks), "keep": Out(1)})


class BlockSignature(Signature):
    """A read of a block of s(h), seen from the reader; ``h`` holds until the next."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"en": Out(1), "addr": Out(Widths(cfg).h_blocks), "h": In(HALVES)})


class RowSignature(Signature):
    """The last two rows of h, seen from who holds them: ``done`` pulses when a row is complete.

    ``half`` and ``addr`` ask for a block of the one or the other, with its keep bit.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {"done": Out(1), "half": In(1), "addr": In(Widths(cfg).h_blocks), "keep": Out(1), "h": Out(HALVES)}
        )


class CellReadSignature(Signature):
    """A read of c of unit ``addr``, seen from the reader; only while no step is in work."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"read": Out(1), "addr": Out(range(cfg.max_h)), "c": In(signed(SUM_BITS))})


class ProgressSignature(Signature):
    """``rows`` of h that are stored, or need not be; ``finished`` rises after the last answer."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__({"rows": Out(Widths(cfg).t), "finished": Out(1)})


class FaultSignature(Signature):
    """Errors that a unit can find, a pulse each, under their names in lower case."""

    def __init__(self, *errors: Error) -> None:
        super().__init__({error.name.lower(): Out(1) for error in errors})


class EventSignature(Signature):
    """What counters grow by in this cycle, under their names in lower case.

    Parameters:
        most: the most that a counter grows by in a cycle, for those that can by more than 1.
    """

    def __init__(self, *counters: Counter, most: dict[Counter, int] | None = None) -> None:
        limits = most or {}
        super().__init__({counter.name.lower(): Out(range(limits.get(counter, 1) + 1)) for counter in counters})


class DatapathSignature(Signature):
    """What the datapath says to the front end: how far it is, what it found wrong, what it did in this cycle.

    A counter that several units name grows by the sum.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "progress": Out(ProgressSignature(cfg)),
                "faults": Out(Signature({name: Out(faults) for name, faults in UNIT_FAULTS.items()})),
                "events": Out(Signature({name: Out(events) for name, events in unit_events(cfg).items()})),
            }
        )


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


UNIT_FAULTS: dict[str, FaultSignature] = {
    "weights": FaultSignature(Error.BAD_X, Error.BAD_WEIGHT, Error.BAD_FORMAT, Error.ACC_OVERFLOW),
    "recurrent": FaultSignature(
        Error.BAD_BIAS, Error.BAD_STATE, Error.BAD_WEIGHT, Error.BAD_FORMAT, Error.ACC_OVERFLOW
    ),
    "gates": FaultSignature(Error.ACC_OVERFLOW),
}
"""What each unit of the datapath can find wrong."""


def unit_events(cfg: AcceleratorConfig) -> dict[str, EventSignature]:
    """What each unit of the datapath counts."""
    return {
        "weights": EventSignature(
            Counter.W_WORDS, Counter.X_WORDS, Counter.W_BUSY, Counter.W_STOLEN, Counter.W_STARVED, Counter.W_IDLE,
            Counter.PE_BUSY, most={Counter.PE_BUSY: cfg.w_pes},
        ),
        "recurrent": EventSignature(
            Counter.U_WORDS, Counter.SETUP_WORDS, Counter.KEPT_BLOCKS, Counter.SKIPPED_BLOCKS, Counter.U_STARVED,
            Counter.U_IDLE, Counter.PE_BUSY,
        ),
        "gates": EventSignature(Counter.GATE_BUSY, Counter.GATE_WAIT_W, Counter.GATE_WAIT_STORE, Counter.GATE_IDLE),
        "store": EventSignature(Counter.STORE_WORDS),
    }  # fmt: skip
