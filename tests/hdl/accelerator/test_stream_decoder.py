"""The decoder of streams alone: any words end in the items that the format's text says, or in bad_format."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth import Elaboratable, Module, ResetInserter, Signal

from golden import numbers
from golden.config import BANK_LANES, AcceleratorConfig, preset
from golden.formats import Parameters, pack_halves, stored
from golden.isa import Format
from hdl.accelerator.formats.stream_decoder import TABLE_WORDS, StreamDecoder
from hdl.accelerator.layout import mark_layout
from hdl.accelerator.result_bank import ResultBank
from hdl.accelerator.spmv_pe import SpmvPe
from tests.hdl.accelerator.unit_bench import CFG, cycles, simulate

EVENT = preset("event")
Place = tuple[int, int, int]
"""Row, column and fp16 bits of a value."""


@dataclass
class Case:
    """Some units: ``lengths`` of each, and as many ``words`` as they say in all; what the run says of the matrix."""

    h: int
    unit_cols: int
    narrow: bool
    gap_bits: int
    lengths: list[int]
    words: list[int]
    tables: np.ndarray = field(default_factory=lambda: np.zeros((4, 16), np.float16))
    of_u: bool = False

    @property
    def format(self) -> Format:
        return Format.STREAM8 if self.narrow else Format.STREAM16

    @property
    def parameters(self) -> Parameters:
        return Parameters(self.gap_bits, self.unit_cols, self.tables if self.narrow else None)

    @property
    def places(self) -> int:
        """Of a unit."""
        return 4 * self.h * self.unit_cols // (8 if self.narrow else 4)

    def decoded(self) -> tuple[list[tuple[int, list[Place]]], int | None, int | None]:
        """Unit and values of each word, the first word with a misplaced value, and with one that is not finite."""
        streams, width = (8, 8) if self.narrow else (4, 16)
        found: list[tuple[int, list[Place]]] = []
        misplaced = infinite = None
        words = iter(self.words)
        for unit, length in enumerate(self.lengths):
            at = [-1] * streams
            for _ in range(length):
                word, values = next(words), []
                for k in range(streams):
                    entry = word >> width * k & (1 << width) - 1
                    code = entry >> self.gap_bits
                    at[k] += entry % (1 << self.gap_bits) + 1
                    row, column = at[k] // self.unit_cols * streams + k, at[k] % self.unit_cols
                    if code == 0:
                        continue
                    if row >= 4 * self.h:
                        misplaced = len(found) if misplaced is None else misplaced
                        continue
                    bits = code << self.gap_bits
                    if self.narrow:
                        bits = int(self.tables.view(np.uint16)[row // self.h, code])
                    elif bits >> 10 & 31 == 31:
                        infinite = len(found) if infinite is None else infinite
                    values.append((row, unit * self.unit_cols + column, bits))
                found.append((unit, values))
        return found, misplaced, infinite


@dataclass
class Outcome:
    """What the decoder made of a case: values of each item, and the items before each fault; cycles that words took."""

    items: list[list[Place]] = field(default_factory=list)
    ended: bool = False
    bad_format: int | None = None
    bad_weight: int | None = None
    taken: list[int] = field(default_factory=list)


def row_of(dut: StreamDecoder, case: Case, row_group: int, lane: int) -> int:
    """The row whose sum is in that lane of that row group."""
    if not dut.cfg.events:
        return BANK_LANES * row_group + lane
    # two row groups hold all gates of two blocks of units; lanes go by whether the block of rows is even
    gate = 2 * (row_group & 1) + (lane >> 3)
    block = 2 * (row_group >> 1) + (lane >> 2 & 1 ^ gate * (case.h // 4) & 1)
    return gate * case.h + 4 * block + lane % 4


def places(dut: StreamDecoder, case: Case, item: Any) -> list[Place]:
    """The values of an item; a decoder of eight repeats four of 16 bits."""
    narrow = case.narrow
    found = []
    for k in range(4 if not narrow else 8):
        if item.used >> k & 1:
            row = row_of(dut, case, item.row_groups[k], item.lanes[k])
            found.append((row, 4 * item.column + item.selects[k], item.values[k]))
        else:
            assert item.values[k] == 0
    if not narrow and len(item.values) == 8:
        assert all(item.values[k] == item.values[k + 4] and item.lanes[k] == item.lanes[k + 4] for k in range(4))
        assert item.row_groups[:4] == item.row_groups[4:] and item.used & 15 == item.used >> 4
    return found


async def set_up(ctx: Any, dut: StreamDecoder, case: Case) -> None:
    """Set what the run says of the matrix, and load its tables."""
    ctx.set(dut.h_blocks, case.h // 4)
    single, narrow = int(case.unit_cols == 1), int(case.narrow)
    if dut.cfg.events:
        # nothing that is said of the other matrix may matter
        mine, other = (dut.u_matrix, dut.w_matrix) if case.of_u else (dut.w_matrix, dut.u_matrix)
        for matrix, bits, *flags in ((mine, case.gap_bits, single, narrow), (other, 5, 1 - single, 1 - narrow)):
            ctx.set(matrix.gap_bits, bits)
            ctx.set(matrix.single, flags[0])
            ctx.set(matrix.narrow, flags[1])
    else:
        ctx.set(dut.gap_bits, case.gap_bits)
        ctx.set(dut.single, single)
    if dut.stream8:
        if not dut.cfg.events:
            ctx.set(dut.narrow, narrow)
        for i, word in enumerate(pack_halves(case.tables.view(np.uint16).ravel()).tolist()):
            ctx.set(dut.tables.en, 1)
            ctx.set(dut.tables.addr, i + TABLE_WORDS * case.of_u)
            ctx.set(dut.tables.data, [word >> 16 * j & 0xFFFF for j in range(4)])
            await ctx.tick()
        ctx.set(dut.tables.en, 0)
    await ctx.tick()


def run(case: Case, dut: StreamDecoder, ctx: Any, clear: Signal, stall: float, rng: random.Random) -> Any:
    """Give a case to the decoder, with random stalls on all sides; a coroutine that returns its outcome."""

    async def bench() -> Outcome:
        ctx.set(clear, 1)
        await ctx.tick()
        ctx.set(clear, 0)
        await set_up(ctx, dut, case)
        outcome = Outcome()
        entries = [*enumerate(case.lengths), (0, None)]
        words = list(case.words)
        after_end = 0
        limit = 40 + int((len(words) + len(entries)) * (2 + 20 * stall))
        async for cycle in cycles(ctx, lambda: f"the end of {case}", limit):
            bad_format, bad_weight = ctx.get(dut.bad_format), ctx.get(dut.bad_weight)
            if bad_format and outcome.bad_format is None:
                outcome.bad_format = len(outcome.items)
            if bad_weight and outcome.bad_weight is None:
                outcome.bad_weight = len(outcome.items)
            after_end += outcome.ended
            if after_end == 3:
                return outcome
            ctx.set(dut.units.valid, int(bool(entries) and rng.random() >= stall))
            if entries:
                unit, length = entries[0]
                mark: Any = unit & 1
                if dut.cfg.events:
                    mark = {"first": 0, "half": unit & 1, "of_u": int(case.of_u)}
                entry = {"unit": unit, "words": length or 0, "mark": mark, "end": int(length is None)}
                ctx.set(dut.units.payload, entry)
            ctx.set(dut.words.valid, int(bool(words) and rng.random() >= stall))
            if words:
                ctx.set(dut.words.payload, words[0])
            ctx.set(dut.items.ready, int(rng.random() >= stall))
            if ctx.get(dut.units.valid) and ctx.get(dut.units.ready):
                entries.pop(0)
            if ctx.get(dut.words.valid) and ctx.get(dut.words.ready):
                words.pop(0)
                outcome.taken.append(cycle)
            if ctx.get(dut.items.valid) and ctx.get(dut.items.ready):
                item = ctx.get(dut.items.payload)
                assert not outcome.ended, f"an item after the end: {case}"
                outcome.ended = bool(item.end)
                if not item.end:
                    column = item.column * 4 + item.selects[0] if case.unit_cols == 1 else item.column
                    outcome.items.append(places(dut, case, item))
                    assert (item.mark.half if dut.cfg.events else item.mark) == column & 1
        raise AssertionError

    return bench()


def outcomes(cases: list[Case], seed: int, stream8: bool, stall: float, cfg: AcceleratorConfig = CFG) -> list[Outcome]:
    """What the decoder makes of cases, one after the other."""
    bench = Module()
    # the accelerator resets its decoder between runs, too
    clear = Signal()
    dut = StreamDecoder(cfg, stream8=stream8, mark=mark_layout(cfg) if cfg.events else 1)
    bench.submodules.dut = ResetInserter(clear)(dut)
    found: list[Outcome] = []
    rng = random.Random(seed)

    async def drive(ctx: Any) -> None:
        for case in cases:
            found.append(await run(case, dut, ctx, clear, stall, rng))

    simulate(bench, drive)
    return found


def random_case(rng: random.Random, stream8: bool) -> Case:
    """Units of a packed matrix, or words of any bits, or both at once."""
    narrow = stream8 and rng.random() < 0.8
    h, unit_cols, gap_bits = (
        4 * rng.choice((1, 2, 3, 7, 16)),
        rng.choice((1, 4)),
        4 if narrow else rng.choice((4, 5, 6)),
    )
    numpy_rng = np.random.default_rng(rng.getrandbits(32))
    matrix = numpy_rng.normal(size=(4 * h, unit_cols * rng.randint(1, 5))).astype(np.float16)
    matrix[numpy_rng.random(matrix.shape) >= rng.choice((0.03, 0.3, 1.0)) * min(1, 16 / h)] = 0
    number = Format.STREAM8 if narrow else Format.STREAM16
    packed = stored(number).pack(matrix, Parameters(gap_bits, unit_cols))
    case = Case(h, unit_cols, narrow, gap_bits, packed.offsets.tolist(), packed.words.tolist())
    if narrow:
        assert packed.parameters.tables is not None
        case.tables = packed.parameters.tables.copy()
        case.tables[:, 0] = np.nan
    match rng.randrange(5):
        case 0 if case.words:
            at = rng.randrange(len(case.words))
            case.words[at] ^= 1 << rng.randrange(64)
        case 1:
            case.lengths = [rng.choice((0, 0, 1, 2, 9)) for _ in range(rng.randint(1, 6))]
            # gaps long and short: of both kinds some units stay within their places
            mask = rng.choice((2**64 - 1, 0x1F1F_1F1F_1F1F_1F1F))
            # fp16 of moderate size, or any: one in 32 is not finite
            finite = 0xBFFF_BFFF_BFFF_BFFF if rng.random() < 0.7 else 2**64 - 1
            case.words = [rng.getrandbits(64) & mask & finite for _ in range(sum(case.lengths))]
        case 2:
            at = rng.randrange(len(case.lengths))
            case.lengths[at] += rng.choice((1, 2, 40))
            more = [rng.choice((0, 2**64 - 1 & 0xF0F_0F0F_0F0F_0F0F)) for _ in range(40)]
            case.words = (case.words + more)[: sum(case.lengths)]
        case 3:
            # far beyond the places and no value on the way there, then one that must not count as near again
            case.lengths = [rng.randint(1, 70)]
            filler = 0x0F0F_0F0F_0F0F_0F0F if narrow else ((1 << gap_bits) - 1) * 0x0001_0001_0001_0001
            case.words = [filler] * (case.lengths[0] - 1) + [0x3030_3030_3030_3030]
    return case


@pytest.mark.parametrize(
    ("seed", "stream8", "stall", "count", "cfg"),
    [
        (1, False, 0.0, 60, CFG),
        (2, False, 0.3, 20, CFG),
        (3, True, 0.0, 40, CFG),
        (4, True, 0.3, 12, CFG),
        (5, False, 0.2, 40, EVENT),
        (6, True, 0.2, 40, EVENT),
    ],
)
def test_any_words_end_in_items_or_bad_format(
    seed: int, stream8: bool, stall: float, count: int, cfg: AcceleratorConfig
) -> None:
    rng = random.Random(seed)
    cases = [random_case(rng, stream8) for _ in range(count)]
    for case in cases:
        case.of_u = cfg.events and rng.random() < 0.5
    faulty = 0
    for number, (case, got) in enumerate(zip(cases, outcomes(cases, seed, stream8, stall, cfg), strict=True)):
        where = f"seed {seed}, case {number}"
        wanted, misplaced, infinite = case.decoded()
        faulty += misplaced is not None
        columns = case.unit_cols * len(case.lengths)
        golden = stored(case.format).decode(
            np.array(case.words, np.uint64), 4 * case.h, columns, case.lengths, case.parameters
        )
        # the decoder believes what it is told of lengths
        too_long = max(case.lengths) > case.places
        assert bool(golden.faults) == (misplaced is not None or too_long), (
            f"{where}: golden and the test differ: {case}"
        )
        assert (got.bad_format is None) == (misplaced is None), f"{where}: bad_format after {got.bad_format}: {case}"
        if misplaced is None:
            assert [values for _, values in wanted] == got.items, f"{where}: {case}"
            assert (got.bad_weight is None) == (infinite is None), f"{where}: bad_weight after {got.bad_weight}: {case}"
            nonzero = sorted(p for _, values in wanted for p in values if p[2] & 0x7FFF)
            known = zip(golden.row.tolist(), golden.col.tolist(), golden.value.view(np.uint16).tolist(), strict=True)
            assert nonzero == sorted(known), f"{where}: golden and the test differ: {case}"
        else:
            assert got.items[:misplaced] == [values for _, values in wanted[:misplaced]], f"{where}: {case}"
            # two cycles after its word, when items before it may still wait
            assert got.bad_format is not None and abs(got.bad_format - misplaced) <= 2, f"{where}: {case}"
    assert count // 10 < faulty < count * 9 // 10, "both kinds must occur"


def idle_cycles(lengths: list[int]) -> int:
    """Cycles without a word between the first and the last: an empty unit is dropped while words of the unit before it
    come, one a cycle, the last word's cycle excepted."""
    idle = empties = previous = 0
    for length in lengths:
        if length == 0:
            empties += 1
            continue
        if previous:
            idle += max(0, empties - (previous - 1))
        empties, previous = 0, length
    return idle


