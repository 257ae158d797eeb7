"""What is built of formats and schedules: decoders by number, and the front end's refusal of everything else."""

import importlib
import inspect
import pkgutil
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
from amaranth.sim import Simulator

from golden import isa
from golden.config import AcceleratorConfig, preset
from golden.isa import Error, Flags, Format, Funct, Schedule
from golden.tables import STREAM_GAP_BITS
from hdl.accelerator import formats
from hdl.accelerator.formats.esell_decoder import EsellDecoder
from hdl.accelerator.formats.stream_decoder import StreamDecoder
from hdl.accelerator.formats.word_decoder import WordDecoder
from hdl.accelerator.frontend.frontend import Frontend

TINY = preset("tiny")
LISTED = replace(TINY, group_list=True)
STREAM = replace(TINY, esell=False, stream16=True)
ALL = replace(TINY, group_list=True, stream16=True, stream8=True)
CONFIGS = {
    "esell": TINY,
    "list": LISTED,
    "stream16": STREAM,
    "stream8": replace(STREAM, stream16=False, stream8=True),
    "all": ALL,
    "delta": replace(ALL, delta=True),
    "event": preset("event"),
}
LIMIT = 50
ENTRY_BITS = {Format.STREAM16: 16, Format.STREAM8: 8}
UNITS = (4, 1)


def test_every_built_format_has_a_decoder_and_no_other() -> None:
    assert tuple(formats.DECODERS) == isa.BUILT_FORMATS
    there = {
        found
        for module in pkgutil.iter_modules(formats.__path__, "hdl.accelerator.formats.")
        for name, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if name.endswith("Decoder")
    }
    assert there == {*formats.DECODERS.values(), WordDecoder}


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "event"])
def test_a_configuration_has_the_decoders_of_its_formats(name: str) -> None:
    cfg = CONFIGS[name]
    decoder = WordDecoder(cfg)
    module: Any = decoder.elaborate(None)
    parts = {part for part in (formats.DECODERS[number] for number in cfg.formats)}
    names = {EsellDecoder: "esell", StreamDecoder: "stream"}
    assert {*module._named_submodules} == {names[part] for part in parts}


@pytest.mark.parametrize("name", CONFIGS)
def test_all_decoders_give_items_of_one_layout(name: str) -> None:
    cfg = CONFIGS[name]
    made = WordDecoder(cfg)
    if cfg.streams:
        streams = StreamDecoder(cfg, stream8=cfg.stream8, mark=made.items.payload.shape()["mark"].shape)
        assert streams.items.payload.shape() == made.items.payload.shape()
    if cfg.esell:
        assert EsellDecoder(cfg, known_length=True).items.payload.shape() == made.items.payload.shape()


@dataclass(frozen=True)
class Asked:
    """A START: rs2, and what it finds in the registers. Gap bits and columns of a unit of W and of U."""

    word: int
    w: tuple[int, int] = (4, 4)
    u: tuple[int, int] = (4, 4)
    tables: int = 8
    w_offsets: int = 8
    sizes: tuple[int, ...] = (3,)


def answers(cfg: AcceleratorConfig, asked: list[Asked]) -> list[int]:
    """The error codes of these STARTs, each of which nothing but what is asked can be wrong with."""
    dut = Frontend(cfg)
    found: list[int] = []

    async def bench(ctx: Any) -> None:
        async def send(funct: Funct, rs1: int = 0, rs2: int = 0, rd: int = 0) -> None:
            ctx.set(dut.cmd.inst, isa.encode(funct, xd=rd != 0, rd=rd))
            ctx.set(dut.cmd.rs1, rs1)
            ctx.set(dut.cmd.rs2, rs2)
            ctx.set(dut.cmd.valid, 1)
            for _ in range(LIMIT):
                _, _, ready = await ctx.tick().sample(dut.cmd.ready)
                if ready:
                    ctx.set(dut.cmd.valid, 0)
                    return
            raise AssertionError(f"{funct.name} is not taken in {LIMIT} cycles")

        ctx.set(dut.memory.idle, 1)
        ctx.set(dut.resp.ready, 1)
        for start in asked:
            await send(Funct.SIZES, 8, 8)
            await send(Funct.STEPS, 0, 1)
            await send(Funct.FUSION, 8, 1)
            await send(Funct.EXTENSION, start.w_offsets, 8)
            await send(Funct.STREAMS, isa.streams_word(*start.w, *start.u), start.tables)
            if start.sizes:
                await send(Funct.GROUPS, *isa.group_words(start.sizes))
            await send(Funct.START, 8, start.word, rd=1)
            for _ in range(LIMIT):
                _, _, valid, data = await ctx.tick().sample(dut.resp.valid, dut.resp.data)
                if valid:
                    found.append(isa.STATUS_LAYOUT.unpack(data)["code"])
                    break
            else:
                raise AssertionError(f"START has no response in {LIMIT} cycles")
            await send(Funct.ABORT)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return found


def check(cfg: AcceleratorConfig, asked: list[Asked], expected: list[Error], seed: int = 0) -> None:
    wrong = [
        f"{start}: {Error(code).name}, not {error.name}"
        for start, code, error in zip(asked, answers(cfg, asked), expected, strict=True)
        if code != error
    ]
    assert not wrong, f"seed {seed}: {wrong}"


