"""The decoder of the stream formats: a word of four or eight entries in, four or eight values in their places out."""

from collections.abc import Sequence
from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.hdl import ShapeLike
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from golden.config import GATES, AcceleratorConfig
from golden.tables import STREAM_GAP_BITS, TABLE_VALUES
from hdl.accelerator.layout import HALVES, Widths, bits_for, stream_item_layout, stream_unit_layout, unit_places
from hdl.accelerator.signatures import MatrixSignature, WriteSignature
from hdl.common.arith import Fp16
from hdl.common.component import Component
from hdl.common.ram import Ram

LEAST_GAP_BITS = min(STREAM_GAP_BITS[16])
MOST_GAP_BITS = max(STREAM_GAP_BITS[16])
TABLE_WORDS = GATES * TABLE_VALUES // 4
"""Words of a matrix's tables, each of four values."""


class StreamDecoder(Component):
    """Takes one of ``words`` in every cycle in which its ``items`` are taken, whatever units they are of.

    The units to expect come from ``units``, in order, each with the number of its words. An empty one costs no cycle
    if it is there before the last word of the unit before it, and one at most. Every word becomes an item, one cycle
    after it or, with ``stream8``, two; an ``end`` entry of ``units`` becomes an ``end`` item.

    Parameters:
        stream8: 8-bit entries are built, too: an item has eight values, of which a word of 16-bit entries fills four
            and repeats them in the others, for a bank of eight products.
        mark: shape of what travels beside the units.

    Of the run: ``h_blocks``, H/4; ``gap_bits``, g of 16-bit entries, 4 to 6; ``single``, a unit is one column, not
    four; with ``stream8`` also ``narrow``, entries have 8 bits and g is 4, and ``tables``, which writes the words of
    the matrix's tables, each of four values of one gate, lowest first.

    With events there are ``w_matrix`` and ``u_matrix`` instead, and tables of W, then of U: units' marks say which, and
    ``of_u`` whose words are taken. Every word takes two cycles, and its sums lie so that those of all four gates of a
    unit are in two row groups.

    ``bad_format``: a value lies beyond its unit's places, two cycles after its word unless items wait. ``bad_weight``:
    a value is not finite, likewise, or entry 1 to 15 of a table is not, one cycle after it is written. Then the run is
    lost, and what follows means nothing. Entries that are no value may lie anywhere. So whatever the words are, a unit
    whose words all come ends in items or in ``bad_format``.
    """

    def __init__(self, cfg: AcceleratorConfig, *, stream8: bool = False, mark: ShapeLike = 1) -> None:
        self.cfg, self.stream8, self.mark = cfg, stream8, mark
        self.streams = 8 if stream8 else 4
        ports = {
            "h_blocks": In(Widths(cfg).h_blocks),
            "words": In(stream.Signature(unsigned(64))),
            "units": In(stream.Signature(stream_unit_layout(cfg, mark))),
            "items": Out(stream.Signature(stream_item_layout(cfg, self.streams, mark))),
            "bad_format": Out(1),
            "bad_weight": Out(1),
        }
        matrices = 1
        if cfg.events:
            matrices = 2
            ports |= {"w_matrix": In(MatrixSignature()), "u_matrix": In(MatrixSignature()), "of_u": Out(1)}
        else:
            ports |= {"gap_bits": In(range(MOST_GAP_BITS + 1)), "single": In(1)}
            if stream8:
                ports["narrow"] = In(1)
        self.table_rows = matrices * TABLE_WORDS
        if stream8:
            ports["tables"] = In(WriteSignature(self.table_rows, HALVES))
        super().__init__(ports)

    def _of(self, name: str, mark: Any) -> Value:
        """What the run says of the matrix of the words with that mark: ``narrow``, ``single`` or ``gap_bits``."""
        if name == "narrow" and not self.stream8:
            return Const(0)
        if not self.cfg.events:
            value: Value = getattr(self, name)
            return value
        return Mux(mark.of_u, getattr(self.u_matrix, name), getattr(self.w_matrix, name))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        streams = range(self.streams)

        # Which unit. An empty one is dropped wherever it stands.
        unit: Any = Signal(self.units.payload.shape())
        have_unit = Signal()
        words_left = Signal(16)
        first = Signal(init=1)
        last = Signal()
        next_unit = self.units.payload
        empty = ~next_unit.end & (next_unit.words == 0)
        moves = Signal()
        take_word = Signal()
        take_end = Signal()
        unit_free = Signal()
        m.d.comb += [
            moves.eq(~self.items.valid | self.items.ready),
            self.words.ready.eq(have_unit & ~unit.end & moves),
            take_word.eq(self.words.ready & self.words.valid),
            take_end.eq(have_unit & unit.end & moves),
            unit_free.eq(~have_unit | take_end | (take_word & last)),
            self.units.ready.eq(unit_free | empty),
        ]
        with m.If(take_word):
            m.d.sync += [first.eq(last), last.eq(words_left == 2), words_left.eq(words_left - 1)]
        with m.If(unit_free):
            m.d.sync += [
                have_unit.eq(self.units.valid & ~empty),
                unit.eq(next_unit),
                words_left.eq(next_unit.words),
                last.eq(next_unit.words == 1),
            ]

        # Stage 1: where each stream is. Beyond any unit's places there are enough numbers that no gap skips them all.
        place_bits = bits_for(self.cfg.max_rows + (1 << MOST_GAP_BITS) - 1)
        decoded: Any = Signal(
            data.StructLayout(
                {
                    "values": data.ArrayLayout(unsigned(16), self.streams),
                    "places": data.ArrayLayout(unsigned(place_bits), self.streams),
                    "used": unsigned(self.streams),
                    "first": unsigned(1),
                    "unit": self.units.payload.shape(),
                }
            )
        )
        have_decoded = Signal()
        is_gap = Signal(MOST_GAP_BITS - LEAST_GAP_BITS)
        coming = next_unit.mark if self.cfg.events else unit.mark
        wide_gap = ~self._of("narrow", coming)
        gap_bits = self._of("gap_bits", coming)
        with m.If(unit_free if self.cfg.events else Const(1)):
            m.d.sync += is_gap.eq(Cat(wide_gap & (gap_bits > bit) for bit in range(LEAST_GAP_BITS, MOST_GAP_BITS)))
        for k in streams:
            entry = self._entry(k, self._of("narrow", unit.mark))
            place = Signal(place_bits, init=-1, name=f"place_{k}")
            gap = Signal(place_bits, name=f"gap_{k}")
            next_place = Signal(place_bits, name=f"next_place_{k}")
            value = Signal(16, name=f"value_{k}")
            m.d.comb += [
                gap.eq(Cat(entry[:LEAST_GAP_BITS], entry[LEAST_GAP_BITS:MOST_GAP_BITS] & is_gap)),
                value.eq(
                    Cat(
                        Const(0, LEAST_GAP_BITS),
                        entry[LEAST_GAP_BITS:MOST_GAP_BITS] & ~is_gap,
                        entry[MOST_GAP_BITS:],
                    )
                ),
                # one adder: place + gap + 1
                next_place.eq(place - ~gap),
            ]
            with m.If(take_word):
                m.d.sync += place.eq(Mux(last, ~Const(0, place_bits), next_place))
            with m.If(moves):
                m.d.sync += [
                    decoded.values[k].eq(value),
                    decoded.places[k].eq(next_place),
                    decoded.used[k].eq(take_word & value.any()),
                ]
        with m.If(moves):
            m.d.sync += [have_decoded.eq(take_word | take_end), decoded.unit.eq(unit), decoded.first.eq(first)]
        is_word = have_decoded & ~decoded.unit.end

        narrow: Any = self._of("narrow", decoded.unit.mark)
        single: Any = self._of("single", decoded.unit.mark)
        if self.cfg.events:
            # of which matrix a word is was known a stage before
            narrow = Signal(name="decoded_narrow")
            single = Signal(name="decoded_single")
            with m.If(moves):
                m.d.sync += [narrow.eq(self._of("narrow", unit.mark)), single.eq(self._of("single", unit.mark))]
        self._check(m, decoded, is_word, moves, narrow, single)
        if self.cfg.events:
            m.d.comb += self.of_u.eq(unit.mark.of_u)
            return self._by_gates(m, decoded, have_decoded, moves, narrow, single)
        if not self.stream8:
            m.d.comb += self.items.valid.eq(have_decoded)
            self._give(m, decoded, [decoded.values[k] for k in streams], narrow)
            return m

        # Stage 2: what the code means in the table of its row's gate.
        looked_up: Any = Signal(decoded.shape())
        with m.If(moves):
            m.d.sync += [self.items.valid.eq(have_decoded), looked_up.eq(decoded)]
        gate_blocks = self._gate_blocks(m)
        gates = [self._gate(k, decoded.places[k], gate_blocks) for k in streams]
        values = self._looked_up(m, decoded, looked_up, gates, moves, narrow)
        self._give(m, looked_up, values, narrow)
        return m

    def _gate_blocks(self, m: Module) -> list[Signal]:
        """Blocks of 4 rows before gates 1, 2 and 3."""
        gate_blocks = [Signal(Widths(self.cfg).h_blocks + 2, name=f"blocks_before_gate_{i}") for i in range(1, GATES)]
        one, two = self.h_blocks, self.h_blocks << 1
        m.d.sync += [before.eq(blocks) for before, blocks in zip(gate_blocks, (one, two, one + two), strict=True)]
        return gate_blocks

    def _looked_up(
        self, m: Module, decoded: Any, looked_up: Any, gates: Sequence[Value], moves: Value, narrow: Value
    ) -> list[Value]:
        """Values of the word that is ``looked_up`` in the cycle after it was ``decoded``, of rows of these gates."""
        # Entry 0 is no value, whatever the table says: what it is multiplied to is zero, and overflows nothing
        table_word = Signal(64)
        m.d.comb += table_word.eq(self.tables.data)
        with m.If(self.tables.addr[:2] == 0):
            m.d.comb += table_word[:16].eq(0)
        values = []
        for k, gate in enumerate(gates):
            m.submodules[f"table_{k}"] = table = Ram(64, self.table_rows)
            code = decoded.values[k][LEAST_GAP_BITS:][:4]
            row = Cat(code[2:], gate, decoded.unit.mark.of_u) if self.cfg.events else Cat(code[2:], gate)
            m.d.comb += [
                table.write_en.eq(self.tables.en),
                table.write_addr.eq(self.tables.addr),
                table.write_data.eq(table_word),
                table.read_en.eq(moves),
                table.read_addr.eq(row),
            ]
            of_table = table.read_data.word_select(looked_up.values[k][LEAST_GAP_BITS:][:2], 16)
            values.append(Mux(narrow, of_table, looked_up.values[k]))
        return values

    def _by_gates(
        self, m: Module, decoded: Any, have_decoded: Value, moves: Value, narrow: Value, single: Value
    ) -> Module:
        """The second stage of builds with events: there the sums of a unit's gates lie side by side.

        Two blocks of units share two row groups: the first has gates 0 and 1, the second gates 2 and 3, eight lanes
        each, of which the first four are for rows in even blocks of 4 rows, as streams go, the others for odd ones.
        """
        w = Widths(self.cfg)
        gate_blocks = self._gate_blocks(m)
        looked_up: Any = Signal(decoded.shape())
        item = self.items.payload
        with m.If(moves):
            m.d.sync += [self.items.valid.eq(have_decoded), looked_up.eq(decoded)]
        gates = []
        for k in range(self.streams):
            row = Mux(single, decoded.places[k], decoded.places[k] >> 2)
            quad = Signal(w.h_blocks + 2, name=f"quad_{k}")
            gate = Signal(2, name=f"gate_{k}")
            block = Signal(w.h_blocks, name=f"block_{k}")
            m.d.comb += quad.eq(Mux(narrow, Cat(Const(k // 4, 1), row), row))
            lefts = [Signal(len(quad) + 1, name=f"left_{k}_{i}") for i in range(1, GATES)]
            m.d.comb += [left.eq(quad - before) for left, before in zip(lefts, gate_blocks, strict=True)]
            past = [~left[-1] for left in lefts]
            m.d.comb += [
                gate.eq(Cat(past[2] | (past[0] & ~past[1]), past[1])),
                block.eq(Mux(past[2], lefts[2], Mux(past[1], lefts[1], Mux(past[0], lefts[0], quad)))),
            ]
            with m.If(moves):
                m.d.sync += [
                    item.row_groups[k].eq(Cat(gate[1], block[1:])),
                    item.lanes[k].eq(Cat(Const(k % 4, 2), quad[0], gate[0])),
                    item.selects[k].eq(Mux(single, decoded.unit.unit[:2], decoded.places[k][:2])),
                ]
            gates.append(gate)
        values = [looked_up.values[k] for k in range(self.streams)]
        if self.stream8:
            is_narrow = self._of("narrow", looked_up.unit.mark)
            values = self._looked_up(m, decoded, looked_up, gates, moves, is_narrow)
        m.d.comb += [
            *(item.values[k].eq(value) for k, value in enumerate(values)),
            item.used.eq(looked_up.used),
            item.column.eq(Mux(self._of("single", looked_up.unit.mark), looked_up.unit.unit >> 2, looked_up.unit.unit)),
            item.mark.eq(looked_up.unit.mark),
            item.end.eq(looked_up.unit.end),
        ]
        return m

    def _entry(self, k: int, narrow: Value) -> Value:
        """Entry of stream k of the word, 16 bits."""
        wide = self.words.payload.word_select(k % 4, 16)
        if not self.stream8:
            return wide
        return Mux(narrow, self.words.payload.word_select(k, 8), wide)

    def _row_of_stream(self, place: Value) -> Value:
        """Row in its stream: row div S."""
        return Mux(self.single, place, place >> 2)

    def _gate(self, k: int, place: Value, gate_blocks: Sequence[Value]) -> Value:
        """Gate 0..3 of the row of an 8-bit entry: gates are whole blocks of 4 rows."""
        block = Cat(Const(k // 4, 1), self._row_of_stream(place))
        past = [block >= before for before in gate_blocks]
        return Cat(past[2] | (past[0] & ~past[1]), past[1])

    def _check(self, m: Module, decoded: Any, is_word: Value, moves: Value, narrow: Value, single: Value) -> None:
        """What is wrong with the values of a word: their places, or they are not finite."""
        places: Any = Signal(decoded.places[0].shape())
        beyond = Signal(self.streams)
        outside = Signal(self.streams)
        infinite = Signal(self.streams)
        if self.cfg.events:
            both = [Signal.like(places, name=f"places_{name}") for name in ("w", "u")]
            m.d.sync += [
                of.eq(unit_places(self.h_blocks, matrix.narrow, matrix.single))
                for of, matrix in zip(both, (self.w_matrix, self.u_matrix), strict=True)
            ]
            places = Mux(decoded.unit.mark.of_u, both[1], both[0])
        else:
            m.d.sync += places.eq(unit_places(self.h_blocks, narrow, single))
        for k in range(self.streams):
            m.d.comb += [
                outside[k].eq((decoded.places[k] >= places) | (beyond[k] & ~decoded.first)),
                infinite[k].eq(~narrow & ~Fp16(decoded.values[k]).finite),
            ]
        with m.If(is_word & moves):
            m.d.sync += beyond.eq(outside)
        bad_table = Const(0)
        if self.stream8:
            finite = Cat(Fp16(self.tables.data[i]).finite for i in range(4))
            bad_table = self.tables.en & ~(finite | (self.tables.addr[:2] == 0)).all()
        m.d.sync += [
            self.bad_format.eq(is_word & (decoded.used & outside).any()),
            self.bad_weight.eq((is_word & (decoded.used & infinite).any()) | bad_table),
        ]

    def _give(self, m: Module, decoded: Any, values: list[Value], narrow: Value) -> None:
        """The item of a decoded word, with these values."""
        item = self.items.payload
        unit = decoded.unit
        m.d.comb += [
            item.used.eq(decoded.used),
            item.column.eq(Mux(self.single, unit.unit >> 2, unit.unit)),
            item.mark.eq(unit.mark),
            item.end.eq(unit.end),
        ]
        for k, value in enumerate(values):
            place = decoded.places[k]
            row = self._row_of_stream(place)
            m.d.comb += [
                item.values[k].eq(value),
                item.selects[k].eq(Mux(self.single, unit.unit[:2], place[:2])),
                item.row_groups[k].eq(Mux(narrow, row >> 1, row >> 2)),
                item.lanes[k].eq(Cat(Const(k % 4, 2), Mux(narrow, Cat(Const(k // 4, 1), row[0]), row[:2]))),
            ]
