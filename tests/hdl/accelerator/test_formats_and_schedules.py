"""What is built of formats and schedules: decoders by number, and the front end's refusal of everything else."""

import importlib
import inspect
import pkgutil
import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from golden import isa
from golden.config import preset
from golden.isa import Error, Flags, Funct
from hdl.accelerator import formats
from hdl.accelerator.formats.stream_decoder import StreamDecoder
from hdl.accelerator.frontend.frontend import Frontend

CFG = preset("tiny")
LIMIT = 50


def test_every_built_format_has_a_decoder_and_no_other() -> None:
    assert tuple(formats.DECODERS) == isa.BUILT_FORMATS
    there = {
        found
        for module in pkgutil.iter_modules(formats.__path__, "hdl.accelerator.formats.")
        for name, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if name.endswith("Decoder")
    }
    # streams have a decoder before any configuration runs them
    assert there == {*formats.DECODERS.values(), StreamDecoder}


@pytest.mark.parametrize("known_length", [False, True])
def test_all_decoders_have_the_ports_of_the_first(known_length: bool) -> None:
    made = [decoder(CFG, known_length=known_length) for decoder in formats.DECODERS.values()]
    assert all(decoder.signature == made[0].signature for decoder in made)
    assert isinstance(formats.decoder(CFG, known_length=known_length), tuple(formats.DECODERS.values()))


def answers(words: list[int]) -> list[int]:
    """The error codes of STARTs with these rs2, each of which nothing but rs2 can be wrong with."""
    dut = Frontend(CFG)
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
        for word in words:
            await send(Funct.SIZES, 8, 8)
            await send(Funct.STEPS, 0, 1)
            await send(Funct.FUSION, 8, 1)
            await send(Funct.EXTENSION, 8, 8)
            await send(Funct.START, 8, word, rd=1)
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


def check(built: dict[int, tuple[int, ...]], seed: int) -> None:
    """All numbers of all fields, a random flag among them or not."""
    rng = random.Random(seed)
    numbers = [sum(rng.randrange(4) << shift for shift in built) for _ in range(20)]
    numbers += [number << shift for shift in built for number in range(4)]
    numbers += [sum(rng.choice(known) << shift for shift, known in built.items()) for _ in range(20)]
    flags = [0, int(Flags.H_SEQ), int(Flags.H_PRUNED | Flags.STATE_OUT), 1 << 7]
    words = [number | rng.choice(flags) for number in numbers]
    words += [1 << bit for bit in (3, 7, 10, 11, 16, 31, 32, 63)]
    expected = [
        bool(word & ~0xF377 or any(word >> shift & 3 not in known for shift, known in built.items())) for word in words
    ]
    assert {False, True} == set(expected)
    codes = answers(words)
    wrong = [
        f"{word:#x}: {code}"
        for word, code, refused in zip(words, codes, expected, strict=True)
        if code != (Error.BAD_FLAGS if refused else Error.NONE)
    ]
    assert not wrong, f"seed {seed}: {wrong}"
    assert expected == [isa.refused(word) for word in words], f"seed {seed}"


def test_start_takes_what_is_built_and_no_more() -> None:
    check({8: isa.BUILT_SCHEDULES, 12: isa.BUILT_FORMATS, 14: isa.BUILT_FORMATS}, seed=1)


@pytest.mark.parametrize("seed", [2, 3])
def test_start_refuses_holes_between_built_numbers(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    built = {8: (0, 2), 12: (0, 1, 2), 14: (0, 3)}
    names = ("schedule", "w_format", "u_format")
    fields = tuple(isa.Field(name, numbers) for name, numbers in zip(names, built.values(), strict=True))
    monkeypatch.setattr(isa, "FIELDS", fields)
    monkeypatch.setattr(isa, "USED_BITS", 0xF277)
    check(built, seed)