def numbers_of(built: dict[int, tuple[int, ...]], rng: random.Random) -> list[int]:
    """Words of START's rs2: all numbers of all fields, a random flag among them or not."""
    numbers = [sum(rng.randrange(4) << shift for shift in built) for _ in range(8)]
    numbers += [number << shift for shift in built for number in range(4)]
    numbers += [sum(rng.choice(known) << shift for shift, known in built.items()) for _ in range(12)]
    flags = [0, int(Flags.H_SEQ), int(Flags.H_PRUNED | Flags.STATE_OUT), int(Flags.DELTA), int(Flags.H_FP16)]
    words = [number | rng.choice(flags) for number in numbers]
    return words + [1 << bit for bit in (7, 10, 11, 16, 17, 18, 19, 31, 32, 63)]


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for seed, name in enumerate(CONFIGS, 1)])
def test_start_takes_what_a_configuration_has_and_no_more(name: str, seed: int) -> None:
    cfg = CONFIGS[name]
    known: dict[int, tuple[int, ...]] = {8: cfg.schedules, 12: cfg.formats, 14: cfg.formats, 16: cfg.input_formats}
    words = numbers_of(known, random.Random(seed))
    words += [int(Flags.X_SKIP) | schedule << 8 | cfg.formats[0] << 12 | cfg.formats[0] << 14 for schedule in range(4)]
    # by events DELTA is a must
    words += [word | Flags.DELTA for word in words if cfg.events]
    flags = 0xF37F | (0x70080 if cfg.delta else 0)
    refused = [
        bool(word & ~flags)
        or any(word >> shift & 3 not in numbers for shift, numbers in known.items())
        or bool(word & Flags.X_SKIP and word >> 8 & 3 not in (Schedule.LIST, Schedule.EVENTS))
        or bool(cfg.events and not word & Flags.DELTA)
        for word in words
    ]
    assert {False, True} == set(refused)
    check(cfg, [Asked(word) for word in words], [Error.BAD_FLAGS if bad else Error.NONE for bad in refused], seed)
    # what no configuration has, golden refuses too
    assert all(bad for word, bad in zip(words, refused, strict=True) if isa.refused(word)), f"seed {seed}"


@pytest.mark.parametrize("seed", [2, 3])
def test_start_refuses_holes_between_built_numbers(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    # 3 is no schedule and no format: whether START takes it, FIELDS alone say
    built = {8: (0, 3), 12: (0, 1, 2), 14: (0, 3)}
    names = ("schedule", "w_format", "u_format")
    fields = tuple(isa.Field(name, numbers) for name, numbers in zip(names, built.values(), strict=True))
    for module in (isa, isa.start):
        monkeypatch.setattr(module, "FIELDS", fields)
        monkeypatch.setattr(module, "USED_BITS", 0xF377)
    words = numbers_of(built, random.Random(seed))
    expected = [
        bool(word & ~0xF377 or any(word >> shift & 3 not in known for shift, known in built.items())) for word in words
    ]
    assert {False, True} == set(expected)
    check(ALL, [Asked(word) for word in words], [Error.BAD_FLAGS if bad else Error.NONE for bad in expected], seed)
    assert expected == [isa.refused(word) for word in words], f"seed {seed}"


@pytest.mark.parametrize("name", ["stream16", "all"])
def test_start_takes_gap_bits_and_units_that_are_built(name: str) -> None:
    """All gap bits and units of either matrix; those of eSELL are ignored."""
    cfg = CONFIGS[name]
    asked = []
    expected = []
    for w_format, u_format in [(f, cfg.formats[-1]) for f in cfg.formats] + [(cfg.formats[0], f) for f in cfg.formats]:
        word = isa.start_word(0, Schedule.CELL_FUSION, w_format, u_format)
        for gap_bits in range(8):
            for unit in (1, 2, 3, 4):
                for of_w in (True, False):
                    other = u_format if of_w else w_format
                    fitting = (min(STREAM_GAP_BITS[ENTRY_BITS.get(other, 16)]), 4)
                    number = w_format if of_w else u_format
                    fits = number == Format.ESELL or (gap_bits in STREAM_GAP_BITS[ENTRY_BITS[number]] and unit in UNITS)
                    packed = (gap_bits, unit)
                    asked.append(Asked(word, w=packed if of_w else fitting, u=fitting if of_w else packed))
                    expected.append(Error.NONE if fits else Error.BAD_FLAGS)
    picked = random.Random(4).sample(range(len(asked)), 50)
    assert {expected[i] for i in picked} == {Error.NONE, Error.BAD_FLAGS}
    check(cfg, [asked[i] for i in picked], [expected[i] for i in picked], seed=4)


def test_start_refuses_what_is_missing() -> None:
    """W's offsets of streams and of X_SKIP, tables of stream-8, sizes of the list; an address of 4 is misaligned."""
    listed = Schedule.LIST << 8
    skip = int(Flags.X_SKIP) | listed
    w16, w8, u16, u8 = 1 << 12, 2 << 12, 1 << 14, 2 << 14
    asked = {
        Asked(listed, sizes=()): Error.BAD_N_FUSE,
        Asked(0, sizes=()): Error.NONE,
        Asked(listed, w_offsets=0): Error.NONE,
        Asked(skip, w_offsets=0): Error.BAD_FLAGS,
        Asked(skip, w_offsets=4): Error.MISALIGNED,
        Asked(listed, w_offsets=4): Error.NONE,
        Asked(w16, w_offsets=0): Error.BAD_FLAGS,
        Asked(w16, w_offsets=4): Error.MISALIGNED,
        Asked(u16, w_offsets=0): Error.NONE,
        Asked(w8, tables=0): Error.BAD_FLAGS,
        Asked(u8, tables=0): Error.BAD_FLAGS,
        Asked(u8, tables=4): Error.MISALIGNED,
        Asked(w16 | u16, tables=0): Error.NONE,
        Asked(w16 | u16, tables=4): Error.NONE,
        Asked(w8 | u16): Error.NONE,
    }
    check(ALL, list(asked), list(asked.values()))
