"""The U h path: columns of kept blocks only, one value word a cycle into one PE and two alternating results."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.formats import WordDecoder
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS
from hdl.accelerator.layout import HALVES, HELD_BITS, SUM_BITS, Kind, column_layout, segment_layout, u_offset_words
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
from hdl.accelerator.u.block_scanner import BlockScanner
from hdl.accelerator.u.column_scanner import ColumnScanner
from hdl.accelerator.u.segment_loader import SegmentLoader
from hdl.accelerator.u.setup import Setup
from hdl.accelerator.u.step_sums import clear_both, give_sums, setup_first
from hdl.common.component import Component
from hdl.common.queue import Queue
from hdl.common.ram import Ram


class RecurrentPath(Component):
    """From memory to the sums U s(h) of one step, while the previous step's sums are still being read.

    ``bank``: words for it; ``step`` says when the sums of a step of ``parameters``' run are complete, ``sums`` gives
    them. ``keep`` tells of blocks of h as they become known, ``block`` fetches s(h). ``bias``, ``c`` and ``state``
    carry what is loaded before the first step: biases, cells and h of the state, with DELTA ``held`` and ``held_sums``
    the rest of it; ``w_offsets`` and ``w_tables`` what W
    needs of it, until ``loaded`` (see Setup).

    ``burst`` asks for all of that and for U, ``fill`` brings it. ``faults``: what is wrong with it. ``events``: words
    of U and of what comes before, kept and skipped units; in every cycle a word of U is taken, missing (U_STARVED)
    or not wanted (U_IDLE); PE_BUSY while the PE is given an item.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        held: dict[str, Any] = {}
        if cfg.delta:
            held["held"] = Out(WriteSignature(cfg.max_h, signed(HELD_BITS)))
            held["held_sums"] = Out(WriteSignature(cfg.max_rows, signed(SUM_BITS)))
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "bias": Out(WriteSignature(cfg.max_h, HALVES)),
                "c": Out(WriteSignature(cfg.max_h, signed(SUM_BITS))),
                "w_offsets": Out(WriteSignature(cfg.x_blocks, HALVES)),
                "w_tables": Out(WriteSignature(TABLE_WORDS, HALVES)),
                "loaded": Out(1),
                "state": Out(UnitSignature()),
                **held,
                "keep": In(KeepSignature(cfg)),
                "block": Out(BlockSignature(cfg)),
                "step": Out(StepSignature()),
                "sums": In(RecurrentSumsSignature(cfg)),
                "bank": Out(u_bank_signature(cfg)),
                "faults": Out(unit_faults(cfg)["recurrent"]),
                "events": Out(unit_events(cfg)["recurrent"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, p, events = self.cfg, self.parameters, self.events
        bank = self.bank
        m.submodules.setup = setup = Setup(cfg)
        scanner: Any = BlockScanner(cfg) if cfg.delta else ColumnScanner(cfg)
        m.submodules.scanner = scanner
        m.submodules.loader = loader = SegmentLoader(cfg)
        m.submodules.segments = segments = Queue(segment_layout(cfg), 8)
        m.submodules.columns = columns = Queue(column_layout(cfg), 16)
        m.submodules.offsets = offsets = Ram(64, u_offset_words(cfg))
        m.submodules.ring = ring = Ring(cfg, Kind.U)
        m.submodules.decoder = decoder = WordDecoder(cfg)
        for part in (setup, scanner):
            connect(m, flipped(self.parameters), part.parameters)
        connect(m, loader.burst, flipped(self.burst))
        connect(m, segments.o, loader.segments)
        connect(m, flipped(self.fill), ring.fill)
        connect(m, ring.space, loader.space)
        connect(m, columns.o, decoder.columns)
        connect(m, flipped(p.u_matrix), decoder.matrix)
        connect(m, setup.u_tables, decoder.tables)
        connect(m, setup.w_offsets, flipped(self.w_offsets))
        connect(m, setup.w_tables, flipped(self.w_tables))
        connect(m, setup.bias, flipped(self.bias))
        connect(m, setup.c, flipped(self.c))
        connect(m, setup.h, flipped(self.state))
        if cfg.delta:
            connect(m, setup.held, flipped(self.held))
            connect(m, setup.held_sums, flipped(self.held_sums))
        connect(m, flipped(self.keep), scanner.keep)
        m.d.comb += [
            decoder.h_blocks.eq(p.h_blocks),
            decoder.known.eq(1),
            scanner.enable.eq(setup.done & ~bank.clearing),
            scanner.offsets.eq(offsets.read_data),
            scanner.room.eq((segments.room >= 2) & (columns.room >= 2)),
            offsets.read_en.eq(scanner.offset_en if cfg.delta else 1),
            offsets.read_addr.eq(scanner.offset_addr),
            offsets.write_en.eq(setup.offsets.en),
            offsets.write_addr.eq(setup.offsets.addr),
            offsets.write_data.eq(setup.offsets.data),
            columns.i.valid.eq(scanner.columns.valid),
            columns.i.payload.eq(scanner.columns.payload),
            self.faults.bad_bias.eq(setup.bad_bias),
            self.faults.bad_state.eq(setup.bad_state),
            self.faults.bad_format.eq(decoder.bad_format | scanner.bad_format),
            self.faults.bad_weight.eq(decoder.bad_weight),
            self.faults.acc_overflow.eq(bank.overflow),
        ]

        m.d.comb += self.loaded.eq(setup.done)
        if cfg.streams:
            # sums of streams are added to from the first word on
            clear_both(m, bank, p.u_matrix.stream, p.h_blocks)
        setup_first(m, setup, scanner, segments.i, ring.words, decoder)
        give_sums(m, bank, self.sums, self.step)

        item = decoder.items.payload
        value = Signal()
        ended = Signal()
        fresh = Signal(init=1)
        zero = Signal()
        m.d.comb += [
            value.eq(decoder.items.valid & ~item.end),
            ended.eq(decoder.items.valid & item.end),
            decoder.items.ready.eq(1),
            self.block.en.eq(value),
            self.block.addr.eq(item.column),
            bank.item.eq(item),
            bank.issue.eq(value),
            bank.memory.eq(item.mark.half),
            *(each.eq(group) for each, group in zip(bank.addr, item.row_groups, strict=True)),
            bank.operands.eq(Mux(zero, 0, self.block.h.as_value())),
            bank.mark.end.eq(ended),
            bank.mark.empty.eq(item.mark.first),
        ]
        # before the first step there is no h in the memory unless a state was loaded
        m.d.sync += zero.eq(fresh & ~p.state_in)
        with m.If(ended):
            m.d.sync += fresh.eq(0)

        loaded = Signal()
        m.d.comb += [
            loaded.eq(decoder.words.valid & decoder.words.ready),
            events.u_words.eq(loaded),
            events.setup_words.eq(setup.words.valid & setup.words.ready),
            events.kept_blocks.eq(scanner.kept),
            events.skipped_blocks.eq(scanner.skipped),
            events.u_starved.eq(decoder.words.ready & ~loaded),
            events.u_idle.eq(~decoder.words.ready),
            events.pe_busy.eq(value),
        ]
        return m
