"""Which of the faults of one cycle a run ends with."""

from amaranth import Cat, Module
from amaranth.lib.wiring import In, Out, Signature

from golden.config import AcceleratorConfig
from golden.isa import Error
from hdl.accelerator.signatures import AdapterSignature, unit_faults
from hdl.common.component import Component

PRIORITY = (
    # the memory's word on its own answers comes before what the datapath makes of the data
    Error.MEM_READ,
    Error.MEM_WRITE,
    Error.BAD_FORMAT,
    Error.BAD_WEIGHT,
    Error.BAD_BIAS,
    Error.BAD_X,
    Error.BAD_STATE,
    Error.ACC_OVERFLOW,
)
"""The first that a unit reports wins."""


class FaultEncoder(Component):
    """``error`` is high one cycle after any unit of the ``datapath``, or the ``memory`` adapter, found something wrong.

    ``code`` is then the fault's number; of several in one cycle one is reported.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "datapath": In(Signature({name: Out(faults) for name, faults in unit_faults(cfg).items()})),
                "memory": In(AdapterSignature().members["faults"].signature),
                "error": Out(1),
                "code": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units = [self.memory, *(getattr(self.datapath, name) for name in unit_faults(self.cfg))]
        m.d.sync += self.error.eq(0)
        for error in reversed(PRIORITY):
            name = error.name.lower()
            found = [getattr(unit, name) for unit in units if name in unit.signature.members]
            with m.If(Cat(found).any()):
                m.d.sync += [self.error.eq(1), self.code.eq(error)]
        return m
