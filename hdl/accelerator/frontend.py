"""The RoCC side: commands, checks, status and counters, and the life of a run."""

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import isa
from golden.config import AcceleratorConfig
from golden.isa import Counter, Error, Flags, Funct
from hdl.accelerator.layout import ParametersSignature, Widths, event_layout
from hdl.rocc import CommandSignature, InstructionLayout, ResponseSignature

_FP32_INFINITY = 0x7F80_0000
_THRESHOLD_LIMIT = 1 << 30


def threshold_units(m: Module, bits: Value) -> Value:
    """min(ceil(th 2^24), 2^30) of an fp32 threshold; 0 for any that is not positive."""
    biased, fraction, sign = bits[23:31], bits[:23], bits[31]
    significand = Cat(fraction, biased.any())
    # The value is significand * 2^(exponent - 126) in units of 2^-24, subnormals having the exponent 1.
    exponent = Mux(biased.any(), biased, 1)
    left = Signal(31)
    right = Signal(25)
    shift = Signal(8)
    lost = Signal(24)
    m.d.comb += [
        shift.eq(126 - exponent),
        left.eq(significand << (exponent - 126)[:3]),
        lost.eq(significand & ~(Const((1 << 24) - 1, 24) << shift[:5])),
        right.eq(Mux(shift >= 24, significand.any(), (significand >> shift[:5]) + lost.any())),
    ]
    magnitude = Mux(exponent >= 133, _THRESHOLD_LIMIT, Mux(exponent >= 126, left, right))
    return Mux(sign | ~bits[:31].any(), 0, magnitude)


