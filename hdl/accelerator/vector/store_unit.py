"""What a run writes: rows of h in the order of steps, then the state."""

from itertools import pairwise
from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import enum
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.layout import Kind, Widths, bits_for, burst_words
from hdl.accelerator.signatures import (
    CellReadSignature,
    OfferSignature,
    ParametersSignature,
    ProgressSignature,
    RowSignature,
    StateReadSignature,
    StoreSignature,
    unit_events,
)
from hdl.common.arith import fp16_to_fp32
from hdl.common.component import Component
from hdl.common.queue import Queue


class _Section(enum.Enum, shape=3):
    """What lies in memory behind each other, once rows of h are stored."""

    ROW = 0
    STATE = 1
    HELD = 2
    HELD_SUMS = 3
    X_HELD = 4


class StoreUnit(Component):
    """Stores a ``row`` of h once all of it is computed, and waits for its answers before it counts.

    What is stored, and where, say ``parameters``; ``burst`` asks, ``store`` brings the words and tells of answers.
    ``cells`` reads c for the state, with DELTA ``held``, ``held_sums`` and, by events, ``x_held`` the rest of it.
    ``progress`` counts complete rows, ``row_free`` pulses for each. ``events``: words
    stored.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        held: dict[str, Any] = {}
        if cfg.delta:
            held["held"] = Out(StateReadSignature(cfg.max_h))
            held["held_sums"] = Out(StateReadSignature(cfg.max_rows))
        if cfg.events:
            held["x_held"] = Out(StateReadSignature(cfg.max_x))
        self._held = tuple(held)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "row": In(RowSignature(cfg)),
                "row_free": Out(1),
                "cells": Out(CellReadSignature(cfg)),
                **held,
                "burst": Out(OfferSignature(cfg)),
                "store": Out(StoreSignature()),
                "progress": Out(ProgressSignature(cfg)),
                "events": Out(unit_events(cfg)["store"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, w, p, rows = self.cfg, Widths(self.cfg), self.parameters, self.progress.rows
        m.submodules.queue = queue = Queue(unsigned(64), 16)
        connect(m, queue.o, flipped(self.store.data))
        m.d.comb += self.events.store_words.eq(self.store.stored)

        waiting = Signal(2)
        rows_left = Signal(w.t)
        last = rows_left == 1
        section_start = Signal()
        prune = Signal()
        is_c = Signal()
        # with DELTA a run stores more than rows of one length: what is being stored, and what is next
        section = Signal(_Section)
        coming = Signal(_Section)
        halves = Signal()
        addr = Signal.like(self.burst.addr)
        row_addr = Signal.like(addr)
        most_blocks = max(cfg.h_blocks, cfg.x_blocks if cfg.events else 0, cfg.row_groups * 4 if cfg.delta else 0)
        left = Signal(bits_for(most_blocks) + 1)
        unanswered = Signal.like(left)
        row_words: Value = p.h_blocks << 1
        next_row: Value = row_words
        elements: Value = p.h_blocks << 2
        if cfg.delta:
            # a row of fp16 has four elements to a word
            m.d.comb += halves.eq(p.h_fp16 & (section == _Section.ROW))
            row_words = Mux(p.h_fp16 & (coming == _Section.ROW), p.h_blocks, self._blocks(coming) << 1)
            next_row = Mux(p.h_fp16, p.h_blocks, p.h_blocks << 1)
            elements = self._blocks(section) << 2
            with m.If(section_start):
                m.d.sync += section.eq(coming)

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
        element = self._element = Signal(bits_for(most_blocks) + 2)
        reading = Signal()
        read = Signal()
        arrived = Signal()
        which = Signal(2)
        low = Signal(32)
        value = Signal(32)
        pruned = Signal()
        at_once = Mux(halves, 4, 1) if cfg.delta else 1
        room: Any = queue.room
        row_value = Array(self.row.h[i] for i in range(4))[which]
        keep = self.row.keep.bit_select(which, 1) if cfg.keep_bits > 1 else self.row.keep
        h = Mux(pruned, 0, row_value)
        m.d.sync += which.eq(element)
        m.d.comb += [
            self.row.addr.eq(element >> 2),
            self.row.half.eq(rows[0]),
            self.cells.read.eq(is_c),
            self.cells.addr.eq(element),
            pruned.eq(prune & ~keep),
        ]
        if cfg.delta:
            arrived_late, value_late, odd, four = self._read(m, read, h, which, halves, is_c, section)
            # what is read has two cycles to the queue: its room is taken when it is read
            room = Signal(range(queue.depth + 1), init=queue.depth)
            m.d.sync += room.eq(room + (queue.o.valid & queue.o.ready) - (read & (halves | element[0])))
            m.d.comb += [
                arrived.eq(arrived_late),
                value.eq(value_late),
                self.row.raw.eq((section != _Section.ROW) & p.delta),
                queue.i.valid.eq(arrived & (halves | odd)),
                queue.i.payload.eq(Mux(halves, four, Cat(low, value))),
            ]
        else:
            m.d.sync += arrived.eq(read)
            m.d.comb += [
                value.eq(Mux(is_c, self.cells.c, fp16_to_fp32(m, h, "h"))),
                queue.i.valid.eq(arrived & which[0]),
                queue.i.payload.eq(Cat(low, value)),
            ]
        # an even element waits in `low`; only an odd one needs its room, and the one before has taken its own
        m.d.comb += read.eq(reading & (room != 0))
        with m.If(arrived):
            m.d.sync += low.eq(value)
        with m.If(read):
            m.d.sync += element.eq(element + at_once)
            with m.If(element + at_once == elements):
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
                    m.d.sync += [addr.eq(row_addr), row_addr.eq(row_addr + next_row), prune.eq(p.h_pruned)]
                    m.next = "ROW_ANSWERS"
                with m.Else():
                    m.next = "ROW_COMPLETE"
            with m.State("ROW_ANSWERS"), m.If(unanswered == 0):
                m.next = "ROW_COMPLETE"
            with m.State("ROW_COMPLETE"):
                with m.If(last & p.state_out):
                    m.d.comb += section_start.eq(1)
                    m.d.comb += coming.eq(_Section.STATE)
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
                m.d.comb += [section_start.eq(1), coming.eq(_Section.STATE)]
                m.d.sync += is_c.eq(1)
                m.next = "STATE_C"
            names = [name.upper() for name in self._held]
            for state, following in pairwise(["STATE_C", *names, "DONE"]):
                with m.State(state), m.If(unanswered == 0):
                    m.d.sync += is_c.eq(0)
                    if following != "DONE":
                        # where there is no DELTA the state ends with c
                        m.next = "DONE"
                        with m.If(p.delta):
                            m.d.comb += [section_start.eq(1), coming.eq(_Section[following])]
                            m.next = following
                        with m.Else():
                            m.d.sync += rows.eq(rows + 1)
                    else:
                        m.d.sync += rows.eq(rows + 1)
                        m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.progress.finished.eq(1)
        return m

    def _read(
        self, m: Module, read: Value, h: Value, which: Value, halves: Value, is_c: Value, section: Value
    ) -> tuple[Value, Value, Value, Value]:
        """With DELTA: that an element was read two cycles before, as fp32 or integer, whether it is an odd one, and all
        four of its block as they are stored as fp16."""
        element_32 = Signal(32)
        is_h = Signal()
        element_16 = Signal(16)
        four = Signal(64)
        odd = Signal()
        arrived = Signal(2)
        value = Signal(32)
        integer: Value = self.cells.c
        for name in self._held:
            source, chosen = getattr(self, name), section == _Section[name.upper()]
            m.d.comb += [source.read.eq(chosen), source.addr.eq(self._element)]
            integer = Mux(chosen, source.value, integer)
        prune = self.parameters.h_pruned
        m.d.sync += [
            arrived.eq(Cat(read, arrived[0])),
            is_h.eq(~is_c & ((section == _Section.ROW) | (section == _Section.STATE))),
            element_32.eq(integer),
            element_16.eq(h),
            four.eq(Cat(Mux(prune & ~keep, 0, self.row.h[i]) for i, keep in enumerate(self.row.keep))),
            odd.eq(which[0]),
        ]
        m.d.comb += value.eq(Mux(is_h, fp16_to_fp32(m, element_16, "h"), element_32))
        return arrived[1], value, odd, four

    def _blocks(self, section: Value) -> Value:
        """Blocks of four elements in a section."""
        p = self.parameters
        blocks = Mux(section == _Section.HELD_SUMS, p.h_blocks << 2, p.h_blocks)
        return Mux(section == _Section.X_HELD, p.x_blocks, blocks) if self.cfg.events else blocks
