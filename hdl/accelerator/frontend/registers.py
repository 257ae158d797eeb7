"""What commands store, in the form in which a run uses it, and the checks of a START."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden import isa
from golden.config import AcceleratorConfig
from golden.isa import GROUP_SIZE_BITS, GROUP_SIZES, GROUPS_RS1_BITS, Error, Schedule
from hdl.accelerator.frontend.command_decoder import COMMANDS
from hdl.accelerator.frontend.threshold import Threshold
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component
from hdl.common.struct import struct

_FP32_INFINITY = 0x7F80_0000
_GROUPS_RS2_BITS = GROUP_SIZE_BITS * GROUP_SIZES - GROUPS_RS1_BITS


class Registers(Component):
    """Keeps what a run can use of each operand, and a bit that says whether the operand was usable.

    ``commands`` with ``rs1`` and ``rs2``: what is taken in this cycle; ``bad_command``: something that is no
    instruction. ``refused`` is the code of the first check that fails if that is a START. ``parameters`` hold until
    the next command; the threshold among them is there THRESHOLD_LATENCY cycles later, long before a run has an h.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "commands": In(COMMANDS),
                "bad_command": In(1),
                "rs1": In(64),
                "rs2": In(64),
                "refused": Out(8),
                "parameters": Out(ParametersSignature(cfg)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p, commands, rs1, rs2 = self.cfg, self.parameters, self.commands, self.rs1, self.rs2
        flags = data.View(struct(isa.START_LAYOUT), rs2)
        m.submodules.threshold = threshold = Threshold()
        m.d.comb += p.threshold.eq(threshold.units)
        size_ok = Signal()
        steps_ok = Signal()
        fuse_ok = Signal()
        has_state = Signal()
        has_w_offsets = Signal()
        nan = Signal()
        bad_command = Signal()

        def size_fits(value: Value, limit: int) -> Value:
            return (value != 0) & (value <= limit) & (value[:2] == 0)

        with m.If(commands.sizes):
            m.d.sync += [
                p.x_blocks.eq(rs1 >> 2),
                p.h_blocks.eq(rs2 >> 2),
                size_ok.eq(size_fits(rs1, cfg.max_x) & size_fits(rs2, cfg.max_h)),
            ]
        with m.If(commands.steps):
            m.d.sync += [
                threshold.bits.eq(rs1[:32]),
                nan.eq(rs1[:31] > _FP32_INFINITY),
                p.steps.eq(rs2),
                steps_ok.eq((rs2 != 0) & (rs2 <= cfg.max_t)),
            ]
        aligned = {}
        for name, command, operand in (
            ("w", commands.weights, rs1), ("bias", commands.weights, rs2), ("u_offsets", commands.fusion, rs1),
            ("x", commands.data, rs1), ("h", commands.data, rs2),
            ("w_offsets", commands.extension, rs1), ("state", commands.extension, rs2),
        ):  # fmt: skip
            aligned[name] = Signal(name=f"{name}_aligned", init=1)
            with m.If(command):
                m.d.sync += aligned[name].eq(operand[:3] == 0)
                if hasattr(p, name):
                    m.d.sync += getattr(p, name).eq(operand >> 3)
        with m.If(commands.fusion):
            m.d.sync += [
                p.n_fuse.eq(Mux(rs2 > cfg.fuse_capacity, cfg.fuse_capacity, rs2)),
                fuse_ok.eq(rs2 != 0),
            ]
        with m.If(commands.extension):
            m.d.sync += [has_state.eq(rs2 != 0), has_w_offsets.eq(rs1 != 0)]
        if cfg.pooled:
            operands = Cat(rs1[:GROUPS_RS1_BITS], rs2[:_GROUPS_RS2_BITS])
            sizes = data.View(data.ArrayLayout(GROUP_SIZE_BITS, GROUP_SIZES), operands)
            with m.If(commands.groups):
                m.d.sync += [p.sizes[i].eq(sizes[i]) for i in range(GROUP_SIZES)]
        with m.If(commands.start):
            m.d.sync += p.u.eq(rs1 >> 3)
            m.d.sync += [getattr(p, name).eq(flags[name]) for name in ("h_seq", "h_pruned", "state_in", "state_out")]
            if cfg.pooled:
                m.d.sync += [
                    p.list.eq(flags.schedule == Schedule.LIST),
                    p.x_skip.eq(flags.x_skip),
                    p.w_known.eq(flags.x_skip),
                ]
        with m.If(commands.abort | commands.start):
            m.d.sync += bad_command.eq(0)
        with m.Elif(self.bad_command):
            m.d.sync += bad_command.eq(1)
        with m.If(commands.abort):
            m.d.sync += [
                size_ok.eq(0),
                steps_ok.eq(0),
                fuse_ok.eq(0),
                *(bit.eq(1) for bit in aligned.values()),
                has_state.eq(0),
                has_w_offsets.eq(0),
                nan.eq(0),
                threshold.bits.eq(0),
                *(getattr(p, name).eq(0) for name in p.signature.members if name not in ("threshold", "sizes")),
                *(size.eq(0) for size in p.sizes),
            ]

        uses_state = flags.state_in | flags.state_out
        misaligned = (
            (rs1[:3] != 0)
            | ~Cat(aligned[name] for name in ("w", "bias", "u_offsets", "x", "h")).all()
            | (uses_state & ~aligned["state"])
            # of an address in use, whether or not its flag is built: the order of checks is every build's
            | (flags.x_skip & ~aligned["w_offsets"])
        )
        unknown_flags = (rs2 & (~isa.USED_BITS & (2**64 - 1))) != 0
        for field in isa.FIELDS:
            for number in field.holes:
                unknown_flags |= flags[field.name] == number
        listed = flags.schedule == Schedule.LIST
        if not cfg.pooled:
            unknown_flags |= listed | flags.x_skip
        failures = {
            Error.BAD_COMMAND: bad_command,
            Error.BAD_SIZE: ~size_ok,
            Error.BAD_T: ~steps_ok,
            Error.BAD_N_FUSE: ~fuse_ok | (listed & (p.sizes[0] == 0)),
            Error.MISALIGNED: misaligned,
            Error.BAD_FLAGS: unknown_flags | (uses_state & ~has_state) | (flags.x_skip & ~(listed & has_w_offsets)),
            Error.BAD_THRESHOLD: nan,
        }
        for code in reversed(isa.START_CHECKS):
            with m.If(failures[code]):
                m.d.comb += self.refused.eq(code)
        return m
