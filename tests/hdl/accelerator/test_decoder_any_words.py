"""The decoder alone on words and lengths that nobody packed: it always ends, and says what golden says."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from golden.config import preset
from golden.formats import esell
from hdl.accelerator.formats.esell_decoder import EsellDecoder

CFG = preset("tiny")
BLOCKS = 4
"""Blocks of a column: of a U with H = 8."""


@dataclass
class Case:
    """Some columns: what their entries say, and as many words as they say in all."""

    lengths: list[int]
    words: list[int]

    @property
    def cycles(self) -> int:
        """More than the slowest way through: a cycle a word, and one for each made zero and each entry."""
        return 2 * (len(self.words) + 4 * BLOCKS * len(self.lengths)) + 20


def head(rng: random.Random, widths: tuple[int, int]) -> int:
    """A well-formed head with these CHKw, its rows and codes anything that is allowed."""
    rows = rng.sample(range(8), 8)
    word = 0
    for chunk in range(2):
        half = widths[chunk]
        for i in range(4):
            half |= rng.randrange(8) << 3 + 3 * i | rows[4 * chunk + i] << 15 + 3 * i
        word |= half << 32 * chunk
    return word


def column(rng: random.Random) -> list[int]:
    """The words of a right column."""
    words: list[int] = []
    for _ in range(BLOCKS):
        widths = (rng.choice((0, 0, 1, 4)), rng.choice((0, 0, 1)))
        # zeros and small numbers: a value that is read as a head is malformed, or a head once in a while
        words += [head(rng, widths), *(rng.choice((0, 0x3C00, head(rng, (0, 1)))) for _ in range(sum(widths)))]
    return words


def damaged(rng: random.Random) -> Case:
    """Right columns, then one of the ways in which memory can be wrong."""
    columns = [column(rng) for _ in range(rng.choice((1, 1, 2)))]
    lengths = [len(c) for c in columns]
    words = [word for c in columns for word in c]
    match rng.randrange(4):
        case 0:
            at = rng.randrange(len(lengths))
            lengths[at] = max(0, lengths[at] + rng.choice((-3, -2, -1, 1, 2, 3)))
        case 1:
            at, chunk = rng.randrange(len(words)), rng.choice((0, 32))
            words[at] = words[at] & ~(7 << chunk) | rng.randrange(5) << chunk
        case 2:
            lengths[-1] = rng.randrange(3 * BLOCKS)
        case 3:
            words[rng.randrange(len(words))] = rng.getrandbits(64)
    total = sum(lengths)
    return Case(lengths, (words + [head(rng, (0, 0)) for _ in range(max(0, total - len(words)))])[:total])


def expected(case: Case) -> bool:
    """Whether golden finds a fault."""
    offsets = np.array(case.lengths, np.uint16)
    return bool(esell.decode(np.array(case.words, np.uint64), 8 * BLOCKS, 4 * len(case.lengths), offsets).faults)


def outcomes(cases: list[Case]) -> list[bool | None]:
    """For each case: whether it ended in bad_format, or None where it did not end in time."""
    bench = Module()
    # the accelerator resets its decoder between runs, too
    clear = Signal()
    dut = EsellDecoder(CFG, known_length=True)
    bench.submodules.dut = ResetInserter(clear)(dut)
    found: list[bool | None] = []

    async def drive(ctx: Any) -> None:
        ctx.set(dut.blocks, BLOCKS)
        ctx.set(dut.check, 1)
        for case in cases:
            ctx.set(clear, 1)
            await ctx.tick()
            ctx.set(clear, 0)
            entries = [*case.lengths, None]
            word = entry = 0
            result = None
            for _ in range(case.cycles):
                ctx.set(dut.columns.valid, int(entry < len(entries)))
                if entry < len(entries):
                    length = entries[entry]
                    ctx.set(dut.columns.payload.words, length or 0)
                    ctx.set(dut.columns.payload.end, int(length is None))
                    ctx.set(dut.columns.payload.mark.first, int(entry == 0))
                ctx.set(dut.words.valid, int(word < len(case.words)))
                ctx.set(dut.words.payload, case.words[word] if word < len(case.words) else 0)
                ctx.set(dut.items.ready, 1)
                _, _, taken, read, bad, item, end = await ctx.tick().sample(
                    dut.columns.ready, dut.words.ready, dut.bad_format, dut.items.valid, dut.items.payload.end
                )
                entry += taken
                word += read
                if bad or (item and end):
                    result = bool(bad)
                    break
            found.append(result)

    sim = Simulator(bench)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.run()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_any_words_end_in_items_or_bad_format(seed: int) -> None:
    rng = random.Random(seed)
    cases = [damaged(rng) for _ in range(150)]
    wanted = [expected(case) for case in cases]
    assert 20 < sum(wanted) < len(cases) - 20, "both kinds must occur"
    for number, (case, got, want) in enumerate(zip(cases, outcomes(cases), wanted, strict=True)):
        assert got is not None, f"seed {seed}, case {number}: no end in {case.cycles} cycles: {case}"
        assert got == want, f"seed {seed}, case {number}: bad_format is {got}, golden says {want}: {case}"


@pytest.mark.parametrize("length", range(10))
def test_a_column_of_any_length_ends_even_if_its_words_are_all_empty_blocks(length: int) -> None:
    rng = random.Random(length)
    case = Case([length], [head(rng, (0, 0)) for _ in range(length)])
    assert outcomes([case]) == [length != BLOCKS]
