"""What a run needs to know, and what units say of it: how far it is, what is wrong, what they did."""

from amaranth import unsigned
from amaranth.lib.wiring import Out, Signature

from golden.config import BLOCK_COLS, AcceleratorConfig
from golden.isa import GROUP_SIZE_BITS, GROUP_SIZES, Counter, Error
from hdl.accelerator.layout import (
    WORD_ADDRESS_BITS,
    Widths,
)


class MatrixSignature(Signature):
    """How a matrix is packed: as a ``stream`` or else eSELL; of a stream ``narrow``, of 8-bit entries, else of 16;
    ``gap_bits``, width of its gaps; ``single``: a unit is one column, not a block of 4."""

    def __init__(self) -> None:
        super().__init__({"stream": Out(1), "narrow": Out(1), "gap_bits": Out(3), "single": Out(1)})


class ParametersSignature(Signature):
    """What a run needs to know; stable while it lasts. Sizes in blocks of 4 elements, addresses in words.

    ``list``: its groups have the ``sizes``; ``w_known``: the lengths of W's units are at ``w_offsets``; ``delta``:
    changes of h are sent; ``x_format``: an InputFormat; ``h_fp16``: rows of h are stored as fp16.
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
                "delta": Out(1),
                "x_threshold": Out(31),
                "x_format": Out(2),
                "h_fp16": Out(1),
            }
        )


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


def unit_faults(cfg: AcceleratorConfig) -> dict[str, FaultSignature]:
    """What each unit of the datapath can find wrong."""
    of_words = Error.BAD_BIAS, Error.BAD_STATE, Error.BAD_WEIGHT, Error.BAD_FORMAT, Error.ACC_OVERFLOW
    gates = FaultSignature(Error.ACC_OVERFLOW)
    if cfg.events:
        return {"inputs": FaultSignature(Error.BAD_X), "path": FaultSignature(*of_words), "gates": gates}
    return {
        "weights": FaultSignature(Error.BAD_X, Error.BAD_WEIGHT, Error.BAD_FORMAT, Error.ACC_OVERFLOW),
        "recurrent": FaultSignature(*of_words),
        "gates": gates,
    }


def unit_events(cfg: AcceleratorConfig) -> dict[str, EventSignature]:
    """What each unit of the datapath counts."""
    common = {
        "gates": EventSignature(Counter.GATE_BUSY, Counter.GATE_WAIT_W, Counter.GATE_WAIT_STORE, Counter.GATE_IDLE),
        "store": EventSignature(Counter.STORE_WORDS),
    }
    units = (Counter.KEPT_BLOCKS, Counter.SKIPPED_BLOCKS, Counter.X_SENT, Counter.X_SKIPPED)
    if cfg.events:
        return {
            "inputs": EventSignature(Counter.X_WORDS),
            "path": EventSignature(
                Counter.W_WORDS, Counter.W_BUSY, Counter.W_STARVED, Counter.W_IDLE, Counter.U_WORDS,
                Counter.SETUP_WORDS, Counter.U_STARVED, Counter.U_IDLE, Counter.PE_BUSY, *units,
                most=dict.fromkeys(units, BLOCK_COLS),
            ),
            **common,
        }  # fmt: skip
    return {
        "weights": EventSignature(
            Counter.W_WORDS, Counter.X_WORDS, Counter.W_BUSY, Counter.W_STOLEN, Counter.W_STARVED, Counter.W_IDLE,
            Counter.PE_BUSY, most={Counter.PE_BUSY: cfg.w_banks},
        ),
        "recurrent": EventSignature(
            Counter.U_WORDS, Counter.SETUP_WORDS, Counter.KEPT_BLOCKS, Counter.SKIPPED_BLOCKS, Counter.U_STARVED,
            Counter.U_IDLE, Counter.PE_BUSY, most=dict.fromkeys(units[:2], BLOCK_COLS) if cfg.delta else None,
        ),
        **common,
    }  # fmt: skip


class DatapathSignature(Signature):
    """What the datapath says to the front end: how far it is, what it found wrong, what it did in this cycle.

    A counter that several units name grows by the sum.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        super().__init__(
            {
                "progress": Out(ProgressSignature(cfg)),
                "faults": Out(Signature({name: Out(faults) for name, faults in unit_faults(cfg).items()})),
                "events": Out(Signature({name: Out(events) for name, events in unit_events(cfg).items()})),
            }
        )
