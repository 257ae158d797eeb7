"""What a run writes: rows of h in the order of steps, then the state."""

from amaranth import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind, Widths, burst_words
from hdl.accelerator.signatures import (
    CellReadSignature,
    OfferSignature,
    ParametersSignature,
    ProgressSignature,
    RowSignature,
    StoreSignature,
    unit_events,
)
from hdl.common.arith import fp16_to_fp32
from hdl.common.component import Component
from hdl.common.queue import Queue


class StoreUnit(Component):
    """Stores a ``row`` of h once all of it is computed, and waits for its answers before it counts.

    What is stored, and where, say ``parameters``; ``burst`` asks, ``store`` brings the words and tells of answers.
    ``cells`` reads c for the state. ``progress`` counts complete rows, ``row_free`` pulses for each. ``events``: words
    stored.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "row": In(RowSignature(cfg)),
                "row_free": Out(1),
                "cells": Out(CellReadSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "store": Out(StoreSignature()),
                "progress": Out(ProgressSignature(cfg)),
                "events": Out(unit_events(cfg)["store"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        w, p, rows = Widths(self.cfg), self.parameters, self.progress.rows
        m.submodules.queue = queue = Queue(unsigned(64), 16)
        connect(m, queue.o, flipped(self.store.data))
        m.d.comb += self.events.store_words.eq(self.store.stored)

        waiting = Signal(2)
        rows_left = Signal(w.t)
        last = rows_left == 1
        section_start = Signal()
        prune = Signal()
        is_c = Signal()
        addr = Signal.like(self.burst.addr)
        row_addr = Signal.like(addr)
        left = Signal(w.h_blocks + 1)
        unanswered = Signal(w.h_blocks + 1)
        row_words = p.h_blocks << 1

        # One section of H elements: a row, the state's h, or its c.
        words, _ = burst_words(addr, left)
        # words in the queue that no burst has been taken for
        ready = Signal(range(queue.depth + 1))
        pushed = Signal()
        m.d.comb += [
            pushed.eq(queue.i.valid & queue.i.ready),
            self.burst.addr.eq(addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.STORE),
        ]
        m.d.sync += self.burst.valid.eq((left != 0) & (ready >= words) & ~self.burst.taken)
        with m.If(self.burst.taken):
            m.d.sync += [addr.eq(addr + words), left.eq(left - words), ready.eq(ready + pushed - words)]
        with m.Else():
            m.d.sync += ready.eq(ready + pushed)
        with m.If(section_start):
            m.d.sync += unanswered.eq(row_words)
        with m.Else():
            m.d.sync += unanswered.eq(unanswered - self.store.stored)

        # Elements leave their memory one a cycle while the queue has room, and go in pairs.
        element = Signal(w.h_blocks + 2)
        reading = Signal()
        read = Signal()
        arrived = Signal()
        which = Signal(2)
        low = Signal(32)
        value = Signal(32)
        pruned = Signal()
        row_value = Array(self.row.h[i] for i in range(4))[which]
        keep = self.row.keep.bit_select(which, 1) if self.cfg.streams else self.row.keep
        m.d.comb += [
            # an even element waits in `low`; only an odd one needs its room, and the one before has taken its own
            read.eq(reading & (queue.room != 0)),
            self.row.addr.eq(element >> 2),
            self.row.half.eq(rows[0]),
            self.cells.read.eq(is_c),
            self.cells.addr.eq(element),
            pruned.eq(prune & ~keep),
            value.eq(Mux(is_c, self.cells.c, fp16_to_fp32(m, Mux(pruned, 0, row_value), "h"))),
            queue.i.valid.eq(arrived & which[0]),
            queue.i.payload.eq(Cat(low, value)),
        ]
        m.d.sync += [arrived.eq(read), which.eq(element)]
        with m.If(arrived):
            m.d.sync += low.eq(value)
        with m.If(read):
            m.d.sync += element.eq(element + 1)
            with m.If(element + 1 == p.h_blocks << 2):
                m.d.sync += reading.eq(0)
        with m.If(section_start):
            m.d.sync += [element.eq(0), reading.eq(1), left.eq(row_words)]

        m.d.sync += waiting.eq(waiting + self.row.done - self.row_free)
        with m.FSM(name="store"):
            with m.State("INIT"):
                m.d.sync += [row_addr.eq(p.h), rows_left.eq(p.steps)]
                m.next = "ROW"
            with m.State("ROW"), m.If(waiting != 0):
                with m.If(p.h_seq | last):
                    m.d.comb += section_start.eq(1)
                    m.d.sync += [addr.eq(row_addr), row_addr.eq(row_addr + row_words), prune.eq(p.h_pruned)]
                    m.next = "ROW_ANSWERS"
                with m.Else():
                    m.next = "ROW_COMPLETE"
            with m.State("ROW_ANSWERS"), m.If(unanswered == 0):
                m.next = "ROW_COMPLETE"
            with m.State("ROW_COMPLETE"):
                with m.If(last & p.state_out):
                    m.d.comb += section_start.eq(1)
                    m.d.sync += [addr.eq(p.state), prune.eq(0)]
                    m.next = "STATE_H"
                with m.Else():
                    m.d.comb += self.row_free.eq(1)
                    m.d.sync += [rows.eq(rows + 1), rows_left.eq(rows_left - 1)]
                    with m.If(last):
                        m.next = "DONE"
                    with m.Else():
                        m.next = "ROW"
            with m.State("STATE_H"), m.If(unanswered == 0):
                m.d.comb += section_start.eq(1)
                m.d.sync += is_c.eq(1)
                m.next = "STATE_C"
            with m.State("STATE_C"), m.If(unanswered == 0):
                m.d.sync += rows.eq(rows + 1)
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.progress.finished.eq(1)
        return m
