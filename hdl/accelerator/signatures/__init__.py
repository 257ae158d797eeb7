"""Interfaces between the units of the accelerator.

Members that only go one way, without a ``ready``, are pulses or values that the receiver takes in the same cycle. Data
of a memory follow one cycle after what asks for them unless an interface says otherwise.
"""

from hdl.accelerator.signatures.port import (
    AdapterSignature,
    FillSignature,
    OfferSignature,
    RingSpaceSignature,
    StoreSignature,
)
from hdl.accelerator.signatures.run import (
    DatapathSignature,
    EventSignature,
    FaultSignature,
    MatrixSignature,
    ParametersSignature,
    ProgressSignature,
    unit_events,
    unit_faults,
)
from hdl.accelerator.signatures.sums import (
    BankSignature,
    RecurrentSumsSignature,
    StepSignature,
    WeightSumsSignature,
    u_bank_signature,
    w_bank_signature,
)
from hdl.accelerator.signatures.units import (
    BlockSignature,
    CellReadSignature,
    KeepSignature,
    QuadSignature,
    RowSignature,
    StateReadSignature,
    UnitGatesSignature,
    UnitSignature,
    WriteSignature,
)
from hdl.accelerator.signatures.weights import (
    GroupsSignature,
    HeadSignature,
    InputReadSignature,
    LookSignature,
    StepsSignature,
)

__all__ = [
    "AdapterSignature",
    "BankSignature",
    "BlockSignature",
    "CellReadSignature",
    "DatapathSignature",
    "EventSignature",
    "FaultSignature",
    "FillSignature",
    "GroupsSignature",
    "HeadSignature",
    "InputReadSignature",
    "KeepSignature",
    "LookSignature",
    "MatrixSignature",
    "OfferSignature",
    "ParametersSignature",
    "ProgressSignature",
    "QuadSignature",
    "RecurrentSumsSignature",
    "RingSpaceSignature",
    "RowSignature",
    "StateReadSignature",
    "StepSignature",
    "StepsSignature",
    "StoreSignature",
    "UnitGatesSignature",
    "UnitSignature",
    "WeightSumsSignature",
    "WriteSignature",
    "u_bank_signature",
    "unit_events",
    "unit_faults",
    "w_bank_signature",
]
