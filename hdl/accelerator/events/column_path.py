"""From memory to the sums of a step: columns of W and of U that are sent, a word a cycle into one PE."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.formats.stream_decoder import StreamDecoder
from hdl.accelerator.layout import (
    HALVES,
    HELD_BITS,
    SUM_BITS,
    Kind,
    burst_layout,
    column_layout,
    item_layout,
    mark_layout,
    segment_layout,
)
from hdl.accelerator.ring import Ring
from hdl.accelerator.signatures import (
    BlockSignature,
    FillSignature,
    KeepSignature,
    OfferSignature,
    ParametersSignature,
    RecurrentSumsSignature,
    StepSignature,
    UnitSignature,
    WriteSignature,
    u_bank_signature,
    unit_events,
    unit_faults,
)
from hdl.accelerator.spmv_bank import SpmvBank
from hdl.accelerator.spmv_pe import SpmvPe
from hdl.accelerator.u.block_scanner import BlockScanner
from hdl.accelerator.u.segment_loader import SegmentLoader
from hdl.accelerator.u.setup import Setup
from hdl.accelerator.u.step_sums import clear_both, give_sums, setup_first
from hdl.common.component import Component
from hdl.common.queue import Queue
from hdl.common.ram import Ram


class ColumnPath(Component):
    """Loads what comes first, then for each step the columns of W and of U that are sent, and adds their products.

    ``x_keep``, ``h_keep`` tell what is sent, ``x_block``, ``h_block`` fetch the changes. ``step`` says when the sums of
    a step of ``parameters``' run are complete, ``sums`` reads them; ``step_issued`` pulses when the PE has been given
    the last word of a step. ``bias``, ``c``, ``h_state``, ``held``, ``held_sums`` and ``x_held`` carry what is loaded
    before the first step, until ``loaded``.

    ``u_burst`` asks for U, ``burst`` for all the rest, ``fill`` brings it. ``faults``: what is wrong with it.
    ``events``: words of W, of U and of what comes before, units that are sent and not; in every cycle the PE works
    (W_BUSY), a word is due and not there (W_STARVED, of U U_STARVED, too), or there is none to wait for (W_IDLE;
    U_IDLE: none of U).
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        rows = range(2 * cfg.x_blocks)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "u_burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "bias": Out(WriteSignature(cfg.max_h, HALVES)),
                "c": Out(WriteSignature(cfg.max_h, signed(SUM_BITS))),
                "h_state": Out(UnitSignature()),
                "held": Out(WriteSignature(cfg.max_h, signed(HELD_BITS))),
                "held_sums": Out(WriteSignature(cfg.max_rows, signed(SUM_BITS))),
                "x_held": Out(WriteSignature(cfg.max_x, signed(HELD_BITS))),
                "loaded": Out(1),
                "x_keep": In(KeepSignature(cfg, rows)),
                "x_block": Out(BlockSignature(cfg, rows)),
                "h_keep": In(KeepSignature(cfg)),
                "h_block": Out(BlockSignature(cfg)),
                "step_issued": Out(1),
                "step": Out(StepSignature()),
                "sums": In(RecurrentSumsSignature(cfg)),
                "faults": Out(unit_faults(cfg)["path"]),
                "events": Out(unit_events(cfg)["path"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p, events = self.cfg, self.parameters, self.events
        m.submodules.setup = setup = Setup(cfg)
        m.submodules.scanner = scanner = BlockScanner(cfg)
        m.submodules.loader = loader = SegmentLoader(cfg)
        m.submodules.segments = segments = Queue(segment_layout(cfg), 8)
        m.submodules.columns = columns = Queue(column_layout(cfg), 16)
        m.submodules.ring = ring = Ring(cfg, Kind.U)
        m.submodules.decoder = decoder = StreamDecoder(cfg, stream8=cfg.stream8, mark=mark_layout(cfg))
        m.submodules.pe = pe = SpmvPe(macs=cfg.entries)
        m.submodules.bank = spmv_bank = SpmvBank(cfg, u_bank_signature(cfg), cfg.row_groups, memories=2)
        bank = spmv_bank.words
        for part in (setup, scanner):
            connect(m, flipped(self.parameters), part.parameters)
        connect(m, segments.o, loader.segments)
        # A burst is offered at one place or the other, by what the segment in work is of.
        for offer, mine in ((self.burst, ~loader.of_u), (self.u_burst, loader.of_u)):
            m.d.comb += [
                offer.valid.eq(loader.burst.valid & mine),
                *(getattr(offer, name).eq(getattr(loader.burst, name)) for name in burst_layout(cfg).members),
            ]
        m.d.comb += loader.burst.taken.eq(self.burst.taken | self.u_burst.taken)
        connect(m, flipped(self.fill), ring.fill)
        connect(m, ring.space, loader.space)
        connect(m, flipped(p.w_matrix), decoder.w_matrix)
        connect(m, flipped(p.u_matrix), decoder.u_matrix)
        for name in ("bias", "c", "held", "held_sums", "x_held"):
            connect(m, getattr(setup, name), flipped(getattr(self, name)))
        connect(m, setup.h, flipped(self.h_state))
        connect(m, flipped(self.x_keep), scanner.x_keep)
        connect(m, flipped(self.h_keep), scanner.keep)

        # Lengths of units, four in a row.
        for name, write, read in (
            ("w", setup.w_offsets, scanner.w_offsets),
            ("u", setup.offsets, scanner.offsets),
        ):
            rows = cfg.x_blocks if name == "w" else cfg.h_blocks
            m.submodules[f"{name}_offsets"] = offsets = Ram(64, rows)
            m.d.comb += [
                offsets.read_en.eq(scanner.offset_en),
                offsets.read_addr.eq(scanner.offset_addr),
                offsets.write_en.eq(write.en),
                offsets.write_addr.eq(write.addr),
                offsets.write_data.eq(write.data),
                read.eq(offsets.read_data),
            ]
        if cfg.stream8:
            tables = decoder.tables
            of_w = setup.w_tables
            m.d.comb += [
                tables.en.eq(of_w.en | setup.u_tables.en),
                tables.addr.eq(Cat(of_w.addr, ~of_w.en)),
                tables.data.eq(of_w.data),
            ]

        clear_both(m, bank, Const(1), p.h_blocks + p.h_blocks[0])
        m.d.comb += [
            self.loaded.eq(setup.done),
            scanner.enable.eq(setup.done & ~bank.clearing),
            scanner.room.eq((segments.room >= 1) & (columns.room >= 1)),
            decoder.h_blocks.eq(p.h_blocks),
            columns.i.valid.eq(scanner.columns.valid),
            columns.i.payload.eq(scanner.columns.payload),
            decoder.units.valid.eq(columns.o.valid),
            decoder.units.payload.unit.eq(columns.o.payload.column),
            decoder.units.payload.words.eq(columns.o.payload.words),
            decoder.units.payload.mark.eq(columns.o.payload.mark),
            decoder.units.payload.end.eq(columns.o.payload.end),
            columns.o.ready.eq(decoder.units.ready),
        ]
        setup_first(m, setup, scanner, segments.i, ring.words, decoder)
        give_sums(m, bank, self.sums, self.step)

        # A word's changes leave their memory, and go to the PE with its values a cycle later.
        item = decoder.items.payload
        value = Signal()
        ended = Signal()
        issued: Any = Signal(item_layout(cfg))
        issue = Signal()
        operands = Signal(64)
        values = Signal.like(issued.values)
        selects = Signal.like(issued.selects)
        m.d.sync += [
            issue.eq(value),
            *(getattr(issued, name).eq(getattr(item, name)) for name in item_layout(cfg).members),
            operands.eq(Mux(issued.mark.of_u, self.h_block.h.as_value(), self.x_block.h.as_value())),
            values.eq(issued.values),
            selects.eq(issued.selects),
            bank.mark.end.eq(ended),
            bank.mark.empty.eq(item.mark.first),
        ]
        m.d.comb += [
            value.eq(decoder.items.valid & ~item.end),
            ended.eq(decoder.items.valid & item.end),
            decoder.items.ready.eq(1),
            self.x_block.en.eq(value),
            self.x_block.addr.eq(item.column + Mux(item.mark.half, cfg.x_blocks, 0)),
            self.h_block.en.eq(value),
            self.h_block.addr.eq(item.column),
            self.step_issued.eq(ended),
            bank.item.eq(issued),
            bank.issue.eq(issue),
            bank.memory.eq(issued.mark.half),
            *(each.eq(group) for each, group in zip(bank.addr, issued.row_groups, strict=True)),
            pe.values.eq(values),
            pe.selects.eq(selects),
            pe.operands.eq(operands),
            *(spmv_bank.products[i].eq(pe.products[i]) for i in range(cfg.entries)),
            spmv_bank.lost.eq(pe.overflow),
            self.faults.bad_bias.eq(setup.bad_bias),
            self.faults.bad_state.eq(setup.bad_state),
            self.faults.bad_format.eq(decoder.bad_format | scanner.bad_format),
            self.faults.bad_weight.eq(decoder.bad_weight),
            self.faults.acc_overflow.eq(bank.overflow),
        ]

        # Of which matrix the words are that the decoder takes is known from the unit that it has.
        loaded = Signal()
        starved = Signal()
        m.d.comb += [
            loaded.eq(decoder.words.valid & decoder.words.ready),
            starved.eq(decoder.words.ready & ~loaded),
            events.w_words.eq(loaded & ~decoder.of_u),
            events.u_words.eq(loaded & decoder.of_u),
            events.setup_words.eq(setup.words.valid & setup.words.ready),
            events.x_sent.eq(scanner.x_sent),
            events.x_skipped.eq(scanner.x_skipped),
            events.kept_blocks.eq(scanner.kept),
            events.skipped_blocks.eq(scanner.skipped),
            events.u_starved.eq(starved & decoder.of_u),
            events.u_idle.eq(~(events.u_words | events.u_starved)),
            events.pe_busy.eq(value),
            events.w_busy.eq(value),
            events.w_starved.eq(~value & starved),
            events.w_idle.eq(~(events.w_busy | events.w_starved)),
        ]
        return m
