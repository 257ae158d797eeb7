"""Instruction fetch: runs ahead of the decoder by up to FETCH_DEPTH instructions, without prediction."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from hdl.common.component import Component
from hdl.core.bus import FETCH_DEPTH, InstructionBusSignature

__all__ = ["Fetch", "FetchedSignature"]

Entry = data.StructLayout({"insn": unsigned(32), "error": unsigned(1)})


class FetchedSignature(Signature):
    """One instruction in program order, seen from F: ``valid``, until ``ready`` takes it or F is redirected.

    ``pc``: its address in bytes; ``insn``: its word; ``error``: the fetch was answered with an error.
    """

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "ready": In(1), "insn": Out(32), "error": Out(1), "pc": Out(64)})


class Fetch(Component):
    """Instructions in program order from ``reset_address`` on, at ``out``.

    ``bus``: `hdl.core.bus`. ``redirect``: from this cycle on fetch at ``target`` (a multiple of 4); what was fetched
    before is dropped, and ``out`` must be ignored in that cycle, whether ``out.ready`` or not. ``flush``: FENCE.I
    retires; goes to the bus.
    """

    def __init__(self, reset_address: int) -> None:
        self._reset_address = reset_address
        super().__init__(
            {
                "bus": Out(InstructionBusSignature()),
                "redirect": In(1),
                "target": In(64),
                "flush": In(1),
                "out": Out(FetchedSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        # the last address asked for, and whether it was accepted: the next one is computed while it is seen whether
        # there is a redirect
        last = Signal(64, init=self._reset_address)
        asked = Signal()
        pc = Signal(64, init=self._reset_address)
        outstanding = Signal(range(FETCH_DEPTH + 1))
        stale = Signal(range(FETCH_DEPTH + 1))
        queued = Signal(range(FETCH_DEPTH + 1))
        still_queued = Signal.like(queued)
        empty = Signal(init=1)
        queue: list[Any] = [Signal(Entry, name=f"queue_{i}") for i in range(FETCH_DEPTH)]
        everything = Cat(*(entry.as_value() for entry in queue))

        room = Signal()
        accepted = Signal()
        fresh = Signal()
        m.d.comb += [
            room.eq((outstanding != FETCH_DEPTH) & (self.redirect | (outstanding - stale + queued < FETCH_DEPTH))),
            bus.req_valid.eq(room),
            bus.req_addr.eq(Mux(self.redirect, self.target, last + (asked << 2))),
            bus.flush.eq(self.flush),
            accepted.eq(bus.req_valid & bus.req_ready),
            fresh.eq(bus.resp_valid & (stale == 0)),
        ]
        m.d.sync += [last.eq(bus.req_addr), asked.eq(accepted)]
        m.d.sync += outstanding.eq(outstanding + accepted - bus.resp_valid)
        with m.If(self.redirect):
            m.d.sync += stale.eq(outstanding - bus.resp_valid)
        with m.Elif(bus.resp_valid & (stale != 0)):
            m.d.sync += stale.eq(stale - 1)

        # the oldest instruction is in queue[0], or arriving
        arriving: Any = data.View(Entry, Signal(Entry.size, name="arriving"))
        m.d.comb += [arriving.insn.eq(bus.resp_data), arriving.error.eq(bus.resp_error)]
        head = data.View(Entry, Signal(Entry.size, name="head"))
        taken = Signal()
        m.d.comb += [
            head.as_value().eq(Mux(empty, arriving.as_value(), queue[0].as_value())),
            self.out.valid.eq(~empty | fresh),
            self.out.insn.eq(head.insn),
            self.out.error.eq(head.error),
            self.out.pc.eq(pc),
            taken.eq(self.out.valid & self.out.ready),
        ]
        # what the queue holds when it is emptied does not matter, so the entries need not know of it
        m.d.comb += still_queued.eq(queued + fresh - taken)
        m.d.sync += [queued.eq(still_queued), empty.eq(still_queued == 0)]
        with m.If(taken):
            m.d.sync += pc.eq(pc + 4)
            m.d.sync += everything.eq(everything >> Entry.size)
        with m.If(fresh):
            for i, entry in enumerate(queue):
                with m.If(queued == i + taken):
                    m.d.sync += entry.as_value().eq(arriving.as_value())
        with m.If(self.redirect):
            m.d.sync += [queued.eq(0), empty.eq(1), pc.eq(self.target)]
        return m
