"""What commands store, in the form in which a run uses it, and the checks of a START."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from golden import isa
from golden.config import AcceleratorConfig
from golden.isa import GROUP_SIZE_BITS, GROUP_SIZES, GROUPS_RS1_BITS, Error, Format, InputFormat, Schedule
from golden.tables import STREAM_GAP_BITS, STREAM_UNIT_COLS
from hdl.accelerator.frontend.command_decoder import COMMANDS
from hdl.accelerator.frontend.threshold import Threshold
from hdl.accelerator.signatures import ParametersSignature
from hdl.common.component import Component
from hdl.common.struct import struct

_FP32_INFINITY = 0x7F80_0000
_NOT_A_NUMBER = ("threshold", "x_threshold", "sizes", "w_matrix", "u_matrix")
"""Parameters that ABORT does not clear as it does the others."""
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
        x_nan = Signal()
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
            ("tables", commands.streams, rs2),
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
        w_fits = Signal(2)
        u_fits = Signal(2)
        has_tables = Signal()
        # what STREAMS said; eSELL has units of four columns whatever that was
        single = {name: Signal(name=f"{name}_single") for name in ("w", "u")}
        if cfg.streams:
            packing = data.View(struct(isa.STREAMS_LAYOUT), rs1[: isa.STREAMS_LAYOUT.bits])
            with m.If(commands.streams):
                m.d.sync += has_tables.eq(rs2 != 0)
                for name, fits, gap_bits, unit in (
                    ("w", w_fits, packing.w_gap_bits, packing.w_unit),
                    ("u", u_fits, packing.u_gap_bits, packing.u_unit),
                ):
                    known_unit = Cat(unit == columns - 1 for columns in STREAM_UNIT_COLS).any()
                    m.d.sync += [
                        getattr(p, f"{name}_matrix").gap_bits.eq(gap_bits),
                        single[name].eq(unit == 0),
                        *(
                            fits[i].eq(known_unit & Cat(gap_bits == g for g in STREAM_GAP_BITS[width]).any())
                            for i, width in enumerate((16, 8))
                        ),
                    ]
        if cfg.group_list:
            operands = Cat(rs1[:GROUPS_RS1_BITS], rs2[:_GROUPS_RS2_BITS])
            sizes = data.View(data.ArrayLayout(GROUP_SIZE_BITS, GROUP_SIZES), operands)
            with m.If(commands.groups):
                m.d.sync += [p.sizes[i].eq(sizes[i]) for i in range(GROUP_SIZES)]
        if cfg.events:
            m.submodules.x_threshold = x_threshold = Threshold()
            m.d.comb += p.x_threshold.eq(x_threshold.units)
            with m.If(commands.events):
                m.d.sync += [x_threshold.bits.eq(rs1[:32]), x_nan.eq(rs1[:31] > _FP32_INFINITY)]
            with m.If(commands.abort):
                m.d.sync += [x_threshold.bits.eq(0), x_nan.eq(0)]
        with m.If(commands.start):
            m.d.sync += p.u.eq(rs1 >> 3)
            m.d.sync += [getattr(p, name).eq(flags[name]) for name in ("h_seq", "h_pruned", "state_in", "state_out")]
            if cfg.group_list:
                m.d.sync += [
                    p.list.eq(flags.schedule == Schedule.LIST),
                    p.x_skip.eq(flags.x_skip),
                ]
            if cfg.delta:
                m.d.sync += [p.delta.eq(flags.delta), p.x_format.eq(flags.x_format), p.h_fp16.eq(flags.h_fp16)]
            if cfg.clears:
                m.d.sync += p.w_known.eq(flags.x_skip | (flags.w_format != Format.ESELL))
            if cfg.streams:
                for name, number in (("w", flags.w_format), ("u", flags.u_format)):
                    matrix = getattr(p, f"{name}_matrix")
                    m.d.sync += [
                        matrix.stream.eq(number != Format.ESELL),
                        matrix.narrow.eq(number == Format.STREAM8),
                        matrix.single.eq(single[name] & (number != Format.ESELL)),
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
                *(getattr(p, name).eq(0) for name in p.signature.members if name not in _NOT_A_NUMBER),
                *(size.eq(0) for size in p.sizes),
                *(
                    getattr(matrix, name).eq(0)
                    for matrix in (p.w_matrix, p.u_matrix)
                    for name in matrix.signature.members
                ),
                *(bit.eq(0) for bit in single.values()),
                w_fits.eq(0),
                u_fits.eq(0),
                has_tables.eq(0),
            ]

        uses_state = flags.state_in | flags.state_out
        narrow = (flags.w_format == Format.STREAM8) | (flags.u_format == Format.STREAM8)
        misaligned = (
            (rs1[:3] != 0)
            | ~Cat(aligned[name] for name in ("w", "bias", "u_offsets", "x", "h")).all()
            | (uses_state & ~aligned["state"])
            # of an address in use, whether or not its flag is built: the order of checks is every build's
            | ((flags.x_skip | (flags.w_format != Format.ESELL)) & ~aligned["w_offsets"])
            | (narrow & ~aligned["tables"])
        )
        unknown_flags = (rs2 & (~isa.USED_BITS & (2**64 - 1))) != 0
        for field in isa.FIELDS:
            for number in field.holes:
                unknown_flags |= flags[field.name] == number
        listed = flags.schedule == Schedule.LIST
        by_events = flags.schedule == Schedule.EVENTS
        for number in Schedule:
            if number not in cfg.schedules:
                unknown_flags |= flags.schedule == number
        if not cfg.delta:
            unknown_flags |= flags.delta | flags.h_fp16
        for number in InputFormat:
            if number not in cfg.input_formats:
                unknown_flags |= flags.x_format == number
        if cfg.events:
            unknown_flags |= ~flags.delta
        for number in Format:
            if number not in cfg.formats:
                unknown_flags |= (flags.w_format == number) | (flags.u_format == number)
        for number, fits in ((flags.w_format, w_fits), (flags.u_format, u_fits)):
            unknown_flags |= (number == Format.STREAM16) & ~fits[0]
            unknown_flags |= (number == Format.STREAM8) & ~(fits[1] & has_tables)
        w_known = flags.x_skip | (flags.w_format != Format.ESELL)
        failures = {
            Error.BAD_COMMAND: bad_command,
            Error.BAD_SIZE: ~size_ok,
            Error.BAD_T: ~steps_ok,
            # of a build without the list no size is known, and it is the schedule that is wrong
            Error.BAD_N_FUSE: ~fuse_ok | (listed & (p.sizes[0] == 0) if cfg.group_list else Const(0)),
            Error.MISALIGNED: misaligned,
            Error.BAD_FLAGS: unknown_flags
            | (uses_state & ~has_state)
            | (flags.x_skip & ~(listed | by_events))
            | (w_known & ~has_w_offsets),
            Error.BAD_THRESHOLD: nan | (x_nan & by_events),
        }
        for code in reversed(isa.START_CHECKS):
            with m.If(failures[code]):
                m.d.comb += self.refused.eq(code)
        return m
