"""The instruction cache: direct mapped, one line at a time, made invalid as a whole by ``fence.i``."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out, Signature

from hdl.common.component import Component
from hdl.common.ram import Ram
from hdl.core.bus import InstructionBusSignature

__all__ = ["LINE_BYTES", "LINE_WORDS", "InstructionCache", "LineBusSignature"]

LINE_WORDS = 8
LINE_BYTES = 8 * LINE_WORDS


class LineBusSignature(Signature):
    """Reads of whole lines, seen from the cache.

    ``req_valid`` stays up, with ``req_addr`` (bytes, a multiple of LINE_BYTES), until ``req_ready``. A request that was
    accepted is answered with LINE_WORDS words of 64 bits, in order, from the next cycle on, always accepted; there is
    no other request before the last of them.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "req_valid": Out(1),
                "req_ready": In(1),
                "req_addr": Out(64),
                "resp_valid": In(1),
                "resp_data": In(64),
                "resp_error": In(1),
            }
        )


class InstructionCache(Component):
    """Answers the core's instruction bus ``cpu``: in the next cycle, one a cycle, what is in the cache.

    ``line``: where it asks for the rest.

    Parameters:
        lines: how many, a power of two, at least 2.
        memory: the bytes that exist, from and to multiples of LINE_BYTES; a fetch elsewhere is answered with an error.

    An instruction whose word memory answers with an error is answered with an error; a line with such a word is used
    for the instruction that asked for it and not kept.
    """

    def __init__(self, lines: int, memory: range) -> None:
        if lines < 2 or lines & (lines - 1):
            raise ValueError(f"lines must be a power of two and at least 2, not {lines!r}")
        self.lines, self.memory = lines, memory
        super().__init__({"cpu": In(InstructionBusSignature()), "line": Out(LineBusSignature())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cpu, line = self.cpu, self.line
        line_at, tag_at = LINE_BYTES.bit_length() - 1, (LINE_BYTES * self.lines).bit_length() - 1
        top = (self.memory.stop - 1).bit_length()
        m.submodules.words = words = Ram(64, LINE_WORDS * self.lines)
        m.submodules.tags = tags = Ram(top - tag_at, self.lines)
        valid = Signal(self.lines)

        # The instruction being looked for.
        waiting = Signal()
        addr = Signal(64)
        exists = Signal()
        row = addr[line_at:tag_at]
        refilling = Signal()
        refilled = Signal()
        refilled_insn = Signal(32)
        refilled_error = Signal()
        hit = Signal()
        found = Signal(32)
        accepted = Signal()
        m.d.comb += [
            exists.eq((addr >= self.memory.start) & (addr < self.memory.stop)),
            hit.eq(valid.bit_select(row, 1) & (tags.read_data == addr[tag_at:top])),
            found.eq(words.read_data.word_select(addr[2], 32)),
            cpu.resp_valid.eq(waiting & ~refilling & (hit | refilled | ~exists)),
            cpu.resp_data.eq(Mux(refilled, refilled_insn, found)),
            cpu.resp_error.eq(~exists | (refilled & refilled_error)),
            cpu.req_ready.eq(~waiting | cpu.resp_valid),
            accepted.eq(cpu.req_valid & cpu.req_ready),
            words.read_en.eq(accepted),
            words.read_addr.eq(cpu.req_addr[3:tag_at]),
            tags.read_en.eq(accepted),
            tags.read_addr.eq(cpu.req_addr[line_at:tag_at]),
        ]
        with m.If(cpu.resp_valid):
            m.d.sync += [waiting.eq(0), refilled.eq(0)]
        with m.If(accepted):
            m.d.sync += [waiting.eq(1), addr.eq(cpu.req_addr)]

        # A line comes in; it is kept if all of it is good and no fence.i comes in the meantime.
        beat = Signal(range(LINE_WORDS))
        keep = Signal()
        last = beat == LINE_WORDS - 1
        m.d.comb += [
            line.req_addr.eq(addr & ~(LINE_BYTES - 1)),
            words.write_en.eq(line.resp_valid),
            words.write_addr.eq((row << 3) | beat),
            words.write_data.eq(line.resp_data),
            tags.write_en.eq(line.resp_valid & last),
            tags.write_addr.eq(row),
            tags.write_data.eq(addr[tag_at:top]),
        ]
        with m.If(waiting & ~refilling & ~cpu.resp_valid):
            m.d.sync += [refilling.eq(1), line.req_valid.eq(1), beat.eq(0), keep.eq(1), valid.bit_select(row, 1).eq(0)]
        with m.If(line.req_valid & line.req_ready):
            m.d.sync += line.req_valid.eq(0)
        with m.If(line.resp_valid):
            m.d.sync += [beat.eq(beat + 1), keep.eq(keep & ~line.resp_error)]
            with m.If(beat == addr[3:line_at]):
                m.d.sync += [
                    refilled_insn.eq(line.resp_data.word_select(addr[2], 32)),
                    refilled_error.eq(line.resp_error),
                ]
            with m.If(last):
                m.d.sync += [refilling.eq(0), refilled.eq(1), valid.bit_select(row, 1).eq(keep & ~line.resp_error)]
        with m.If(cpu.flush):
            m.d.sync += [valid.eq(0), keep.eq(0)]
        return m
