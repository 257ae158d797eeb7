"""A small unit with the accelerator's ports, to test engines without the accelerator.

WEIGHTS: rs1 = N_fuse-like knob unused. DATA: rs1 = source, rs2 = destination. STEPS: rs2 = number of words.
START copies the words, each with 1 added, and sums them; rs2 plants a fault (``Fault``). COUNTER 0 is the status,
2 the busy cycles, 3 the sum. Any other command is accepted and ignored; xd = 1 is answered with the status.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from golden.isa import Funct
from hdl.common.component import Component
from hdl.rocc import CommandSignature, InstructionLayout, MemoryCommand, MemorySignature, ResponseSignature


class Fault(IntFlag):
    """What START does wrong, bits of rs2."""

    OUTSIDE = 1 << 0
    TAG_REUSE = 1 << 1
    STRAY_RESPONSE = 1 << 2
    NEVER_ENDS = 1 << 3
    EARLY_IDLE = 1 << 4
    INTERRUPT = 1 << 6


@dataclass(frozen=True)
class FakeConfig:
    tag_bits: int = 3


class FakeUnit(Component):
    """Loads are issued one a cycle while a slot is free; a slot's store goes out when its data has come."""

    def __init__(self, cfg: FakeConfig) -> None:
        self._slots = 1 << cfg.tag_bits
        super().__init__(
            {
                "cmd": In(CommandSignature()),
                "resp": Out(ResponseSignature()),
                "mem": Out(MemorySignature(cfg.tag_bits)),
                "busy": Out(1),
                "interrupt": Out(1),
                "exception": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots = self._slots
        data: Any = Memory(shape=64, depth=slots, init=[])
        m.submodules.data = data
        write, read = data.write_port(), data.read_port(domain="comb")

        src = Signal(64)
        dst = Signal(64)
        count = Signal(32)
        fault = Signal(8)
        loads = Signal(32)
        stores = Signal(32)
        done = Signal(32)
        total = Signal(64)
        cycles = Signal(64)
        running = Signal()
        ended = Signal()
        error = Signal()
        # per slot: a load is out; its data is here; a store is out
        loading = Signal(slots)
        full = Signal(slots)
        storing = Signal(slots)
        load_slot, store_slot = loads[: len(self.mem.req_tag)], stores[: len(self.mem.req_tag)]

        can_store = (full >> store_slot)[0] & (stores < count)
        can_load = (loads < count) & ~((loading | full | storing) >> load_slot)[0]
        m.d.comb += [
            read.addr.eq(store_slot),
            self.mem.req_valid.eq(running & (can_store | can_load)),
            self.mem.req_cmd.eq(Mux(can_store, MemoryCommand.STORE, MemoryCommand.LOAD)),
            self.mem.req_tag.eq(Mux(can_store, store_slot, Mux((fault & Fault.TAG_REUSE).any(), 0, load_slot))),
            self.mem.req_size.eq(3),
            self.mem.req_mask.eq(0xFF),
            self.mem.req_data.eq(read.data + 1),
            self.mem.req_addr.eq(Mux(can_store, dst + (stores << 3), src + (loads << 3))),
        ]
        with m.If(fault & Fault.OUTSIDE):
            m.d.comb += self.mem.req_addr[60].eq(1)
        with m.If(self.mem.req_valid & self.mem.req_ready):
            with m.If(can_store):
                m.d.sync += [stores.eq(stores + 1), full.bit_select(store_slot, 1).eq(0)]
                m.d.sync += storing.bit_select(store_slot, 1).eq(1)
            with m.Else():
                m.d.sync += [loads.eq(loads + 1), loading.bit_select(load_slot, 1).eq(1)]
        tag = self.mem.resp_tag
        m.d.comb += [write.addr.eq(tag), write.data.eq(self.mem.resp_data)]
        with m.If(self.mem.resp_valid):
            m.d.sync += error.eq(error | self.mem.resp_error)
            with m.If((loading >> tag)[0]):
                m.d.comb += write.en.eq(1)
                m.d.sync += [loading.bit_select(tag, 1).eq(0), full.bit_select(tag, 1).eq(1)]
                m.d.sync += total.eq(total + self.mem.resp_data)
            with m.Else():
                m.d.sync += [storing.bit_select(tag, 1).eq(0), done.eq(done + 1)]
        with m.If(running):
            m.d.sync += cycles.eq(cycles + 1)
            finished = Mux((fault & Fault.EARLY_IDLE).any(), stores == count, done == count)
            with m.If(finished & ~(fault & Fault.NEVER_ENDS).any()):
                m.d.sync += [running.eq(0), ended.eq(1)]
        m.d.comb += [self.busy.eq(running), self.interrupt.eq(ended & (fault & Fault.INTERRUPT).any())]

        inst: Any = Signal(InstructionLayout)
        counters = Array([Cat(running, ended, error), 1, cycles, total])
        answer = Signal(64)
        pending = Signal()
        stray = Signal()
        m.d.comb += [
            inst.eq(self.cmd.inst),
            answer.eq(Mux(inst.funct == Funct.COUNTER, counters[self.cmd.rs1[:2]], counters[0])),
            self.cmd.ready.eq((~running | (inst.funct == Funct.COUNTER)) & (~pending | ~inst.xd)),
            self.resp.valid.eq(pending | stray),
        ]
        with m.If(self.resp.valid & self.resp.ready):
            m.d.sync += [pending.eq(0), stray.eq(0)]
        with m.If(self.cmd.valid & self.cmd.ready):
            with m.If(inst.xd):
                m.d.sync += [pending.eq(1), self.resp.rd.eq(inst.rd), self.resp.data.eq(answer)]
            with m.Switch(inst.funct):
                with m.Case(Funct.STEPS):
                    m.d.sync += count.eq(self.cmd.rs2)
                with m.Case(Funct.DATA):
                    m.d.sync += [src.eq(self.cmd.rs1), dst.eq(self.cmd.rs2)]
                with m.Case(Funct.START):
                    m.d.sync += [running.eq(1), ended.eq(0), cycles.eq(0), total.eq(0), error.eq(0)]
                    m.d.sync += [loads.eq(0), stores.eq(0), done.eq(0), fault.eq(self.cmd.rs2)]
                    m.d.sync += stray.eq((self.cmd.rs2 & Fault.STRAY_RESPONSE).any())
        return m
