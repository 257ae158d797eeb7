"""The U h path: columns of kept blocks only, one value word a cycle into one PE and two alternating results."""

from amaranth import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import BANK_LANES, AcceleratorConfig
from hdl.accelerator import formats
from hdl.accelerator.bank import ResultBank
from hdl.accelerator.layout import (
    FillSignature,
    Kind,
    OfferSignature,
    ParametersSignature,
    Widths,
    burst_words,
    column_layout,
    segment_layout,
)
from hdl.accelerator.pe import SpmvPe
from hdl.accelerator.ring import Ring
from hdl.accelerator.u.scanner import ColumnScanner
from hdl.accelerator.u.setup import Setup, SetupResults
from hdl.common.queue import Queue
from hdl.common.ram import Ram


class SegmentLoader(wiring.Component):
    """Offers the bursts of one segment after the other, as far as the ring has room."""

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "segments": In(stream.Signature(segment_layout())),
                "burst": Out(OfferSignature(cfg)),
                "next_index": In(w.ring),
                "free": In(range(w.ring_depth + 1)),
                "alloc": Out(5),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = Signal(segment_layout())
        words = Signal(5)
        finished = Signal()
        m.d.comb += [
            words.eq(burst_words(current.addr, current.words, self.free)),
            self.burst.valid.eq(words != 0),
            self.burst.addr.eq(current.addr),
            self.burst.words.eq(words),
            self.burst.kind.eq(Kind.U),
            self.burst.index.eq(self.next_index),
            self.alloc.eq(Mux(self.burst.taken, words, 0)),
            finished.eq(current.words == self.alloc),
            self.segments.ready.eq(finished),
        ]
        with m.If(finished & self.segments.valid):
            m.d.sync += current.eq(self.segments.payload)
        with m.Else():
            m.d.sync += [current.addr.eq(current.addr + self.alloc), current.words.eq(current.words - self.alloc)]
        return m


