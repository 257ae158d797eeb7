"""The instruction decoder: 32 bits in, what to do out. What RV64IM_Zicsr_Zifencei and RoCC do not define is illegal."""

from typing import Any

from amaranth import C, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum
from amaranth.lib.wiring import In, Out

from hdl.common.component import Component
from hdl.core.units.alu import AluOp, sign_extend

__all__ = ["Decoded", "Decoder", "Instruction", "Unit"]


Instruction = data.StructLayout(
    {
        "opcode": unsigned(7),
        "rd": unsigned(5),
        "funct3": unsigned(3),
        "rs1": unsigned(5),
        "rs2": unsigned(5),
        "funct7": unsigned(7),
    }
)
"""The fields of a 32-bit instruction that stand in one place in all formats that have them."""


class Opcode(enum.IntEnum):
    """Bits 6:0."""

    LOAD = 0x03
    CUSTOM_0 = 0x0B
    MISC_MEM = 0x0F
    OP_IMM = 0x13
    AUIPC = 0x17
    OP_IMM_32 = 0x1B
    STORE = 0x23
    CUSTOM_1 = 0x2B
    OP = 0x33
    LUI = 0x37
    OP_32 = 0x3B
    CUSTOM_2 = 0x5B
    BRANCH = 0x63
    JALR = 0x67
    JAL = 0x6F
    SYSTEM = 0x73
    CUSTOM_3 = 0x7B


ECALL, EBREAK, MRET, WFI = 0x0000_0073, 0x0010_0073, 0x3020_0073, 0x1050_0073


class Unit(enum.Enum, shape=4):
    """What executes the instruction."""

    ALU = 0
    BRANCH = 1
    JAL = 2
    JALR = 3
    LOAD = 4
    STORE = 5
    MUL = 6
    DIV = 7
    CSR = 8
    ROCC = 9
    FENCE = 10
    FENCE_I = 11
    ECALL = 12
    EBREAK = 13
    MRET = 14
    WFI = 15


Decoded = data.StructLayout(
    {
        "unit": Unit,
        "illegal": unsigned(1),
        "use_rs1": unsigned(1),
        "use_rs2": unsigned(1),
        "write_rd": unsigned(1),
        "a_pc": unsigned(1),
        "b_rs2": unsigned(1),
        "op": AluOp,
        "word": unsigned(1),
        "left": unsigned(1),
        "immediate": unsigned(64),
    }
)
"""``use_rs1`` and ``use_rs2``: the register is read; ``write_rd``: rd is written and not x0.

The ALU's first operand is rs1, or the pc (``a_pc``), or 0; its second is rs2 if ``b_rs2``, else the immediate.
``left``: ``op`` is SLL, or does not shift.
"""