@pytest.mark.parametrize("stream8", [False, True])
def test_a_word_is_taken_every_cycle(stream8: bool) -> None:
    rng = random.Random(7)
    dense = [rng.randint(1, 4) for _ in range(40)]
    sparse = [rng.choice((0, 0, 1, 2, 3)) for _ in range(60)]
    for lengths in (dense, sparse):
        words = [rng.getrandbits(64) & 0x3333_3333_3333_3330 for _ in range(sum(lengths))]
        (got,) = outcomes([Case(64, 4, stream8, 4, lengths, words)], 7, stream8, 0.0)
        assert got.taken[-1] - got.taken[0] + 1 == len(words) + idle_cycles(lengths)
    assert idle_cycles(dense) == 0 < idle_cycles(sparse)


def test_tables_are_checked_when_they_are_written() -> None:
    places = [(0, 0, np.nan), (3, 0, np.inf), (0, 1, np.inf), (2, 15, np.nan), (1, 4, -np.inf), (1, 7, 65504)]
    dut = StreamDecoder(CFG, stream8=True)
    found = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.tables.en, 1)
        for gate, entry, value in places:
            four = np.full(4, 0.5, np.float16)
            four[entry % 4] = value
            ctx.set(dut.tables.addr, 4 * gate + entry // 4)
            ctx.set(dut.tables.data, four.view(np.uint16).tolist())
            await ctx.tick()
            found.append(bool(ctx.get(dut.bad_weight)))

    simulate(dut, bench)
    # entry 0 is no value, whatever it is
    assert found == [entry > 0 and not np.isfinite(value) for _, entry, value in places]


class Spmv(Elaboratable):
    """Decoder, PE and bank in a row, as in a path; an item's operands come a cycle after it."""

    def __init__(self, stream8: bool, crossbar: bool) -> None:
        self.decoder = StreamDecoder(CFG, stream8=stream8)
        self.pe = SpmvPe(macs=self.decoder.streams)
        self.bank = ResultBank(CFG.row_groups, products=self.decoder.streams, crossbar=crossbar, streams=True)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.decoder = self.decoder
        m.submodules.pe = self.pe
        m.submodules.bank = self.bank
        count = self.decoder.streams
        item = self.decoder.items.payload
        stages = [self.decoder.items.payload]
        working = Signal(3)
        for i in range(1, 3):
            stages.append(Signal.like(item, name=f"item_{i}"))
            m.d.sync += stages[i].eq(stages[i - 1])
        m.d.sync += working.eq((working << 1) | (self.decoder.items.valid & ~item.end))
        m.d.comb += [
            self.decoder.items.ready.eq(1),
            self.pe.values.eq(stages[1].values),
            self.pe.selects.eq(stages[1].selects),
            self.bank.fetch.eq(working[1]),
            *(self.bank.addr[k].eq(stages[2].row_groups[k]) for k in range(count)),
            self.bank.lanes.eq(stages[2].lanes),
            self.bank.used.eq(stages[2].used),
            *(self.bank.products[k].eq(self.pe.products[k]) for k in range(count)),
        ]
        return m


@pytest.mark.parametrize(
    ("seed", "stream8", "narrow", "unit_cols", "crossbar"),
    [(1, False, False, 4, False), (2, True, True, 1, False), (3, True, False, 4, True)],
)
def test_streams_become_sums(seed: int, stream8: bool, narrow: bool, unit_cols: int, crossbar: bool) -> None:
    rng = np.random.default_rng(seed)
    h, columns = 12, 20
    matrix = rng.normal(size=(4 * h, columns)).astype(np.float16)
    matrix[rng.random(matrix.shape) >= 0.3] = 0
    x = rng.normal(size=columns).astype(np.float16)
    packed = stored(Format.STREAM8 if narrow else Format.STREAM16).pack(matrix, Parameters(4, unit_cols))
    tables = packed.parameters.tables if narrow else None
    case = Case(h, unit_cols, narrow, 4, packed.offsets.tolist(), packed.words.tolist())
    if tables is not None:
        case.tables = tables
    weights = stored(packed.format).check(packed.words, 4 * h, columns, packed.offsets, packed.parameters)
    expected = np.zeros(4 * h, dtype=np.int64)
    np.add.at(expected, weights.row, numbers.products(weights.value, x[weights.col]))
    dut = Spmv(stream8, crossbar)
    blocks = numbers.fp16_bits(x).reshape(-1, 4)
    sums: list[int] = []

    async def bench(ctx: Any) -> None:
        bank, decoder = dut.bank, dut.decoder
        ctx.set(bank.clear_rows, CFG.row_groups)
        ctx.set(bank.clear_start, 1)
        await ctx.tick()
        ctx.set(bank.clear_start, 0)
        await set_up(ctx, decoder, case)
        while ctx.get(bank.clearing):
            await ctx.tick()
        entries = [*enumerate(case.lengths), (0, None)]
        words = list(case.words)
        column = ended = 0
        async for _ in cycles(ctx, lambda: f"seed {seed}: the sums of {case}", 400):
            ctx.set(dut.pe.operands, blocks[column].tolist())
            ctx.set(decoder.units.valid, int(bool(entries)))
            ctx.set(decoder.words.valid, int(bool(words)))
            if entries:
                unit, length = entries[0]
                ctx.set(decoder.units.payload, {"unit": unit, "words": length or 0, "mark": 0, "end": length is None})
            if words:
                ctx.set(decoder.words.payload, words[0])
            entries = entries[ctx.get(decoder.units.ready) :]
            words = words[ctx.get(decoder.words.ready) :]
            column = ctx.get(decoder.items.payload.column) % len(blocks)
            ended += ended > 0 or (ctx.get(decoder.items.valid) and ctx.get(decoder.items.payload.end))
            assert not (ctx.get(decoder.bad_format) or ctx.get(decoder.bad_weight) or ctx.get(bank.overflow))
            # the last word's sums are written three cycles after it, as the end's would be
            if ended == 4:
                break
        for row_group in range(4 * h // BANK_LANES):
            ctx.set(bank.read, 1)
            ctx.set(bank.read_addr, row_group)
            await ctx.tick()
            sums.extend(ctx.get(value) for value in bank.read_data)

    simulate(dut, bench)
    assert sums == expected.tolist(), f"seed {seed}"
