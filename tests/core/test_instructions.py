"""Straight runs of random instructions on the whole core, with random memory stalls, against plain Python."""

import random

import pytest

from sim.core_lockstep import stream
from sim.core_lockstep.isa import Encoder
from tests.core import iss
from tests.core.core_bench import BASE, DEVICE, Bench, Timing

DATA, PORT = 30, 31
DATA_AT = 0x1000
DATA_BYTES = 256
TIMINGS = (
    Timing(),
    Timing(memory_stall=40),
    Timing(memory_latency=4),
    Timing(memory_stall=30, memory_latency=3),
)


class Model:
    """Emits instructions and does what they do."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.words: list[int] = []
        self.e = Encoder(self.words.append)
        self.x = [0] * 32
        self.data = bytearray(self.r.randbytes(DATA_BYTES))
        self.recent = [1, 2]

    def set(self, rd: int, value: int) -> None:
        if rd:
            self.x[rd] = value & iss.MASK
        self.recent = [self.recent[-1], rd]

    def source(self) -> int:
        return self.r.choice((*self.recent, self.recent[-1], self.r.randrange(1, 25)))

    def one(self, skipped: bool = False) -> None:
        """A random instruction; a skipped one has no effect."""
        r, rd, a, b = self.r, self.r.randrange(25), self.source(), self.source()
        kind = r.choice(("r", "r", "i", "shift", "muldiv", "load", "load", "store", "upper"))
        value = None
        if kind in ("r", "muldiv"):
            name = r.choice(stream.ALU_R if kind == "r" else stream.MUL_DIV)
            self.e.r(name, rd, a, b)
            value = iss.execute(name, self.x[a], self.x[b])
        elif kind == "i":
            name, number = r.choice(stream.ALU_I), r.randint(-2048, 2047)
            self.e.i(name, rd, a, number)
            value = iss.execute(name, self.x[a], number & iss.MASK)
        elif kind == "shift":
            name = r.choice(stream.SHIFT_I + stream.SHIFT_IW)
            number = r.randrange(32 if name.endswith("w") else 64)
            self.e.i(name, rd, a, number)
            value = iss.execute(name, self.x[a], number)
        elif kind == "upper":
            number = r.randrange(1 << 20)
            if r.random() < 0.5:
                self.e.u("lui", rd, number)
                value = iss.signed(number << 12, 32)
            else:
                value = BASE + 4 * len(self.words) + iss.signed(number << 12, 32)
                self.e.u("auipc", rd, number)
        elif kind == "load":
            name = r.choice(tuple(stream.LOADS))
            offset = r.randrange(0, DATA_BYTES, stream.LOADS[name])
            self.e.i(name, rd, DATA, offset)
            value = iss.load(name, self.data, offset)
        else:
            offset = r.randrange(0, DATA_BYTES, 8)
            self.e.s("sd", DATA, b, offset)
            if not skipped:
                self.data[offset : offset + 8] = self.x[b].to_bytes(8, "little")
        if value is not None and not skipped:
            self.set(rd, value)

    def branch(self) -> None:
        name, a, b = self.r.choice(stream.BRANCHES), self.source(), self.source()
        count = self.r.randrange(3)
        taken = iss.taken(name, self.x[a], self.x[b])
        self.e.b(name, a, b, 4 * (count + 1))
        for _ in range(count):
            self.one(skipped=taken)

    def jump(self) -> None:
        count, rd = self.r.randrange(3), self.r.randrange(25)
        self.set(rd, BASE + 4 * len(self.words) + 4)
        self.e.jal(rd, 4 * (count + 1))
        for _ in range(count):
            self.one(skipped=True)


@pytest.mark.parametrize("seed", range(8))
def test_random_program(seed: int) -> None:
    model = Model(seed)
    e = model.e
    e.u("lui", PORT, DEVICE >> 12)
    e.i("slli", PORT, PORT, 32)
    e.i("srli", PORT, PORT, 32)
    e.pc_relative(DATA, DATA_AT - 4 * len(model.words))
    for register in range(1, 25):
        e.i("ld", register, DATA, 8 * register)
        model.set(register, iss.load("ld", model.data, 8 * register))
    for _ in range(150):
        model.r.choices((model.one, model.branch, model.jump), (8, 2, 1))[0]()
    for register in range(1, 25):
        e.s("sd", DATA, register, DATA_BYTES + 8 * register)
    e.s("sd", PORT, 0, 0)
    e.jal(0, 0)
    assert 4 * len(model.words) < DATA_AT
    memory = random.Random(seed).randbytes(DATA_BYTES)
    bench = Bench(model.words, TIMINGS[seed % len(TIMINGS)], seed, max_cycles=8000)
    for offset in range(0, DATA_BYTES, 8):
        bench.memory[BASE + DATA_AT + offset] = int.from_bytes(memory[offset : offset + 8], "little")
    bench.run()
    at = BASE + DATA_AT + DATA_BYTES
    assert [bench.memory[at + 8 * register] for register in range(1, 25)] == model.x[1:25], f"registers, seed {seed}"
    stored = b"".join(bench.memory[BASE + DATA_AT + o].to_bytes(8, "little") for o in range(0, DATA_BYTES, 8))
    assert stored == bytes(model.data), f"memory, seed {seed}"
    assert bench.exceptions == 0