class Decoder(Component):
    """Combinational: ``out`` says what to do for the instruction word ``insn``.

    ``offset``: from its address to where BRANCH, JAL and FENCE_I go, in bytes; of other units it means nothing.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "insn": In(32),
                "out": Out(Decoded),
                "offset": Out(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        i, o = self.insn, self.out
        fields: Any = Signal(Instruction)
        funct3, funct7 = fields.funct3, fields.funct7
        legal = Signal()
        writes = Signal()
        word = Signal()  # not read back from the output: that would look like a loop to a simulator

        imm_i = sign_extend(i[20:32])
        imm_s = sign_extend(Cat(i[7:12], i[25:32]))
        imm_b = sign_extend(Cat(C(0, 1), i[8:12], i[25:31], i[7], i[31]))
        imm_u = sign_extend(Cat(C(0, 12), i[12:32]))
        imm_j = sign_extend(Cat(C(0, 1), i[21:31], i[20], i[12:20], i[31]))

        # two bits of the opcode tell the three apart, so that this needs not wait for the rest
        m.d.comb += self.offset.eq(Mux(i[6], Mux(i[3], imm_j, imm_b), 4))

        m.d.comb += [
            fields.eq(i),
            o.immediate.eq(imm_i),
            o.illegal.eq(~legal),
            o.write_rd.eq(writes & (fields.rd != 0)),
            o.word.eq(word),
            o.left.eq(funct3 == AluOp.SLL.value),
        ]
        with m.Switch(fields.opcode):
            with m.Case(Opcode.LUI):
                m.d.comb += [legal.eq(1), writes.eq(1), o.immediate.eq(imm_u)]
            with m.Case(Opcode.AUIPC):
                m.d.comb += [legal.eq(1), writes.eq(1), o.immediate.eq(imm_u), o.a_pc.eq(1)]
            with m.Case(Opcode.JAL):
                m.d.comb += [legal.eq(1), writes.eq(1), o.unit.eq(Unit.JAL), o.immediate.eq(imm_j)]
            with m.Case(Opcode.JALR):
                m.d.comb += [legal.eq(funct3 == 0), writes.eq(1), o.use_rs1.eq(1), o.unit.eq(Unit.JALR)]
            with m.Case(Opcode.BRANCH):
                m.d.comb += [
                    legal.eq(~((funct3 == 2) | (funct3 == 3))),
                    o.use_rs1.eq(1),
                    o.use_rs2.eq(1),
                    o.b_rs2.eq(1),
                    o.unit.eq(Unit.BRANCH),
                    o.immediate.eq(imm_b),
                ]
            with m.Case(Opcode.LOAD):
                m.d.comb += [legal.eq(funct3 != 7), writes.eq(1), o.use_rs1.eq(1), o.unit.eq(Unit.LOAD)]
            with m.Case(Opcode.STORE):
                m.d.comb += [
                    legal.eq(funct3 < 4),
                    o.use_rs1.eq(1),
                    o.use_rs2.eq(1),
                    o.unit.eq(Unit.STORE),
                    o.immediate.eq(imm_s),
                ]
            with m.Case(Opcode.OP_IMM):
                m.d.comb += [legal.eq(1), writes.eq(1), o.use_rs1.eq(1), o.op.eq(funct3)]
                with m.If(funct3 == 1):
                    m.d.comb += legal.eq(i[26:32] == 0)
                with m.If(funct3 == 5):
                    m.d.comb += [legal.eq((i[26:32] == 0) | (i[26:32] == 0x10)), o.op.eq(Cat(funct3, i[30]))]
            with m.Case(Opcode.OP_IMM_32):
                m.d.comb += [writes.eq(1), o.use_rs1.eq(1), word.eq(1), o.op.eq(funct3)]
                with m.If(funct3 == 0):
                    m.d.comb += legal.eq(1)
                with m.If(funct3 == 1):
                    m.d.comb += legal.eq(funct7 == 0)
                with m.If(funct3 == 5):
                    m.d.comb += [legal.eq((funct7 == 0) | (funct7 == 0x20)), o.op.eq(Cat(funct3, i[30]))]
            with m.Case(Opcode.OP, Opcode.OP_32):
                m.d.comb += [
                    writes.eq(1),
                    o.use_rs1.eq(1),
                    o.use_rs2.eq(1),
                    o.b_rs2.eq(1),
                    word.eq(i[3]),
                    o.op.eq(Cat(funct3, i[30])),
                ]
                with m.If(funct7 == 1):
                    # of the -W forms there is no MULH
                    m.d.comb += [o.unit.eq(Unit.MUL), legal.eq(~word | (funct3 == 0))]
                    with m.If(funct3[2]):
                        m.d.comb += [o.unit.eq(Unit.DIV), legal.eq(1)]
                with m.Elif((funct3 == 0) | (funct3 == 5)):
                    m.d.comb += legal.eq((funct7 == 0) | (funct7 == 0x20))
                with m.Else():
                    m.d.comb += legal.eq((funct7 == 0) & (~word | (funct3 == 1)))
            with m.Case(Opcode.MISC_MEM):
                with m.If(funct3 == 0):
                    m.d.comb += [legal.eq(1), o.unit.eq(Unit.FENCE)]
                with m.If(funct3 == 1):
                    m.d.comb += [legal.eq(1), o.unit.eq(Unit.FENCE_I)]
            with m.Case(Opcode.SYSTEM):
                with m.If(funct3[:2] != 0):
                    m.d.comb += [legal.eq(1), writes.eq(1), o.use_rs1.eq(~funct3[2]), o.unit.eq(Unit.CSR)]
                for encoding, unit in (
                    (ECALL, Unit.ECALL),
                    (EBREAK, Unit.EBREAK),
                    (MRET, Unit.MRET),
                    (WFI, Unit.WFI),
                ):
                    with m.If(i == encoding):
                        m.d.comb += [legal.eq(1), o.unit.eq(unit)]
            with m.Case(Opcode.CUSTOM_0, Opcode.CUSTOM_1, Opcode.CUSTOM_2, Opcode.CUSTOM_3):
                # funct3 is {xd, xs1, xs2}; rs2 without rs1 does not exist. rd is written later, by the response.
                m.d.comb += [
                    legal.eq(~((funct3 == 0b001) | (funct3 == 0b101))),
                    o.use_rs1.eq(funct3[1]),
                    o.use_rs2.eq(funct3[0]),
                    o.unit.eq(Unit.ROCC),
                ]
        return m