class RecurrentPath(wiring.Component):
    """From memory to the sums U s(h) of one step, while the previous step's sums are still being read.

    ``done`` pulses when a step's sums are complete; ``empty`` then says that no column was kept (the sums are zero
    and not in the memory). ``read`` gives 16 sums of the half ``read_half`` one cycle later; they hold.
    ``h_addr``/``h`` fetch a block of s(h). Setup's outputs pass through: see Setup.

    ``loaded`` pulses per word of U, ``setup_loaded`` per word before the first step; ``due`` is high while the decoder
    wants a word of U, ``working`` while the PE is given an item.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        w = Widths(cfg)
        super().__init__(
            {
                "parameters": In(ParametersSignature(cfg)),
                "burst": Out(OfferSignature(cfg)),
                "fill": In(FillSignature(cfg)),
                "setup": Out(SetupResults(cfg)),
                "published": In(1),
                "keep_addr": Out(w.h_blocks),
                "keep": In(1),
                "h_en": Out(1),
                "h_addr": Out(w.h_blocks),
                "h": In(data.ArrayLayout(unsigned(16), 4)),
                "done": Out(1),
                "empty": Out(1),
                "read": In(1),
                "read_half": In(1),
                "read_row_group": In(w.row_group),
                "read_data": Out(signed(32)).array(BANK_LANES),
                "loaded": Out(1),
                "due": Out(1),
                "working": Out(1),
                "setup_loaded": Out(1),
                "kept": Out(1),
                "skipped": Out(1),
                "bad_bias": Out(1),
                "bad_state": Out(1),
                "bad_format": Out(1),
                "bad_weight": Out(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        m.submodules.setup = setup = Setup(cfg)
        m.submodules.scanner = scanner = ColumnScanner(cfg)
        m.submodules.loader = loader = SegmentLoader(cfg)
        m.submodules.segments = segments = Queue(segment_layout(), 8)
        m.submodules.columns = columns = Queue(column_layout(cfg), 16)
        m.submodules.offsets = offsets = Ram(64, -(-cfg.h_blocks // 4))
        m.submodules.ring = ring = Ring(cfg, Kind.U)
        m.submodules.decoder = decoder = formats.decoder(cfg, known_length=True)
        m.submodules.pe = pe = SpmvPe()
        m.submodules.bank = bank = ResultBank(cfg.row_groups, memories=2)
        p = self.parameters
        for part in (setup, scanner):
            connect(m, flipped(self.parameters), part.parameters)
        connect(m, loader.burst, flipped(self.burst))
        connect(m, segments.o, loader.segments)
        connect(m, flipped(self.fill), ring.fill)
        connect(m, columns.o, decoder.columns)
        item = decoder.items.payload
        valid = decoder.items.valid
        value = valid & ~item.end
        m.d.comb += [
            decoder.blocks.eq(p.h_blocks << 1),
            loader.next_index.eq(ring.next_index),
            loader.free.eq(ring.free),
            ring.alloc.eq(loader.alloc),
            scanner.enable.eq(setup.results.done),
            scanner.published.eq(self.published),
            self.keep_addr.eq(scanner.keep_addr),
            scanner.keep.eq(self.keep),
            scanner.offsets.eq(offsets.read_data),
            scanner.room.eq((segments.room >= 2) & (columns.room >= 2)),
            offsets.read_en.eq(1),
            offsets.read_addr.eq(scanner.offset_addr),
            offsets.write_en.eq(setup.results.offsets_en),
            offsets.write_addr.eq(setup.results.addr),
            offsets.write_data.eq(setup.results.word),
            columns.i.valid.eq(scanner.columns.valid),
            columns.i.payload.eq(scanner.columns.payload),
            self.kept.eq(scanner.kept),
            self.skipped.eq(scanner.skipped),
            self.bad_bias.eq(setup.bad_bias),
            self.bad_state.eq(setup.bad_state),
            self.bad_format.eq(decoder.bad_format | scanner.bad_format),
            self.bad_weight.eq(decoder.bad_weight),
            self.loaded.eq(decoder.words.valid & decoder.words.ready),
            self.due.eq(decoder.words.ready),
            self.working.eq(value),
            self.setup_loaded.eq(setup.words.valid & setup.words.ready),
        ]
        connect(m, setup.results, flipped(self.setup))

        # Setup's segments and words come first, the columns' after it.
        m.d.comb += [setup.words.payload.eq(ring.words.payload), decoder.words.payload.eq(ring.words.payload)]
        with m.If(setup.results.done):
            m.d.comb += [
                segments.i.valid.eq(scanner.segments.valid),
                segments.i.payload.eq(scanner.segments.payload),
                decoder.words.valid.eq(ring.words.valid),
                ring.words.ready.eq(decoder.words.ready),
            ]
        with m.Else():
            m.d.comb += [
                segments.i.valid.eq(setup.segments.valid),
                segments.i.payload.eq(setup.segments.payload),
                setup.segments.ready.eq(segments.i.ready),
                setup.words.valid.eq(ring.words.valid),
                ring.words.ready.eq(setup.words.ready),
            ]

        # Stage 0 fetches h, stage 1 multiplies, 2 rounds while the bank fetches, 3 adds.
        item_1 = Signal.like(item)
        fresh = Signal(init=1)
        zero = Signal()
        working = Signal(3)
        done = Signal(3)
        half = Signal(2)
        row_group = [Signal.like(item.row_group, name=f"row_group_{i}") for i in range(2)]
        lanes_2 = Signal.like(item.lanes)
        lanes_3 = Signal.like(item.lanes)
        first = Signal(2)
        empty = Signal(3)
        m.d.comb += [decoder.items.ready.eq(1), self.h_en.eq(value), self.h_addr.eq(item.column)]
        with m.If(valid & item.end):
            m.d.sync += fresh.eq(0)
        m.d.sync += [
            item_1.eq(item),
            # before the first step there is no h in the memory unless a state was loaded
            zero.eq(fresh & ~p.state_in),
            working.eq(Cat(value, working)),
            done.eq(Cat(valid & item.end, done)),
            empty.eq(Cat(item.first, empty)),
            half.eq(Cat(item.half, half)),
            row_group[0].eq(item.row_group),
            row_group[1].eq(row_group[0]),
            lanes_2.eq(item_1.lanes),
            lanes_3.eq(lanes_2),
            first.eq(Cat(item_1.first, first)),
        ]
        m.d.comb += [
            pe.values.eq(item_1.values),
            pe.selects.eq(item_1.selects),
            pe.operands.as_value().eq(Mux(zero, 0, self.h.as_value())),
            bank.fetch.eq(working[1]),
            bank.memory.eq(half[1]),
            bank.addr.eq(row_group[1]),
            bank.first.eq(first[1]),
            bank.lanes.eq(lanes_3),
            *(bank.products[i].eq(pe.products[i]) for i in range(4)),
            bank.read.eq(self.read),
            bank.read_memory.eq(self.read_half),
            bank.read_addr.eq(self.read_row_group),
            *(self.read_data[lane].eq(bank.read_data[lane]) for lane in range(BANK_LANES)),
            self.done.eq(done[2]),
            self.empty.eq(empty[2]),
            self.overflow.eq((working[2] & pe.overflow) | bank.overflow),
        ]
        return m