class Frontend(wiring.Component):
    """Takes commands, checks a START, runs the datapath and reports.

    ``active`` is the datapath's life: it is reset while ``active`` is low. ``stop`` keeps the memory adapter from
    requesting; a run ends when the adapter is ``idle``. ``error`` with ``error_code`` ends a run that went wrong,
    ``finished`` one that went well. ``busy`` includes the cycle in which the START is taken.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "cmd": In(CommandSignature()),
                "resp": Out(ResponseSignature()),
                "busy": Out(1),
                "interrupt": Out(1),
                "parameters": Out(ParametersSignature(cfg)),
                "active": Out(1),
                "stop": Out(1),
                "idle": In(1),
                "finished": In(1),
                "error": In(1),
                "error_code": In(8),
                "rows": In(Widths(cfg).t),
                "events": In(event_layout(cfg)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p, cmd = self.cfg, self.parameters, self.cmd
        inst = Signal(InstructionLayout)
        m.d.comb += inst.as_value().eq(cmd.inst)
        rs1, rs2 = cmd.rs1, cmd.rs2

        # What a command needs to be one of ours.
        known = Signal()
        with m.Switch(inst.funct):
            for row in isa.INSTRUCTIONS:
                with m.Case(row.funct):
                    needs = [bit for bit, operand in ((inst.xs1, row.rs1), (inst.xs2, row.rs2)) if operand]
                    m.d.comb += known.eq(Cat(*needs).all() if needs else 1)
        good = Signal()
        waits = inst.funct <= Funct.EXTENSION
        running = Signal()
        draining = Signal()
        responding = Signal()
        accept = Signal()
        m.d.comb += [
            good.eq(known & (inst.opcode == isa.CUSTOM_0)),
            # The response of the last command is out of the way first, so that responses stay in order.
            cmd.ready.eq(~responding & ~self.resp.valid & ~((running | draining) & waits)),
            accept.eq(cmd.valid & cmd.ready),
        ]

        def command(funct: Funct) -> Value:
            return accept & good & (inst.funct == funct)

        start = command(Funct.START)
        abort = command(Funct.ABORT)

        # Registers hold what a run can use, and a bit that says whether the operand was usable.
        size_ok = Signal()
        steps_ok = Signal()
        fuse_ok = Signal()
        has_state = Signal()
        nan = Signal()
        bad_command = Signal()

        def size_fits(value: Value, limit: int) -> Value:
            return (value != 0) & (value <= limit) & (value[:2] == 0)

        with m.If(command(Funct.SIZES)):
            m.d.sync += [
                p.x_blocks.eq(rs1 >> 2),
                p.h_blocks.eq(rs2 >> 2),
                size_ok.eq(size_fits(rs1, cfg.max_x) & size_fits(rs2, cfg.max_h)),
            ]
        with m.If(command(Funct.STEPS)):
            m.d.sync += [
                p.threshold.eq(threshold_units(m, rs1[:32])),
                nan.eq(rs1[:31] > _FP32_INFINITY),
                p.steps.eq(rs2),
                steps_ok.eq((rs2 != 0) & (rs2 <= cfg.max_t)),
            ]
        aligned = {}
        for name, funct, operand in (
            ("w", Funct.WEIGHTS, rs1), ("bias", Funct.WEIGHTS, rs2), ("u_offsets", Funct.FUSION, rs1),
            ("x", Funct.DATA, rs1), ("h", Funct.DATA, rs2),
            ("w_offsets", Funct.EXTENSION, rs1), ("state", Funct.EXTENSION, rs2),
        ):  # fmt: skip
            aligned[name] = Signal(name=f"{name}_aligned", init=1)
            with m.If(command(funct)):
                m.d.sync += aligned[name].eq(operand[:3] == 0)
                if hasattr(p, name):
                    m.d.sync += getattr(p, name).eq(operand >> 3)
        with m.If(command(Funct.FUSION)):
            m.d.sync += [
                p.n_fuse.eq(Mux(rs2 > cfg.fuse_capacity, cfg.fuse_capacity, rs2)),
                fuse_ok.eq(rs2 != 0),
            ]
        with m.If(command(Funct.EXTENSION)):
            m.d.sync += has_state.eq(rs2 != 0)
        with m.If(start):
            m.d.sync += [
                p.u.eq(rs1 >> 3),
                p.h_seq.eq((rs2 & Flags.H_SEQ) != 0),
                p.h_pruned.eq((rs2 & Flags.H_PRUNED) != 0),
                p.state_in.eq((rs2 & Flags.STATE_IN) != 0),
                p.state_out.eq((rs2 & Flags.STATE_OUT) != 0),
            ]

        uses_state = (rs2 & (Flags.STATE_IN | Flags.STATE_OUT)) != 0
        misaligned = (
            (rs1[:3] != 0)
            | ~Cat(aligned[name] for name in ("w", "bias", "u_offsets", "x", "h")).all()
            | (uses_state & ~aligned["state"])
            # of an address in use, whether or not its flag is built: the order of checks is every build's
            | (((rs2 & Flags.X_SKIP) != 0) & ~aligned["w_offsets"])
        )
        unknown_flags = (rs2 & (~isa.USED_BITS & (2**64 - 1))) != 0
        for field in isa.FIELDS:
            for number in field.holes:
                unknown_flags |= rs2[field.shift :][: field.bits] == number
        failures = {
            Error.BAD_COMMAND: bad_command,
            Error.BAD_SIZE: ~size_ok,
            Error.BAD_T: ~steps_ok,
            Error.BAD_N_FUSE: ~fuse_ok,
            Error.MISALIGNED: misaligned,
            Error.BAD_FLAGS: unknown_flags | (uses_state & ~has_state),
            Error.BAD_THRESHOLD: nan,
        }
        refused = Signal(8)
        for code in reversed(isa.START_CHECKS):
            with m.If(failures[code]):
                m.d.comb += refused.eq(code)
        begin = Signal()
        m.d.comb += begin.eq(start & (refused == 0))

        # The life of a run.
        code = Signal(8)
        done = Signal()
        irq = Signal()
        ended = Signal()
        with m.If(begin):
            m.d.sync += [running.eq(1), code.eq(0), done.eq(0)]
        with m.Elif(start):
            m.d.sync += [code.eq(refused), done.eq(1)]
        with m.If(running & (self.finished | self.error)):
            m.d.sync += [running.eq(0), draining.eq(1)]
            with m.If(self.error):
                m.d.sync += code.eq(self.error_code)
        with m.If(draining & self.idle):
            m.d.comb += ended.eq(1)
            m.d.sync += [draining.eq(0), done.eq(1)]
        with m.If(abort):
            with m.If(running):
                m.d.sync += [running.eq(0), draining.eq(1), code.eq(Error.ABORTED)]
            with m.Elif(~draining):
                m.d.sync += [code.eq(0), done.eq(0)]
        m.d.comb += [self.active.eq(running), self.stop.eq(~running), self.busy.eq(running | draining | begin)]

        rows = Signal(32)
        with m.If(running):
            m.d.sync += rows.eq(self.rows)
        with m.If(start | (abort & ~running & ~draining)):
            m.d.sync += rows.eq(0)
        with m.If(start):
            m.d.sync += [irq.eq((rs2 & Flags.IRQ) != 0), self.interrupt.eq((refused != 0) & ((rs2 & Flags.IRQ) != 0))]
        with m.Elif(ended):
            # a run that ABORT ends is a run that ends: a driver may be waiting for its interrupt
            m.d.sync += self.interrupt.eq(irq)
        with m.Elif(abort):
            m.d.sync += self.interrupt.eq(0)
        with m.If(abort | start):
            m.d.sync += bad_command.eq(0)
        with m.Elif(accept & ~good):
            m.d.sync += bad_command.eq(1)
        with m.If(abort):
            m.d.sync += [
                size_ok.eq(0),
                steps_ok.eq(0),
                fuse_ok.eq(0),
                *(bit.eq(1) for bit in aligned.values()),
                has_state.eq(0),
                nan.eq(0),
                *(getattr(p, name).eq(0) for name in p.signature.members),
            ]

        # Counters.
        grows = {Counter.CYCLES: Const(1, 1)}
        grows |= {Counter[name.upper()]: self.events[name] for name, _ in self.events.shape()}
        counters = {counter: Signal(isa.COUNTER_BITS, name=counter.name.lower()) for counter in grows}
        n_fuse = Signal.like(p.n_fuse)
        for counter, count in counters.items():
            with m.If(start):
                # the cycle of a START is the first of its run
                m.d.sync += count.eq(Mux(begin, grows[counter], 0))
            with m.Elif(self.busy):
                m.d.sync += count.eq(count + grows[counter])
        with m.If(start):
            m.d.sync += n_fuse.eq(Mux(begin, p.n_fuse, 0))
        status = Cat(running | draining, done, code != 0, Const(0, 5), code, Const(0, 16), rows)
        version = Cat(
            Const(isa.VERSION, 16), Const(cfg.n_pe, 8), Const(cfg.slots, 8), Const(cfg.max_x, 16), Const(cfg.max_h, 16)
        )
        values = {Counter.STATUS: status, Counter.VERSION: version, Counter.N_FUSE: n_fuse}
        values |= counters

        # Responses show the state after their command.
        rd = Signal(5)
        is_counter = Signal()
        index = Signal(range(max(Counter) + 2))
        m.d.sync += responding.eq(accept & inst.xd)
        with m.If(accept):
            m.d.sync += [
                rd.eq(inst.rd),
                is_counter.eq(good & (inst.funct == Funct.COUNTER)),
                index.eq(Mux(rs1 > max(Counter), max(Counter) + 1, rs1)),
            ]
        with m.If(responding):
            table = Array([*(values[counter] for counter in Counter), Const(0, 64)])
            m.d.sync += [
                self.resp.valid.eq(1),
                self.resp.rd.eq(rd),
                self.resp.data.eq(Mux(is_counter, table[index], status)),
            ]
        with m.Elif(self.resp.ready):
            m.d.sync += self.resp.valid.eq(0)
        return m
