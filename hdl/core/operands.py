"""Stage D: decode, and gather operands from the register file or from what later stages are about to write."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.decoder import Decoder, Instruction, Unit
from hdl.core.fetch import FetchedSignature
from hdl.core.pipeline import BypassSignature, Issued

__all__ = ["Operands"]


class Operands(Component):
    """Passes an instruction on when its operands are known and X has room for it. Combinational.

    ``fetched``: what F offers. ``rs1``, ``rs2``, ``value_1``, ``value_2``: the register file's read ports; ``awaited``:
    registers that RoCC responses will write. ``x``, ``m``: what X and M are about to write; ``x_awaits``: the
    instruction in X is a RoCC command whose response writes ``x.rd``. ``room``: X can take one; ``issue``: it takes
    ``issued`` in this cycle, if only to drop it.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "fetched": In(FetchedSignature()),
                "rs1": Out(5),
                "rs2": Out(5),
                "value_1": In(64),
                "value_2": In(64),
                "awaited": In(32),
                "x": In(BypassSignature()),
                "x_awaits": In(1),
                "m": In(BypassSignature()),
                "room": In(1),
                "issue": Out(1),
                "issued": Out(Issued),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = decoder = Decoder()
        x, fetched, d = self.x, self.fetched, decoder.out
        insn: Any = Signal(Instruction)
        m.d.comb += [
            insn.eq(fetched.insn),
            decoder.insn.eq(fetched.insn),
            self.rs1.eq(insn.rs1),
            self.rs2.eq(insn.rs2),
        ]

        hazards = []
        operands = []
        for i, (number, stored, used) in enumerate(
            ((insn.rs1, self.value_1, d.use_rs1), (insn.rs2, self.value_2, d.use_rs2)), 1
        ):
            operand = Signal(64, name=f"operand_{i}")
            hazard = Signal(name=f"hazard_{i}")
            from_x = Signal(name=f"from_x_{i}")
            from_m = Signal(name=f"from_m_{i}")
            from_file = Signal(name=f"from_file_{i}")
            in_m = self.m.writes & (self.m.rd == number)
            m.d.comb += [
                # x0 is never about to be written
                from_x.eq(x.writes & (x.rd == number)),
                from_m.eq(in_m & ~from_x),
                from_file.eq((number != 0) & ~from_x & ~from_m),
                # at most one of them, so that the values, which settle last, pass the fewest gates; an operand that is
                # not used reads as 0, for the RoCC port and the trace
                operand.eq(
                    (
                        (x.value & from_x.replicate(64))
                        | (self.m.value & from_m.replicate(64))
                        | (stored & from_file.replicate(64))
                    )
                    & used.replicate(64)
                ),
                # while M waits, X has no room, so that X is about to write the same register makes no difference
                hazard.eq(used & ((from_x & ~x.known) | (in_m & ~self.m.known) | self.awaited.bit_select(number, 1))),
            ]
            hazards.append(hazard)
            operands.append(operand)

        # a register that a response will write may be neither read nor written before
        responds = (d.unit == Unit.ROCC) & insn.funct3[2]
        touches = Cat(d.use_rs1 & (insn.rs1 == x.rd), d.use_rs2 & (insn.rs2 == x.rd), insn.rd == x.rd).any()
        hazards.append(self.x_awaits & touches)
        hazards.append((d.write_rd | responds) & self.awaited.bit_select(insn.rd, 1))

        issued = self.issued
        m.d.comb += [
            fetched.ready.eq(self.room & ~Cat(hazards).any()),
            self.issue.eq(fetched.valid & fetched.ready),
            issued.pc.eq(fetched.pc),
            issued.insn.eq(insn),
            issued.fetch_error.eq(fetched.error),
            issued.decoded.eq(d),
            # what takes the pc reads no register
            issued.a.eq(operands[0] | (fetched.pc & d.a_pc.replicate(64))),
            issued.b.eq(Mux(d.b_rs2, operands[1], d.immediate)),
            issued.rs2.eq(operands[1]),
            issued.target.eq(fetched.pc + decoder.offset),
        ]
        return m
